"""What a plan can decide, before measuring and again after the baseline; the numbers of a plan with `auto`; and the
interim looks that end a comparison early or add blocks. Imports the judge: import this module late."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from luckyhit.case import Case
from luckyhit.case.freshness import EXPOSED, Freshness, Prestate
from luckyhit.case.load import with_plan
from luckyhit.case_run import CaseRun
from luckyhit.designs import design_of
from luckyhit.judge import early_stopping, judge
from luckyhit.judge.compare import process_starts
from luckyhit.judge.power import (
    Planning,
    ProbeUnits,
    as_facts,
    line,
    plan_for,
    plan_line,
    requests_of_block,
    to_size,
    unsized,
    workload_units,
)
from luckyhit.judge.power.measured_baseline import recorded_baseline
from luckyhit.judge.rows_so_far import RowsSoFar
from luckyhit.load.block import inputs_of
from luckyhit.probe.probe_plan import KeyRanges, ProbeEvent, counted_units, most_requests, plan_events, usual_requests
from luckyhit.records import METRICS, STALE_READS, GoalName, MetricName, ProbeReads, Result
from luckyhit.records.manifest import InterimLook
from luckyhit.workflow.measuring import Measuring
from luckyhit.workflow.probe_controls import probe_share, with_controls


class ProbePlanner:
    """What the probe does in a block of a case's plan, and the workload's own writes; each kind of block is planned
    once. `share`: its share of the baseline's load, which decides on blocks without it; None: the share it would have
    if readers stayed stale. `listed`: the keys in the workload's files."""

    def __init__(self, share: float | None = None, listed: Mapping[str, Sequence[str]] = {}) -> None:
        self._share, self._listed = share, listed
        self._known: dict[tuple[float | None, float, float], _Block] = {}
        self._own: dict[tuple[float, float, float], float] = {}

    def __call__(self, case: Case) -> ProbeUnits:
        probe, seconds = case.freshness, case.plan.block
        requests = requests_of_block(case) or 0.0
        own = self._own_writes(case, requests)
        if probe is None:
            return ProbeUnits(workload=own)
        key = probe.rate, seconds, requests
        if key not in self._known:
            self._known[key] = _Block.of(probe, seconds, requests)
        block = self._known[key]
        share = self._share
        if share is None:
            share = block.most_requests / requests if requests and probe.rate is not None else 0.0
        _, controls = with_controls(case.plan.blocks, share, on_top=design_of(case).controls_on_top)
        return ProbeUnits(block.states, block.windows, block.requests, len(controls), block.kinds, own)

    def _own_writes(self, case: Case, requests: float) -> float:
        key = requests, case.plan.block, case.plan.warmup
        if key not in self._own:
            self._own[key] = workload_units(case, self._listed)
        return self._own[key]


@dataclass(frozen=True)
class _Block:
    """One block: writes that count by state, windows, requests if readers are fresh, and if they stay stale."""

    states: Mapping[Prestate, float]
    windows: int
    requests: int
    most_requests: int
    kinds: Mapping[GoalName, int]

    @classmethod
    def of(cls, probe: Freshness, seconds: float, requests: float) -> _Block:
        events = plan_events(
            probe,
            duration_ns=round(seconds * 1e9),
            rng=random.Random(0),
            first_version=probe.first_version,
            requests=requests,
            cold_keys=KeyRanges.of(probe).cold,
        )
        reads = len(probe.reads)
        return cls(
            states=counted_units(probe, seconds, requests),
            windows=sum(event.mode == "burst" for event in events),
            requests=sum(usual_requests(event, reads) for event in events),
            most_requests=sum(most_requests(event, reads) for event in events),
            kinds=_kinds(probe, events),
        )


PLANNED: dict[ProbeReads, Callable[[ProbeEvent, bool], bool]] = {
    "plain": lambda event, late: late and not event.conditional,
    "conditional": lambda event, late: late and event.conditional,
    "in-flight": lambda event, late: late and event.prestate == "in-flight",
    "absent": lambda event, late: late and event.prestate == "absent",
    "refused": lambda event, late: event.mode == "once" and event.prestate == "refused",
    "shown": lambda event, late: True,
}
"""Whether a planned probe counts for a kind of reads; `late`: its reads count as stale or fresh."""


def _kinds(probe: Freshness, events: Sequence[ProbeEvent]) -> dict[GoalName, int]:
    """Planned probes that count for the parts of stale reads (see `judge.stale.probe_pairs`). Whether a service returns
    validators for conditional reads is known only from its answers."""
    late = [
        event.mode == "once" and event.prestate in EXPOSED and event.delay_ns > round(probe.within * 1e9)
        for event in events
    ]
    planned: dict[GoalName, int] = {
        name: sum(PLANNED[kind.reads](*pair) for pair in zip(events, late, strict=True))
        for name, kind in METRICS.items()
        if kind.reads is not None
    }
    for index, read in enumerate(probe.reads):
        of_route = (event.route == index and is_late for event, is_late in zip(events, late, strict=True))
        planned[f"{read.name}.{STALE_READS}"] = sum(of_route)
    return planned


def planning_of(
    case: Case,
    hidden: Collection[MetricName] = (),
    shown_by: Mapping[GoalName, Mapping[str, str]] = {},
    *,
    listed: Mapping[str, Sequence[str]] = {},
) -> Planning:
    """Before measuring. `hidden`: metrics that no response shows; `shown_by`: edits by which one would be. `listed`:
    the keys in the workload's files. Raises ArgumentError for a time limit that is too short for any plan."""
    return plan_for(case, ProbePlanner(listed=listed), hidden=hidden, shown_by=shown_by)


def sized_text(text: str, case: Case, listed: Mapping[str, Sequence[str]] = {}) -> tuple[str, list[str]]:
    """The text of a case file with the numbers of its plan, and which of them `auto` filled in."""
    fields = list(to_size(case))
    return (with_plan(text, planning_of(case, listed=listed).case) if fields else text), fields


def planning_after(run: CaseRun) -> Planning:
    """With the run's measured baseline; what `auto` filled in is chosen again, except for the baseline itself."""
    fields = [name for name in sized_fields(run) if name != "plan.baseline"]
    inputs = inputs_of(run)
    planner = ProbePlanner(probe_share(run.manifest.blocks), inputs.listed if inputs is not None else {})
    return plan_for(unsized(run.case, fields), planner, recorded_baseline(run))


def plan_again(run: CaseRun) -> Planning:
    """The same, recorded: the run's case gets the new numbers, and the manifest what they can decide."""
    planning = planning_after(run)
    if planning.case != run.case:
        text = (run.path / "case.yml").read_text(encoding="utf-8")
        run.replace_case(with_plan(text, planning.case))
    run.update(plan={"sized": sized_fields(run), "power": as_facts(planning.goals)})
    return planning


def sized_fields(run: CaseRun) -> list[str]:
    """The fields of the plan that `auto` filled in, as recorded."""
    return run.manifest.plan.sized


def lines_of(planning: Planning) -> list[str]:
    """Lines to show: the plan if `auto` filled it in, and a line per goal."""
    sized = [plan_line(planning.case)] if planning.case.plan.auto else []
    return [*sized, *(line(goal, planning.case) for goal in planning.goals)]


def seen_enough(run: CaseRun, measuring: Measuring, planned: int | None = None) -> bool:
    """Whether the comparison may stop, judged from the records so far. Each look is recorded, since the width of the
    intervals depends on their number. `planned`: blocks in all, controls included (default: those of the case)."""
    case, design, blocks = run.case, design_of(run.case), run.manifest.stage("change")
    last = design.planned_blocks(case.plan.blocks) if planned is None else planned
    if not case.stops_early or not design.ends_pair(len(blocks)) or len(blocks) == last:
        return False
    measuring.show("looking at what there is")
    result = _look(run, measuring)
    stop = early_stopping.may_stop(result, case) and process_starts.enough_starts(blocks, case)
    _note_look(run, result, len(blocks), stopped=stop)
    return stop


def blocks_to_add(run: CaseRun, measuring: Measuring) -> int:
    """After the last planned block: the number of blocks that would decide the open goals, if they are few enough. The
    look is recorded. 0 if the design allows none, or if blocks were added already."""
    case = run.case
    if not design_of(case).may_add_blocks or not case.stops_early or case.plan.auto or added_blocks(run):
        return 0
    measuring.show("looking at what there is")
    result = _look(run, measuring)
    more = early_stopping.blocks_to_add(result, case)
    _note_look(run, result, len(run.blocks("change")), stopped=False, added=more)
    return more


def _look(run: CaseRun, measuring: Measuring) -> Result:
    """The result so far. What was measured before the last look is not read again."""
    if measuring.rows_so_far is None:
        measuring.rows_so_far = RowsSoFar(run)
    rows = measuring.rows_so_far.rows()
    return judge(run, guards=[measuring.looks.guard()], interim=True, requests=rows)


def _note_look(run: CaseRun, result: Result, blocks: int, *, stopped: bool, added: int = 0) -> None:
    look = InterimLook(blocks=blocks, verdict=result.verdict, reason=result.reason, stopped=stopped, added=added)
    run.update(looks=[*run.manifest.looks, look])


def added_blocks(run: CaseRun) -> int:
    """Number of blocks measured beyond the plan."""
    return sum(look.added for look in run.manifest.looks)

"""What a plan gives and what its goals need, before anything is measured and again after the baseline; and the numbers
of a plan that was left to be sized. It takes the judge along: import it late."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from luckyhit.case import Case
from luckyhit.case.freshness import EXPOSED, Freshness
from luckyhit.case.reading.rewrite import with_plan
from luckyhit.case_run import CaseRun
from luckyhit.designs import design_of
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
)
from luckyhit.judge.power.measured_baseline import recorded_baseline
from luckyhit.probe.probe_plan import KeyRanges, ProbeEvent, counted_units, most_requests, plan_events, usual_requests
from luckyhit.records import METRICS, STALE_READS, GoalName, MetricName, ProbeReads
from luckyhit.workflow.probe_controls import probe_share, with_controls


class ProbePlanner:
    """What the probe does in a block of a case's plan; each kind of block is planned once. `share`: what it adds to
    the baseline's load, which decides on blocks without it; before that, what it adds where readers stay stale."""

    def __init__(self, share: float | None = None) -> None:
        self._share = share
        self._known: dict[tuple[float | None, float, float], _Block] = {}

    def __call__(self, case: Case) -> ProbeUnits:
        probe, seconds = case.freshness, case.plan.block
        if probe is None:
            return ProbeUnits()
        requests = requests_of_block(case) or 0.0
        key = probe.rate, seconds, requests
        if key not in self._known:
            self._known[key] = _Block.of(probe, seconds, requests)
        block = self._known[key]
        share = self._share
        if share is None:
            share = block.most_requests / requests if requests and probe.rate is not None else 0.0
        _, controls = with_controls(case.plan.blocks, share, on_top=design_of(case).controls_on_top)
        return ProbeUnits(block.counted, block.windows, block.requests, len(controls), block.kinds)


@dataclass(frozen=True)
class _Block:
    """One block: writes that count, windows, requests where readers are fresh, and where they stay stale."""

    counted: float
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
            counted=counted_units(probe, seconds, requests),
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
"""Whether a planned probe counts; `late`: it is one whose reads count as stale or fresh."""


def _kinds(probe: Freshness, events: Sequence[ProbeEvent]) -> dict[GoalName, int]:
    """Probes that count for the parts of stale reads (see `judge.stale.probe_pairs`), as far as they are planned:
    whether a service gives validators to ask with shows only in its answers."""
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


def planning_of(case: Case, hidden: Collection[MetricName] = ()) -> Planning:
    """Before anything is measured. `hidden`: metrics that no answer told. Raises ArgumentError for a ceiling that holds
    no plan."""
    return plan_for(case, ProbePlanner(), hidden=hidden)


def sized_text(text: str, case: Case) -> tuple[str, list[str]]:
    """The text of a case file with the numbers of its plan, and which of them were sized."""
    fields = list(to_size(case))
    return (with_plan(text, planning_of(case).case) if fields else text), fields


def planning_after(run: CaseRun) -> Planning:
    """With what the run's baseline showed; what was left out of its plan is sized anew, but for the baseline itself."""
    fields = [name for name in sized_fields(run) if name != "plan.baseline"]
    planner = ProbePlanner(probe_share(run.manifest.blocks))
    return plan_for(unsized(run.case, fields), planner, recorded_baseline(run))


def plan_again(run: CaseRun) -> Planning:
    """The same, noted: the run's case has the new numbers then, and the manifest what they give."""
    planning = planning_after(run)
    if planning.case != run.case:
        text = (run.path / "case.yml").read_text(encoding="utf-8")
        run.replace_case(with_plan(text, planning.case))
    run.update(plan={"sized": sized_fields(run), "power": as_facts(planning.goals)})
    return planning


def sized_fields(run: CaseRun) -> list[str]:
    """What was left out of the plan of a run's case, as it was noted."""
    return run.manifest.plan.sized


def lines_of(planning: Planning) -> list[str]:
    """What is shown of it: the plan, where it was sized, and a line for each goal."""
    sized = [plan_line(planning.case)] if planning.case.plan.auto else []
    return [*sized, *(line(goal, planning.case) for goal in planning.goals)]

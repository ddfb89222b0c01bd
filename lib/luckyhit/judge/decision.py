"""From the records of one run to its result: pure, on frames; no file, no socket, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.analysis import Analysis, ChangeAnalysis, analyse
from luckyhit.judge.belief import believe
from luckyhit.judge.belief.by_url import Load
from luckyhit.judge.belief.doubt_text import in_doubt, routes_with_reasons, with_reasons
from luckyhit.judge.compare.effect import Effect, ErrorRates, amount_of
from luckyhit.judge.compare.measured import Effects
from luckyhit.judge.compare.order import order_notes
from luckyhit.judge.context.notes import notes_on_blocks, notes_on_metrics
from luckyhit.judge.context.route_metrics import route_notes
from luckyhit.judge.context.run_events import event_notes
from luckyhit.judge.early_stopping import boundary_of_look
from luckyhit.judge.freshness.freshness_facts import as_metric_has_it, freshness_facts
from luckyhit.judge.guards.guard_rows import ON_RECORDS, RunRecords, check_guards
from luckyhit.judge.guards.record_guards import account
from luckyhit.judge.reason import verdict_reason
from luckyhit.judge.stale.background import bound_s
from luckyhit.judge.stale.old_data import old_data
from luckyhit.judge.stale.proportion_bounds import ProportionBounds, bounds_at, uncompared
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.record import BEFORE, Record, read
from luckyhit.judge.table.samples import RequestTable
from luckyhit.judge.verdict import FaultMoved, Ruling, faults_moved, metric_of, overall, rule_on
from luckyhit.records import (
    LATENCIES,
    METRICS,
    STALE_READS,
    Arm,
    FreshnessFacts,
    GoalName,
    Guard,
    Metric,
    Note,
    Result,
    Rollback,
    Stage,
    Verdict,
    kind_of,
    metric_of_goal,
)
from luckyhit.records.manifest import NotedBlock
from luckyhit.text.numbers import listed, sentence
from luckyhit.text.quantities import name_of, value_text


@dataclass(frozen=True)
class RunHeader:
    """The run of the records. `notes`: reported beside the verdict; `ended`: why the run ended early, "" if it did
    not."""

    name: str = ""
    run: str = ""
    date: str = ""
    notes: Sequence[Note] = ()
    ended: str = ""


@dataclass(frozen=True)
class ExtraRecords:
    """What Rows lack of the same requests. `answers`: a frame with the columns `background.ANSWER_COLUMNS`, None where
    no response shows a version; `load`: returns more of their columns; `counted`: the cache's counters (see
    `belief.believe`); `listed`: how many keys are in a file, by route."""

    answers: pd.DataFrame | None = None
    load: Load | None = None
    counted: pd.DataFrame | None = None
    listed: Mapping[str, int] = field(default_factory=dict)


def decide(
    requests: pd.DataFrame | RequestTable,
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    case: Case,
    blocks: Sequence[NotedBlock],
    guards: Sequence[Guard] = (),
    rollback: Rollback | None = None,
    *,
    header: RunHeader = RunHeader(),
    extra: ExtraRecords = ExtraRecords(),
    boundary: Boundary | None = None,
    interim: bool = False,
) -> Result:
    """Judge the records of one run. Frames have the columns of `luckyhit.records`. `blocks`: the manifest's list (rows
    of other blocks were not finished, and don't count); `guards`: those collected while measuring; `extra`: for
    `requests` that are Rows, since a frame has it all; `boundary`: of the comparison, where it is not the plan's;
    `interim`: only verdict, goals and guards, for a look at a run that goes on.

    Any frames give a result: what can't be judged is INVALID or INCONCLUSIVE, with a reason.
    """
    if isinstance(requests, pd.DataFrame):
        extra = replace(extra, answers=requests, load=partial(_columns, requests))
    record = read(requests, extra.answers, reads, writes, blocks)
    belief = believe(record.rows, case, extra.load or _nothing, extra.counted)
    record = replace(record, rows=belief.applied(record.rows))
    planned_boundary, rate_fraction = boundary_of_look(len(record.entries("change")), case)
    boundary = boundary or planned_boundary
    error_rates = ErrorRates.of(case, rate_fraction)

    analysis = analyse(
        record,
        case,
        boundary,
        error_rates,
        ErrorRates.of(case),
        rate_fraction=rate_fraction,
        interim=interim,
        listed=extra.listed,
    )
    effects, change = with_reasons(analysis.effects, belief), analysis.change
    before = {name: effect.before for name, effect in effects.items()}
    records = replace(analysis.records, before=before, collected=guards, ended=header.ended)
    all_guards = _guards(analysis, records)
    rulings = _rulings(case, effects, change, error_rates, boundary)
    faults = faults_moved(effects, case.goals) if change is not None else []
    given = _VerdictInputs(all_guards, rulings, faults)
    verdict, reason = _verdict(record, case, effects, given, header.ended, change)
    metrics = _metrics(effects, rulings)
    routes = routes_with_reasons(change.routes, belief) if change is not None else {}
    if belief.doubts and verdict != "INVALID":
        reason = f"{reason} {in_doubt(belief.doubts)}"
    return Result(
        case=header.name,
        run=header.run,
        date=header.date,
        design=case.design,
        verdict=verdict,
        reason=reason,
        metrics=metrics,
        guards=all_guards,
        accounting=account(record.rows),
        naive=analysis.naive,
        rollback=_rollback(record, case, rollback, analysis.after_rollback, effects),
        old_data=old_data(case, effects),
        noise_floor=analysis.noise_floor,
        freshness={} if interim else _freshness(record, case, effects, change, boundary, error_rates),
        baseline_freshness=None if interim or change is None else _of_baseline(record, case, boundary, error_rates),
        routes=routes,
        events=change.events if change is not None else [],
        doubts=dict(belief.doubts),
        replayed=dict(belief.replayed),
        miss_calls=dict(belief.miss_calls),
        notes=[
            *header.notes,
            *_notes(record, case, effects, all_guards, records, change),
            *route_notes(routes, metrics),
            *notes_on_metrics(rulings, effects, case),
        ],
    )


def _guards(analysis: Analysis, records: RunRecords) -> list[Guard]:
    """All guards of a run: on its records, its comparison, those collected while measuring, on its turns."""
    if analysis.change is None:
        return [*analysis.record_guards, *records.collected]
    guards = [*analysis.record_guards, *analysis.change.guards, *records.collected]
    return [*guards, *check_guards(ON_RECORDS, "collected", records), *check_guards(ON_RECORDS, "turns", records)]


def _notes(
    record: Record,
    case: Case,
    effects: Mapping[GoalName, Effect],
    guards: Sequence[Guard],
    records: RunRecords,
    change: ChangeAnalysis | None,
) -> list[Note]:
    """The notes beside the verdict, without those on single metrics."""
    notes = notes_on_blocks(record.blocks, case)
    if change is None:
        return notes
    notes += records.carry_over[1] if design_of(case).may_carry_over else []
    notes += order_notes(change.comparison, case, effects, guards)
    return [*notes, *change.notes, *event_notes(change.events, design_of(case).words)]


def _rulings(
    case: Case,
    effects: Mapping[GoalName, Effect],
    change: ChangeAnalysis | None,
    error_rates: ErrorRates,
    boundary: Boundary,
) -> list[Ruling]:
    """The verdict on each goal."""
    seconds = change.comparison.seconds if change is not None else 0.0
    return [
        rule_on(metric, effects[metric], goal, seconds, error_rates.goals, boundary)
        for metric, goal in case.goals.items()
    ]


def _metrics(effects: Mapping[GoalName, Effect], rulings: Sequence[Ruling]) -> dict[GoalName, Metric]:
    metrics: dict[GoalName, Metric] = {metric: metric_of(metric, effects[metric]) for metric in METRICS}
    return metrics | {ruling.name: ruling.metric for ruling in rulings}


@dataclass(frozen=True)
class _VerdictInputs:
    """What a verdict follows from."""

    guards: Sequence[Guard]
    rulings: Sequence[Ruling]
    faults: Sequence[FaultMoved]


def _verdict(
    record: Record,
    case: Case,
    effects: Mapping[GoalName, Effect],
    given: _VerdictInputs,
    ended: str,
    change: ChangeAnalysis | None,
) -> tuple[Verdict, str]:
    """The overall verdict with its reason; INCONCLUSIVE where the change was not measured, or in fewer blocks than
    planned."""
    verdict = overall(given.guards, given.rulings, given.faults)
    confidence = 100 * (1 - case.plan.error_rate)
    text = verdict_reason(verdict, given.guards, given.rulings, effects, confidence, given.faults, case.plan)
    if change is None and verdict != "INVALID":
        text = "The change was not measured, so there is nothing to compare."
        return "INCONCLUSIVE", f"The run ended early: {ended.rstrip('.')}. {text}" if ended else text
    measured = len(record.entries("change"))
    planned = design_of(case).planned_blocks(case.plan.blocks)
    if 0 < measured < planned and verdict not in ("INVALID", "INCONCLUSIVE") and not case.stops_early:
        # The run may have been stopped because of what it showed: then the intervals don't hold.
        text = f"The run ended early: {measured} of {planned} planned blocks were measured."
        return "INCONCLUSIVE", f"{text} {sentence(ended)}" if ended else text
    return verdict, text


def _rollback(
    record: Record,
    case: Case,
    rollback: Rollback | None,
    after_rollback: Effects | None,
    effects: Mapping[GoalName, Effect],
) -> Rollback:
    """The recorded rollback, with what the block after it shows."""
    rollback = rollback or Rollback(detail="No rollback was recorded.")
    if after_rollback is None:
        return rollback
    runs = record.rows.runs()
    last = np.isin(runs.block, record.numbers("after-rollback"))
    alone = design_of(case).arms_together and np.all(runs.arm[last] == BEFORE)
    return compare_rollback(rollback, after_rollback, case, effects, alone=bool(alone))


def _freshness(
    record: Record,
    case: Case,
    effects: Mapping[GoalName, Effect],
    change: ChangeAnalysis | None,
    boundary: Boundary,
    error_rates: ErrorRates,
) -> dict[Arm, FreshnessFacts]:
    if change is None:
        return _facts(record, case, "baseline", effects, uncompared)
    return _facts(record, case, "change", effects, bounds_at(boundary, error_rates.at(STALE_READS)))


def _of_baseline(record: Record, case: Case, boundary: Boundary, error_rates: ErrorRates) -> FreshnessFacts | None:
    """The probe's facts of the baseline, with bounds at the error rate of the comparison."""
    probed = record.probed("baseline", "before")
    if case.freshness is None or not len(probed.reads):
        return None
    return freshness_facts(
        probed, bound_s(case), by_state=_by_state(case), bounds=bounds_at(boundary, error_rates.at(STALE_READS))
    )


def _columns(requests: pd.DataFrame, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    frame = requests.loc[:, ~requests.columns.duplicated()]
    yield frame[[name for name in columns if name in frame.columns]]


def _nothing(columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    yield from ()


def _facts(
    record: Record, case: Case, stage: Stage, effects: Mapping[GoalName, Effect], bounds: ProportionBounds
) -> dict[Arm, FreshnessFacts]:
    """What readers saw, by arm; empty where nothing can show it. Bounds have the metric's error rate, and the bound
    without a stale read is that of the metric."""
    if case.freshness is None and all(route.version is None for route in case.workload.routes):
        return {}
    background = record.background(case, stage)
    facts: dict[Arm, FreshnessFacts] = {}
    arms: tuple[Arm, ...] = ("before", "after") if stage == "change" else ("before",)
    for arm in arms:
        entries = [block for block in record.entries(stage) if arm in block.arms]
        counted = freshness_facts(
            record.probed(stage, arm),
            bound_s(case),
            background=None if background is None else background[background["arm"] == arm],
            probes=[block.probe for block in entries],
            by_state=_by_state(case),
            bounds=bounds,
        )
        facts[arm] = as_metric_has_it(counted, effects[STALE_READS], arms.index(arm))
    return facts


def _by_state(case: Case) -> set[int]:
    """The statuses that say that the state of a resource did not allow the probe's write."""
    if case.freshness is None:
        return set()
    creates = [case.freshness.absent.create] if case.freshness.absent is not None else []
    writes = [case.freshness.write, *creates]
    return {status for write in writes if write.refused is not None for status in write.refused.status}


ALONE = (
    "Latencies were not compared: this block had the host to itself, while the others were measured two arms at a time."
)


def compare_rollback(
    rollback: Rollback,
    after_rollback: Mapping[GoalName, Effect],
    case: Case,
    effects: Mapping[GoalName, Effect],
    *,
    alone: bool = False,
) -> Rollback:
    """`rollback` with `same_as_before` and a sentence: whether the second *before* equals the first.

    `after_rollback`: effects of the block after the rollback (as after) against the before arm of the change's blocks.
    A goal differs where the interval lies wholly outside the margin, and is the same where the value lies inside it; in
    between nothing is known. Showing more would take a measurement as long as the comparison itself. `effects`: the
    metrics of the run; where their before arm has another number, the sentence says what this one is of. `alone`: the
    block after the rollback had the host to itself, the others two arms at a time, so latencies are not compared.
    """
    same: list[str] = []
    different: list[str] = []
    open_: list[str] = []
    unseen: list[str] = []
    for name, goal in case.goals.items():
        if alone and metric_of_goal(name) in LATENCIES:
            continue
        effect = after_rollback.get(name, Effect())
        margin = amount_of(name, goal.margin, effect.before)
        if effect.before is None or effect.after is None or effect.effect is None or margin is None:
            unseen.append(name_of(name))
            continue
        values = f"{name_of(name)} {value_text(name, effect.after)} ({_counted(name, effect.before, effects)})"
        surely = effect.low > margin or effect.high < -margin
        (different if surely else same if abs(effect.effect) <= margin else open_).append(values)
    texts = [rollback.detail]
    if different:
        texts.append(f"Measured again after the rollback, these differ from before: {listed(different)}.")
    elif same:
        texts.append(f"Measured again after the rollback, nothing differs by more than its margin: {listed(same)}.")
    if open_:
        texts.append(
            f"Outside its margin after the rollback, but no more than blocks may differ anyway: {listed(open_)}."
        )
    if unseen:
        texts.append(f"Not comparable after the rollback: {listed(unseen)}.")
    if alone and any(metric_of_goal(name) in LATENCIES for name in case.goals):
        texts.append(ALONE)
    detail = " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text)
    equal = False if different else None if open_ or not same else True
    return rollback.model_copy(update={"same_as_before": equal, "detail": detail})


def _counted(name: GoalName, before: float, effects: Mapping[GoalName, Effect]) -> str:
    """`before arm: 58 %`, with what it is of where the metric has another number."""
    metric = effects.get(name, Effect()).before
    same = metric is not None and value_text(name, metric) == value_text(name, before)
    part = "" if same else ", all of the probe's" if kind_of(name).probe else ", blocks with the probe"
    return f"before arm{part}: {value_text(name, before)}"

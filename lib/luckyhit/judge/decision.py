"""From the records of one run to its result: pure, on frames; no file, no socket, no clock.

Whether the second *before*, measured after the rollback, equals the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.belief import believe
from luckyhit.judge.belief.by_url import Load
from luckyhit.judge.belief.doubt_text import in_doubt, routes_with_reasons, with_reasons
from luckyhit.judge.beside_goals import FaultMoved, faults_moved
from luckyhit.judge.compare.effect import Effect, Levels, amount_of
from luckyhit.judge.compare.measured import Effects
from luckyhit.judge.compare.order import order_notes
from luckyhit.judge.context.notes import notes_on_blocks, notes_on_metrics
from luckyhit.judge.context.route_metrics import route_notes
from luckyhit.judge.context.shifts import event_notes
from luckyhit.judge.early import ways_to_look
from luckyhit.judge.freshness.freshness_facts import as_metric_has_it, freshness_facts
from luckyhit.judge.guards.guard_rows import ON_RECORDS, look
from luckyhit.judge.guards.looked_at import Records
from luckyhit.judge.guards.record_guards import account
from luckyhit.judge.reason import verdict_reason
from luckyhit.judge.stale.background import bound_s
from luckyhit.judge.stale.old_data import old_data
from luckyhit.judge.stale.share_bounds import ShareBounds, bounds_at, uncompared
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.record import BEFORE, Record, read
from luckyhit.judge.table.samples import Rows, among
from luckyhit.judge.verdict import Ruling, metric_of, overall, rule_on
from luckyhit.judge.worked import Compared, Worked, work_out
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
class About:
    """Of which run the records are. `notes` are told beside the verdict; `ended`: why the run ended before its time,
    empty where it did not."""

    name: str = ""
    run: str = ""
    date: str = ""
    notes: Sequence[Note] = ()
    ended: str = ""


@dataclass(frozen=True)
class Beyond:
    """What Rows don't hold of the same requests. `answers`: a frame with the columns `background.TOLD_BY`, None where
    no answer tells a version. `load` gives more of their columns; `counted`: the cache's counters (see
    `belief.believe`)."""

    answers: pd.DataFrame | None = None
    load: Load | None = None
    counted: pd.DataFrame | None = None


def decide(
    requests: pd.DataFrame | Rows,
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    case: Case,
    blocks: Sequence[NotedBlock],
    guards: Sequence[Guard] = (),
    rollback: Rollback | None = None,
    *,
    about: About = About(),
    beyond: Beyond = Beyond(),
    boundary: Boundary | None = None,
    interim: bool = False,
) -> Result:
    """Judge the records of one run. Frames have the columns of `luckyhit.records`; `blocks` is the manifest's list
    (rows of blocks that are not in it were not finished, and don't count); `guards` are those collected while
    measuring. `beyond` is for `requests` that are Rows; a frame has it all. `boundary` is how far intervals of the
    comparison reach, where it is not as the case's plan has it. `glance`: verdict, goals and guards, without what is
    told beside them: for a look at a run that goes on.

    Whatever is in the frames, this returns a result: what can't be judged is INVALID or INCONCLUSIVE, with a reason.
    """
    if isinstance(requests, pd.DataFrame):
        beyond = replace(beyond, answers=requests, load=partial(_columns, requests))
    record = read(requests, beyond.answers, reads, writes, blocks)
    belief = believe(record.rows, case, beyond.load or _nothing, beyond.counted)
    record = replace(record, rows=belief.applied(record.rows))
    planned_boundary, share_of_rate = ways_to_look(len(record.entries("change")), case)
    boundary = boundary or planned_boundary
    levels = Levels.of(case, share_of_rate)

    worked = work_out(record, case, boundary, levels, Levels.of(case), share_of_rate=share_of_rate, interim=interim)
    effects, compared = with_reasons(worked.effects, belief), worked.compared
    before = {name: effect.before for name, effect in effects.items()}
    turns = replace(worked.looked, before=before, collected=guards, ended=about.ended)
    all_guards = _guards(worked, turns)
    rulings = _rulings(case, effects, compared, levels, boundary)
    beside = faults_moved(effects, case.goals) if compared is not None else []
    verdict, reason = _verdict(record, case, effects, _Said(all_guards, rulings, beside), about.ended, compared)
    metrics = _metrics(effects, rulings)
    routes = routes_with_reasons(compared.routes, belief) if compared is not None else {}
    if belief.doubts and verdict != "INVALID":
        reason = f"{reason} {in_doubt(belief.doubts)}"
    return Result(
        case=about.name,
        run=about.run,
        date=about.date,
        design=case.design,
        verdict=verdict,
        reason=reason,
        metrics=metrics,
        guards=all_guards,
        accounting=account(record.rows),
        naive=worked.naive,
        rollback=_rollback(record, case, rollback, worked.again, effects),
        old_data=old_data(case, effects),
        noise_floor=worked.noise_floor,
        freshness={} if interim else _freshness(record, case, effects, compared, boundary, levels),
        baseline_freshness=None if interim or compared is None else _of_baseline(record, case, boundary, levels),
        routes=routes,
        events=compared.events if compared is not None else [],
        doubts=dict(belief.doubts),
        replayed=dict(belief.replayed),
        miss_calls=dict(belief.miss_calls),
        notes=[
            *about.notes,
            *_notes(record, case, effects, all_guards, turns, compared),
            *route_notes(routes, metrics),
            *notes_on_metrics(rulings, effects, case),
        ],
    )


def _guards(worked: Worked, looked: Records) -> list[Guard]:
    """All guards of a run: on its records, on its comparison, those that were collected while measuring, on its
    turns."""
    if worked.compared is None:
        return [*worked.on_record, *looked.collected]
    guards = [*worked.on_record, *worked.compared.guards, *looked.collected]
    return [*guards, *look(ON_RECORDS, "collected", looked), *look(ON_RECORDS, "turns", looked)]


def _notes(
    record: Record,
    case: Case,
    effects: Mapping[GoalName, Effect],
    guards: Sequence[Guard],
    turns: Records,
    compared: Compared | None,
) -> list[Note]:
    """What is told beside the verdict, before what is told of single metrics."""
    notes = notes_on_blocks(record.blocks, case)
    if compared is None:
        return notes
    notes += turns.carry_over[1] if design_of(case).may_carry_over else []
    notes += order_notes(compared.comparison, case, effects, guards)
    return [*notes, *compared.notes, *event_notes(compared.events, design_of(case).words)]


def _rulings(
    case: Case, effects: Mapping[GoalName, Effect], compared: Compared | None, levels: Levels, boundary: Boundary
) -> list[Ruling]:
    """The verdict on each goal."""
    seconds = compared.comparison.seconds if compared is not None else 0.0
    return [
        rule_on(metric, effects[metric], goal, seconds, levels.goals, boundary) for metric, goal in case.goals.items()
    ]


def _metrics(effects: Mapping[GoalName, Effect], rulings: Sequence[Ruling]) -> dict[GoalName, Metric]:
    metrics: dict[GoalName, Metric] = {metric: metric_of(metric, effects[metric]) for metric in METRICS}
    return metrics | {ruling.name: ruling.metric for ruling in rulings}


@dataclass(frozen=True)
class _Said:
    """What a verdict follows from."""

    guards: Sequence[Guard]
    rulings: Sequence[Ruling]
    beside: Sequence[FaultMoved]


def _verdict(
    record: Record, case: Case, effects: Mapping[GoalName, Effect], given: _Said, ended: str, compared: Compared | None
) -> tuple[Verdict, str]:
    """The overall verdict and the sentence that says why; INCONCLUSIVE where the change was not measured, or not as
    often as it was planned."""
    verdict = overall(given.guards, given.rulings, given.beside)
    confidence = 100 * (1 - case.plan.error_rate)
    text = verdict_reason(verdict, given.guards, given.rulings, effects, confidence, given.beside, case.plan)
    if compared is None and verdict != "INVALID":
        text = "The change was not measured, so there is nothing to compare."
        return "INCONCLUSIVE", f"The run ended early: {ended.rstrip('.')}. {text}" if ended else text
    measured = len(record.entries("change"))
    planned = design_of(case).planned_blocks(case.plan.blocks)
    if 0 < measured < planned and verdict not in ("INVALID", "INCONCLUSIVE") and not case.stops_early:
        # A run that was stopped early was perhaps stopped because of what it showed: the intervals don't hold then.
        text = f"The run ended early: {measured} of {planned} planned blocks were measured."
        return "INCONCLUSIVE", f"{text} {sentence(ended)}" if ended else text
    return verdict, text


def _rollback(
    record: Record, case: Case, rollback: Rollback | None, again: Effects | None, effects: Mapping[GoalName, Effect]
) -> Rollback:
    """What was noted of the rollback, with what the block after it shows."""
    rollback = rollback or Rollback(detail="No rollback was noted.")
    if again is None:
        return rollback
    last = among(record.rows.block, record.numbers("after-rollback"))
    alone = design_of(case).arms_together and np.all(record.rows.arm[last] == BEFORE)
    return compared(rollback, again, case, effects, alone=bool(alone))


def _freshness(
    record: Record,
    case: Case,
    effects: Mapping[GoalName, Effect],
    compared: Compared | None,
    boundary: Boundary,
    levels: Levels,
) -> dict[Arm, FreshnessFacts]:
    if compared is None:
        return _facts(record, case, "baseline", effects, uncompared)
    return _facts(record, case, "change", effects, bounds_at(boundary, levels.at(STALE_READS)))


def _of_baseline(record: Record, case: Case, boundary: Boundary, levels: Levels) -> FreshnessFacts | None:
    """What the probe alone found there, with bounds of the level that the comparison has."""
    probed = record.probed("baseline", "before")
    if case.freshness is None or not len(probed.reads):
        return None
    return freshness_facts(
        probed, bound_s(case), by_state=_by_state(case), bounds=bounds_at(boundary, levels.at(STALE_READS))
    )


def _columns(requests: pd.DataFrame, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    frame = requests.loc[:, ~requests.columns.duplicated()]
    yield frame[[name for name in columns if name in frame.columns]]


def _nothing(columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    yield from ()


def _facts(
    record: Record, case: Case, stage: Stage, effects: Mapping[GoalName, Effect], bounds: ShareBounds
) -> dict[Arm, FreshnessFacts]:
    """What readers saw, by arm; empty where nothing was to tell. Bounds are of the metric's level, and what no stale
    read leaves possible is the bound that the metric has."""
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
    """The statuses that say that the state of a thing did not allow the probe's write."""
    if case.freshness is None:
        return set()
    creates = [case.freshness.absent.create] if case.freshness.absent is not None else []
    writes = [case.freshness.write, *creates]
    return {status for write in writes if write.refused is not None for status in write.refused.status}


ALONE = (
    "Latencies were not compared: this block had the host to itself, while the others were measured two arms at a time."
)


def compared(
    rollback: Rollback,
    again: Mapping[GoalName, Effect],
    case: Case,
    effects: Mapping[GoalName, Effect],
    *,
    alone: bool = False,
) -> Rollback:
    """`rollback` with `same_as_before` and a sentence. `again`: effects with the before arm of the change's blocks
    as before, and the block after the rollback as after, measured apart.

    Generous: it differs where an interval lies wholly outside the margin, and is the same where the value lies inside
    it; in between nothing can be told. Showing more would take as long a measurement as the comparison itself.
    `effects`: the metrics of the run; where their before arm has another number, since pairs or all blocks were
    counted, this one says what it is of. `alone`: the block after the rollback was measured by itself, the others two
    arms at a time; their latencies are then those of differently busy hosts, and are not compared.
    """
    same: list[str] = []
    different: list[str] = []
    open_: list[str] = []
    unseen: list[str] = []
    for name, goal in case.goals.items():
        if alone and metric_of_goal(name) in LATENCIES:
            continue
        effect = again.get(name, Effect())
        margin = amount_of(name, goal.margin, effect.before)
        if effect.before is None or effect.after is None or effect.effect is None or margin is None:
            unseen.append(name_of(name))
            continue
        values = f"{name_of(name)} {value_text(name, effect.after)} ({_counted(name, effect.before, effects)})"
        surely = effect.low > margin or effect.high < -margin
        (different if surely else same if abs(effect.effect) <= margin else open_).append(values)
    left_out = ALONE if alone and any(metric_of_goal(name) in LATENCIES for name in case.goals) else ""
    text = ""
    if different:
        text = f"Measured again after the rollback, this is not as before: {listed(different)}."
    elif same:
        text = f"Measured again after the rollback: {listed(same)}: nothing differs by more than its margin."
    unsure = ""
    if open_:
        unsure = f"Beyond its margin after the rollback, but not surely, since blocks differ anyway: {listed(open_)}."
    detail = _joined(rollback.detail, text, unsure, _unseen(unseen) if unseen else "", left_out)
    equal = False if different else None if open_ or not same else True
    return rollback.model_copy(update={"same_as_before": equal, "detail": detail})


def _counted(name: GoalName, before: float, effects: Mapping[GoalName, Effect]) -> str:
    """`before arm: 58 %`, where that is the number of the metric."""
    metric = effects.get(name, Effect()).before
    same = metric is not None and value_text(name, metric) == value_text(name, before)
    part = "" if same else ", all of the probe's" if kind_of(name).probe else ", blocks with the probe"
    return f"before arm{part}: {value_text(name, before)}"


def _unseen(names: Sequence[str]) -> str:
    return f"Could not be compared again after the rollback: {listed(list(names))}."


def _joined(*texts: str) -> str:
    ended = [text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text]
    return " ".join(ended)


__all__ = [
    "About",
    "Beyond",
    "decide",
]

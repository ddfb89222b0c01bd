"""From the records of one run to its result: pure, on frames; no file, no socket, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.because import because
from luckyhit.judge.belief import believe
from luckyhit.judge.belief.by_url import Load
from luckyhit.judge.belief.doubt_text import in_doubt, routes_with_reasons, with_reasons
from luckyhit.judge.beside_goals import faults_moved
from luckyhit.judge.compare.blockwise import goal_values
from luckyhit.judge.compare.effect import Effect, Levels
from luckyhit.judge.compare.order import order_notes
from luckyhit.judge.compare.rollback import compared as found_again
from luckyhit.judge.context.notes import notes_on_blocks, notes_on_metrics
from luckyhit.judge.context.route_metrics import route_notes
from luckyhit.judge.context.shifts import event_notes
from luckyhit.judge.early import ways_to_look
from luckyhit.judge.freshness.freshness_facts import as_metric_has_it, freshness_facts
from luckyhit.judge.guards.carryover import carry_over
from luckyhit.judge.guards.preparation import limits_guard, washed_out_guard
from luckyhit.judge.guards.probe_guards import freshness_guards
from luckyhit.judge.guards.record_guards import account
from luckyhit.judge.stale.background import bound_s
from luckyhit.judge.stale.old_data import old_data
from luckyhit.judge.stale.share_bounds import ShareBounds, bounds_at, uncompared
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.record import BEFORE, Record, listed_arms, read
from luckyhit.judge.table.samples import ARMS, Rows, among, rows_together
from luckyhit.judge.verdict import DECLARED, metric_of, overall, rule_on
from luckyhit.judge.wording import sentence
from luckyhit.judge.worked import work_out
from luckyhit.records import (
    METRICS,
    Arm,
    FreshnessFacts,
    GoalName,
    Guard,
    Metric,
    Result,
    Rollback,
    Stage,
    Verdict,
)


def decide(
    requests: pd.DataFrame | Rows,
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    case: Case,
    blocks: Sequence[Mapping[str, Any]],
    guards: Sequence[Guard] = (),
    rollback: Rollback | None = None,
    *,
    name: str = "",
    run: str = "",
    date: str = "",
    notes: Sequence[str] = (),
    ended: str = "",
    boundary: Boundary | None = None,
    answers: pd.DataFrame | None = None,
    load: Load | None = None,
    counted: pd.DataFrame | None = None,
    glance: bool = False,
) -> Result:
    """Judge the records of one run. Frames have the columns of `luckyhit.records`; `blocks` is the manifest's list
    (rows of blocks that are not in it were not finished, and don't count); `guards` are those collected while
    measuring; `ended` is why the run ended before its time, empty where it did not. `boundary` is how far intervals
    of the comparison reach, where it is not as the case's plan has it. Where `requests` are Rows, `answers` is what
    these don't hold: a frame with the columns `background.TOLD_BY` of the same requests, None where no answer tells a
    version, and `load` gives more of their columns (see `belief.believe`, which takes `counted`, too).
    `glance`: verdict, goals and guards, without what is told beside them: for a look at a run that goes on.

    Whatever is in the frames, this returns a result: what can't be judged is INVALID or INCONCLUSIVE, with a reason.
    """
    rollback = rollback or Rollback(detail="No rollback was noted.")
    if isinstance(requests, pd.DataFrame):
        answers = requests
        load = partial(_columns, requests)
    record = read(requests, answers, reads, writes, blocks)
    belief = believe(record.rows, case, load or _nothing, counted)
    record = replace(record, rows=belief.applied(record.rows))
    notes = [*notes, *notes_on_blocks(record.blocks, case)]
    planned_boundary, share_of_rate = ways_to_look(record.entries("change"), case)
    boundary = boundary or planned_boundary
    levels = Levels.of(case, share_of_rate)

    worked = work_out(record, case, boundary, levels, Levels.of(case), share_of_rate=share_of_rate, glance=glance)
    effects, compared = with_reasons(worked.effects, belief), worked.compared
    noted = limits_guard(record.blocks), washed_out_guard(record.entries("change"))
    all_guards = [*worked.on_record, *(guard for guard in noted if guard is not None)]
    if compared is not None:
        all_guards += [*compared.guards, *freshness_guards(*record.probe("change"), case), *guards]
        if not any(guard.name == DECLARED for guard in all_guards):
            reason = f", since the run ended early: {ended}" if ended else ""
            detail = f"nobody compared what the change changed{reason}"
            all_guards.append(Guard(name=DECLARED, ok=False, detail=detail, remedy="Measure again."))
        if case.design == "crossover":
            both = rows_together(*(side.rows for side in compared.comparison.sides))
            values = goal_values(both, [record.probed("change", arm) for arm in ARMS], case)
            at_first = {name: effect.before for name, effect in effects.items()}
            guard, order = carry_over(values, record.arms("change"), case, at_first)
            all_guards.append(guard)
            notes += order
        seconds = compared.comparison.seconds
        notes += order_notes(compared.comparison, case, effects, all_guards)
        notes += [*compared.notes, *event_notes(compared.events, case.design)]
    else:
        all_guards += guards
        seconds = 0.0

    rulings = [
        rule_on(metric, effects[metric], goal, seconds, levels.goals, boundary) for metric, goal in case.goals.items()
    ]
    metrics: dict[GoalName, Metric] = {metric: metric_of(metric, effects[metric]) for metric in METRICS}
    metrics |= {ruling.name: ruling.metric for ruling in rulings}
    beside = faults_moved(effects, case.goals) if compared is not None else []
    verdict = overall(all_guards, rulings, beside)
    why = because(verdict, all_guards, rulings, effects, 100 * (1 - case.plan.error_rate), beside, case.plan)
    if compared is None and verdict != "INVALID":
        verdict, why = "INCONCLUSIVE", "The change was not measured, so there is nothing to compare."
        why = f"The run ended early: {ended.rstrip('.')}. {why}" if ended else why
    planned = case.plan.blocks * (1 if case.design == "side-by-side" else 2)
    foreseen = case.stops_early
    if 0 < len(record.entries("change")) < planned and verdict not in ("INVALID", "INCONCLUSIVE") and not foreseen:
        # A run that was stopped early was perhaps stopped because of what it showed: the intervals don't hold then.
        verdict = "INCONCLUSIVE"
        why = f"The run ended early: {len(record.entries('change'))} of {planned} planned blocks were measured."
        why += f" {sentence(ended)}" if ended else ""
    if belief.doubts and verdict != "INVALID":
        why = f"{why} {in_doubt(belief.doubts)}"
    if worked.again is not None:
        last = among(record.rows.block, record.numbers("after-rollback"))
        alone = case.design == "side-by-side" and np.all(record.rows.arm[last] == BEFORE)
        rollback = found_again(rollback, worked.again, case, effects, alone=bool(alone))

    facts: dict[Arm, FreshnessFacts] = {}
    if not glance:
        stage: Stage = "change" if compared is not None else "baseline"
        bounds = bounds_at(boundary, levels.at("stale_reads")) if compared is not None else uncompared
        facts = _facts(record, case, stage, effects, bounds)
    routes = routes_with_reasons(compared.routes, belief) if compared is not None else {}
    return Result(
        case=name,
        run=run,
        date=date,
        design=case.design,
        verdict=verdict,
        because=why,
        metrics=metrics,
        guards=all_guards,
        accounting=account(record.rows),
        naive=worked.naive,
        rollback=rollback,
        old_data=old_data(case, effects),
        noise_floor=worked.noise_floor,
        freshness=facts,
        routes=routes,
        events=compared.events if compared is not None else [],
        doubts=dict(belief.doubts),
        replayed=dict(belief.replayed),
        miss_calls=dict(belief.miss_calls),
        notes=[*notes, *route_notes(routes, metrics), *notes_on_metrics(rulings, effects, case)],
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
        entries = [entry for entry in record.entries(stage) if arm in listed_arms(entry.get("arms"))]
        counted = freshness_facts(
            record.probed(stage, arm),
            bound_s(case),
            background=None if background is None else background[background["arm"] == arm],
            probes=[entry.get("probe") for entry in entries],
            by_state=_by_state(case),
            bounds=bounds,
        )
        facts[arm] = as_metric_has_it(counted, effects["stale_reads"], arms.index(arm))
    return facts


def _by_state(case: Case) -> set[int]:
    """The statuses that say that the state of a thing did not allow the probe's write."""
    if case.freshness is None:
        return set()
    creates = [case.freshness.absent.create] if case.freshness.absent is not None else []
    writes = [case.freshness.write, *creates]
    return {status for write in writes if write.refused is not None for status in write.refused.status}


__all__ = ["DECLARED", "Verdict", "decide"]

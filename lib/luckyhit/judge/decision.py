"""From the records of one run to its result: pure, on frames; no file, no socket, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from luckyhit.case import Case
from luckyhit.judge import guards as checks
from luckyhit.judge.background import TOLD_BY, background_reads
from luckyhit.judge.blockwise import block_values, one_more
from luckyhit.judge.boundary import Boundary, FixedSample
from luckyhit.judge.carryover import carry_over
from luckyhit.judge.drift import events_of, origin_of
from luckyhit.judge.early import ways_to_look
from luckyhit.judge.effects import Effect, all_effects, freshness_effects, level_of, request_effects
from luckyhit.judge.events import event_notes
from luckyhit.judge.freshness import share_of
from luckyhit.judge.freshness_facts import freshness_facts
from luckyhit.judge.freshness_guards import freshness_guards
from luckyhit.judge.naive import naive_answer
from luckyhit.judge.noise import noise_floor
from luckyhit.judge.notes import notes_on_blocks, notes_on_metrics, notes_on_rows
from luckyhit.judge.order import order_notes
from luckyhit.judge.preparation import limits_guard, washed_out_guard
from luckyhit.judge.probe_frames import probe_frame, request_frame
from luckyhit.judge.rollback import compared
from luckyhit.judge.routes import RouteMetrics, route_metrics, route_notes
from luckyhit.judge.samples import (
    ARMS,
    Comparison,
    Rows,
    among,
    by_batches,
    by_blocks,
    rows_of,
    rows_together,
    side_by_side,
)
from luckyhit.judge.verdict import DECLARED, because, metric_of, overall, rule_on
from luckyhit.judge.wording import sentence
from luckyhit.records import (
    METRICS,
    READS,
    REQUESTS,
    WRITES,
    Arm,
    FreshnessFacts,
    Guard,
    Metric,
    MetricName,
    Result,
    Rollback,
    RunEvent,
    Stage,
    Verdict,
)

BEFORE, AFTER = 0, 1
_ANSWERS = pa.schema([REQUESTS.field(name) for name in TOLD_BY])


@dataclass(frozen=True)
class _Record:
    """One run's rows and probe events, by stage; `answers`: see `decide`."""

    rows: Rows
    reads: pd.DataFrame
    writes: pd.DataFrame
    blocks: list[dict[str, Any]]
    answers: pd.DataFrame | None

    def numbers(self, stage: str) -> list[int]:
        return [entry["block"] for entry in self.blocks if entry.get("stage") == stage]

    def entries(self, stage: str) -> list[dict[str, Any]]:
        return [entry for entry in self.blocks if entry.get("stage") == stage]

    def arms(self, stage: str) -> dict[int, int]:
        """The arm of each block that has one arm."""
        told = {entry["block"]: _listed(entry.get("arms")) for entry in self.entries(stage)}
        return {block: ARMS.index(str(arms[0])) for block, arms in told.items() if len(arms) == 1 and arms[0] in ARMS}

    def measured(self, stage: str, arm: int) -> Rows:
        inside = among(self.rows.block, self.numbers(stage)) & (self.rows.arm == arm)
        return self.rows.take(inside & self.rows.measured)

    def probe(self, stage: str, arm: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        numbers = self.numbers(stage)
        frames = (frame[frame["block"].isin(numbers)] for frame in (self.reads, self.writes))
        reads, writes = (frame if arm is None else frame[frame["arm"] == arm] for frame in frames)
        return reads, writes


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
) -> Result:
    """Judge the records of one run. Frames have the columns of `luckyhit.records`; `blocks` is the manifest's list
    (rows of blocks that are not in it were not finished, and don't count); `guards` are those collected while
    measuring; `ended` is why the run ended before its time, empty where it did not. `boundary` is how far intervals
    of the comparison reach, where it is not as the case's plan has it. Where `requests` are Rows, `answers` is what
    these don't hold: a frame with the columns `background.TOLD_BY` of the same requests, None where no answer tells a
    version.

    Whatever is in the frames, this returns a result: what can't be judged is INVALID or INCONCLUSIVE, with a reason.
    """
    rollback = rollback or Rollback(detail="No rollback was noted.")
    if isinstance(requests, pd.DataFrame):
        answers = requests
    record = _read(requests, answers, reads, writes, blocks)
    notes = [*notes, *notes_on_blocks(record.blocks, case)]
    planned_boundary, share_of_rate = ways_to_look(record.entries("change"), case)
    boundary, once = boundary or planned_boundary, FixedSample()
    level = level_of(case)
    error_rate = level * share_of_rate
    within_s = case.freshness.within if case.freshness is not None else None

    all_guards = checks.record_guards(record.rows, record.blocks)
    noted = limits_guard(record.blocks), washed_out_guard(record.entries("change"))
    all_guards += [guard for guard in noted if guard is not None]
    before, after = record.measured("change", BEFORE), record.measured("change", AFTER)
    changed = bool(record.entries("change"))
    routes: RouteMetrics = {}
    events: list[RunEvent] = []
    if changed:
        pair_of = {entry["block"]: entry["pair"] for entry in record.entries("change") if _whole(entry.get("pair"))}
        comparison = _comparison(case, before, after, pair_of)
        all_guards += checks.comparison_guards(comparison, record.entries("change"), case, pair_of)
        all_guards += freshness_guards(*record.probe("change"), case)
        all_guards += guards
        if not any(guard.name == DECLARED for guard in all_guards):
            reason = f", since the run ended early: {ended}" if ended else ""
            detail = f"nobody compared what the change changed{reason}"
            all_guards.append(Guard(name=DECLARED, ok=False, detail=detail, remedy="Measure again."))
        effects = all_effects(
            request_effects(comparison, boundary, error_rate, case.goals),
            freshness_effects(*record.probe("change"), within_s, boundary, error_rate),
        )
        if case.design == "crossover":
            values = block_values(rows_together(before, after), record.probe("change"), within_s)
            levels = {name: effect.before for name, effect in effects.items()}
            guard, order = carry_over(values, record.arms("change"), case, levels)
            all_guards.append(guard)
            notes += order
        seconds = comparison.seconds
        notes += order_notes(comparison, case, effects, all_guards)
        notes += notes_on_rows(comparison, case, boundary, error_rate)
        routes = route_metrics(comparison, case, boundary, error_rate)
        events = events_of(comparison, case.goals, origin_of(record.blocks, record.rows))
        notes += event_notes(events, case.design)
    else:
        all_guards += guards
        effects = _baseline_only(record, case, once, level)
        seconds = 0.0

    rulings = [rule_on(metric, effects[metric], goal, seconds, error_rate) for metric, goal in case.goals.items()]
    metrics: dict[MetricName, Metric] = {metric: metric_of(metric, effects[metric]) for metric in METRICS}
    metrics |= {ruling.name: ruling.metric for ruling in rulings}
    verdict = overall(all_guards, rulings)
    why = because(verdict, all_guards, rulings, effects, 100 * (1 - case.plan.error_rate))
    if not changed and verdict != "INVALID":
        verdict, why = "INCONCLUSIVE", "The change was not measured, so there is nothing to compare."
        why = f"The run ended early: {ended.rstrip('.')}. {why}" if ended else why
    planned = case.plan.blocks * (1 if case.design == "side-by-side" else 2)
    foreseen = case.stops_early
    if 0 < len(record.entries("change")) < planned and verdict not in ("INVALID", "INCONCLUSIVE") and not foreseen:
        # A run that was stopped early was perhaps stopped because of what it showed: the intervals don't hold then.
        verdict = "INCONCLUSIVE"
        why = f"The run ended early: {len(record.entries('change'))} of {planned} planned blocks were measured."
        why += f" {sentence(ended)}" if ended else ""
    last = record.numbers("after-rollback")
    if last and changed:
        alone = case.design == "side-by-side" and np.all(record.rows.arm[among(record.rows.block, last)] == BEFORE)
        again = _again(record, case, before, once, level)
        rollback = compared(rollback, again, case, alone=bool(alone))

    baseline = record.measured("baseline", BEFORE)
    return Result(
        case=name,
        run=run,
        date=date,
        design=case.design,
        verdict=verdict,
        because=why,
        metrics=metrics,
        guards=all_guards,
        accounting=checks.account(record.rows),
        naive=naive_answer(*_plain_looks(record)),
        rollback=rollback,
        noise_floor=noise_floor(baseline, *record.probe("baseline", "before"), within_s, once, level),
        freshness=_facts(record, case, "change" if changed else "baseline"),
        routes=routes,
        events=events,
        notes=[*notes, *route_notes(routes, metrics), *notes_on_metrics(rulings, effects, case)],
    )


def _facts(record: _Record, case: Case, stage: Stage) -> dict[Arm, FreshnessFacts]:
    """What readers saw, by arm; empty where nothing was to tell."""
    telling = [route for route in case.workload.routes if route.version is not None]
    if case.freshness is None and not telling:
        return {}
    background = None
    answers = record.answers
    if telling and answers is not None and "version" in answers.columns and answers["version"].notna().any():
        # From all arms and blocks together: a write of another one may be what a read shows.
        background = background_reads(request_frame(answers, _ANSWERS), case)
        background = background[background["block"].isin(record.numbers(stage))]
    facts: dict[Arm, FreshnessFacts] = {}
    arms: tuple[Arm, ...] = ("before", "after") if stage == "change" else ("before",)
    for arm in arms:
        entries = [entry for entry in record.entries(stage) if arm in _listed(entry.get("arms"))]
        facts[arm] = freshness_facts(
            *record.probe(stage, arm),
            case.freshness.within if case.freshness is not None else 0.0,
            background=None if background is None else share_of(background[background["arm"] == arm]),
            probes=[entry.get("probe") for entry in entries],
        )
    return facts


def _comparison(case: Case, before: Rows, after: Rows, pair_of: Mapping[int, int]) -> Comparison:
    if case.design == "side-by-side":
        return side_by_side(before, after)
    return by_blocks(before, after, pair_of if case.design == "crossover" else {})


def _read(
    requests: pd.DataFrame | Rows,
    answers: pd.DataFrame | None,
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    blocks: Sequence[Mapping[str, Any]],
) -> _Record:
    known = [dict(entry) for entry in blocks if isinstance(entry, Mapping) and _whole(entry.get("block"))]
    rows = requests if isinstance(requests, Rows) else rows_of(requests)
    numbers = [entry["block"] for entry in known]
    finished = among(rows.block, numbers) | (rows.block < 0)
    if not finished.all():
        rows = rows.take(finished)
    placed = [probe_frame(reads, READS), probe_frame(writes, WRITES)]
    told, wrote = (frame[frame["block"].isin(numbers)] for frame in placed)
    return _Record(rows, told, wrote, known, answers)


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _baseline_only(record: _Record, case: Case, boundary: Boundary, error_rate: float) -> dict[MetricName, Effect]:
    """What the baseline shows, as the before arm of a comparison that never was."""
    from dataclasses import replace

    baseline = record.measured("baseline", BEFORE)
    within_s = case.freshness.within if case.freshness is not None else None
    reads, writes = record.probe("baseline", "before")
    # Compared with itself for the values of one arm only; nothing of the difference is kept.
    shown = all_effects(
        request_effects(by_batches(baseline, baseline), boundary, error_rate),
        freshness_effects(reads, writes, within_s, boundary, error_rate),
    )
    note = "The change was not measured."
    return {name: Effect(before=effect.before, note=note) for name, effect in shown.items()} | {
        name: replace(effect, after=None, effect=None) for name, effect in shown.items() if effect.before is None
    }


def _again(
    record: _Record, case: Case, before: Rows, boundary: Boundary, error_rate: float
) -> dict[MetricName, Effect]:
    """The block after the rollback against the before arm of the change's blocks."""
    within_s = case.freshness.within if case.freshness is not None else None
    requests = request_effects(by_batches(before, record.measured("after-rollback", BEFORE)), boundary, error_rate)
    first, again = record.probe("change", "before"), record.probe("after-rollback", "before")
    frames = [
        pd.concat([one, other.assign(arm="after")], ignore_index=True) if len(other) else one
        for one, other in zip(first, again, strict=True)
    ]
    effects = all_effects(requests, freshness_effects(frames[0], frames[1], within_s, boundary, error_rate))
    if case.design == "side-by-side":
        return effects
    # On one service that goes on, blocks differ by more than what is in them: by their hour, too.
    return one_more(effects, block_values(before, first, within_s), boundary, error_rate)


def _plain_looks(record: _Record) -> tuple[Rows, Rows]:
    """What somebody sees who looks once before and once after, for as long each time: the system as it was found,
    from the first request on (of its wash-out, where there was one), and the last block of the after arm. Both looks
    are as long as the shorter of the two.
    """
    numbers = record.numbers("baseline")[:1]
    numbers += [number for number in record.numbers("wash-out") if numbers and number < numbers[0]]
    first = record.rows.take(among(record.rows.block, numbers) & (record.rows.arm == BEFORE))
    rows = record.measured("change", AFTER)
    last = rows.take(among(rows.block, [n for n in record.numbers("change") if np.any(rows.block == n)][-1:]))
    if not len(first.due) or not len(last.due):
        return first, last
    length = min(np.ptp(first.due), np.ptp(last.due))
    return tuple(look.take(look.due <= look.due.min() + length) for look in (first, last))  # type: ignore[return-value]


__all__ = ["DECLARED", "Verdict", "decide"]

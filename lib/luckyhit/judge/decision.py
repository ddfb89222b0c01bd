"""From the records of one run to its result: pure, on frames; no file, no socket, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge import guards as checks
from luckyhit.judge.decompose import decompose
from luckyhit.judge.effects import Effect, all_effects, freshness_effects, level_of, request_effects
from luckyhit.judge.intervals import Boundary, FixedSample
from luckyhit.judge.naive import naive_answer
from luckyhit.judge.noise import noise_floor
from luckyhit.judge.rollback import compared
from luckyhit.judge.samples import (
    ARMS,
    DROPPED,
    NO_ERROR,
    Comparison,
    Rows,
    by_batches,
    by_blocks,
    rows_of,
    side_by_side,
)
from luckyhit.judge.verdict import Ruling, because, metric_of, overall, rule_on
from luckyhit.judge.wording import NAMES, listed, percent
from luckyhit.records import (
    METRICS,
    READS,
    WRITES,
    Guard,
    Metric,
    MetricName,
    Result,
    Rollback,
    Verdict,
)

BEFORE, AFTER = 0, 1
DECLARED = "declared difference only"
"""Name of the guard on the fingerprints; without it nobody knows what was changed."""


@dataclass(frozen=True)
class _Record:
    """One run's rows and probe events, by stage."""

    rows: Rows
    reads: pd.DataFrame
    writes: pd.DataFrame
    blocks: list[dict[str, Any]]

    def numbers(self, stage: str) -> list[int]:
        return [entry["block"] for entry in self.blocks if entry.get("stage") == stage]

    def entries(self, stage: str) -> list[dict[str, Any]]:
        return [entry for entry in self.blocks if entry.get("stage") == stage]

    def measured(self, stage: str, arm: int) -> Rows:
        inside = np.isin(self.rows.block, self.numbers(stage)) & (self.rows.arm == arm)
        return self.rows.take(inside & self.rows.measured)

    def probe(self, stage: str, arm: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        numbers = self.numbers(stage)
        frames = (frame[frame["block"].isin(numbers)] for frame in (self.reads, self.writes))
        reads, writes = (frame if arm is None else frame[frame["arm"] == arm] for frame in frames)
        return reads, writes


def decide(
    requests: pd.DataFrame,
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
    boundary: Boundary | None = None,
) -> Result:
    """Judge the records of one run. Frames have the columns of `luckyhit.records`; `blocks` is the manifest's list
    (rows of blocks that are not in it were not finished, and don't count); `guards` are those collected while
    measuring. `boundary` is how far intervals reach, for one look at a sample fixed beforehand unless said otherwise.

    Whatever is in the frames, this returns a result: what can't be judged is INVALID or INCONCLUSIVE, with a reason.
    """
    boundary = boundary or FixedSample()
    rollback = rollback or Rollback(detail="No rollback was noted.")
    record = _read(requests, reads, writes, blocks)
    notes = [*notes, *_notes_on_blocks(record, case)]
    error_rate = level_of(case)
    within_s = case.freshness.within if case.freshness is not None else None

    all_guards = checks.record_guards(record.rows, record.blocks)
    before, after = record.measured("change", BEFORE), record.measured("change", AFTER)
    changed = bool(record.entries("change"))
    if changed:
        pair_of = {entry["block"]: entry["pair"] for entry in record.entries("change") if _whole(entry.get("pair"))}
        comparison = _comparison(case, before, after, pair_of)
        all_guards += checks.comparison_guards(comparison, record.entries("change"), case, pair_of)
        all_guards += guards
        if not any(guard.name == DECLARED for guard in all_guards):
            all_guards.append(
                Guard(
                    name=DECLARED, ok=False, detail="nobody compared what the change changed", remedy="Measure again."
                )
            )
        effects = all_effects(
            request_effects(comparison, boundary, error_rate),
            freshness_effects(*record.probe("change"), within_s, error_rate),
        )
        seconds = comparison.seconds
        notes += _notes_on_rows(comparison)
    else:
        all_guards += guards
        effects = _baseline_only(record, case, boundary, error_rate)
        seconds = 0.0

    rulings = [rule_on(metric, effects[metric], goal, seconds) for metric, goal in case.goals.items()]
    metrics: dict[MetricName, Metric] = {metric: metric_of(metric, effects[metric]) for metric in METRICS}
    metrics |= {ruling.name: ruling.metric for ruling in rulings}
    verdict = overall(all_guards, rulings)
    why = because(verdict, all_guards, rulings, effects, 100 * (1 - case.plan.error_rate))
    if not changed and verdict != "INVALID":
        verdict, why = "INCONCLUSIVE", "The change was not measured, so there is nothing to compare."
    planned = case.plan.blocks * (1 if case.design == "side-by-side" else 2)
    if 0 < len(record.entries("change")) < planned and verdict not in ("INVALID", "INCONCLUSIVE"):
        # A run that was stopped early was perhaps stopped because of what it showed: the intervals don't hold then.
        verdict = "INCONCLUSIVE"
        why = f"The run ended early: {len(record.entries('change'))} of {planned} planned blocks were measured."
    last = record.numbers("after-rollback")
    if last and changed:
        alone = case.design == "side-by-side" and np.all(record.rows.arm[np.isin(record.rows.block, last)] == BEFORE)
        again = _again(record, before, within_s, boundary, error_rate)
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
        noise_floor=noise_floor(baseline, *record.probe("baseline", "before"), within_s, boundary, error_rate),
        notes=[*notes, *_notes_on_metrics(rulings, effects, case)],
    )


def _comparison(case: Case, before: Rows, after: Rows, pair_of: Mapping[int, int]) -> Comparison:
    if case.design == "side-by-side":
        return side_by_side(before, after)
    return by_blocks(before, after, pair_of if case.design == "crossover" else {})


def _read(
    requests: pd.DataFrame, reads: pd.DataFrame, writes: pd.DataFrame, blocks: Sequence[Mapping[str, Any]]
) -> _Record:
    known = [dict(entry) for entry in blocks if isinstance(entry, Mapping) and _whole(entry.get("block"))]
    rows = rows_of(requests)
    numbers = [entry["block"] for entry in known]
    finished = np.isin(rows.block, numbers) | (rows.block < 0)
    if not finished.all():
        rows = rows.take(finished)
    placed = [_probe_frame(*probe) for probe in ((reads, READS.names), (writes, WRITES.names))]
    told, wrote = (frame[frame["block"].isin(numbers)] for frame in placed)
    return _Record(rows, told, wrote, known)


_WHOLE = ("block", "version", "sent_ns", "acked_ns", "delay_ns", "done_ns", "seen_version", "connection", "status")
_NEEDED = ("arm", "block", "key", "mode", "sent_ns")


def _probe_frame(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The probe's frame with all its columns, numbers as numbers, without rows that can't be placed."""
    frame = frame.reindex(columns=list(columns))
    tidy = {}
    for column in frame.columns:
        values = frame[column]
        if column in _WHOLE and not pd.api.types.is_integer_dtype(values):
            numbers = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
            good = np.isfinite(numbers) & (np.abs(numbers) < 2**53) & (numbers == np.round(numbers))
            tidy[column] = pd.Series(np.where(good, numbers, np.nan), index=frame.index).astype("Int64")
        elif column not in _WHOLE and column != "conditional":
            tidy[column] = values.astype(object).where(values.notna(), None)
    frame = frame.assign(**tidy)
    needed = [column for column in (*_NEEDED, "version") if column in frame.columns]
    return frame[frame["arm"].isin(ARMS)].dropna(subset=needed).reset_index(drop=True)


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
        freshness_effects(reads, writes, within_s, error_rate),
    )
    note = "The change was not measured."
    return {name: Effect(before=effect.before, note=note) for name, effect in shown.items()} | {
        name: replace(effect, after=None, effect=None) for name, effect in shown.items() if effect.before is None
    }


def _again(
    record: _Record, before: Rows, within_s: float | None, boundary: Boundary, error_rate: float
) -> dict[MetricName, Effect]:
    """The block after the rollback against the before arm of the change's blocks."""
    requests = request_effects(by_batches(before, record.measured("after-rollback", BEFORE)), boundary, error_rate)
    first, again = record.probe("change", "before"), record.probe("after-rollback", "before")
    frames = [
        pd.concat([one, other.assign(arm="after")], ignore_index=True) if len(other) else one
        for one, other in zip(first, again, strict=True)
    ]
    return all_effects(requests, freshness_effects(frames[0], frames[1], within_s, error_rate))


def _plain_looks(record: _Record) -> tuple[Rows, Rows]:
    """What somebody sees who looks once before and once after, for as long each time: the system as it was found,
    from the first request on, and the last block of the after arm. Both looks are as long as the shorter of the two.
    """
    numbers = record.numbers("baseline")[:1]
    first = record.rows.take(np.isin(record.rows.block, numbers) & (record.rows.arm == BEFORE))
    rows = record.measured("change", AFTER)
    last = rows.take(np.isin(rows.block, [n for n in record.numbers("change") if np.any(rows.block == n)][-1:]))
    if not len(first.due) or not len(last.due):
        return first, last
    length = min(np.ptp(first.due), np.ptp(last.due))
    return tuple(look.take(look.due <= look.due.min() + length) for look in (first, last))  # type: ignore[return-value]


def _notes_on_blocks(record: _Record, case: Case) -> list[str]:
    notes = []
    measured = len(record.entries("change"))
    planned = case.plan.blocks * (1 if case.design == "side-by-side" else 2)
    if 0 < measured < planned:
        notes.append(f"{measured} of {planned} planned blocks of the change were finished.")
    problems = []
    for entry in record.blocks:
        probe = entry.get("probe")
        told = probe.get("problems") if isinstance(probe, Mapping) else None
        problems += [f"block {entry['block']}: {problem}" for problem in (told if isinstance(told, list) else [])]
    if problems:
        more = f" ({len(problems) - 1} more of this kind are in the manifest.)" if problems[1:] else ""
        notes.append(f"Freshness probe, {problems[0]}{more}")
    if case.design == "before-after":
        notes.append(
            "The arms were measured one after the other: whatever else changed in between counts as the change."
        )
    if case.design == "crossover":
        notes.append("The arms took turns on one stack: whole blocks are the units, so there are few of them.")
    return notes


def _notes_on_rows(comparison: Comparison) -> list[str]:
    notes = []
    parts = decompose(comparison.before.rows, comparison.after.rows)
    if parts is not None:
        notes.append(f"{parts}")
    left_out = [
        int(np.count_nonzero((side.rows.error != NO_ERROR) & (side.rows.error != DROPPED))) for side in comparison.sides
    ]
    if any(left_out):
        notes.append(
            f"Latencies leave out requests that failed or timed out: {left_out[0]:,} before, {left_out[1]:,} after."
        )
    return notes


def _notes_on_metrics(rulings: Sequence[Ruling], effects: Mapping[MetricName, Effect], case: Case) -> list[str]:
    notes = [
        f"{NAMES[name].capitalize()}: {effect.note}"
        for name, effect in effects.items()
        if effect.note.startswith("Not visible") and name not in case.goals
    ]
    notes += [f"{NAMES[ruling.name].capitalize()}: {ruling.metric.note}" for ruling in rulings if ruling.metric.note]
    level = percent(1 - case.plan.error_rate)
    names = listed([NAMES[name] for name in case.goals])
    notes.append(
        f"Intervals hold for all goals together ({names}) at {level}; the sample size was fixed before the run."
    )
    return notes


__all__ = ["DECLARED", "Verdict", "decide"]

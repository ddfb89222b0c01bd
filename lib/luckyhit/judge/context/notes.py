"""Notes on a result: what a reader has to know beside the verdict, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.compare.process_starts import Starts
from luckyhit.judge.context.decompose import decompose
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.record import mapped
from luckyhit.judge.table.samples import DROPPED, NO_ERROR, Comparison
from luckyhit.judge.verdict import Ruling
from luckyhit.judge.wording import listed, name_of, percent
from luckyhit.records import GoalName, kind_of


def notes_on_blocks(blocks: Sequence[Mapping[str, Any]], case: Case) -> list[str]:
    """On the blocks of the manifest: those left out, what the probe complained of, and the design."""
    notes = []
    measured = sum(entry.get("stage") == "change" for entry in blocks)
    design = design_of(case)
    planned = design.planned_blocks(case.plan.blocks)
    if 0 < measured < planned:
        why = "it was to stop where every goal is decided" if case.stops_early else ""
        notes.append(f"{measured} of {planned} planned blocks of the change were finished{f': {why}' if why else ''}.")
    problems = []
    for entry in blocks:
        of_probe = mapped(entry, "probe").get("problems")
        problems += [
            f"block {entry['block']}: {problem}" for problem in (of_probe if isinstance(of_probe, list) else [])
        ]
    if problems:
        more = f" ({len(problems) - 1} more of this kind are in the manifest.)" if problems[1:] else ""
        notes.append(f"Freshness probe, {problems[0]}{more}")
    for entry in blocks:
        # Before a block of the change, that is a matter of a guard.
        if entry.get("stage") != "change" and mapped(entry, "washout").get("settled") is False:
            where = "after the rollback" if entry.get("stage") == "after-rollback" else "of the baseline"
            notes.append(f"The hit ratio still moved when the block {where} began: plan.washout was over.")
    starts = Starts.noted([entry for entry in blocks if entry.get("stage") == "change"], case)
    if starts.count == 1:
        notes.append(
            "One process start each: what a start itself moves in the latencies can't be told from the change."
        )
    return [*notes, design.words.note] if design.words.note else notes


def notes_on_rows(comparison: Comparison, case: Case, boundary: Boundary, error_rate: float) -> list[str]:
    """On the measured requests: where a change of latency comes from, and what latencies leave out. `error_rate`: of
    each single interval."""
    notes = []
    parts = decompose(comparison, boundary, error_rate)
    if parts is not None:
        notes.append(parts.told(100 * (1 - case.plan.error_rate)))
    left_out = [
        int(np.count_nonzero((side.rows.error != NO_ERROR) & (side.rows.error != DROPPED))) for side in comparison.sides
    ]
    if any(left_out):
        notes.append(
            f"Latencies leave out requests that failed or timed out: {left_out[0]:,} before, {left_out[1]:,} after."
        )
    return notes


def notes_on_metrics(rulings: Sequence[Ruling], effects: Mapping[GoalName, Effect], case: Case) -> list[str]:
    """On the metrics: what was not visible, and how far the intervals go."""
    notes = [
        f"{name_of(name).capitalize()}: {effect.note}"
        for name, effect in effects.items()
        if effect.note.startswith("Not visible") and name not in case.goals and kind_of(name).part_of is None
    ]
    notes += [f"{name_of(ruling.name).capitalize()}: {ruling.metric.note}" for ruling in rulings if ruling.metric.note]
    level = percent(1 - case.plan.error_rate)
    names = listed([name_of(name) for name in case.goals])
    looks = "the sample size was fixed before the run"
    if case.stops_early:
        looks = "and at whatever moment one looks or stops"
        if not design_of(case).looks_any_time:
            looks = f"and for all {case.plan.blocks} looks together after which the run might have stopped"
    notes.append(f"Intervals hold for all goals together ({names}) at {level}; {looks}.")
    return notes

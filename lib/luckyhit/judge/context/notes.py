"""Notes on a result: what a reader has to know beside the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.compare.process_starts import Starts
from luckyhit.judge.context.decompose import decompose
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.samples import DROPPED, NO_ERROR, Comparison
from luckyhit.judge.verdict import Ruling
from luckyhit.records import NOT_VISIBLE, GoalName, Note, NoteId, kind_of
from luckyhit.records.manifest import NotedBlock
from luckyhit.text.quantities import name_of
from luckyhit.text.wording import has, note, of_metric


def notes_on_blocks(blocks: Sequence[NotedBlock], case: Case) -> list[Note]:
    """On the blocks of the manifest: those left out, what the probe complained of, and the design."""
    notes = []
    measured = sum(block.stage == "change" for block in blocks)
    design = design_of(case)
    planned = design.planned_blocks(case.plan.blocks)
    if 0 < measured < planned:
        id: NoteId = "blocks-stopped-early" if case.stops_early else "blocks-left-out"
        notes.append(note(id, measured=measured, planned=planned))
    problems = [(block.block, problem) for block in blocks for problem in block.probe.problems]
    if problems:
        notes.append(note("probe-problem", block=problems[0][0], problem=problems[0][1]))
    if problems[1:]:
        notes.append(note("probe-problems-more", count=len(problems) - 1))
    for block in blocks:
        # Before a block of the change, that is a matter of a guard.
        if block.stage != "change" and block.washout.settled is False:
            again = block.stage == "after-rollback"
            notes.append(note("washout-moved-after-rollback" if again else "washout-moved-in-baseline"))
    starts = Starts.recorded([block for block in blocks if block.stage == "change"], case)
    if starts.count == 1:
        notes.append(note("one-process-start"))
    return [*notes, note(design.words.note)] if design.words.note else notes


def notes_on_rows(comparison: Comparison, case: Case, boundary: Boundary, error_rate: float) -> list[Note]:
    """On the measured requests: where a change of latency comes from, and what latencies leave out. `error_rate`: of
    each single interval."""
    notes = []
    parts = decompose(comparison, boundary, error_rate)
    if parts is not None:
        notes += parts.notes(100 * (1 - case.plan.error_rate))
    left_out = [
        int(np.count_nonzero((side.rows.error != NO_ERROR) & (side.rows.error != DROPPED))) for side in comparison.sides
    ]
    if any(left_out):
        notes.append(note("latencies-leave-out", before=left_out[0], after=left_out[1]))
    return notes


def notes_on_metrics(rulings: Sequence[Ruling], effects: Mapping[GoalName, Effect], case: Case) -> list[Note]:
    """On the metrics: what was not visible, and how far the intervals go."""
    notes = [
        of_metric(name, noted)
        for name, effect in effects.items()
        if has(effect.notes, *NOT_VISIBLE) and name not in case.goals and kind_of(name).part_of is None
        for noted in effect.notes
    ]
    notes += [of_metric(ruling.name, noted) for ruling in rulings for noted in ruling.metric.notes]
    goals, level = [name_of(name) for name in case.goals], 1 - case.plan.error_rate
    if not case.stops_early:
        notes.append(note("intervals-of-a-fixed-sample", goals=goals, level=level))
    elif design_of(case).looks_any_time:
        notes.append(note("intervals-at-any-moment", goals=goals, level=level))
    else:
        notes.append(note("intervals-at-all-looks", goals=goals, level=level, looks=case.plan.blocks))
    return notes

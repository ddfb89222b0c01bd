"""GUARDS: what would overturn a verdict, a row each, in the order in which a result lists them.

A new guard is one function, on the records it needs, and one row here. The function gives None where there is nothing
to guard, and fails where evidence is missing. `applies` tells for which runs a row is asked at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from luckyhit.designs import design_of
from luckyhit.judge.guards.cache_state import cache_state_guard
from luckyhit.judge.guards.comparison_guards import (
    answers_guard,
    dropped_guard,
    keys_guard,
    same_slots_guard,
    sample_guard,
    stationary_guard,
)
from luckyhit.judge.guards.looked_at import Records, RunFiles
from luckyhit.judge.guards.negative_controls import controls_guard
from luckyhit.judge.guards.preparation import limits_guard, washed_out_guard
from luckyhit.judge.guards.probe_guards import writes_seen_guard
from luckyhit.judge.guards.record_guards import accounting_guard, clock_guard, engine_guard, warmed_up_guard
from luckyhit.judge.guards.run_guards import (
    blocks_guard,
    case_guard,
    difference_guard,
    probe_guard,
    records_guard,
    rollback_guard,
)
from luckyhit.records import Guard

At = Literal["case", "files", "record", "comparison", "controls", "probe", "collected", "turns"]
"""Where in the judging a guard is asked: on the case and the files of a run; on all its records; and, where the change
was measured, on its comparison, its negative controls, its probe, what was collected meanwhile, and the turns of its
arms."""
Looked = TypeVar("Looked", RunFiles, Records)


def _always(looked: object) -> bool:
    return True


@dataclass(frozen=True)
class GuardRow(Generic[Looked]):
    """`id` is that of the guard: its title in lower case, with hyphens; docs/troubleshooting.md has a line for each.
    `remedy`: what to do where it did not hold; empty where the guard itself says that, since it depends on what it
    found."""

    id: str
    at: At
    look: Callable[[Looked], Guard | None]
    applies: Callable[[Looked], bool] = _always
    remedy: str = ""


_PUT_BACK = "Records are damaged or incomplete: put back what is missing, or measure again."
ON_FILES: tuple[GuardRow[RunFiles], ...] = (
    GuardRow("records-readable", "case", lambda at: records_guard(at.damaged)),
    GuardRow(
        "case-as-it-was-run",
        "case",
        lambda at: case_guard(at.run, at.manifest, at.case),
        remedy="Put the case back as it was run and judge that, or make a new run of the edited case.",
    ),
    GuardRow(
        "blocks-as-noted",
        "files",
        lambda at: blocks_guard(at.manifest, at.unread, at.rows, at.case, interim=at.under_way),
        applies=lambda at: not at.damaged,
        remedy=_PUT_BACK,
    ),
    GuardRow(
        "the-probes-records-are-whole",
        "files",
        lambda at: probe_guard(at.manifest, at.reads, at.writes, interim=at.under_way),
        applies=lambda at: not at.damaged,
        remedy=_PUT_BACK,
    ),
    GuardRow(
        "rolled-back",
        "files",
        lambda at: rollback_guard(at.manifest),
        applies=lambda at: not at.interim,
        remedy="`luckyhit revert RUN` takes it back, or says what to do by hand. Then measure again.",
    ),
)
ON_RECORDS: tuple[GuardRow[Records], ...] = (
    GuardRow(
        "accounting-exact",
        "record",
        lambda at: accounting_guard(at.record.rows, at.stretches, at.blocks),
        remedy="Records are damaged or incomplete: measure again.",
    ),
    GuardRow(
        "clock-monotonic",
        "record",
        lambda at: clock_guard(at.record.rows, at.stretches),
        remedy="Times come from more than one clock, or records are damaged: measure again.",
    ),
    GuardRow(
        "arms-warmed-up-alike",
        "record",
        lambda at: warmed_up_guard(at.stretches, at.changed, at.case),
        applies=lambda at: bool(at.changed),
        remedy="Measure again: an arm that was sent less starts from a colder cache.",
    ),
    GuardRow(
        "engine-trustworthy",
        "record",
        # Nothing of a wash-out is timed.
        lambda at: engine_guard([block for block in at.blocks if block.stage != "wash-out"]),
    ),
    GuardRow("within-the-targets-limits", "record", lambda at: limits_guard(at.blocks)),
    GuardRow("washed-out", "record", lambda at: washed_out_guard(at.changed)),
    GuardRow(
        "arms-exposed-to-the-same-slots",
        "comparison",
        lambda at: same_slots_guard(at.comparison, at.case, at.pair_of),
        remedy="Measure both arms again, from the same seed.",
    ),
    GuardRow("same-cache-state-at-block-start", "comparison", lambda at: cache_state_guard(at.changed, at.case)),
    GuardRow(
        "hit-ratio-stationary-after-warm-up",
        "comparison",
        lambda at: stationary_guard(at.comparison, at.case),
        remedy="Raise plan.warmup until the hit ratio no longer climbs (or falls) inside a block.",
    ),
    GuardRow("enough-distinct-keys", "comparison", lambda at: keys_guard(at.comparison, at.case)),
    GuardRow(
        "sample-size-sane",
        "comparison",
        lambda at: sample_guard(at.comparison),
        remedy="Measure longer (plan.block, plan.blocks) or at a higher workload.rate.",
    ),
    GuardRow(
        "dropped-share-small",
        "comparison",
        lambda at: dropped_guard(at.comparison),
        remedy="Lower workload.rate, or give the service more room: what was never sent was never measured.",
    ),
    GuardRow(
        "answers-as-expected",
        "comparison",
        lambda at: answers_guard(at.comparison, at.case),
        applies=lambda at: "error_rate" not in at.case.goals,
        remedy="Look at the failed requests; set a goal for error_rate, so that they are judged.",
    ),
    GuardRow(
        "negative-controls-still",
        "controls",
        lambda at: controls_guard(at.comparison, at.case, at.boundary, at.starts, at.rate_fraction),
    ),
    GuardRow(
        "the-probes-writes-are-seen",
        "probe",
        lambda at: writes_seen_guard(*at.record.probe("change"), at.case),
        applies=lambda at: at.case.freshness is not None,
    ),
    GuardRow(
        "declared-difference-only",
        "collected",
        lambda at: difference_guard(at.collected, at.ended),
        remedy="Measure again.",
    ),
    GuardRow(
        "no-carry-over",
        "turns",
        lambda at: at.carry_over[0],
        applies=lambda at: design_of(at.case).may_carry_over,
    ),
)
GUARDS: tuple[GuardRow[RunFiles] | GuardRow[Records], ...] = (*ON_FILES, *ON_RECORDS)


def look(rows: Sequence[GuardRow[Looked]], at: At, looked: Looked) -> list[Guard]:
    """What the guards of one place say, in their order; those that have nothing to guard say nothing."""
    answers = [(row, row.look(looked)) for row in rows if row.at == at and row.applies(looked)]
    return [_with_remedy(guard, row.remedy) for row, guard in answers if guard is not None]


def _with_remedy(guard: Guard, remedy: str) -> Guard:
    """A failed guard that says nothing itself has the remedy of its row."""
    return guard if guard.ok or guard.remedy else guard.model_copy(update={"remedy": remedy})

"""Guards on all records of a run: complete, on one clock, and warmed up alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from luckyhit.case import Case
from luckyhit.judge.table.row_order import by_slot
from luckyhit.judge.table.rows import (
    ARMS,
    DROPPED,
    FAULTS,
    NO_ERROR,
    NO_ROW,
    TIMEOUT,
    RequestTable,
    distinct_values,
    members,
)
from luckyhit.records import Accounting, Guard
from luckyhit.records.manifest import NotedBlock

Group = tuple[int, int, np.ndarray]
"""A block, the code of an arm, and the places of its rows."""
OUT_OF_ORDER = "due before an earlier slot"
APART, APART_NS = 0.1, 1e8
"""The arms of one block begin and end together, but for this share of its length, or this long."""


def account(rows: RequestTable) -> Accounting:
    """Every scheduled request in exactly one place; the sum is short by what fits nowhere."""
    answered = rows.answered
    failed = (rows.error != NO_ERROR) & (rows.error != TIMEOUT) & (rows.error != DROPPED)
    return Accounting(
        scheduled=len(rows),
        completed=int(np.count_nonzero((rows.error == NO_ERROR) & answered)),
        failed=int(np.count_nonzero(failed)),
        timed_out=int(np.count_nonzero(rows.error == TIMEOUT)),
        dropped=int(np.count_nonzero(rows.error == DROPPED)),
    )


@dataclass(frozen=True)
class Stretch:
    """One arm of one block: the places of its rows, its slots, and the first and last instant at which one was due.

    `twice`: slots that are there more than once; `gaps`: missing slots; `falls`: rows due before the slot ahead of
    them; `warmup`: how many rows its warm-up has, the lowest and the highest slot among them.
    """

    block: int
    arm: int
    rows: np.ndarray
    twice: int
    gaps: int
    falls: int
    begins_ns: float
    ends_ns: float
    warmup: tuple[int, int, int]


def stretches_of(rows: RequestTable) -> Iterator[Stretch]:
    """Each arm of each block, in this order."""
    slot, due, measured = rows.slot, rows.due_ns, rows.measured
    for block, arm, indices in _by_block_and_arm(rows):
        yield _stretch(block, arm, indices, slot[indices], due[indices], measured[indices])


def _stretch(
    block: int, arm: int, indices: np.ndarray, slot: np.ndarray, due: np.ndarray, measured: np.ndarray
) -> Stretch:
    slots, warm = distinct_values(slot), slot[~measured]
    return Stretch(
        block,
        arm,
        indices,
        twice=len(indices) - len(slots),
        gaps=int(slots[-1]) + 1 - int(np.count_nonzero(slots >= 0)),  # the schedule of a block begins with slot 0
        falls=_falls(slot, due),
        begins_ns=float(due.min()),
        ends_ns=float(due.max()),
        warmup=(len(warm), int(warm.min(initial=0)), int(warm.max(initial=0))),
    )


def accounting_guard(rows: RequestTable, stretches: Sequence[Stretch], blocks: Sequence[NotedBlock]) -> Guard:
    total = account(rows)
    problems = []
    if not total.exact:
        lost = total.scheduled - total.completed - total.failed - total.timed_out - total.dropped
        problems.append(f"{lost:,} requests have neither an answer nor an error")
    unplaced = int(np.count_nonzero((rows.arm < 0) | (rows.block < 0) | (rows.slot < 0)))
    if unplaced:
        problems.append(f"{unplaced:,} rows have no valid arm, block or slot")
    noted = {block.block: block.accounting for block in blocks}
    for stretch in stretches:
        counted = noted.get(stretch.block, {}).get(ARMS[stretch.arm]) if stretch.arm >= 0 else None
        if counted is not None and counted != account(rows.take(stretch.rows)):
            where = f"block {stretch.block}, {ARMS[stretch.arm]}"
            problems.append(f"{where}: the rows differ from what the engine counted, {counted.model_dump()}")
    if twice := sum(stretch.twice for stretch in stretches):
        problems.append(f"{twice:,} slots are there twice")
    if gaps := sum(stretch.gaps for stretch in stretches):
        problems.append(f"{gaps:,} slots of the schedule are missing")
    detail = (
        f"scheduled {total.scheduled:,} = completed {total.completed:,} + failed {total.failed:,} "
        f"+ timed out {total.timed_out:,} + dropped {total.dropped:,}"
    )
    return Guard(
        id="accounting-exact",
        ok=not problems and len(rows) > 0,
        detail="; ".join(problems) or (detail if len(rows) else "no request was recorded"),
    )


def clock_guard(rows: RequestTable, stretches: Sequence[Stretch]) -> Guard:
    clock = rows.clock
    counts = {fault: int(np.count_nonzero(clock & (1 << bit))) for bit, fault in enumerate(FAULTS)}
    late = sum(stretch.falls for stretch in stretches)
    counts = {FAULTS[0]: counts.pop(FAULTS[0]), OUT_OF_ORDER: late, **counts}
    problems = [f"{count:,} rows: {fault}" for fault, count in counts.items() if count]
    problems += _out_of_turn([stretch for stretch in stretches if stretch.block >= 0 and stretch.arm >= 0])
    problems += [] if len(rows) else ["no request was recorded"]
    return Guard(
        id="clock-monotonic",
        ok=not problems,
        detail="; ".join(problems) or f"due, sent, first byte, done: in this order in all {len(rows):,} rows",
    )


def _out_of_turn(stretches: Sequence[Stretch]) -> Iterator[str]:
    """Blocks come one after the other, and the arms of one block were measured at one time."""
    ended_ns, ahead = -np.inf, -1
    for block, stretches_of_block in groupby(stretches, key=lambda stretch: stretch.block):
        arms = list(stretches_of_block)
        begins, ends = [arm.begins_ns for arm in arms], [arm.ends_ns for arm in arms]
        if min(begins) < ended_ns:
            yield f"block {block} begins before block {ahead} ended"
        apart_ns = max(max(begins) - min(begins), max(ends) - min(ends))
        if apart_ns > max(APART_NS, APART * (max(ends) - min(begins))):
            yield f"the arms of block {block} were not measured at the same time"
        ended_ns, ahead = max(ends), block


def warmed_up_guard(stretches: Sequence[Stretch], blocks: Sequence[NotedBlock], case: Case | None) -> Guard:
    """Whether both arms of each pair of blocks were sent the same warm-up: an arm that was sent less of it starts from
    a colder cache than the other."""
    pair_of: dict[int, tuple[str, int]] = {}
    for noted in blocks:
        in_turns = "pair", -1 if noted.pair is None else noted.pair
        pair_of[noted.block] = ("block", noted.block) if len(noted.arms) > 1 else in_turns
    pairs: dict[tuple[str, int], dict[int, list[Stretch]]] = {}
    for stretch in stretches:
        if stretch.block in pair_of and stretch.arm >= 0:
            pairs.setdefault(pair_of[stretch.block], {}).setdefault(stretch.arm, []).append(stretch)
    problems, counts = [], []
    for pair in pairs.values():
        warm = [sorted(stretch.warmup for stretch in pair.get(arm, [])) for arm in range(len(ARMS))]
        counts += [count for sent in warm for count, _, _ in sent]
        if all(warm) and warm[0] != warm[1]:
            block = pair[0][0].block
            numbers = [sum(count for count, _, _ in sent) for sent in warm]
            text = f"{numbers[0]:,} warm-up requests before and {numbers[1]:,} after"
            problems.append(f"block {block}: {text}{', of other slots' if numbers[0] == numbers[1] else ''}")
    for noted in blocks if pairs else ():
        by_arm = pairs.get(pair_of[noted.block], {})
        for code, arm in enumerate(ARMS):
            if arm in noted.arms and code not in by_arm:
                problems.append(f"block {noted.block}: the {arm} arm has no requests")
    if not pairs:
        problems.append("the change has no requests")
    least, most = min(counts, default=0), max(counts, default=0)
    if not problems and not least and case is not None and case.plan.warmup:
        problems.append(f"the plan has {case.plan.warmup:g} s of warm-up, and there are blocks without any")
    detail = f"{least:,} warm-up requests" if least == most else f"{least:,} to {most:,} warm-up requests"
    return Guard(
        id="arms-warmed-up-alike",
        ok=not problems,
        detail="; ".join(problems) or f"{detail} in each arm of each block, the same in both arms",
    )


def _falls(slot: np.ndarray, due: np.ndarray) -> int:
    """How many rows of one block and arm are due before the slot ahead of them."""
    due = due[by_slot(slot)]
    return int(np.count_nonzero(due[1:] < due[:-1]))


def _by_block_and_arm(rows: RequestTable) -> Iterator[Group]:
    """Each block and arm that has rows, in this order."""
    arm = rows.arm
    for block, inside in members(rows.block):
        arm_of = arm[inside]
        for code in range(-1, len(ARMS)):
            indices = inside[arm_of == code]
            if len(indices):
                yield block, code, indices.astype(np.int32) if len(rows) < NO_ROW else indices

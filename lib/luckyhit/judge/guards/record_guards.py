"""Guards on all records of a run: complete, on one clock, and warmed up alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from luckyhit.case import Case
from luckyhit.judge.table.groups import distinct_values
from luckyhit.judge.table.row_order import by_slot
from luckyhit.judge.table.rows import ARMS, DROPPED, FAULTS, NO_ERROR, TIMEOUT, RequestTable
from luckyhit.records import Accounting, Guard
from luckyhit.records.manifest import NotedBlock
from luckyhit.records.parts.block_numbers import turn
from luckyhit.text.numbers import block_name

Group = tuple[int, int, RequestTable]
"""A block, the code of an arm, and their rows."""
OUT_OF_ORDER = "due before an earlier slot"
APART, APART_NS = 0.1, 1e8
"""The arms of one block begin and end together, but for this share of its length, or this long."""


def account(rows: RequestTable) -> Accounting:
    """Every scheduled request in exactly one place; the sum is short by what fits nowhere."""
    completed, by_error = 0, np.zeros(256, dtype=np.int64)
    for part in rows.parts():
        error = part.error
        completed += int(np.count_nonzero((error == NO_ERROR) & part.answered))
        by_error += np.bincount(error.view(np.uint8), minlength=len(by_error))
    timed_out, dropped = int(by_error[TIMEOUT]), int(by_error[DROPPED])
    none = int(by_error[np.int8(NO_ERROR).view(np.uint8)])
    return Accounting(
        scheduled=len(rows),
        completed=completed,
        failed=len(rows) - none - timed_out - dropped,
        timed_out=timed_out,
        dropped=dropped,
    )


@dataclass(frozen=True)
class BlockArm:
    """One arm of one block: its rows, and the first and last instant at which one was due.

    `duplicated`: slots that are there more than once; `missing`: slots that are not; `out_of_order`: rows due before
    the slot ahead of them; `warmup`: how many rows its warm-up has, the lowest and the highest slot among them.
    """

    block: int
    arm: int
    rows: RequestTable
    duplicated: int
    missing: int
    out_of_order: int
    begins_ns: float
    ends_ns: float
    warmup: tuple[int, int, int]


def block_arms_of(rows: RequestTable) -> Iterator[BlockArm]:
    """Each arm of each block, in this order."""
    for block, arm, own in _by_block_and_arm(rows):
        runs = own.runs()
        warm = own.of_runs(runs, ~runs.measured).slot
        warmup = len(warm), int(warm.min(initial=0)), int(warm.max(initial=0))
        in_turn = _in_turn(own)
        if in_turn is None:
            slot, due = own.slot, own.due_ns
            slots, due = distinct_values(slot), due[by_slot(slot)]
            # A block's schedule begins with slot 0.
            missing = int(slots[-1]) + 1 - int(np.count_nonzero(slots >= 0))
            late = int(np.count_nonzero(due[1:] < due[:-1]))
            yield BlockArm(
                block, arm, own, len(own) - len(slots), missing, late, float(due.min()), float(due.max()), warmup
            )
        else:
            yield BlockArm(block, arm, own, 0, *in_turn, warmup)


def _in_turn(rows: RequestTable) -> tuple[int, int, float, float] | None:
    """(missing, out_of_order, begins_ns, ends_ns) of rows whose slots count up, each there once: the usual case. None
    for others."""
    slot_ahead, due_ahead, counted, late = -np.inf, -np.inf, 0, 0
    lowest, highest = list[float](), list[float]()
    for part in rows.parts():
        slot, due = part.slot, part.due_ns
        if slot[0] <= slot_ahead or not np.all(slot[1:] > slot[:-1]):
            return None
        late += int(np.count_nonzero(due[1:] < due[:-1])) + int(due[0] < due_ahead)
        counted += len(slot) if slot[0] >= 0 else int(np.count_nonzero(slot >= 0))
        lowest.append(float(due.min()))
        highest.append(float(due.max()))
        slot_ahead, due_ahead = int(slot[-1]), float(due[-1])
    return int(slot_ahead) + 1 - counted, late, float(np.min(lowest)), float(np.max(highest))


def accounting_guard(rows: RequestTable, block_arms: Sequence[BlockArm], blocks: Sequence[NotedBlock]) -> Guard:
    total = account(rows)
    problems = []
    if not total.exact:
        lost = total.scheduled - total.completed - total.failed - total.timed_out - total.dropped
        problems.append(f"{lost:,} requests have neither an answer nor an error")
    runs = rows.runs()
    nowhere = (runs.arm < 0) | (runs.block < 0)
    placed = rows.of_runs(runs, ~nowhere)
    unplaced = int(runs.rows[nowhere].sum()) + sum(int(np.count_nonzero(part.slot < 0)) for part in placed.parts())
    if unplaced:
        problems.append(f"{unplaced:,} rows have no valid arm, block or slot")
    noted = {block.block: block.accounting for block in blocks}
    for one in block_arms:
        counted = noted.get(one.block, {}).get(ARMS[one.arm]) if one.arm >= 0 else None
        if counted is not None and counted != account(one.rows):
            where = f"{block_name(one.block)}, {ARMS[one.arm]}"
            problems.append(f"{where}: the rows differ from what the engine counted, {counted.model_dump()}")
    if duplicated := sum(one.duplicated for one in block_arms):
        problems.append(f"{duplicated:,} slots are there twice")
    if missing := sum(one.missing for one in block_arms):
        problems.append(f"{missing:,} slots of the schedule are missing")
    detail = (
        f"scheduled {total.scheduled:,} = completed {total.completed:,} + failed {total.failed:,} "
        f"+ timed out {total.timed_out:,} + dropped {total.dropped:,}"
    )
    return Guard(
        id="accounting-exact",
        ok=not problems and len(rows) > 0,
        detail="; ".join(problems) or (detail if len(rows) else "no request was recorded"),
    )


def clock_guard(rows: RequestTable, block_arms: Sequence[BlockArm]) -> Guard:
    codes = np.arange(1 << len(FAULTS))
    shown = sum((np.bincount(part.clock, minlength=len(codes)) for part in rows.parts()), start=np.zeros_like(codes))
    counts = {fault: int(shown[codes & (1 << bit) > 0].sum()) for bit, fault in enumerate(FAULTS)}
    late = sum(one.out_of_order for one in block_arms)
    counts = {FAULTS[0]: counts.pop(FAULTS[0]), OUT_OF_ORDER: late, **counts}
    problems = [f"{count:,} rows: {fault}" for fault, count in counts.items() if count]
    problems += _out_of_turn([one for one in block_arms if one.block >= 0 and one.arm >= 0])
    problems += [] if len(rows) else ["no request was recorded"]
    return Guard(
        id="clock-monotonic",
        ok=not problems,
        detail="; ".join(problems) or f"due, sent, first byte, done: in this order in all {len(rows):,} rows",
    )


def _out_of_turn(block_arms: Sequence[BlockArm]) -> Iterator[str]:
    """Blocks come one after the other, and the arms of one block were measured at one time."""
    ended_ns, ahead = -np.inf, -1
    in_time = sorted(block_arms, key=lambda one: turn(one.block))
    for block, arms_of_block in groupby(in_time, key=lambda one: one.block):
        arms = list(arms_of_block)
        begins, ends = [arm.begins_ns for arm in arms], [arm.ends_ns for arm in arms]
        if min(begins) < ended_ns:
            yield f"{block_name(block)} begins before {block_name(ahead)} ended"
        apart_ns = max(max(begins) - min(begins), max(ends) - min(ends))
        if apart_ns > max(APART_NS, APART * (max(ends) - min(begins))):
            yield f"the arms of {block_name(block)} were not measured at the same time"
        ended_ns, ahead = max(ends), block


def warmed_up_guard(block_arms: Sequence[BlockArm], blocks: Sequence[NotedBlock], case: Case | None) -> Guard:
    """Whether both arms of each pair of blocks were sent the same warm-up: an arm that was sent less of it starts from
    a colder cache than the other."""
    pair_of: dict[int, tuple[str, int]] = {}
    for noted in blocks:
        in_turns = "pair", -1 if noted.pair is None else noted.pair
        pair_of[noted.block] = ("block", noted.block) if len(noted.arms) > 1 else in_turns
    pairs: dict[tuple[str, int], dict[int, list[BlockArm]]] = {}
    for one in block_arms:
        if one.block in pair_of and one.arm >= 0:
            pairs.setdefault(pair_of[one.block], {}).setdefault(one.arm, []).append(one)
    problems, counts = [], []
    for pair in pairs.values():
        warm = [sorted(one.warmup for one in pair.get(arm, [])) for arm in range(len(ARMS))]
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


def _by_block_and_arm(rows: RequestTable) -> Iterator[Group]:
    """Each block and arm that has rows, in this order."""
    runs = rows.runs()
    for block in np.unique(runs.block).tolist():
        for code in range(-1, len(ARMS)):
            own = (runs.block == block) & (runs.arm == code)
            if own.any():
                yield block, code, rows.of_runs(runs, own)

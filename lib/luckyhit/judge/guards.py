"""Guards: what would overturn the verdict, checked on the records. Each carries its evidence and a remedy.

Evidence that is missing is no pass: a guard that finds nothing to look at fails, unless there is nothing to guard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from luckyhit.case import Case
from luckyhit.judge.boundary import FixedSample
from luckyhit.judge.intervals import mean_estimates
from luckyhit.judge.pairs import same_requests
from luckyhit.judge.preparation import cache_state_guard
from luckyhit.judge.rows import (
    ARMS,
    DROPPED,
    FAULTS,
    NO_ERROR,
    NO_ROW,
    TIMEOUT,
    Rows,
    distinct,
    distinct_values,
    members,
)
from luckyhit.judge.samples import Comparison, by_batches
from luckyhit.judge.wording import percent, points
from luckyhit.records import Accounting, Guard

Group = tuple[int, int, np.ndarray]
"""A block, the code of an arm, and the places of its rows."""
WARMED_UP = "arms warmed up alike"
OUT_OF_ORDER = "due before an earlier slot"
FEWEST_ROWS = 100
FEWEST_UNITS = 4
FEWEST_KEYS = 10
MOST_DROPPED = 0.01
RAMP, UNEQUAL_RAMP = 0.15, 0.25
"""Change of the hit ratio from the first to the second half of the blocks that counts as a ramp: in an arm; and how
far the ramps of two arms measured side by side may differ."""
APART, APART_NS = 0.1, 1e8
"""The arms of one block begin and end together, but for this share of its length, or this long."""
MOST_AT_ONCE = 0.01
COARSE_NS = 1e5
HOURS_MS = 1e9

LARGEST_FAILED_SHARE = 0.01
"""Of the requests sent to an arm, where the case has no goal for the error rate."""


def account(rows: Rows) -> Accounting:
    """Every scheduled request in exactly one place. What fits nowhere leaves the sum short."""
    answered = rows.answered
    failed = (rows.error != NO_ERROR) & (rows.error != TIMEOUT) & (rows.error != DROPPED)
    return Accounting(
        scheduled=len(rows),
        completed=int(np.count_nonzero((rows.error == NO_ERROR) & answered)),
        failed=int(np.count_nonzero(failed)),
        timed_out=int(np.count_nonzero(rows.error == TIMEOUT)),
        dropped=int(np.count_nonzero(rows.error == DROPPED)),
    )


def record_guards(rows: Rows, blocks: Sequence[Mapping[str, Any]], case: Case | None = None) -> list[Guard]:
    """Guards on the whole record, whatever was measured. `case`: whose plan tells whether there was a warm-up."""
    stretches = [_stretch(rows, *group) for group in _by_block_and_arm(rows)]
    changed = [entry for entry in blocks if entry.get("stage") == "change"]
    return [
        _accounting(rows, stretches, blocks),
        _clock(rows, stretches),
        *([_warmed_up(stretches, changed, case)] if changed else []),
        # Nothing of a wash-out is timed.
        _engine([entry for entry in blocks if entry.get("stage") != "wash-out"]),
    ]


def comparison_guards(
    comparison: Comparison, blocks: Sequence[Mapping[str, Any]], case: Case, pair_of: Mapping[int, int]
) -> list[Guard]:
    """Guards on the comparison: its measured rows, and the blocks of the change."""
    return [
        _same_slots(comparison, case, pair_of),
        cache_state_guard(blocks, case),
        _stationary(comparison, case),
        _keys(comparison, case),
        _sample(comparison),
        _dropped(comparison),
        *([] if "error_rate" in case.goals else [_answers(comparison)]),
    ]


@dataclass(frozen=True)
class _Stretch:
    """One arm of one block: the places of its rows, its slots, and the first and last instant at which one was due.

    `twice`: slots that are there more than once; `gaps`: slots that are not; `falls`: rows due before the slot ahead of
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


def _stretch(rows: Rows, block: int, arm: int, mine: np.ndarray) -> _Stretch:
    slot, due = rows.slot[mine], rows.due[mine]
    slots = distinct_values(slot)
    warm = slot[~rows.measured[mine]]
    return _Stretch(
        block,
        arm,
        mine,
        twice=len(mine) - len(slots),
        gaps=int(slots[-1]) + 1 - int(np.count_nonzero(slots >= 0)),  # the schedule of a block begins with slot 0
        falls=_falls(slot, due),
        begins_ns=float(due.min()),
        ends_ns=float(due.max()),
        warmup=(len(warm), int(warm.min(initial=0)), int(warm.max(initial=0))),
    )


def _accounting(rows: Rows, stretches: Sequence[_Stretch], blocks: Sequence[Mapping[str, Any]]) -> Guard:
    total = account(rows)
    problems = []
    if not total.exact:
        lost = total.scheduled - total.completed - total.failed - total.timed_out - total.dropped
        problems.append(f"{lost:,} requests have neither an answer nor an error")
    strange = int(np.count_nonzero((rows.arm < 0) | (rows.block < 0) | (rows.slot < 0)))
    if strange:
        problems.append(f"{strange:,} rows tell no arm, block or slot")
    noted = {entry.get("block"): entry.get("accounting") for entry in blocks}
    for each in stretches:
        counted = noted.get(each.block)
        told = counted.get(ARMS[each.arm]) if isinstance(counted, Mapping) and each.arm >= 0 else None
        if isinstance(told, Mapping) and told != account(rows.take(each.rows)).model_dump():
            where = f"block {each.block}, {ARMS[each.arm]}"
            problems.append(f"{where}: the engine counted {dict(told)}, the rows say otherwise")
    if twice := sum(each.twice for each in stretches):
        problems.append(f"{twice:,} slots are there more than once")
    if gaps := sum(each.gaps for each in stretches):
        problems.append(f"{gaps:,} slots of the schedule are missing")
    detail = (
        f"scheduled {total.scheduled:,} = completed {total.completed:,} + failed {total.failed:,} "
        f"+ timed out {total.timed_out:,} + dropped {total.dropped:,}"
    )
    return Guard(
        name="accounting exact",
        ok=not problems and len(rows) > 0,
        detail="; ".join(problems) or (detail if len(rows) else "no request was recorded"),
        remedy="" if len(rows) and not problems else "Records are damaged or incomplete: measure again.",
    )


def _clock(rows: Rows, stretches: Sequence[_Stretch]) -> Guard:
    clock = rows.clock
    counts = {what: int(np.count_nonzero(clock & (1 << bit))) for bit, what in enumerate(FAULTS)}
    late = sum(each.falls for each in stretches)
    counts = {FAULTS[0]: counts.pop(FAULTS[0]), OUT_OF_ORDER: late, **counts}
    found = [f"{count:,} rows: {what}" for what, count in counts.items() if count]
    found += _out_of_turn([each for each in stretches if each.block >= 0 and each.arm >= 0])
    return Guard(
        name="clock monotonic",
        ok=not found,
        detail="; ".join(found) or f"due, sent, first byte, done: in this order in all {len(rows):,} rows",
        remedy="" if not found else "Times come from more than one clock, or records are damaged: measure again.",
    )


def _out_of_turn(stretches: Sequence[_Stretch]) -> Iterator[str]:
    """Blocks come one after the other; what is of one block was measured at one time, in both arms."""
    ended_ns, ahead = -np.inf, -1
    for block, each in groupby(stretches, key=lambda stretch: stretch.block):
        arms = list(each)
        begins, ends = [arm.begins_ns for arm in arms], [arm.ends_ns for arm in arms]
        if min(begins) < ended_ns:
            yield f"block {block} begins before block {ahead} ended"
        apart_ns = max(max(begins) - min(begins), max(ends) - min(ends))
        if apart_ns > max(APART_NS, APART * (max(ends) - min(begins))):
            yield f"the arms of block {block} were not measured at the same time"
        ended_ns, ahead = max(ends), block


def _warmed_up(stretches: Sequence[_Stretch], blocks: Sequence[Mapping[str, Any]], case: Case | None) -> Guard:
    """Whether both arms of each pair of blocks were sent the same warm-up: an arm that was sent less of it starts from
    a colder cache than the other."""
    pair_of: dict[int, tuple[str, int]] = {}
    for entry in blocks:
        pair = entry.get("pair")
        of_turns = "pair", pair if isinstance(pair, int) else -1
        pair_of[entry["block"]] = ("block", entry["block"]) if len(_arms(entry)) > 1 else of_turns
    pairs: dict[tuple[str, int], dict[int, list[_Stretch]]] = {}
    for each in stretches:
        if each.block in pair_of and each.arm >= 0:
            pairs.setdefault(pair_of[each.block], {}).setdefault(each.arm, []).append(each)
    problems, counts = [], []
    for pair in pairs.values():
        warm = [sorted(each.warmup for each in pair.get(arm, [])) for arm in range(len(ARMS))]
        counts += [count for of in warm for count, _, _ in of]
        if all(warm) and warm[0] != warm[1]:
            block = pair[0][0].block
            numbers = [sum(count for count, _, _ in of) for of in warm]
            told = f"{numbers[0]:,} warm-up requests before and {numbers[1]:,} after"
            problems.append(f"block {block}: {told}{', of other slots' if numbers[0] == numbers[1] else ''}")
    least, most = min(counts, default=0), max(counts, default=0)
    if not problems and not least and case is not None and case.plan.warmup:
        problems.append(
            f"the plan has {case.plan.warmup:g} s of warm-up, and there are blocks without one request of it"
        )
    detail = f"{least:,} warm-up requests" if least == most else f"{least:,} to {most:,} warm-up requests"
    return Guard(
        name=WARMED_UP,
        ok=not problems,
        detail="; ".join(problems) or f"{detail} in each arm of each block, the same in both arms",
        remedy="" if not problems else "Measure again: an arm that was sent less starts from a colder cache.",
    )


def _arms(entry: Mapping[str, Any]) -> Sequence[Any]:
    told = entry.get("arms")
    return told if isinstance(told, list) else ()


def _falls(slot: np.ndarray, due: np.ndarray) -> int:
    """How many rows of one block and arm are due before the slot ahead of them."""
    low, high = int(slot.min()), int(slot.max())
    if high - low + 1 == len(slot):
        # Answers come nearly in the order of slots, but not quite; where each slot is there once, each has its place.
        by_slot, place = np.full(len(slot), np.nan), slot - low
        by_slot[place] = due
        there = np.zeros(len(slot), dtype=bool)
        there[place] = True
        if there.all():
            return int(np.count_nonzero(by_slot[1:] < by_slot[:-1]))
    due = due[np.argsort(slot, kind="stable")]
    return int(np.count_nonzero(due[1:] < due[:-1]))


def _by_block_and_arm(rows: Rows) -> Iterator[Group]:
    """Each block and arm that has rows, in this order."""
    arm = rows.arm
    for block, inside in members(rows.block):
        of = arm[inside]
        for code in range(-1, len(ARMS)):
            mine = inside[of == code]
            if len(mine):
                yield block, code, mine.astype(np.int32) if len(rows) < NO_ROW else mine


def _engine(blocks: Sequence[Mapping[str, Any]]) -> Guard:
    silent, bad, added = [], [], []
    for entry in blocks:
        engine = entry.get("engine")
        if not isinstance(engine, Mapping) or not isinstance(engine.get("trustworthy"), bool):
            silent.append(str(entry.get("block")))
            continue
        if not engine["trustworthy"]:
            bad.append(f"block {entry.get('block')}: {engine.get('detail') or 'no detail was noted'}")
        most_ms = engine.get("added_p99_ms")
        if isinstance(most_ms, (int, float)) and abs(most_ms) < HOURS_MS:
            added.append(float(most_ms))
    if bad:
        detail, remedy = "; ".join(bad), "Lower workload.rate, or measure on a machine with more room."
    elif silent or not blocks:
        detail, remedy = f"no engine check was recorded (blocks {', '.join(silent) or 'none'})", "Measure again."
    else:
        most = f"; it added {max(added):.2g} ms at p99 in the worst of them" if added else ""
        detail, remedy = f"the load engine passed its check in all {len(blocks)} blocks{most}", ""
    return Guard(name="engine trustworthy", ok=not (bad or silent) and bool(blocks), detail=detail, remedy=remedy)


def _same_slots(comparison: Comparison, case: Case, pair_of: Mapping[int, int]) -> Guard:
    one, other = (side.rows for side in comparison.sides)
    if case.design == "side-by-side":
        first, second = comparison.same_slots
    else:
        # Both members of a pair of blocks replay the same schedule.
        first, second = same_requests((one.slot, other.slot), _pairs(one, other, pair_of))
    rows = len(one), len(other)
    alone = rows[0] + rows[1] - 2 * len(first)
    differ = (one.key[first] != other.key[second]) | (one.route[first] != other.route[second])
    differing = int(np.count_nonzero(differ))
    problems = []
    if not min(rows):
        empty = " and ".join(arm for arm, count in zip(ARMS, rows, strict=True) if not count)
        problems.append(f"no measured requests in the {empty} arm")
    elif alone:
        problems.append(f"{alone:,} of {sum(rows):,} requests have no partner in the other arm")
    if differing:
        problems.append(f"{differing:,} slots ask for something else in the other arm")
    return Guard(
        name="arms exposed to the same slots",
        ok=not problems,
        detail="; ".join(problems) or f"the same {len(first):,} slots, with the same routes and keys, in both arms",
        remedy="" if not problems else "Measure both arms again, from the same seed.",
    )


def _pairs(one: Rows, other: Rows, pair_of: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A number for the pair that the block of each row belongs to; a block without a partner has one of its own."""
    found = distinct(one.block), distinct(other.block)
    names = [[(block not in pair_of, pair_of.get(block, block)) for block in blocks.tolist()] for blocks, _ in found]
    number = {name: index for index, name in enumerate(sorted({*names[0], *names[1]}))}
    first, second = (np.array([number[name] for name in of], dtype=np.int32) for of in names)
    return first[found[0][1]], second[found[1][1]]


def _stationary(comparison: Comparison, case: Case) -> Guard:
    """Second half of the blocks against the first, in each arm.

    Side by side both arms are equally old at every instant, so a ramp that they share is fair to both, and worth no
    more than a note; ramps that differ would make the verdict a matter of the block's length.
    """
    name = "hit ratio stationary after warm-up"
    ramps: dict[str, float] = {}
    clear: dict[str, bool] = {}
    for arm, side in zip(ARMS, comparison.sides, strict=True):
        late = np.zeros(len(side.rows), dtype=bool)
        for _, inside in members(side.rows.block):
            slots = side.rows.slot[inside]
            late[inside] = slots >= (int(slots.min()) + int(slots.max()) + 1) // 2
        estimate = _later(side.rows, late)
        if estimate is not None:
            ramps[arm], low, high = estimate
            clear[arm] = low > 0 or high < 0
    if not ramps:
        return Guard(name=name, ok=True, detail="the hit ratio is not visible, so there is no ramp to look for")
    told = ", ".join(f"{points(ramp)} {arm}" for arm, ramp in ramps.items())
    detail = f"from the first to the second half of the blocks: {told}"
    steep = [arm for arm, ramp in ramps.items() if abs(ramp) > RAMP and clear[arm]]
    ok = not steep
    if steep and case.design == "side-by-side" and len(ramps) == 2:
        ok = abs(ramps["after"] - ramps["before"]) <= UNEQUAL_RAMP
        if ok:
            detail += "; still moving, in both arms alike: the comparison is fair, the levels are no steady state"
    return Guard(
        name=name,
        ok=ok,
        detail=detail,
        remedy="" if ok else "Raise plan.warmup until the hit ratio no longer climbs (or falls) inside a block.",
    )


def _later(rows: Rows, late: np.ndarray) -> tuple[float, float, float] | None:
    """(late - early, and its 99.9 % bounds) of the hit ratio: the halves as two arms, their batches apart."""
    early_rows, late_rows = rows.take(~late), rows.take(late)
    halves = by_batches(early_rows, late_rows)
    estimates = mean_estimates((early_rows.hit, late_rows.hit), halves, FixedSample(), 0.001)
    if estimates is None:
        return None
    return estimates.difference.value, estimates.difference.low, estimates.difference.high


def _keys(comparison: Comparison, case: Case) -> Guard:
    name = "enough distinct keys"
    keyed = [route.keys for route in case.workload.routes if route.keys is not None]
    if not keyed:
        return Guard(name=name, ok=True, detail="the routes have no keys")
    ranges = [keys.last - keys.first + 1 for keys in keyed if keys.first is not None and keys.last is not None]
    declared = max(ranges, default=FEWEST_KEYS)  # how many a file of keys holds is not known here
    keys_of = [distinct_values(side.rows.key + 1) for side in comparison.sides]  # 0 for none
    found = [int(np.count_nonzero(keys)) for keys in keys_of]
    wanted = min(FEWEST_KEYS, declared)
    ok = min(found) >= wanted
    return Guard(
        name=name,
        ok=ok,
        detail=f"{found[0]:,} distinct keys before, {found[1]:,} after"
        + (f"; {declared:,} declared for the widest route" if ranges else ""),
        remedy="" if ok else f"Ask for {wanted} keys at least (workload.routes.keys), or measure longer.",
    )


def _sample(comparison: Comparison) -> Guard:
    problems = []
    every = [side.rows.latency_ms for side in comparison.sides]
    counts = [int(np.isfinite(latency).sum()) for latency in every]
    numbers = [len(distinct_values(side.unit)) for side in comparison.sides]
    for arm, side, latency, count, units in zip(ARMS, comparison.sides, every, counts, numbers, strict=True):
        if count < FEWEST_ROWS:
            problems.append(f"{count:,} completed requests in the {arm} arm, fewer than {FEWEST_ROWS}")
        elif units < FEWEST_UNITS and comparison.paired:
            problems.append(f"only {units} batches in the {arm} arm")
        elif not _many(latency, max(3, count // 1000)):
            problems.append(f"the latencies of the {arm} arm are nearly all the same number: nothing was measured")
        elif told := _no_measurement(side.rows):
            problems.append(f"the {arm} arm {told}")
    if not problems and comparison.paired:
        first, second = comparison.same_slots
        latencies = [latency[index] for latency, index in zip(every, (first, second), strict=True)]
        if len(first) and float(np.mean(latencies[0] == latencies[1])) > 0.5:
            problems.append("both arms have the same latencies to the nanosecond: one is a copy of the other")
    return Guard(
        name="sample size sane",
        ok=not problems,
        detail="; ".join(problems)
        or f"{counts[0]:,} completed requests before, {counts[1]:,} after, in {min(numbers)} units or more in each arm",
        remedy="" if not problems else "Measure longer (plan.block, plan.blocks) or at a higher workload.rate.",
    )


def _many(values: np.ndarray, wanted: int) -> bool:
    """Whether so many different numbers are there; the first ones tell, mostly."""
    some = (values[: 8 * wanted], values)
    return any(len(np.unique(part[np.isfinite(part)])) >= wanted for part in some)


def _no_measurement(rows: Rows) -> str:
    """What shows that the times of these rows were not measured, or too coarsely to tell anything; empty where nothing
    does. Some thousands of rows tell."""
    some = rows.take(np.arange(0, len(rows), max(1, len(rows) // 5000)))
    latency_ns = some.latency_ms * 1e6
    there = np.isfinite(latency_ns)
    latency_ns, left_ns = np.round(latency_ns[there]), some.left[there]
    # `left` is rounded where it is long.
    if np.count_nonzero(latency_ns - left_ns <= np.spacing(left_ns)) > MOST_AT_ONCE * len(latency_ns):
        return "was answered at the instant it was asked: nothing was measured"
    if not np.any(latency_ns % COARSE_NS):
        return f"has times in steps of {COARSE_NS / 1e6:g} ms or more: too coarse to compare"
    return ""


def _answers(comparison: Comparison) -> Guard:
    """Latency, hit ratio and the rest come from the answers that were as expected. Where many were not, a service that
    broke would look fast; without a goal for the error rate, nothing else would notice."""
    shares = []
    for side in comparison.sides:
        sent = side.rows.error != DROPPED
        shares.append(float(np.mean(side.rows.error[sent] != NO_ERROR)) if sent.any() else 0.0)
    ok = max(shares) <= LARGEST_FAILED_SHARE
    return Guard(
        name="answers as expected",
        ok=ok,
        detail=f"failed, timed out or unexpected: {percent(shares[0])} before, {percent(shares[1])} after",
        remedy="" if ok else "Look at the failed requests; set a goal for error_rate, so that they are judged.",
    )


def _dropped(comparison: Comparison) -> Guard:
    shares = [float(np.mean(side.rows.error == DROPPED)) if len(side.rows) else 0.0 for side in comparison.sides]
    ok = max(shares) <= MOST_DROPPED
    return Guard(
        name="dropped share small",
        ok=ok,
        detail=f"never sent (the engine was at its limit): {percent(shares[0])} before, {percent(shares[1])} after",
        remedy=""
        if ok
        else "Lower workload.rate, or give the service more room: what was never sent was never measured.",
    )

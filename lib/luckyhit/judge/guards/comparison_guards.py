"""Guards on the measured rows of both arms. Missing evidence is never a pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.tallies import tallies
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.intervals import mean_estimates
from luckyhit.judge.table.row_order import same_requests
from luckyhit.judge.table.rows import (
    ARMS,
    DROPPED,
    NO_ERROR,
    WRONG_ANSWER,
    RequestTable,
    Runs,
)
from luckyhit.judge.table.samples import Comparison, by_batches
from luckyhit.records import Guard, GuardId
from luckyhit.text.numbers import percent, points

FEWEST_ROWS = 100
FEWEST_UNITS = 4
FEWEST_KEYS = 10
MOST_DROPPED = 0.01
RAMP, UNEQUAL_RAMP = 0.15, 0.25
"""Change of the hit ratio from the first to the second half of the blocks that counts as a ramp: in an arm; and how
far the ramps of two arms measured side by side may differ."""
MOST_INSTANT = 0.01
"""Of the answers: those at the instant of the request."""
COARSE_NS = 1e5
"""A clock with such steps, or longer ones, is too coarse for a cache."""

LARGEST_FAILED_SHARE = 0.01
"""Of the requests sent to an arm, where the case has no goal for the error rate."""


def same_slots_guard(comparison: Comparison, case: Case, pair_of: Mapping[int, int]) -> Guard:
    one, other = (side.rows for side in comparison.sides)
    rows = len(one), len(other)
    if design_of(case).arms_together and comparison.in_step:
        both = len(one)
        differing = sum(_differing(before, after) for (before, _), (after, _) in comparison.parts())
    else:
        # Both members of a pair of blocks replay the same schedule.
        first, second = (
            comparison.same_slots
            if design_of(case).arms_together
            else same_requests((one.slot, other.slot), _pairs(one, other, pair_of))
        )
        both, differing = len(first), _differing(one.take(first), other.take(second))
    alone = rows[0] + rows[1] - 2 * both
    problems = []
    if not min(rows):
        empty = " and ".join(arm for arm, count in zip(ARMS, rows, strict=True) if not count)
        problems.append(f"no measured requests in the {empty} arm")
    elif alone:
        problems.append(f"{alone:,} of {sum(rows):,} requests have no partner in the other arm")
    if differing:
        problems.append(f"{differing:,} slots have another route or key in the other arm")
    return Guard(
        id="arms-exposed-to-the-same-slots",
        ok=not problems,
        detail="; ".join(problems) or f"the same {both:,} slots, with the same routes and keys, in both arms",
    )


def _differing(before: RequestTable, after: RequestTable) -> int:
    """In how many of these rows, pair by pair, another key or route was asked for."""
    return int(np.count_nonzero((before.key != after.key) | (before.route != after.route)))


def _pairs(one: RequestTable, other: RequestTable, pair_of: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A number for the pair that the block of each row belongs to; a block without a partner has one of its own."""
    runs = one.runs(), other.runs()
    names = [[(block not in pair_of, pair_of.get(block, block)) for block in arm.block.tolist()] for arm in runs]
    number = {name: index for index, name in enumerate(sorted({*names[0], *names[1]}))}
    first, second = (
        np.repeat(np.array([number[name] for name in of_arm], dtype=np.int32), arm.rows)
        for of_arm, arm in zip(names, runs, strict=True)
    )
    return first, second


def stationary_guard(comparison: Comparison, case: Case) -> Guard:
    """Second half of the blocks against the first, in each arm.

    Side by side both arms are equally old at every instant, so a ramp that they share is fair to both, and worth no
    more than a note; ramps that differ would make the verdict a matter of the block's length.
    """
    id: GuardId = "hit-ratio-stationary-after-warm-up"
    ramps: dict[str, float] = {}
    clear: dict[str, bool] = {}
    for arm, side in zip(ARMS, comparison.sides, strict=True):
        late = np.zeros(len(side.rows), dtype=bool)
        runs = side.rows.runs()
        for block in np.unique(runs.block).tolist():
            own = runs.block == block
            slots = side.rows.of_runs(runs, own).slot
            late[_places(runs, own)] = slots >= (int(slots.min()) + int(slots.max()) + 1) // 2
        estimate = _later(side.rows, late)
        if estimate is not None:
            ramps[arm], low, high = estimate
            clear[arm] = low > 0 or high < 0
    if not ramps:
        answers = [int(np.count_nonzero(np.isfinite(side.rows.hit))) for side in comparison.sides]
        detail = "the hit ratio is not visible, so a ramp can't be seen"
        if any(answers):
            detail = f"too few answers showed a cache status to see a ramp: {answers[0]:,} before, "
            detail += f"{answers[1]:,} after"
        return Guard(id=id, ok=True, detail=detail)
    ramps_text = ", ".join(f"{points(ramp)} {arm}" for arm, ramp in ramps.items())
    detail = f"from the first to the second half of the blocks: {ramps_text}"
    steep = [arm for arm, ramp in ramps.items() if abs(ramp) > RAMP and clear[arm]]
    ok = not steep
    if steep and design_of(case).arms_together and len(ramps) == 2:
        ok = abs(ramps["after"] - ramps["before"]) <= UNEQUAL_RAMP
        if ok:
            detail += "; still moving, in both arms alike: the comparison is fair, without a steady state"
    return Guard(
        id=id,
        ok=ok,
        detail=detail,
    )


def _places(runs: Runs, chosen: np.ndarray) -> slice | np.ndarray:
    """Where the rows of some runs stand."""
    parts = list(zip(runs.first[chosen].tolist(), runs.stop[chosen].tolist(), strict=True))
    return slice(*parts[0]) if len(parts) == 1 else np.concatenate([np.arange(*part) for part in parts])


def _later(rows: RequestTable, late: np.ndarray) -> tuple[float, float, float] | None:
    """(late - early, and its 99.9 % bounds) of the hit ratio: the halves as two arms, their batches apart."""
    early_rows, late_rows = rows.take(~late), rows.take(late)
    halves = by_batches(early_rows, late_rows)
    hits = tallies(["hit_ratio"], halves)["hit_ratio"].arms
    estimates = mean_estimates((hits[0].units, hits[1].units), halves, FixedSample(), 0.001)
    if estimates is None:
        return None
    return estimates.difference.value, estimates.difference.low, estimates.difference.high


def keys_guard(comparison: Comparison, case: Case, listed: Mapping[str, int] = {}) -> Guard:
    """`listed`: how many keys there are, by route whose keys are from a file, as far as is known."""
    id: GuardId = "enough-distinct-keys"
    keyed = {route.name: route.keys for route in case.workload.routes if route.keys is not None}
    if not keyed:
        return Guard(id=id, ok=True, detail="the routes have no keys")
    sizes = [keys.last - keys.first + 1 for keys in keyed.values() if keys.first is not None and keys.last is not None]
    sizes += [listed[name] for name in keyed if name in listed]
    declared = max(sizes, default=FEWEST_KEYS)
    counts = [_distinct_keys(side.rows) for side in comparison.sides]
    wanted = min(FEWEST_KEYS, declared)
    ok = min(counts) >= wanted
    return Guard(
        id=id,
        ok=ok,
        detail=f"{counts[0]:,} distinct keys before, {counts[1]:,} after"
        + (f"; {declared:,} declared for the widest route" if sizes else ""),
        remedy="" if ok else f"Ask for {wanted} keys at least (workload.routes.keys), or measure longer.",
    )


def _distinct_keys(rows: RequestTable) -> int:
    asked = np.zeros(1, dtype=bool)
    for part in rows.parts():
        key = part.key
        most = int(key.max())
        if most >= len(asked):
            asked = np.append(asked, np.zeros(most + 1, dtype=bool))
        asked[key[key >= 0]] = True
    return int(np.count_nonzero(asked))


def sample_guard(comparison: Comparison) -> Guard:
    problems = []
    counts = [
        sum(int(np.count_nonzero(np.isfinite(rows.latency_ms))) for rows in side.rows.parts())
        for side in comparison.sides
    ]
    numbers = [int(np.count_nonzero(side.units.sizes)) for side in comparison.sides]
    for arm, side, count, units in zip(ARMS, comparison.sides, counts, numbers, strict=True):
        if count < FEWEST_ROWS:
            problems.append(f"{count:,} completed requests in the {arm} arm, fewer than {FEWEST_ROWS}")
        elif units < FEWEST_UNITS and comparison.paired:
            problems.append(f"only {units} batches in the {arm} arm")
        elif not _many(side.rows, max(3, count // 1000)):
            problems.append(f"the latencies of the {arm} arm are nearly all the same number: nothing was measured")
        elif reason := _no_measurement(side.rows):
            problems.append(f"the {arm} arm {reason}")
    if not problems and comparison.paired:
        pairs: Iterable[tuple[RequestTable, RequestTable]]
        if comparison.in_step:
            pairs = ((before, after) for (before, _), (after, _) in comparison.parts())
        else:
            first, second = comparison.same_slots
            pairs = [(comparison.before.rows.take(first), comparison.after.rows.take(second))]
        alike = [(int(np.count_nonzero(one.latency_ms == other.latency_ms)), len(one)) for one, other in pairs]
        if sum(same for same, _ in alike) > 0.5 * sum(count for _, count in alike):
            problems.append("both arms have the same latencies to the nanosecond: one is a copy of the other")
    return Guard(
        id="sample-size-sane",
        ok=not problems,
        detail="; ".join(problems)
        or f"{counts[0]:,} completed requests before, {counts[1]:,} after, in {min(numbers)} units or more in each arm",
    )


def _many(rows: RequestTable, wanted: int) -> bool:
    """Whether there are `wanted` different latencies; the first ones are mostly enough."""
    some = (part.latency_ms for part in (rows.part(0, min(8 * wanted, len(rows))), rows))
    return any(len(np.unique(latency[np.isfinite(latency)])) >= wanted for latency in some)


def _no_measurement(rows: RequestTable) -> str:
    """Why the times of some thousands of these rows can't have been measured, or are too coarse; empty where they are
    fine."""
    some = rows.take(np.arange(0, len(rows), max(1, len(rows) // 5000)))
    latency_ns = some.latency_ms * 1e6
    finite = np.isfinite(latency_ns)
    latency_ns, delay_ns = np.round(latency_ns[finite]), some.send_delay_ns[finite]
    # `send_delay_ns` is rounded where it is long.
    if np.count_nonzero(latency_ns - delay_ns <= np.spacing(delay_ns)) > MOST_INSTANT * len(latency_ns):
        return "was answered at the instant it was asked: nothing was measured"
    if not np.any(latency_ns % COARSE_NS):
        return f"has times in steps of {COARSE_NS / 1e6:g} ms or more: too coarse to compare"
    return ""


def answers_guard(comparison: Comparison, case: Case) -> Guard:
    """Latency, hit ratio and the rest come from the answers that were as expected. Where many were not, a broken
    service would look fast, and without a goal for the error rate nothing else shows it. Wrong answers are judged where
    they have a goal of their own."""
    id: GuardId = "answers-as-expected"
    judged = "wrong_answers" in case.goals
    shares = []
    for arm, side in zip(ARMS, comparison.sides, strict=True):
        error = side.rows.error[side.rows.error != DROPPED]
        if not len(error):
            return _no_evidence(id, f"no request was sent to the {arm} arm")
        failed = (error != NO_ERROR) & ~(judged & (error == WRONG_ANSWER))
        shares.append(float(np.mean(failed)))
    ok = max(shares) <= LARGEST_FAILED_SHARE
    return Guard(
        id=id,
        ok=ok,
        detail=f"failed, timed out or unexpected: {percent(shares[0])} before, {percent(shares[1])} after",
    )


def _no_evidence(id: GuardId, detail: str) -> Guard:
    return Guard(id=id, ok=False, detail=detail, remedy="Measure again.")


def dropped_guard(comparison: Comparison) -> Guard:
    id: GuardId = "dropped-share-small"
    if empty := [arm for arm, side in zip(ARMS, comparison.sides, strict=True) if not len(side.rows)]:
        return _no_evidence(id, f"the {empty[0]} arm has no requests")
    shares = [float(np.mean(side.rows.error == DROPPED)) for side in comparison.sides]
    ok = max(shares) <= MOST_DROPPED
    return Guard(
        id=id,
        ok=ok,
        detail=f"never sent (the engine was at its limit): {percent(shares[0])} before, {percent(shares[1])} after",
    )

"""The guard on the caches at the start of each block: the blocks of both arms have to start from the same state.

Where everything can be cleared, that is what a clear leaves behind; where the arms take turns on a service that goes
on, what the wash-out left; where the cache is inside the service's processes, a process that was started anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.table.rows import ARMS
from luckyhit.records import Guard, GuardId
from luckyhit.records.manifest import ClearNotes, NotedBlock

_GUARD: GuardId = "same-cache-state-at-block-start"
STATE_KEYS, STATE_SHARE = 2, 0.02
"""The cache of one arm may start with this many keys in scope, or this share of them, more or less than the other."""
OUTSIDE_KEYS, OUTSIDE_SHARE = 10, 0.1
"""The same of keys outside the scope: these are never cleared, and the arms are counted one after the other."""
DRIFT = 2.0
"""Where arms take turns, keys that are never cleared may grow in number from block to block: a gap between the arms
counts beyond so many steps of that growth."""
MOST_NAMED = 3


def cache_state_guard(blocks: Sequence[NotedBlock], case: Case) -> Guard:
    """The keys that each arm's cache started a block of the change with: those that the clear left alone. Arm is held
    against arm, block by block: what both start with, such as data that is never cleared, is fair."""
    if not blocks or any(block.clear is None for block in blocks):
        return Guard(id=_GUARD, ok=False, detail="no clear was recorded", remedy="Measure again.")
    reports: dict[str, list[tuple[int, ClearNotes]]] = {arm: [] for arm in ARMS}
    for block in blocks:
        for arm in ARMS:
            if report := block.cleared(arm):
                reports[arm].append((block.block, report))
    if not any(reports.values()):
        return _uncleared(blocks, case)
    for block in blocks:
        without = [arm for arm in ARMS if arm in block.arms and not block.cleared(arm)]
        if without:
            detail = f"no clear was recorded in the {without[0]} arm before block {block.block}"
            return Guard(id=_GUARD, ok=False, detail=detail, remedy="Measure again.")
    if not all(reports.values()):
        detail = f"no clear was recorded in the {next(arm for arm in ARMS if not reports[arm])} arm"
        return Guard(id=_GUARD, ok=False, detail=detail, remedy="Measure again.")
    cleared = sum((report.cleared or 0) for arm in ARMS for _, report in reports[arm])
    done = f"{cleared:,} keys cleared before {len(blocks)} blocks"
    if not _goes_on(case):
        return _own_caches(reports, case, done)
    # Keys outside the scope are others' there and come and go; so do a few inside it, while others go on asking. What
    # counts is whether one arm's blocks begin with more than the other's.
    matched = max(report.matched or 0 for arm in ARMS for _, report in reports[arm])
    if not matched:
        return _uncleared(blocks, case, f"no key in scope was there before any of {len(blocks)} blocks")
    left = [[_left(report) for _, report in reports[arm]] for arm in ARMS]
    ok = _gap(left) <= max(STATE_KEYS, STATE_SHARE * matched)
    counted = " and ".join(f"{_range(min(counts), max(counts))} {arm}" for arm, counts in zip(ARMS, left, strict=True))
    return Guard(
        id=_GUARD,
        ok=ok,
        detail=f"{done}; keys in scope that were left, or back at once: {counted}",
        remedy=""
        if ok
        else "Others fill the cache again meanwhile: measure at a quieter hour, or mark keys that may "
        "go as cache.rebuildable.",
    )


def _own_caches(reports: Mapping[str, list[tuple[int, ClearNotes]]], case: Case, done: str) -> Guard:
    """Caches of the run's own, where nobody but the service writes."""
    pairs = list(zip(*(reports[arm] for arm in ARMS), strict=False))
    for (block, one), (other_block, other) in pairs:
        counts = one.appeared or 0, other.appeared or 0
        matched = max(one.matched or 0, other.matched or 0)
        if abs(counts[0] - counts[1]) > max(STATE_KEYS, STATE_SHARE * matched):
            where = f"block {block}" if block == other_block else f"blocks {block} and {other_block}"
            return Guard(
                id=_GUARD,
                ok=False,
                detail=f"{done}; keys in scope that were there again at the start of {where}: {counts[0]:,} before, "
                f"{counts[1]:,} after",
                remedy="Something writes to the cache of one arm between the clear and the load: a job that the "
                "service begins with, or a process that outlived its restart.",
            )
    kept = [[_standing(report) for _, report in reports[arm]] for arm in ARMS]
    counted = " and ".join(f"{_range(min(counts), max(counts))} {arm}" for arm, counts in zip(ARMS, kept, strict=True))
    detail = f"{done}; keys that are not cleared, at the start of the blocks: {counted}"
    exact = all(report.outside_left is not None for arm in ARMS for _, report in reports[arm])
    problem = _apart(pairs) if design_of(case).arms_together and exact else _one_sided(kept)
    if not problem:
        return Guard(id=_GUARD, ok=True, detail=detail)
    more = max(ARMS, key=lambda arm: sum(kept[ARMS.index(arm)]))
    named = next((report.outside_keys for _, report in reports[more] if report.outside_keys), [])
    names = ", ".join(f"'{name}'" for name in named[:MOST_NAMED])
    return Guard(
        id=_GUARD,
        ok=False,
        detail=f"{detail}; {problem}{f' (outside the scope {more}: {names})' if names else ''}",
        remedy="One arm begins its blocks with more than the other. If those keys are data, have both services write "
        "the same; if the service's reads stored them, and can do so again, name them in cache.clear.",
    )


def _apart(pairs: Sequence[tuple[tuple[int, ClearNotes], tuple[int, ClearNotes]]]) -> str:
    """Blocks in which the arms, side by side, did not start with the same number of keys; "" where all did."""
    differ = []
    for (block, one), (_, other) in pairs:
        counts = _standing(one), _standing(other)
        if abs(counts[0] - counts[1]) > max(OUTSIDE_KEYS, OUTSIDE_SHARE * max(counts)):
            differ.append(f"block {block}: {counts[0]:,} before, {counts[1]:,} after")
    return "; ".join(differ[:MOST_NAMED])


def _one_sided(kept: Sequence[Sequence[int]]) -> str:
    """Whether each block of one arm started with more than each of the other, and by more than either arm's own number
    moves from one block to its next."""
    steps = [abs(later - earlier) for counts in kept for earlier, later in pairwise(counts)]
    most = max(max(counts) for counts in kept)
    allowed = max(OUTSIDE_KEYS, OUTSIDE_SHARE * most, DRIFT * max(steps, default=0))
    gap = _gap(kept)
    return f"one arm has {gap:,} more at least" if gap > allowed else ""


def _gap(counts: Sequence[Sequence[int]]) -> int:
    """By how much each block of one arm has more than each of the other; negative where they overlap."""
    one, other = counts
    return max(min(one) - max(other), min(other) - max(one))


def _standing(report: ClearNotes) -> int:
    """Keys that are not cleared: outside the scope, or in it and never expiring. Earlier versions took the server's
    word for those outside, which has keys that expired: what went during the clear is taken off."""
    outside = report.outside_left
    if outside is None:
        outside = max(0, (report.outside or 0) - (report.outside_gone or 0))
    return outside + (report.without_ttl_kept or 0)


def _goes_on(case: Case) -> bool:
    """Whether others use the cache, too: it was there before the run, and stays."""
    return case.target.url is not None or case.cache.url_env is not None


def _uncleared(blocks: Sequence[NotedBlock], case: Case, why: str = "nothing was cleared") -> Guard:
    if all(block.purge for block in blocks):
        return Guard(id=_GUARD, ok=True, detail=f"the cache in front was purged before each of {len(blocks)} blocks")
    if not _goes_on(case):
        return _started_anew(blocks)
    if all(block.washout for block in blocks):
        return Guard(id=_GUARD, ok=True, detail=f"{why}: each block starts from what its wash-out left")
    return Guard(
        id=_GUARD,
        ok=False,
        detail=f"the cache went on with what it held: {why} or purged, and nothing washed out",
        remedy="Declare cache.clear or cache.purge, or give plan.washout some time.",
    )


def _started_anew(blocks: Sequence[NotedBlock]) -> Guard:
    """Caches inside the service's own processes are empty where each block had new ones: the process of each arm is
    noted, and is another one in each block."""
    earlier: dict[str, int] = {}
    for block in blocks:
        for arm in block.arms:
            process = block.started.get(arm)
            if process is None or process == earlier.get(arm):
                same = "it was the same process as before"
                why = "nothing tells that it was started anew" if process is None else same
                return Guard(
                    id=_GUARD,
                    ok=False,
                    detail=f"the service of the {arm} arm may have begun block {block.block} with what it held: {why}",
                    remedy="Measure again.",
                )
            earlier[arm] = process
    detail = (
        f"no cache but that inside the processes: the services were started anew before each of {len(blocks)} blocks"
    )
    return Guard(id=_GUARD, ok=True, detail=detail)


def _left(report: ClearNotes) -> int:
    return (report.without_ttl_kept or 0) + (report.appeared or 0)


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


__all__ = ["cache_state_guard"]

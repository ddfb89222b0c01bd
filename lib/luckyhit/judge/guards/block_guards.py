"""Guards on what the manifest notes of each block: what its caches held at its start, whether it was washed out, what
stopped it, and whether the load engine kept time.

The blocks of both arms have to start from the same cache state. Where everything can be cleared, that is what a clear
leaves behind; where the arms take turns on a service that goes on, what the wash-out left; where the cache is inside
the service's processes, a process that was started anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.table.rows import ARMS
from luckyhit.records import Guard, GuardId
from luckyhit.records.manifest import ClearNotes, LimitNotes, NotedBlock
from luckyhit.text.numbers import number, percent

_STATE: GuardId = "same-cache-state-at-block-start"
STATE_KEYS, STATE_SHARE = 2, 0.02
"""The cache of one arm may start with this many keys in scope, or this share of them, more or less than the other."""
OUTSIDE_KEYS, OUTSIDE_SHARE = 10, 0.1
"""The same of keys outside the scope: these are never cleared, and the arms are counted one after the other."""
DRIFT = 2.0
"""Where arms take turns, keys that are never cleared may grow in number from block to block: a gap between the arms
counts beyond this many steps of that growth."""
MOST_NAMED = 3
HOURS_MS = 1e9
"""No engine adds so much: a longer time is not a time."""


def cache_state_guard(blocks: Sequence[NotedBlock], case: Case) -> Guard:
    """The keys that each arm's cache held at the start of a block of the change. Arm is compared with arm, block by
    block: what both start with, such as data that is never cleared, is fair."""
    if not blocks or any(block.clear is None for block in blocks):
        return _failed("no clear was recorded", "Measure again.")
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
            return _failed(
                f"no clear was recorded in the {without[0]} arm before block {block.block}", "Measure again."
            )
    if not all(reports.values()):
        missing = next(arm for arm in ARMS if not reports[arm])
        return _failed(f"no clear was recorded in the {missing} arm", "Measure again.")
    cleared = sum((report.cleared or 0) for arm in ARMS for _, report in reports[arm])
    done = f"{cleared:,} keys cleared before {len(blocks)} blocks"
    if not _goes_on(case):
        return _own_caches(reports, case, done)
    # Keys outside the scope are others' there and come and go; so do a few inside it, while others go on asking. What
    # counts is whether one arm's blocks begin with more than the other's.
    matched = max(report.matched or 0 for arm in ARMS for _, report in reports[arm])
    if not matched:
        return _uncleared(blocks, case, f"no key in scope was there before any of {len(blocks)} blocks")
    kept = [[(report.without_ttl_kept or 0) + (report.appeared or 0) for _, report in reports[arm]] for arm in ARMS]
    detail = f"{done}; keys in scope that were left, or back at once: {_ranges(kept)}"
    if _gap(kept) <= max(STATE_KEYS, STATE_SHARE * matched):
        return Guard(id=_STATE, ok=True, detail=detail)
    return _failed(
        detail,
        "Others fill the cache again meanwhile: measure at a quieter hour, or mark keys that may go as "
        "cache.rebuildable.",
    )


def _own_caches(reports: Mapping[str, list[tuple[int, ClearNotes]]], case: Case, done: str) -> Guard:
    """Caches of the run's own, where nobody but the service writes."""
    pairs = list(zip(*(reports[arm] for arm in ARMS), strict=False))
    for (block, one), (other_block, other) in pairs:
        counts = one.appeared or 0, other.appeared or 0
        matched = max(one.matched or 0, other.matched or 0)
        if abs(counts[0] - counts[1]) > max(STATE_KEYS, STATE_SHARE * matched):
            where = f"block {block}" if block == other_block else f"blocks {block} and {other_block}"
            return _failed(
                f"{done}; keys in scope that were there again at the start of {where}: {counts[0]:,} before, "
                f"{counts[1]:,} after",
                "Something writes to the cache of one arm between the clear and the load: a job that the service "
                "begins with, or a process that outlived its restart.",
            )
    kept = [[_uncleared_keys(report) for _, report in reports[arm]] for arm in ARMS]
    detail = f"{done}; keys that are not cleared, at the start of the blocks: {_ranges(kept)}"
    exact = all(report.outside_left is not None for arm in ARMS for _, report in reports[arm])
    problem = _apart(pairs) if design_of(case).arms_together and exact else _one_sided(kept)
    if not problem:
        return Guard(id=_STATE, ok=True, detail=detail)
    more = max(ARMS, key=lambda arm: sum(kept[ARMS.index(arm)]))
    examples = next((report.outside_keys for _, report in reports[more] if report.outside_keys), [])
    names = ", ".join(f"'{name}'" for name in examples[:MOST_NAMED])
    return _failed(
        f"{detail}; {problem}{f' (outside the scope {more}: {names})' if names else ''}",
        "One arm begins its blocks with more than the other. If those keys are data, have both services write the "
        "same; if the service's reads stored them, and can do so again, name them in cache.clear.",
    )


def _apart(pairs: Sequence[tuple[tuple[int, ClearNotes], tuple[int, ClearNotes]]]) -> str:
    """Blocks in which the arms, side by side, did not start with the same number of keys; "" where all did."""
    differ = []
    for (block, one), (_, other) in pairs:
        counts = _uncleared_keys(one), _uncleared_keys(other)
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


def _uncleared_keys(report: ClearNotes) -> int:
    """Keys that are not cleared: outside the scope, or in it and never expiring. Runs of earlier versions have the
    server's count of those outside, which includes expired keys: what went during the clear is taken off."""
    outside = report.outside_left
    if outside is None:
        outside = max(0, (report.outside or 0) - (report.outside_gone or 0))
    return outside + (report.without_ttl_kept or 0)


def _goes_on(case: Case) -> bool:
    """Whether others use the cache, too: it was there before the run, and stays."""
    return case.target.url is not None or case.cache.url_env is not None


def _uncleared(blocks: Sequence[NotedBlock], case: Case, why: str = "nothing was cleared") -> Guard:
    if all(block.purge for block in blocks):
        return Guard(id=_STATE, ok=True, detail=f"the cache in front was purged before each of {len(blocks)} blocks")
    if not _goes_on(case):
        return _started_anew(blocks)
    if all(block.washout for block in blocks):
        return Guard(id=_STATE, ok=True, detail=f"{why}: each block starts from what its wash-out left")
    return _failed(
        f"the cache went on with what it held: {why} or purged, and nothing washed out",
        "Declare cache.clear or cache.purge, or give plan.washout some time.",
    )


def _started_anew(blocks: Sequence[NotedBlock]) -> Guard:
    """Caches inside the service's own processes are empty where each block had new ones: the process of each arm is
    noted, and is another one in each block."""
    last: dict[str, int] = {}
    for block in blocks:
        for arm in block.arms:
            process = block.started.get(arm)
            if process is None or process == last.get(arm):
                why = "no new process was noted" if process is None else "it was the same process as before"
                where = f"the service of the {arm} arm may have begun block {block.block} with what it held"
                return _failed(f"{where}: {why}", "Measure again.")
            last[arm] = process
    anew = f"the services were started anew before each of {len(blocks)} blocks"
    return Guard(id=_STATE, ok=True, detail=f"the only cache is inside the processes, and {anew}")


def _failed(detail: str, remedy: str) -> Guard:
    return Guard(id=_STATE, ok=False, detail=detail, remedy=remedy)


def _ranges(counts: Sequence[Sequence[int]]) -> str:
    """`5 to 12 before and 3 after`"""
    ends = [(min(of_arm), max(of_arm)) for of_arm in counts]
    texts = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in ends]
    return " and ".join(f"{text} {arm}" for text, arm in zip(texts, ARMS, strict=True))


def washed_out_guard(blocks: Sequence[NotedBlock]) -> Guard | None:
    """Whether the hit ratio stood still before each of these blocks was measured; None where none was washed out."""
    washed = [block for block in blocks if block.washout]
    if not washed:
        return None
    seconds = [block.washout.seconds or 0.0 for block in washed]
    low, high = f"{min(seconds):.3g}", f"{max(seconds):.3g}"
    detail = f"{len(washed)} wash-outs of {low if low == high else f'{low} to {high}'} s"
    without = [str(block.block) for block in blocks if not block.washout]
    moving = [str(block.block) for block in washed if block.washout.settled is False]
    unknown = sum(block.washout.settled is not True for block in washed)
    remedy = ""
    if without:
        detail += f"; none was noted before block {', '.join(without)}"
        remedy = "Measure again: an arm that was not washed out starts from what the other left."
    elif moving:
        detail += f"; the hit ratio still moved before block {', '.join(moving)}"
        remedy = "Raise plan.washout until the hit ratio stands still before a block is measured."
    elif unknown:
        detail += f"; too few answers showed a cache status to see whether it stood still before {unknown} of them"
    else:
        detail += "; the hit ratio stood still"
    return Guard(id="washed-out", ok=not remedy, detail=detail, remedy=remedy)


def limits_guard(blocks: Sequence[NotedBlock]) -> Guard | None:
    """Whether the engine had to stop for the target's users, in any block; None where no limit was watched."""
    watched = [block.limits for block in blocks]
    stopped = [limits.stopped for limits in watched if limits.stopped]
    if stopped:
        return Guard(
            id="within-the-targets-limits",
            ok=False,
            detail=stopped[0],
            remedy="Find out why the service failed or slowed down, and lower workload.rate; raise target.limits only "
            "where its users can bear that.",
        )
    if not any(watched):
        return None
    timed = [block for block in blocks if block.stage != "wash-out"]
    count = sum(bool(block.limits) for block in timed)
    total = "blocks" if count == len(timed) else f"of {len(timed)} blocks"
    return Guard(
        id="within-the-targets-limits",
        ok=True,
        detail=f"watched in {count} {total}, and never exceeded: {_limits(watched)}",
    )


def _limits(watched: Sequence[LimitNotes]) -> str:
    last = next(limits for limits in reversed(watched) if limits)
    return ", ".join(_limit(last)) or "the limits were not noted"


def _limit(limits: LimitNotes) -> Iterator[str]:
    if limits.error_rate:
        yield f"{percent(limits.error_rate)} of the requests failed"
    if limits.p99_ms:
        yield f"a p99 of {number(limits.p99_ms)} ms"


def engine_guard(blocks: Sequence[NotedBlock]) -> Guard:
    unchecked, bad, added = [], [], []
    for noted in blocks:
        engine = noted.engine
        if engine.trustworthy is None:
            unchecked.append(str(noted.block))
            continue
        if not engine.trustworthy:
            bad.append(f"block {noted.block}: {engine.detail or 'no detail was noted'}")
        if engine.added_p99_ms is not None and abs(engine.added_p99_ms) < HOURS_MS:
            added.append(engine.added_p99_ms)
    if bad:
        # The first in whole: on a busy machine it is the same in a dozen of them.
        more = f"; and in {len(bad) - 1} more of {len(blocks)} blocks" if len(bad) > 1 else ""
        detail, remedy = f"{bad[0].rstrip('.')}{more}", "Lower workload.rate, or measure on a machine with more room."
    elif unchecked or not blocks:
        detail, remedy = f"no engine check was recorded (blocks {', '.join(unchecked) or 'none'})", "Measure again."
    else:
        most = f"; it added {max(added):.2g} ms at p99 in the worst of them" if added else ""
        detail, remedy = f"the load engine passed its check in all {len(blocks)} blocks{most}", ""
    return Guard(id="engine-trustworthy", ok=not (bad or unchecked) and bool(blocks), detail=detail, remedy=remedy)

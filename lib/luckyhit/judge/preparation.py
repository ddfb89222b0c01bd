"""Guards on what the manifest notes of each block: how it was brought to its start, and what stopped it.

The blocks of both arms have to start from the same state. Where everything can be cleared, that is what a clear leaves
behind; where the arms take turns on a service that goes on, it is what the wash-out left: a still hit ratio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from luckyhit.case import Case
from luckyhit.judge.samples import ARMS
from luckyhit.judge.wording import number, percent
from luckyhit.records import Guard

STATE = "same cache state at block start"
WASHED_OUT = "washed out"
LIMITS = "within the target's limits"
STATE_KEYS, STATE_SHARE = 2, 0.02
"""The caches of two arms may start with this many keys, or this share of them, more or less than each other."""

Entries = Sequence[Mapping[str, Any]]


def cache_state_guard(blocks: Entries, case: Case) -> Guard:
    """The keys that each arm's cache started a block of the change with: those that the clear left alone."""
    if not blocks or any(not isinstance(entry.get("clear"), Mapping) for entry in blocks):
        return Guard(name=STATE, ok=False, detail="no clear was recorded", remedy="Measure again.")
    reports: dict[str, list[Mapping[str, Any]]] = {arm: [] for arm in ARMS}
    for entry in blocks:
        for arm, report in entry["clear"].items():
            if arm in reports and isinstance(report, Mapping):
                reports[arm].append(report)
    if not any(reports.values()):
        return _uncleared(blocks, case)
    for entry in blocks:
        without = [arm for arm in ARMS if _listed(entry.get("arms"), arm) and not _mapping(entry["clear"].get(arm))]
        if without:
            detail = f"no clear was recorded in the {without[0]} arm before block {entry.get('block')}"
            return Guard(name=STATE, ok=False, detail=detail, remedy="Measure again.")
    if not all(reports.values()):
        detail = f"no clear was recorded in the {next(arm for arm in ARMS if not reports[arm])} arm"
        return Guard(name=STATE, ok=False, detail=detail, remedy="Measure again.")
    cleared = sum(_count(report, "cleared") for arm in ARMS for report in reports[arm])
    done = f"{cleared:,} keys cleared before {len(blocks)} blocks"
    if not _goes_on(case):
        starts = [_left(report) + _count(report, "outside") for arm in ARMS for report in reports[arm]]
        low, high = min(starts), max(starts)
        ok = high - low <= max(STATE_KEYS, STATE_SHARE * high)
        remedy = "Something else writes to the cache, or keys outside the declared scope differ: give each arm a cache "
        remedy += "of its own, or widen cache.clear."
        return Guard(
            name=STATE,
            ok=ok,
            detail=f"{done}; {_range(low, high)} keys were left in a cache at the start",
            remedy="" if ok else remedy,
        )
    # Keys outside the scope are others' there and come and go; so do a few inside it, while others go on asking. What
    # counts is whether one arm's blocks begin with more than the other's.
    left = [[_left(report) for report in reports[arm]] for arm in ARMS]
    gap = max(min(left[0]) - max(left[1]), min(left[1]) - max(left[0]))
    ok = gap <= max(STATE_KEYS, STATE_SHARE * max(_count(report, "matched") for arm in ARMS for report in reports[arm]))
    told = " and ".join(f"{_range(min(of), max(of))} {arm}" for arm, of in zip(ARMS, left, strict=True))
    return Guard(
        name=STATE,
        ok=ok,
        detail=f"{done}; keys in scope that were left, or back at once: {told}",
        remedy=""
        if ok
        else "Others fill the cache again meanwhile: measure at a quieter hour, or mark keys that may "
        "go as cache.rebuildable.",
    )


def _goes_on(case: Case) -> bool:
    """Whether others use the cache, too: it was there before the run, and stays."""
    return case.target.url is not None or case.cache.url_env is not None


def _uncleared(blocks: Entries, case: Case) -> Guard:
    if not _goes_on(case):
        detail = "no cache of its own to clear: the services were started anew for each block"
        return Guard(name=STATE, ok=True, detail=detail)
    if all(_mapping(entry.get("purge")) for entry in blocks):
        return Guard(name=STATE, ok=True, detail=f"the cache in front was purged before each of {len(blocks)} blocks")
    if all(_mapping(entry.get("washout")) for entry in blocks):
        return Guard(name=STATE, ok=True, detail="nothing was cleared: each block starts from what its wash-out left")
    return Guard(
        name=STATE,
        ok=False,
        detail="the cache went on with what it held: nothing was cleared or purged, and nothing washed out",
        remedy="Declare cache.clear or cache.purge, or give plan.washout some time.",
    )


def washed_out_guard(blocks: Entries) -> Guard | None:
    """Whether the hit ratio stood still before each of these blocks was measured; None where none was washed out."""
    facts = [(str(entry.get("block")), _mapping(entry.get("washout"))) for entry in blocks]
    facts = [(block, washout) for block, washout in facts if washout]
    if not facts:
        return None
    seconds = [_number(washout.get("seconds")) for _, washout in facts]
    low, high = f"{min(seconds):.3g}", f"{max(seconds):.3g}"
    detail = f"{len(facts)} wash-outs of {low if low == high else f'{low} to {high}'} s"
    moving = [block for block, washout in facts if washout.get("settled") is False]
    if moving:
        return Guard(
            name=WASHED_OUT,
            ok=False,
            detail=f"{detail}; the hit ratio still moved before block {', '.join(moving)}",
            remedy="Raise plan.washout until the hit ratio stands still before a block is measured.",
        )
    unseen = sum(washout.get("settled") is not True for _, washout in facts)
    how = "the hit ratio stood still"
    if unseen:
        how = f"too few answers told their cache status to see whether it stood still before {unseen} of them"
    return Guard(name=WASHED_OUT, ok=True, detail=f"{detail}; {how}")


def limits_guard(blocks: Entries) -> Guard | None:
    """Whether the engine had to stop for the target's users, in any block; None where no limit was watched."""
    watched = [_mapping(entry.get("limits")) for entry in blocks]
    stopped = [limits["stopped"] for limits in watched if limits.get("stopped")]
    if stopped:
        return Guard(
            name=LIMITS,
            ok=False,
            detail=str(stopped[0]),
            remedy="Find out why the service failed or slowed down, and lower workload.rate; raise target.limits only "
            "where its users can bear that.",
        )
    count = sum(bool(limits) for limits in watched)
    if not count:
        return None
    return Guard(name=LIMITS, ok=True, detail=f"watched in {count} blocks, and never exceeded: {_limits(watched)}")


def _limits(watched: Sequence[Mapping[str, Any]]) -> str:
    last = next(limits for limits in reversed(watched) if limits)
    return ", ".join(_limit(last)) or "none of the figures was noted"


def _limit(limits: Mapping[str, Any]) -> Iterator[str]:
    share, p99_ms = limits.get("error_rate"), limits.get("p99_ms")
    if _number(share):
        yield f"{percent(_number(share))} of the requests failed"
    if _number(p99_ms):
        yield f"a p99 of {number(_number(p99_ms))} ms"


def _left(report: Mapping[str, Any]) -> int:
    return _count(report, "without_ttl_kept") + _count(report, "appeared")


def _count(report: Mapping[str, Any], field: str) -> int:
    return int(_number(report.get(field)))


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _number(value: Any) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if good else 0.0


def _listed(value: Any, arm: str) -> bool:
    return isinstance(value, list) and arm in value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


__all__ = ["LIMITS", "STATE", "WASHED_OUT", "cache_state_guard", "limits_guard", "washed_out_guard"]

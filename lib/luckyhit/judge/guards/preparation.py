"""Guards on what the manifest notes of each block: whether it was washed out, and what stopped it (`cache_state`: what
its caches held)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from luckyhit.judge.table.record import mapped
from luckyhit.records import Guard
from luckyhit.text.numbers import number, percent

Entries = Sequence[Mapping[str, Any]]


def washed_out_guard(blocks: Entries) -> Guard | None:
    """Whether the hit ratio stood still before each of these blocks was measured; None where none was washed out."""
    facts = [(str(entry.get("block")), mapped(entry, "washout")) for entry in blocks]
    facts = [(block, washout) for block, washout in facts if washout]
    if not facts:
        return None
    seconds = [_number(washout.get("seconds")) for _, washout in facts]
    low, high = f"{min(seconds):.3g}", f"{max(seconds):.3g}"
    detail = f"{len(facts)} wash-outs of {low if low == high else f'{low} to {high}'} s"
    without = [str(entry.get("block")) for entry in blocks if not mapped(entry, "washout")]
    if without:
        return Guard(
            id="washed-out",
            ok=False,
            detail=f"{detail}; none was noted before block {', '.join(without)}",
            remedy="Measure again: an arm that was not washed out starts from what the other left.",
        )
    moving = [block for block, washout in facts if washout.get("settled") is False]
    if moving:
        return Guard(
            id="washed-out",
            ok=False,
            detail=f"{detail}; the hit ratio still moved before block {', '.join(moving)}",
            remedy="Raise plan.washout until the hit ratio stands still before a block is measured.",
        )
    unseen = sum(washout.get("settled") is not True for _, washout in facts)
    how = "the hit ratio stood still"
    if unseen:
        how = f"too few answers told their cache status to see whether it stood still before {unseen} of them"
    return Guard(id="washed-out", ok=True, detail=f"{detail}; {how}")


def limits_guard(blocks: Entries) -> Guard | None:
    """Whether the engine had to stop for the target's users, in any block; None where no limit was watched."""
    watched = [mapped(entry, "limits") for entry in blocks]
    stopped = [limits["stopped"] for limits in watched if limits.get("stopped")]
    if stopped:
        return Guard(
            id="within-the-targets-limits",
            ok=False,
            detail=str(stopped[0]),
            remedy="Find out why the service failed or slowed down, and lower workload.rate; raise target.limits only "
            "where its users can bear that.",
        )
    count = sum(bool(limits) for limits in watched)
    if not count:
        return None
    timed = sum(entry.get("stage") != "wash-out" for entry in blocks)
    of = "blocks" if count >= timed else f"of {timed} blocks"
    return Guard(
        id="within-the-targets-limits",
        ok=True,
        detail=f"watched in {count} {of}, and never exceeded: {_limits(watched)}",
    )


def _limits(watched: Sequence[Mapping[str, Any]]) -> str:
    last = next(limits for limits in reversed(watched) if limits)
    return ", ".join(_limit(last)) or "none of the figures was noted"


def _limit(limits: Mapping[str, Any]) -> Iterator[str]:
    share, p99_ms = limits.get("error_rate"), limits.get("p99_ms")
    if _number(share):
        yield f"{percent(_number(share))} of the requests failed"
    if _number(p99_ms):
        yield f"a p99 of {number(_number(p99_ms))} ms"


def _number(value: Any) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if good else 0.0


__all__ = ["limits_guard", "washed_out_guard"]

"""Guards on what the manifest notes of each block: whether it was washed out, and what stopped it (`cache_state`: what
its caches held)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from luckyhit.records import Guard
from luckyhit.records.manifest import LimitNotes, NotedBlock
from luckyhit.text.numbers import number, percent


def washed_out_guard(blocks: Sequence[NotedBlock]) -> Guard | None:
    """Whether the hit ratio stood still before each of these blocks was measured; None where none was washed out."""
    washed = [block for block in blocks if block.washout]
    if not washed:
        return None
    seconds = [block.washout.seconds or 0.0 for block in washed]
    low, high = f"{min(seconds):.3g}", f"{max(seconds):.3g}"
    detail = f"{len(washed)} wash-outs of {low if low == high else f'{low} to {high}'} s"
    without = [str(block.block) for block in blocks if not block.washout]
    if without:
        return Guard(
            id="washed-out",
            ok=False,
            detail=f"{detail}; none was noted before block {', '.join(without)}",
            remedy="Measure again: an arm that was not washed out starts from what the other left.",
        )
    moving = [str(block.block) for block in washed if block.washout.settled is False]
    if moving:
        return Guard(
            id="washed-out",
            ok=False,
            detail=f"{detail}; the hit ratio still moved before block {', '.join(moving)}",
            remedy="Raise plan.washout until the hit ratio stands still before a block is measured.",
        )
    unseen = sum(block.washout.settled is not True for block in washed)
    how = "the hit ratio stood still"
    if unseen:
        how = f"too few answers told their cache status to see whether it stood still before {unseen} of them"
    return Guard(id="washed-out", ok=True, detail=f"{detail}; {how}")


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
    count = sum(bool(limits) for limits in watched)
    if not count:
        return None
    timed = sum(block.stage != "wash-out" for block in blocks)
    total = "blocks" if count >= timed else f"of {timed} blocks"
    return Guard(
        id="within-the-targets-limits",
        ok=True,
        detail=f"watched in {count} {total}, and never exceeded: {_limits(watched)}",
    )


def _limits(watched: Sequence[LimitNotes]) -> str:
    last = next(limits for limits in reversed(watched) if limits)
    return ", ".join(_limit(last)) or "none of the figures was noted"


def _limit(limits: LimitNotes) -> Iterator[str]:
    if limits.error_rate:
        yield f"{percent(limits.error_rate)} of the requests failed"
    if limits.p99_ms:
        yield f"a p99 of {number(limits.p99_ms)} ms"


__all__ = ["limits_guard", "washed_out_guard"]

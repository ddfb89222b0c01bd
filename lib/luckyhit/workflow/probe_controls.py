"""Which blocks of the change run without the freshness probe: what the load alone does is known from them.

A probe of a small share of the load can't do much. Above that share one pair of blocks in four is measured without it,
the second one first: what differs between it and the pair before, which is sent the same requests, is the probe's
doing, or chance. Side by side they come on top of the declared blocks, so that the probe has all the reads that these
give; where arms take turns, the order of the blocks is what it is, and they are among them.
"""

from __future__ import annotations

from collections.abc import Iterable

from luckyhit.records.manifest import NotedBlock

NEGLIGIBLE = 0.02
"""Share of the load that the probe adds where the case declares no rate (see luckyhit.probe.probe_plan)."""
CONTROL_EVERY = 4


def probe_share(blocks: Iterable[NotedBlock]) -> float:
    """What the probe added to the load in the baseline, as a share of it; 0 without a probe."""
    return max((block.probe.share or 0.0 for block in blocks if block.stage == "baseline"), default=0.0)


def control_pairs(pairs: int, share: float) -> set[int]:
    """The pairs of blocks (counted from 1) to measure without the probe, which added `share` to the load. None of a
    single pair, nor the first: each has one with the probe before it."""
    if share <= NEGLIGIBLE:
        return set()
    return set(range(2, pairs + 1, CONTROL_EVERY))


def with_controls(blocks: int, share: float, *, on_top: bool) -> tuple[int, set[int]]:
    """How many pairs of blocks are measured where `blocks` are declared, and which of them without the probe."""
    controls = control_pairs(blocks, share)
    pairs = blocks + len(controls) if on_top else blocks
    return pairs, controls


__all__ = ["CONTROL_EVERY", "NEGLIGIBLE", "control_pairs", "probe_share", "with_controls"]

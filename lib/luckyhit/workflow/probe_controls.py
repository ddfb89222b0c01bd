"""Which blocks of the change run without the freshness probe, as controls for the probe's own load.

A probe with a small share of the load has little effect. Above that share, one pair of blocks in four (first the
second) is measured without it: the pair before gets the same requests, so what differs is due to the probe, or chance.
Side by side they are added to the declared blocks, so that the probe keeps its reads; if arms take turns, they are
among the declared blocks, whose order is fixed.
"""

from __future__ import annotations

from collections.abc import Iterable

from luckyhit.records.manifest import NotedBlock

NEGLIGIBLE = 0.02
"""The probe's share of the load if the case declares no rate (see luckyhit.probe.probe_plan)."""
CONTROL_EVERY = 4


def probe_share(blocks: Iterable[NotedBlock]) -> float:
    """The probe's share of the load in the baseline; 0 without a probe."""
    return max((block.probe.share or 0.0 for block in blocks if block.stage == "baseline"), default=0.0)


def control_pairs(pairs: int, share: float) -> set[int]:
    """The pairs of blocks (counted from 1) to measure without the probe, whose share of the load is `share`. Never the
    first pair, since each control needs a pair with the probe before it."""
    if share <= NEGLIGIBLE:
        return set()
    return set(range(2, pairs + 1, CONTROL_EVERY))


def with_controls(blocks: int, share: float, *, on_top: bool) -> tuple[int, set[int]]:
    """The number of pairs to measure for `blocks` declared ones, and which of them without the probe."""
    controls = control_pairs(blocks, share)
    pairs = blocks + len(controls) if on_top else blocks
    return pairs, controls


__all__ = ["CONTROL_EVERY", "NEGLIGIBLE", "control_pairs", "probe_share", "with_controls"]

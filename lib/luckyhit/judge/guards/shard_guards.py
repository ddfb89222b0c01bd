"""Guards on blocks that several hosts sent: their clocks, which no row can show to be apart."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.records import Guard
from luckyhit.records.manifest import LARGEST_CLOCK_ERROR_MS, NotedBlock, ShardNotes
from luckyhit.text.numbers import block_name


def hosts_clocks_guard(blocks: Sequence[NotedBlock]) -> Guard | None:
    """Whether each shard sent when it was told to, by the clock of the run's host; None where one host sent all.

    A shard that recorded nothing has no clock to be checked. Of one that was lost with rows nobody knows what its clock
    did, so that its rows can't be placed.
    """
    timed = [(block.block, shard) for block in blocks for shard in block.shards if shard.rows]
    if not any(block.shards for block in blocks):
        return None
    problems = [text for block, shard in timed if (text := _problem(block, shard))]
    errors_ms = [shard.clock_error_ns / 1e6 for _, shard in timed if shard.clock_error_ns is not None]
    hosts = len({(shard.shard, shard.host) for _, shard in timed})
    worst = f"known to {max(errors_ms):.2g} ms or better" if errors_ms else "not measured"
    return Guard(
        id="clocks-of-the-hosts-agree",
        ok=not problems and bool(timed),
        detail="; ".join(problems) or f"{hosts} shards, each block's clocks {worst}",
    )


def _problem(block: int, shard: ShardNotes) -> str:
    where = f"{block_name(block)}, shard {shard.shard} on {shard.host[:40] or 'an unnamed host'}"
    if shard.clock_error_ns is None:
        return f"{where}: its clock was not compared at the end ({shard.lost or 'no reason was noted'})"
    error_ms = shard.clock_error_ns / 1e6
    if error_ms <= LARGEST_CLOCK_ERROR_MS:
        return ""
    return f"{where}: its clock may be off by {error_ms:.3g} ms, more than {LARGEST_CLOCK_ERROR_MS:g} ms"

"""The whole grid in one pass, beside one replay a point by libCacheSim (GPL; installed by `make bench`, never imported
by the library).

python benchmarks/whatif/against_libcachesim.py same               equal on small traces, point by point
python benchmarks/whatif/against_libcachesim.py speed              10 million rows, 20 sizes, 8 times to live
python benchmarks/whatif/against_libcachesim.py speed --rows 1e6 --entries 1e5

Both read the same requests (Zipf, exponent 0.9), all of one size. The peer replays a binary trace in C; a few of its
points are timed, and the mean stands for all. The peer's wheels (0.3.5) take a time to live and ignore it, so `same`
removes its expired entries by hand, and `speed` compares with replays that know no time to live. S3-FIFO differs a
little: the peer fills its large queue first.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import libcachesim as peer
import numpy as np

from luckyhit.whatif.counting.cache_trace import CacheTrace, Segment, WriteRule
from luckyhit.whatif.counting.exact_grid import Grid, exact_counts, ttl_in_ns
from luckyhit.whatif.counting.replays import replayed_counts

NO_RULE = WriteRule("none", False)
NO_LOAD = np.zeros(1, np.int64)
PEERS = {"lru": peer.LRU, "fifo": peer.FIFO, "lfu": peer.LFU, "s3-fifo": peer.S3FIFO}


def trace_of(rows: int, entries: int, seed: int, *, seconds: int) -> CacheTrace:
    rng = np.random.default_rng(seed)
    share = np.cumsum(1 / np.arange(1, entries + 1) ** 0.9)
    entry = np.searchsorted(share / share[-1], rng.random(rows)).clip(0, entries - 1).astype(np.int32)
    at_ns = np.arange(rows, dtype=np.int64) * (seconds * 10**9 // rows)
    block = (np.arange(rows) * 20 // rows).astype(np.int16)
    segment = Segment(at_ns, entry, np.zeros(rows, np.uint8), block)
    return CacheTrace((segment,), (), np.zeros(entries, np.int16), np.ones(entries, np.int64), ("all",), 20)


def peer_hits(kind: str, trace: CacheTrace, size: int, ttl_s: int) -> int:
    cache = PEERS[kind](cache_size=size, hashpower=16)
    segment, hits = trace.segments[0], 0
    stored_ns: dict[int, int] = {}
    for at_ns, entry in zip(segment.at_ns.tolist(), segment.entry.tolist(), strict=True):
        if at_ns - stored_ns.get(entry, at_ns) >= ttl_s * 10**9:
            cache.remove(entry + 1)
        hit = cache.get(peer.Request(obj_size=1, obj_id=entry + 1, clock_time=at_ns // 10**9 + 1))
        hits += hit
        if not hit:
            stored_ns[entry] = at_ns
    return hits


def same(args: argparse.Namespace) -> None:
    """Each point of small grids, and each policy."""
    for kind in PEERS:
        equal = points = 0
        worst = 0
        for seed in range(args.traces):
            trace = trace_of(2000, 150, seed, seconds=600)
            for size in (20, 40, 100):
                for ttl_s in (5, 60, 100_000):
                    ours = replayed_counts(kind, trace, NO_RULE, NO_LOAD, size, ttl_in_ns(ttl_s))
                    if kind == "lru":
                        grid = Grid((size,), (float(ttl_s),))
                        ours = exact_counts(trace, grid, NO_RULE, NO_LOAD)
                    theirs = peer_hits(kind, trace, size, ttl_s)
                    points += 1
                    equal += int(ours.hits.sum()) == theirs
                    worst = max(worst, abs(int(ours.hits.sum()) - theirs))
        print(f"{kind:8} {equal} of {points} points equal; most different: {worst} of 2,000 hits")


def speed(args: argparse.Namespace) -> None:
    rows, entries = int(float(args.rows)), int(float(args.entries))
    exact_counts(trace_of(1000, 100, 0, seconds=1000), Grid((5, 50), (1.5, 9.5)), NO_RULE, NO_LOAD)  # compiled
    trace = trace_of(rows, entries, 1, seconds=rows)
    sizes = tuple(sorted({int(size) for size in np.geomspace(entries / 2000 + 1, entries, 20)}))
    lives = np.geomspace(rows / 5000, rows / 10, 7).astype(int)
    ttls = (*(float(ttl_s) for ttl_s in lives), float("inf"))
    began = time.perf_counter()
    counts = exact_counts(trace, Grid(sizes, ttls), NO_RULE, NO_LOAD)
    ours_s = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    points = len(sizes) * len(ttls)
    print(f"ours: {points} points of {rows:,} rows in {ours_s:.1f} s, {peak_mb:.0f} MB at most (the trace included)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.oracleGeneral"
        record = np.zeros(rows, np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")]))
        record["time"], record["id"] = (
            trace.segments[0].at_ns // 10**9 + 1,
            trace.segments[0].entry.astype(np.uint64) + 1,
        )
        record["size"], record["next"] = 1, -2
        record.tofile(path)
        took_s = []
        for size in (2, 10, 17):
            reader = peer.TraceReader(str(path), peer.TraceType.ORACLE_GENERAL_TRACE, peer.ReaderInitParam())
            cache = peer.LRU(cache_size=sizes[size])
            began = time.perf_counter()
            misses = cache.process_trace(reader)[0]
            took_s.append(time.perf_counter() - began)
            ours = 1 - int(counts.hits[:, :, size, -1].sum()) / rows
            print(f"  peer, size {sizes[size]:,}: {took_s[-1]:.1f} s, misses {misses:.6f} (ours {ours:.6f})")
    peer_s = float(np.mean(took_s)) * points
    print(f"peer: {peer_s:.0f} s for all points, {peer_s / ours_s:.0f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("same", "speed"))
    parser.add_argument("--traces", type=int, default=20)
    parser.add_argument("--rows", default="1e7")
    parser.add_argument("--entries", default="1e6")
    args = parser.parse_args()
    {"same": same, "speed": speed}[args.what](args)


if __name__ == "__main__":
    main()

"""How far a sample of the entries is from the whole trace, and how long both take.

python benchmarks/whatif/sampled.py                             100 million rows, 10 million entries
python benchmarks/whatif/sampled.py --rows 1e7 --entries 1e6

Zipf (exponent 0.9), one write in twenty that deletes. The largest difference of the hit ratio over all points is told,
in percentage points.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from luckyhit.whatif.answering import MOST_ROWS
from luckyhit.whatif.counting.cache_trace import CacheTrace, Segment, WriteRule
from luckyhit.whatif.counting.exact_grid import Grid, exact_counts
from luckyhit.whatif.counting.sampling import rate_for, sample_of

NO_LOAD = np.zeros(1, np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1e8")
    parser.add_argument("--entries", default="1e7")
    parser.add_argument("--most-rows", type=int, default=MOST_ROWS)
    parser.add_argument("--sample-only", action="store_true")
    args = parser.parse_args()
    rows, entries = int(float(args.rows)), int(float(args.entries))
    rng = np.random.default_rng(1)
    share = np.cumsum(1 / np.arange(1, entries + 1) ** 0.9)
    share /= share[-1]
    entry = np.empty(rows, np.int32)
    for begin in range(0, rows, 10_000_000):
        end = min(begin + 10_000_000, rows)
        entry[begin:end] = np.searchsorted(share, rng.random(end - begin)).clip(0, entries - 1)
    kind = (rng.random(rows, np.float32) < 0.05).astype(np.uint8)
    block = np.where(kind == 1, -1, np.arange(rows) * 20 // rows).astype(np.int16)
    segment = Segment(np.arange(rows, dtype=np.int64) * 1_000_000, entry, kind, block)
    trace = CacheTrace((segment,), (), np.zeros(entries, np.int16), np.ones(entries, np.int64), ("all",), 20)
    sizes = tuple(sorted({int(size) for size in np.geomspace(entries / 2000 + 1, entries, 20)}))
    ttls = (*(float(ttl_s) for ttl_s in np.geomspace(rows / 2e5, rows / 1e3, 7)), float("inf"))
    grid, rule = Grid(sizes, ttls), WriteRule("on-write", True)
    began = time.perf_counter()
    sample = sample_of(trace, rate_for(trace, args.most_rows))
    drawn = sample.whole(exact_counts(sample.trace, grid, rule, np.tile(NO_LOAD, 2), checked=True))
    took_s = time.perf_counter() - began
    print(
        f"sample: one entry in {sample.one_in}, {sample.trace.rows:,} of {rows:,} rows, {took_s:.0f} s, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most"
    )
    if args.sample_only:
        return
    began = time.perf_counter()
    exact = exact_counts(trace, grid, rule, NO_LOAD)
    took_s = time.perf_counter() - began
    reads = exact.reads.sum()
    error = np.abs(drawn.hits.sum((0, 1)) / drawn.reads.sum() - exact.hits.sum((0, 1)) / reads) * 100
    print(
        f"exact: {took_s:.0f} s; the largest error of {error.size} points is "
        f"{error.max():.3f} points, the mean {error.mean():.3f}"
    )


if __name__ == "__main__":
    main()

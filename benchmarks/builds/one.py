"""One turn of one build: a closed loop's requests per second, or what an open loop adds. Prints JSON.

PYTHONPATH=CHECKOUT/lib python one.py closed|RATE URL SECONDS SEED
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.load_url import load
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.sharding.engine_pool import run_engine
from luckyhit.records.parquet import read_parts

CONNECTIONS = 16


def closed(url: str, seconds: float, seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as kept:
        summary = load(url, closed=CONNECTIONS, seconds=seconds, seed=seed, out=Path(kept) / "load")
    return {"per_s": summary.completed_per_s}


def opened(url: str, seconds: float, seed: int, rate: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as kept:
        (Path(kept) / "requests").mkdir()
        run_engine(plan_load(url, LoadOptions(rate=rate, seconds=seconds, seed=seed)).config(Path(kept), None))
        files = sorted((Path(kept) / "requests").glob("*.parquet"))
        wanted = ["due_ns", "done_ns", "db_calls"]
        tables = [part.drop_null() for part in read_parts(Path(kept) / "requests", "requests", wanted)]
        size = sum(file.stat().st_size for file in files)
    due, done, took = (np.concatenate([table[name] for table in tables]) for name in ("due_ns", "done_ns", "db_calls"))
    added_ms = (done - due - took) / 1e6
    p50, p99 = np.quantile(added_ms, (0.5, 0.99), method="inverted_cdf")
    return {"p50_ms": float(p50), "p99_ms": float(p99), "bytes_per_row": size / len(added_ms)}


if __name__ == "__main__":
    way, url, seconds, seed = sys.argv[1:5]
    print(
        json.dumps(
            closed(url, float(seconds), int(seed))
            if way == "closed"
            else opened(url, float(seconds), int(seed), float(way))
        )
    )

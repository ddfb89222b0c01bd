"""One turn of one build: a closed loop's requests per second, what an open loop adds, or its rows. Prints JSON.

PYTHONPATH=CHECKOUT/lib python one.py closed|RATE URL SECONDS SEED
PYTHONPATH=CHECKOUT/lib python one.py "rows RATE" "URL URL" SECONDS SEED
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from luckyhit.case.workload import Workload
from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.load_url import load
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.engine_config import EngineConfig
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


PAGES = [
    {"name": "page", "path": "/p/{key}", "weight": 3, "keys": {"first": 1, "last": 2000, "popularity": "zipf"}},
    {"name": "list", "path": "/list"},
]


def rows(urls: str, seconds: float, seed: int, rate: float) -> dict[str, float]:
    """Two arms side by side, as in a block of a case."""
    before, after = urls.split()
    with tempfile.TemporaryDirectory() as kept:
        (Path(kept) / "requests").mkdir()
        workload = Workload.model_validate({"seed": seed, "rate": f"{rate}/s", "routes": PAGES})
        config = EngineConfig(
            workload=workload,
            seed=seed,
            warmup_s=1.0,
            measure_s=seconds - 1.0,
            targets={"before": before, "after": after},
            directory=Path(kept),
            origin_ns=time.monotonic_ns(),
        )
        accounts = run_engine(config)["accounting"]
        files = list((Path(kept) / "requests").iterdir())
        count = sum(len(part) for part in read_parts(Path(kept) / "requests", "requests", ["slot"]))
        size = sum(file.stat().st_size for file in files)
    assert count == sum(account["scheduled"] for account in accounts.values())
    return {"rows": count, "bytes_per_row": size / count, "files": len(files)}


def main(way: str, url: str, seconds: float, seed: int) -> dict[str, float]:
    if way == "closed":
        return closed(url, seconds, seed)
    if way.startswith("rows"):
        return rows(url, seconds, seed, float(way.split()[1]))
    return opened(url, seconds, seed, float(way))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))))

"""How long does judging a long run take, and how much memory? Beside it, a bare read of the same columns.

    python benchmarks/judge_rows.py                  ten million requests
    python benchmarks/judge_rows.py --rows 2000000

A run directory is made from a seed: part files as the load engine writes them, both arms by turns as answers come. Each
of the two runs in a process of its own, so that what one of them keeps is no part of the other's peak; importing is not
in the seconds, and is shown. The peer is pyarrow, which reads what is judged and does nothing with it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from luckyhit.records import CACHE_STATUSES, REQUESTS, Guard, RequestError
from luckyhit.run import Run, write_part

CASE = Path(__file__).parents[1] / "data" / "cases" / "placebo.yml"
JUDGED = (
    "arm", "block", "slot", "phase", "route", "key", "due_ns", "sent_ns", "first_byte_ns", "done_ns", "error", "cache",
    "db_calls",
)  # fmt: skip
SEED = 20253
BLOCKS = 4
PART = 250_000
"""Rows of one part file: about what a minute of load leaves."""
KEYS = 20_000
WARMUP = 0.2
SECONDS = 300.0
"""How long a block lasts; the rate follows from the rows."""
ERRORS = get_args(RequestError)


def a_run(folder: Path, rows: int) -> Run:
    """A baseline, the blocks of the change, and the block after the rollback, with about `rows` rows in all."""
    rng = np.random.default_rng(SEED)
    run = Run.create(
        folder, CASE, now=datetime(2026, 11, 23, 2, 15, tzinfo=UTC), manifest={"design": "side-by-side", "guards": []}
    )
    plans = [("baseline", ["before"])] + [("change", ["before", "after"])] * BLOCKS + [("after-rollback", ["before"])]
    slots = rows // sum(len(arms) for _, arms in plans)
    blocks = []
    for block, (stage, arms) in enumerate(plans):
        a_block(rng, run.path / "requests", block, arms, slots)
        blocks.append(facts(block, stage, arms))
    declared = Guard(name="declared difference only", ok=True, detail="one environment variable differs")
    run.update(
        blocks=blocks,
        guards=[declared.model_dump()],
        rollback={"confirmed": True, "detail": "as it was", "same_as_before": None},
    )
    return run


def facts(block: int, stage: str, arms: Sequence[str]) -> dict[str, Any]:
    cleared = {"scanned": 400, "matched": 400, "cleared": 400, "gone": 0, "appeared": 0, "without_ttl_kept": 0}
    engine = {"added_p50_ms": 0.3, "added_p99_ms": 0.9, "schedule_error_p99_ms": 0.2, "trustworthy": True, "detail": ""}
    clear = {arm: {**cleared, "outside": 3} for arm in arms}
    return {"block": block, "stage": stage, "arms": list(arms), "pair": block, "engine": engine, "clear": clear}


def a_block(rng: np.random.Generator, folder: Path, block: int, arms: Sequence[str], slots: int) -> None:
    """Slots in time order, the arms of a slot next to each other; the same slots mostly hit in both arms."""
    common, keys = rng.random(slots), (KEYS * rng.random(slots) ** 3).astype(np.int64) + 1
    texts = pa.array(np.arange(KEYS + 1).astype(str), pa.string())
    width = len(arms)
    for part, first in enumerate(range(0, slots * width, PART)):
        slot, arm = np.divmod(np.arange(first, min(first + PART, slots * width)), width)
        count = len(slot)
        own = rng.random(count)
        hit = np.where(own < 0.05, own / 0.05, common[slot]) < 0.95
        due = ((block * (SECONDS + 10) + slot / slots * SECONDS) * 1e9).astype(np.int64)
        latency = np.where(hit, 1.3e6, 11e6) * np.exp(0.3 * rng.normal(size=count))
        wrong = rng.random(count) < 0.001
        done = due + latency.astype(np.int64) + 20_000
        columns: dict[str, Any] = {
            "arm": words(arm, arms),
            "block": np.full(count, block, np.int32),
            "slot": slot,
            "phase": words(slot >= WARMUP * slots, ("warmup", "measure")),
            "route": words(keys[slot] % 20 == 0, ("product", "list")),
            "key": texts.take(pa.array(keys[slot])),
            "due_ns": due,
            "sent_ns": due + 20_000,
            "first_byte_ns": pa.array(done - 10_000, mask=wrong),
            "done_ns": pa.array(done, mask=wrong),
            "status": pa.array(np.full(count, 200, np.int16), mask=wrong),
            "error": words(np.ones(count), ERRORS, mask=~wrong),
            "cache": words(np.where(wrong, CACHE_STATUSES.index("unknown"), np.where(hit, 0, 1)), CACHE_STATUSES),
            "db_calls": pa.array(np.where(hit, 0, 2).astype(np.int32), mask=wrong),
            "age_s": pa.nulls(count, pa.float64()),
            "bytes": pa.array(np.full(count, 900), mask=wrong),
            "connection": np.ones(count, np.int32),
            "worker": np.zeros(count, np.int16),
            "version": pa.nulls(count, pa.int64()),
        }
        table = pa.Table.from_arrays([pa.array(columns[name]) for name in REQUESTS.names], schema=REQUESTS)
        # Rows come as their answers do: nearly in the order of slots, but not quite.
        write_part(folder, f"block-{block:03d}-part-{part:04d}", table.take(pa.array(np.argsort(done, kind="stable"))))


def words(codes: np.ndarray, texts: Sequence[str], mask: np.ndarray | None = None) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16), mask=mask), pa.array(list(texts)))


def judged(path: Path) -> str:
    from luckyhit.judge import judge

    result = judge(Run.open(path))
    return f"{result.verdict} ({result.because})"


def bare_read(path: Path) -> str:
    parts = [pq.read_table(part, columns=list(JUDGED)) for part in sorted((path / "requests").glob("*.parquet"))]
    return f"{pa.concat_tables(parts).num_rows:,} rows"


def measured(what: str, path: Path) -> dict[str, Any]:
    """One of the two, in a process of its own."""
    command = [sys.executable, __file__, "--process", what, "--run", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def in_this_process(what: str, path: Path) -> None:
    began = time.perf_counter()
    import luckyhit.judge  # noqa: F401  what it imports is not to be in the seconds

    imported, before = time.perf_counter() - began, peak_mb()
    began = time.perf_counter()
    answer = judged(path) if what == "judge" else bare_read(path)
    found = {"seconds": time.perf_counter() - began, "peak": peak_mb(), "import_s": imported, "import_peak": before}
    print(json.dumps({"answer": answer, **found}))


def peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds and memory of judging a long run.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--process", choices=["judge", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.process:
        in_this_process(told.process, told.run)
        return
    with tempfile.TemporaryDirectory() as folder:
        run = a_run(Path(folder), told.rows)
        size = sum(part.stat().st_size for part in (run.path / "requests").iterdir()) / 1e6
        print(f"{told.rows:,} requests, {size:,.0f} MB of part files")
        read, judging = measured("read", run.path), measured("judge", run.path)
    for name, found in (("bare read (pyarrow)", read), ("judge", judging)):
        print(
            f"  {name:20} {found['seconds']:7.2f} s   peak {found['peak']:7,.0f} MB, of which imports "
            f"{found['import_peak']:,.0f} MB ({found['import_s']:.1f} s)   {found['answer']}"
        )
    print(f"  judge / bare read: {judging['seconds'] / read['seconds']:.1f} times as long")


if __name__ == "__main__":
    main()

"""A run as the other parts leave it, made from a seed: for these tests, and for looking at reports without measuring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from journalled import a_whole_journal

from luckyhit import records
from luckyhit.case_run import CaseRun
from luckyhit.records import Result
from luckyhit.records.parquet import write_part, write_rows

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "cases"
START = datetime(2026, 11, 23, 2, 15, 30, tzinfo=UTC)
GUARDS = [
    ("inputs-validated", "The case file was read strictly: no problem found."),
    ("permissions-checked", "The run and report directories can be written to; the cache grants what clearing takes."),
    ("expected-response", "GET /products/1 answered 200; GET /products?page=1 answered 200, as the case expects."),
    ("stacks-alike-before-the-change", "All 31 things that can be seen are equal."),
    (
        "declared-difference-only",
        "Only the declared change differs: env.CATALOGUE_INVALIDATION 'writer-key' → 'reader-key'.",
    ),
]
ARM = {
    "before": {"hit": 0.93, "hit_ms": 1.3, "miss_ms": 11.0, "calls": 3, "stale": 0.9},
    "after": {"hit": 0.78, "hit_ms": 1.35, "miss_ms": 11.4, "calls": 3, "stale": 0.0},
}


def _text(values: Any) -> pa.Array:
    return pa.array(list(values), pa.string()).dictionary_encode().cast(pa.dictionary(pa.int16(), pa.string()))


def a_block(
    rng: np.random.Generator, arms: Mapping[str, Mapping[str, Any]], block: int, start_s: float, *,
    warmup_s: float, measure_s: float, rate: float, routes: tuple[str, ...] = ("product", "list"),
) -> pa.Table:  # fmt: skip
    """One block's requests in the given arms; the cache warms up at its start."""
    count = int((warmup_s + measure_s) * rate)
    since = np.sort(rng.uniform(0, warmup_s + measure_s, count))
    due = ((start_s + since) * 1e9).astype(np.int64)
    common, keys, route = rng.random(count), rng.integers(1, 100, count), rng.choice(len(routes), count, p=None)
    tables = []
    for arm, knobs in arms.items():
        warm = knobs["hit"] * (1 - np.exp(-since / max(0.5 * warmup_s, 0.1)))
        hit = np.where(rng.random(count) < 0.05, rng.random(count), common) < warm
        ms = np.where(hit, knobs["hit_ms"], knobs["miss_ms"]) * np.exp(0.28 * rng.normal(size=count))
        ms += np.where(rng.random(count) < 0.01, rng.exponential(20, count), 0)
        error = np.where(rng.random(count) < knobs.get("errors", 0.0), "timeout", None)
        cache = np.where(hit, "hit", "miss") if knobs.get("status", True) else np.full(count, "unknown")
        if knobs.get("lies"):
            cache = np.full(count, "hit")
        calls = np.where(hit, 0, knobs["calls"]).astype(np.int32)
        gone = np.array([value is not None for value in error])
        done = pa.array(due + (ms * 1e6).astype(np.int64), mask=gone)
        columns: dict[str, Any] = {
            "arm": _text([arm] * count),
            "block": np.full(count, block, np.int32),
            "slot": np.arange(count),
            "phase": _text(np.where(since < warmup_s, "warmup", "measure")),
            "route": pa.DictionaryArray.from_arrays(pa.array(route.astype(np.int16)), pa.array(routes)),
            "key": pa.array(keys.astype(str)),
            "due_ns": due,
            "sent_ns": due + 20_000,
            "first_byte_ns": done,
            "done_ns": done,
            "status": pa.array(np.full(count, 200, np.int16), mask=gone),
            "error": _text(error),
            "cache": _text(cache),
            "db_calls": pa.array(calls, mask=np.arange(count) % 10 >= 10 * float(knobs.get("calls_visible", 1))),
            "age_s": pa.nulls(count, pa.float64()),
            "bytes": np.full(count, 900),
            "connection": np.ones(count, np.int32),
            "worker": np.zeros(count, np.int16),
            "version": pa.nulls(count, pa.int64()),
            "layers": _text(np.where(cache == "unknown", None, np.char.add("x-cache=", cache.astype(str)))),
            "body_hash": keys.astype(np.int64),
        }
        tables.append(pa.table({name: columns[name] for name in records.REQUESTS.names}, schema=records.REQUESTS))
    return pa.concat_tables(tables)


POLLS_S = (0.003, 0.01, 0.03, 0.08, 0.16, 0.3, 0.5, 0.7, 0.85, 1.0)
"""After the acknowledgement: when a burst polls."""


def a_write(arm: str, block: int, key: str, version: int, sent_ns: int, **other: Any) -> dict[str, Any]:
    """One acknowledged write, 2 ms long."""
    row = {"arm": arm, "block": block, "key": key, "version": version, "probe": version, "mode": "once",
           "prestate": "warm", "sent_ns": sent_ns, "acked_ns": sent_ns + 2_000_000, "status": 200, "connection": 1}  # fmt: skip
    return {**row, **other}


def a_read(write: Mapping[str, Any], delay_s: float, seen: int | None, **other: Any) -> dict[str, Any]:
    """One read of a write, 1.5 ms long, sent so long after the acknowledgement."""
    sent = write["sent_ns"] + 2_000_000 + int(delay_s * 1e9)
    row = {**{name: write[name] for name in ("arm", "block", "key", "probe", "mode")}, "route": "detail",
           "delay_ns": int(delay_s * 1e9), "conditional": False, "sent_ns": sent, "done_ns": sent + 1_500_000,
           "seen_version": seen, "absent": False, "connection": 1, "fresh_connection": False, "worker": None,
           "cache": "hit", "status": 200}  # fmt: skip
    return {**row, **other}


def a_probe(
    rng: np.random.Generator, arms: Mapping[str, Mapping[str, Any]], block: int, start_s: float, count: int
) -> tuple[pa.Table, pa.Table]:
    """(reads, writes) of one block: each key is written once, and read once after a delay of its own; three more are
    polled. In an arm with stale reads one of those is stuck, and one stale for 300 ms."""
    delays = np.exp(rng.uniform(np.log(0.002), np.log(1.0), count))
    reads: list[dict[str, Any]] = []
    writes: list[dict[str, Any]] = []
    for arm, knobs in arms.items():
        for number, delay in enumerate(delays.tolist()):
            sent_ns, version = int((start_s + 0.1 + number * 0.1) * 1e9), 1_000_000 + block * 10_000 + number
            writes.append(a_write(arm, block, str(1001 + number), version, sent_ns))
            old, new_connection = rng.random() < knobs["stale"], number % 4 == 0
            seen = 500 if old else version
            reads.append(a_read(writes[-1], delay, seen, fresh_connection=new_connection, conditional=number % 5 == 0))
        for number, window_s in enumerate((0.0, 0.2, 9.0) if knobs["stale"] else (0.0, 0.0, 0.0)):
            sent_ns, version = int((start_s + 0.5 + number) * 1e9), 1_005_000 + block * 10_000 + number
            writes.append(a_write(arm, block, str(1901 + number), version, sent_ns, mode="burst"))
            for delay in POLLS_S:
                reads.append(a_read(writes[-1], delay, 500 if delay < window_s else version))
    return table_of(reads, records.READS), table_of(writes, records.WRITES)


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = {field.name: [row.get(field.name) for row in rows] for field in schema}
    arrays = [
        _text(columns[field.name]) if pa.types.is_dictionary(field.type) else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def make_run(
    folder: Path, *, case: str | Path = "stale-price", arms: Mapping[str, Mapping[str, Any]] = ARM, blocks: int = 4,
    seed: int = 1, rate: float = 110.0, warmup_s: float = 2.0, baseline_s: float = 6.0, block_s: float = 5.0,
    stages: tuple[str, ...] = ("baseline", "change", "after-rollback"), probes: int = 40,
    manifest: Mapping[str, Any] | None = None, edit_case: Callable[[str], str] | None = None, now: datetime = START,
) -> CaseRun:  # fmt: skip
    """A finished run directory under `folder/runs`, not judged yet."""
    source = CASES / f"{case}.yml" if isinstance(case, str) else case
    if edit_case is not None:
        edited = folder / source.name
        edited.write_text(edit_case(source.read_text(encoding="utf-8")), encoding="utf-8")
        source = edited
    facts = {
        "seed": 20251,
        "revision": "0123456789ab (clean)",
        "versions": {"luckyhit": "0.1.0", "python": "3.11.7", "valkey": "8.1.1"},
        "host": {"system": "Linux 6.1", "machine": "x86_64", "cpus": 2},
        "design": "side-by-side",
        "command": f"luckyhit run {source.stem}",
        "guards": [{"id": name, "ok": True, "detail": detail, "remedy": ""} for name, detail in GUARDS],
    }
    run = CaseRun.create(folder / "runs", source, now=now, manifest=facts)
    plans = [("baseline", ["before"], baseline_s), *[("change", ["before", "after"], block_s)] * blocks]
    plans.append(("after-rollback", ["before"], 4.0))
    rng, at_s = np.random.default_rng(seed), 1.4
    for stage, names, measure_s in plans:
        if stage not in stages:
            continue
        block = len(run.manifest.blocks)
        knobs = {arm: arms[arm] for arm in names}
        requests = a_block(rng, knobs, block, at_s, warmup_s=warmup_s, measure_s=measure_s, rate=rate)
        write_rows(run.path / "requests", f"block-{block:03d}-part-0000", requests)
        if probes:
            reads, writes = a_probe(rng, knobs, block, at_s + warmup_s, probes)
            write_part(run.path / "reads", f"block-{block:03d}", reads)
            write_part(run.path / "writes", f"block-{block:03d}", writes)
        cleared = {"scanned": 97, "matched": 97, "cleared": 97, "gone": 0, "appeared": 0, "without_ttl_kept": 0,
                   "outside": 0, "detail": "97 keys listed, 97 in scope, 97 cleared."}  # fmt: skip
        rows = {arm: int((np.array(requests["arm"].to_pylist()) == arm).sum()) for arm in names}
        failed = sum(value is not None for value in requests["error"].to_pylist())
        run.add_block(
            block, stage, names, pair=block,
            start_ns=int(at_s * 1e9), measure_ns=int((at_s + warmup_s) * 1e9),
            end_ns=int((at_s + warmup_s + measure_s) * 1e9),
            clear=dict.fromkeys(names, cleared), unexpected=None,
            engine={"added_p50_ms": 0.31, "added_p99_ms": 0.84, "schedule_error_p99_ms": 0.4, "trustworthy": True, "detail": "as it should be"},
            probe={
                "requests": 160, "problems": [], "share": 0.08,
                "put_back": dict.fromkeys(names, probes), "not_put_back": dict.fromkeys(names, 0),
            },
            accounting={} if failed else {arm: {"scheduled": n, "completed": n, "failed": 0, "timed_out": 0, "dropped": 0} for arm, n in rows.items()},
        )  # fmt: skip
        at_s += warmup_s + measure_s + 1.2
    rollback = {"confirmed": True, "detail": "All 31 things that can be seen are equal.", "same_as_before": None}
    run.update(**{"state": "measured", "rollback": rollback, **(manifest or {})})
    a_whole_journal(len(run.manifest.blocks)).write(run.path)
    return run


def judged(run: CaseRun) -> Result:
    from luckyhit.judge import judge

    result = judge(run)
    run.write_result(result)
    return result

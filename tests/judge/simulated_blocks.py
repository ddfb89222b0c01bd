"""Simulated blocks for the judge: rows of requests, the probe's reads and writes, and what the manifest notes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from declared import KEYS, RATE

from luckyhit.case import Case
from luckyhit.judge import decide
from luckyhit.records import READS, REQUESTS, WRITES, Guard, Result, Rollback
from luckyhit.records.parquet import write_part
from noted import noted


def a_block(
    rng: np.random.Generator,
    block: int,
    arms: Mapping[str, Mapping[str, Any]],
    *,
    seconds: float = 5.0,
    warmup: float = 1.0,
    start_s: float | None = None,
) -> pd.DataFrame:
    """One block in the given arms. Knobs of an arm: `hit` (ratio), `hit_ms`, `miss_ms`, `sigma`, `errors` (share),
    `status` (whether the cache header shows one), `bytes` (of the smallest body), `noise` (array of factors, one for each slot)."""
    count = int((seconds + warmup) * RATE)
    due = (np.arange(count) / RATE + (block * 10.0 if start_s is None else start_s)) * 1e9
    key = rng.integers(KEYS["first"], KEYS["last"] + 1, count)
    common = rng.random(count)
    parts = []
    for arm, knobs in arms.items():
        own: dict[str, Any] = {"hit": 0.8, "hit_ms": 2.0, "miss_ms": 12.0, "sigma": 0.3, "errors": 0.0, "own": 0.05}
        own |= {"noise": 1.0, "status": True, "bytes": 900, **knobs}
        ratio = np.broadcast_to(own["hit"], count)
        # The same slots mostly hit in both arms; a few differ by chance.
        hit = np.where(rng.random(count) < own["own"], rng.random(count), common) < ratio
        latency = np.where(hit, own["hit_ms"], own["miss_ms"]) * np.exp(own["sigma"] * rng.normal(size=count))
        latency = latency * own["noise"]
        failed = rng.random(count) < own["errors"]
        sent = due + 2e4
        done = sent + latency * 1e6
        cache = np.where(hit, "hit", "miss") if own["status"] else np.full(count, "unknown")
        parts.append(
            pd.DataFrame(
                {
                    "arm": arm,
                    "block": block,
                    "slot": np.arange(count),
                    "phase": np.where(np.arange(count) < warmup * RATE, "warmup", "measure"),
                    "route": "detail",
                    "key": key.astype(str),
                    "due_ns": due.astype(np.int64),
                    "sent_ns": sent.astype(np.int64),
                    "first_byte_ns": (done - 1e4).astype(np.int64),
                    "done_ns": done.astype(np.int64),
                    "status": np.where(failed, 500, 200),
                    "error": np.where(failed, "unexpected", None),
                    "cache": cache,
                    "db_calls": np.where(hit, 0, 2),
                    "bytes": own["bytes"] + key % 50,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def probe(
    rng: np.random.Generator, block: int, stale: Mapping[str, float], *, count: int = 40
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(reads, writes) of one block: one write and one read 0.5 s later for each key."""
    reads, writes = [], []
    for arm, share in stale.items():
        for number in range(count):
            version, sent = 1000 * (block + 1) + number, int(block * 10e9 + number * 1e8)
            row = {"arm": arm, "block": block, "key": str(9000 + number), "probe": version, "mode": "once"}
            row |= {"status": 200, "connection": 1}
            write = {"version": version, "prestate": "warm", "sent_ns": sent, "acked_ns": sent + 1_000_000}
            writes.append(row | write)
            at, old = sent + 501_000_000, rng.random() < share
            read = {"route": "read", "delay_ns": 500_000_000, "conditional": False, "sent_ns": at, "absent": False}
            read |= {"done_ns": at + 2_000_000, "seen_version": 1 if old else version, "fresh_connection": False}
            reads.append(row | read | {"cache": "hit"})
    return pd.DataFrame(reads, columns=READS.names), pd.DataFrame(writes, columns=WRITES.names)


def facts(block: int, stage: str, arms: list[str], pair: int = 1, **more: Any) -> dict[str, Any]:
    clear = {
        "scanned": 400,
        "matched": 400,
        "cleared": 400,
        "gone": 0,
        "appeared": 0,
        "without_ttl_kept": 0,
        "outside": 3,
    }
    return {
        "block": block,
        "stage": stage,
        "arms": arms,
        "pair": pair,
        "engine": {
            "added_p50_ms": 0.3,
            "added_p99_ms": 0.9,
            "schedule_error_p99_ms": 0.2,
            "trustworthy": True,
            "detail": "",
        },
        "clear": dict.fromkeys(arms, clear),
        **more,
    }


# A pure function of its seed and knobs: the same call gives the same records.
SCHEMAS = {"requests": REQUESTS, "reads": READS, "writes": WRITES}
DECLARED = Guard(id="declared-difference-only", ok=True, detail="one environment variable differs")


@dataclass
class Records:
    """What one run recorded; `judge` decides on it."""

    requests: pd.DataFrame
    reads: pd.DataFrame
    writes: pd.DataFrame
    blocks: list[dict[str, Any]]
    guards: list[Guard] = field(default_factory=lambda: [DECLARED])

    def rows(self, arm: str, stage: str = "change") -> pd.Series:
        """Mask of the rows of one arm in the blocks of one stage."""
        numbers = [entry["block"] for entry in self.blocks if entry["stage"] == stage]
        return (self.requests["arm"] == arm) & self.requests["block"].isin(numbers)

    def write(self, run: Path, *tables: str, block: int | None = None) -> None:
        """The part files of a run directory: of all tables or of these, of all blocks or of one."""
        for name, schema in SCHEMAS.items():
            if name in (tables or SCHEMAS):
                frame: pd.DataFrame = getattr(self, name)
                frame = frame if block is None else frame[frame["block"] == block]
                rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
                write_part(run / name, "part-0", pa.Table.from_pylist(rows, schema=schema))

    def judge(self, case: Case, **more: Any) -> Result:
        rollback = Rollback(confirmed=True, detail="The variable is as it was.")
        return decide(self.requests, self.reads, self.writes, case, noted(self.blocks), self.guards, rollback, **more)


def a_run(
    seed: int = 1,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    stale: Mapping[str, float] | None = None,
    blocks: int = 4,
    design: str = "side-by-side",
    rollback: Mapping[str, Any] | None = None,
    noise: Callable[[np.random.Generator, int], Mapping[str, np.ndarray]] | None = None,
    seconds: float = 5.0,
    probed: bool = True,
) -> Records:
    """A baseline, the blocks of the change, and one block after the rollback; `probed`: with the freshness probe."""
    rng = np.random.default_rng(seed)
    arms = {"before": dict(before or {}), "after": dict(after or {})}
    stale = {"before": 0.0, "after": 0.0} | dict(stale or {})
    plans: list[tuple[str, list[str], int]] = [("baseline", ["before"], 0)]
    for number in range(blocks):
        if design == "side-by-side":
            plans.append(("change", ["before", "after"], number + 1))
        elif design == "crossover":
            order = ["before", "after"] if number % 2 == 0 else ["after", "before"]
            plans += [("change", [arm], number + 1) for arm in order]
    if design == "before-after":
        plans += [("change", [arm], pair + 1) for arm in ("before", "after") for pair in range(blocks)]
    plans.append(("after-rollback", ["before"], 1))
    requests, reads, writes, entries = [], [], [], []
    for block, (stage, names, pair) in enumerate(plans):
        knobs = {arm: arms[arm] | ({} if stage != "after-rollback" else dict(rollback or {})) for arm in names}
        count = int((seconds + 1) * RATE)
        if noise is not None:
            factors = noise(rng, count)
            knobs = {arm: {**knob, "noise": factors[arm]} for arm, knob in knobs.items()}
        # Blocks of a pair replay the same keys, so their generator starts anew from the pair.
        frame = a_block(np.random.default_rng([seed, block]), block, knobs, seconds=seconds)
        schedule = np.random.default_rng([seed, 99, pair]).integers(KEYS["first"], KEYS["last"] + 1, count).astype(str)
        frame["key"] = np.tile(schedule, len(names))
        requests.append(frame)
        probe_reads, probe_writes = probe(rng, block, {arm: stale[arm] for arm in names}, count=40 if probed else 0)
        reads.append(probe_reads)
        writes.append(probe_writes)
        entries.append(facts(block, stage, names, pair))
    frame = pd.concat(requests, ignore_index=True).reindex(columns=REQUESTS.names)
    return Records(frame, pd.concat(reads, ignore_index=True), pd.concat(writes, ignore_index=True), entries)

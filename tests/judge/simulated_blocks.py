"""Simulated blocks for the judge: rows of requests, the probe's reads and writes, and what the manifest notes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from declared import KEYS, RATE

from luckyhit.records import READS, WRITES


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
    `status` (what the cache header tells), `bytes` (of the smallest body), `noise` (array of factors, one for each slot)."""
    count = int((seconds + warmup) * RATE)
    due = (np.arange(count) / RATE + (block * 10.0 if start_s is None else start_s)) * 1e9
    key = rng.integers(KEYS["first"], KEYS["last"] + 1, count)
    common = rng.random(count)
    parts = []
    for arm, knobs in arms.items():
        told: dict[str, Any] = {"hit": 0.8, "hit_ms": 2.0, "miss_ms": 12.0, "sigma": 0.3, "errors": 0.0, "own": 0.05}
        told |= {"noise": 1.0, "status": True, "bytes": 900, **knobs}
        ratio = np.broadcast_to(told["hit"], count)
        # The same slots mostly hit in both arms; a few differ by chance.
        hit = np.where(rng.random(count) < told["own"], rng.random(count), common) < ratio
        latency = np.where(hit, told["hit_ms"], told["miss_ms"]) * np.exp(told["sigma"] * rng.normal(size=count))
        latency = latency * told["noise"]
        failed = rng.random(count) < told["errors"]
        sent = due + 2e4
        done = sent + latency * 1e6
        cache = np.where(hit, "hit", "miss") if told["status"] else np.full(count, "unknown")
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
                    "bytes": told["bytes"] + key % 50,
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
            told = {"arm": arm, "block": block, "key": str(9000 + number), "probe": version, "mode": "once"}
            told |= {"status": 200, "connection": 1}
            write = {"version": version, "prestate": "warm", "sent_ns": sent, "acked_ns": sent + 1_000_000}
            writes.append(told | write)
            at, old = sent + 501_000_000, rng.random() < share
            read = {"route": "read", "delay_ns": 500_000_000, "conditional": False, "sent_ns": at, "absent": False}
            read |= {"done_ns": at + 2_000_000, "seen_version": 1 if old else version, "fresh_connection": False}
            reads.append(told | read | {"cache": "hit"})
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

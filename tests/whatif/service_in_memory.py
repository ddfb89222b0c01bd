"""A run of a service that is a page of code: one cache in front of a database, as the requests of the table show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from luckyhit import records
from luckyhit.case_run import CaseRun
from luckyhit.records.parquet import table_of, write_part
from world import case as case_document

START = datetime(2026, 11, 23, 2, 15, 30, tzinfo=UTC)
ROUTES = [
    {"name": "item", "path": "/items/{key}", "weight": 9, "keys": {"first": 1, "last": 40}, "version": "$.version"},
    {
        "name": "price", "method": "PUT", "path": "/items/{key}/price", "keys": {"first": 1, "last": 40},
        "body": {"price": "{number}"}, "version": "{number}",
    },
]  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """`renews`: a hit makes its entry live anew; `sweeps`: so often (s) everything is deleted by somebody else."""

    ttl_s: float = 2.0
    deletes: bool = False
    renews: bool = False
    sweeps: float = 0.0
    told: bool = True
    sized: bool = True


PLAIN = Behaviour()


def case(**parts: Any) -> dict[str, Any]:
    start = {"command": ["{python}", "s.py", "{port}", "{cache_url}"], "env": {"ITEM_TTL_S": "2"}}
    change = {
        "kind": "env", "what": "Longer.", "name": "ITEM_TTL_S", "before": "2", "after": "4", "smallest": "One number.",
    }  # fmt: skip
    workload = {"seed": 7, "rate": "50/s", "routes": ROUTES}
    return case_document(**{"change": change, "target": {"start": start}, "workload": workload, **parts})


def run_of(
    folder: Path, behaviour: Behaviour = PLAIN, *, reads: int = 900, keys: int = 40, writes: float = 0.1,
    seed: int = 1, arm: str = "before", parts: Mapping[str, Any] | None = None,
) -> CaseRun:  # fmt: skip
    """A run with one block: some warm-up, then reads and writes at 50 a second."""
    source = folder / "items.yml"
    source.write_text(yaml.safe_dump(case(**(parts or {})), sort_keys=False), encoding="utf-8")
    run = CaseRun.create(folder / "data" / "runs", source, now=START, manifest={"seed": 7, "design": "side-by-side"})
    write_part(run.path / "requests", "block-000-part-0000", requests(behaviour, reads, keys, writes, seed, arm))
    run.add_block(0, "baseline" if arm == "before" else "change", [arm])
    return run


def requests(behaviour: Behaviour, reads: int, keys: int, writes: float, seed: int, arm: str) -> pa.Table:
    rng = np.random.default_rng(seed)
    stored: dict[int, tuple[float, int]] = {}
    versions: dict[int, int] = {}
    rows, swept = [], 0.0
    for slot in range(reads):
        at_s = 1 + slot * 0.02
        key = int(rng.integers(1, keys + 1))
        if behaviour.sweeps and at_s - swept >= behaviour.sweeps:
            stored, swept = {}, at_s
        if rng.random() < writes:
            versions[key] = 1_000_000 + slot
            if behaviour.deletes:
                stored.pop(key, None)
            rows.append(_row(arm, slot, "price", key, at_s, 0.003, "unknown", 2, 2, versions[key], behaviour))
            continue
        since, version = stored.get(key, (-1e9, 0))
        hit = 0 <= at_s - since < behaviour.ttl_s
        if not hit and since < at_s:  # else somebody loads it already
            stored[key] = at_s + 0.012, versions.get(key, 1)
        elif behaviour.renews:
            stored[key] = at_s, version
        version = stored[key][1]
        took_s = 0.002 if hit else 0.012
        rows.append(
            _row(
                arm, slot, "item", key, at_s, took_s, "hit" if hit else "miss", 0 if hit else 3, 500, version, behaviour
            )
        )
    return table_of(rows, records.REQUESTS)


def _row(
    arm: str, slot: int, route: str, key: int, at_s: float, took_s: float, cache: str, calls: int, size: int,
    version: int, behaviour: Behaviour,
) -> list[Any]:  # fmt: skip
    sent, done = round(at_s * 1e9), round((at_s + took_s) * 1e9)
    values = {
        "arm": arm, "block": 0, "slot": slot, "phase": "warmup" if at_s < 2 else "measure", "route": route,
        "key": str(key), "due_ns": sent, "sent_ns": sent, "first_byte_ns": done, "done_ns": done, "status": 200,
        "cache": cache if behaviour.told else "unknown", "db_calls": calls,
        "bytes": size + key if behaviour.sized else None, "version": version, "connection": 0, "worker": 0,
    }  # fmt: skip
    return [values.get(name) for name in records.REQUESTS.names]

"""The real freshness probe on a real catalogue for one block, and what came of it as frames."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from luckyhit.case.freshness import Freshness
from luckyhit.judge.freshness.classify import classify_reads
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_reads import ProbeReader
from luckyhit.probe.probe_run import FreshnessProbe

_NULLABLE = {"int64": pd.Int64Dtype(), "int32": pd.Int32Dtype(), "int16": pd.Int16Dtype()}
DETAIL = {"name": "detail", "path": "/products/{key}", "version": "$.price_cents"}
LIST = {"name": "list", "path": "/products?page=26", "version": "$.items[?@.id == {key}].price_cents"}
ABSENT = {
    "keys": {"first": 20_000, "last": 20_060},
    "create": {
        "path": "/products/{key}",
        "body": {"name": "Probe", "category": "study", "description": "", "price_cents": "{version}"},
        "status": 201,
    },
    "remove": {"path": "/products/{key}"},
}
REFUSED = {"path": "/products/{key}/price", "body": {"price_cents": "{version}", "currency": "EUR"}, "status": 422}
BULK = {
    "method": "POST",
    "path": "/products/bulk-price",
    "headers": {"Content-Type": "application/json"},
    "body": '{{"prices": [{{"id": {key}, "price_cents": {version}}}]}}',
}
_SLOWER = 4
"""How often the pace is halved: so many ranges of 200 keys there are from 1001 on."""
_EXPECTED = {"never-fresh", "never-written", "write-past-end", "read-past-end", "key-still-open"}
"""True of some of the faults; and of the end of a block where the machine is short of time: such reads count as
nothing, as do those that time out."""


def freshness(**other: Any) -> Freshness:
    return Freshness.model_validate(
        {
            "write": {"path": "/products/{key}/price", "body": {"price_cents": "{version}"}},
            "reads": [DETAIL],
            "keys": {"first": 1001, "last": 1200},
            "within": "0s",
            "horizon": "250ms",
            "rate": "40/s",
            **other,
        }
    )


class Probed:
    """`writes` and `reads` of the block. `late`: the classified reads with an answer, sent after the acknowledgement of
    the write they are about, with its times (`written_ns`, `acked_ns`)."""

    def __init__(self, probe: FreshnessProbe) -> None:
        problems = [
            sentence
            for problem, sentence in probe.problems
            if problem not in _EXPECTED and "no answer (timeout)" not in sentence
        ]
        assert not problems, problems
        self.writes, self.reads = (
            table.to_pandas(types_mapper=lambda dtype: _NULLABLE.get(str(dtype))) for table in probe.tables()
        )
        self.classified = classify_reads(self.reads, self.writes)
        written = self.writes.set_index("version")
        self.late = self.classified[self.classified["after_ack"] & self.classified["status"].notna()].assign(
            written_ns=self.classified["probe"].map(written["sent_ns"]),
            acked_ns=self.classified["probe"].map(written["acked_ns"]),
        )

    def outcomes(self, prestate: str) -> dict[str, int]:
        """How many late reads of this prestate had which outcome."""
        return self.late[self.late["prestate"] == prestate]["outcome"].value_counts().to_dict()


def probe(
    base_url: str,
    spec: Freshness,
    database: Path,
    *,
    seconds: float = 1.0,
    seed: int = 1,
    enough: Callable[[Probed], bool] = lambda _: True,
) -> Probed:
    """Probe one arm. `database`: where the values of the keys that nobody is to read are known from. `enough`:
    whether reads are enough to tell anything. A machine that is short of time gets too few of them done; then the same
    is probed at half the pace."""
    measured = _block(base_url, spec, database, seconds, seed)
    for _ in range(_SLOWER):
        if enough(measured):
            break
        seconds, spec = 2 * seconds, _slower(spec)
        measured = _block(base_url, spec, database, seconds, seed)
    return measured


def _slower(spec: Freshness) -> Freshness:
    """At half the pace, with versions and keys of its own: of the ones before, pages may still be on their way into the
    cache. Keys that stand on a list page which is read stay, since the next ones don't stand on it."""
    further = 0 if len(spec.reads) > 1 else len(range(spec.keys.first, spec.keys.last + 1))
    changed = {
        "first_version": spec.first_version + 100_000,
        "rate": spec.rate / 2 if spec.rate else None,
        "keys": _further(spec.keys, further),
    }
    if spec.absent is not None:
        changed["absent"] = spec.absent.model_copy(update={"keys": _further(spec.absent.keys, 100)})
    return spec.model_copy(update=changed)


def _further(keys: Any, by: int) -> Any:
    return keys.model_copy(update={"first": keys.first + by, "last": keys.last + by})


def late_reads(**counts: int) -> Callable[[Probed], bool]:
    """Whether there are so many late reads of each prestate, whatever they showed."""
    return lambda measured: all(
        (measured.late["prestate"] == name.replace("_", "-")).sum() >= count for name, count in counts.items()
    )


def _block(base_url: str, spec: Freshness, database: Path, seconds: float, seed: int) -> Probed:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT id, price_cents FROM products WHERE id BETWEEN ? AND ?", (spec.keys.first, spec.keys.last)
        )
        originals = {str(key): price for key, price in rows}

    async def block() -> Probed:
        reader = ProbeReader(base_url, spec.reads, {}, worker_header="X-Served-By")
        arm = ProbeArm(spec, reader, headers={}, timeout_s=5.0, originals=originals)
        try:
            probing = FreshnessProbe(
                spec,
                {"before": arm},
                rng=random.Random(seed),
                first_version=spec.first_version,
                block=0,
                origin_ns=0,
            )
            start_ns = time.monotonic_ns()
            await probing.run(start_ns, start_ns + round(seconds * 1e9))
            return Probed(probing)
        finally:
            await arm.close()

    return asyncio.run(block())

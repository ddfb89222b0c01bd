"""Probing small services for one block, and its records as frames."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any

import pandas as pd
from versioned_service import VersionedService, running

from luckyhit.case.freshness import Freshness
from luckyhit.judge.freshness.classify import classify_reads
from luckyhit.load.signals import SignalReader
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_plan import KeyRanges
from luckyhit.probe.probe_reads import ProbeReader, variants_of
from luckyhit.probe.probe_run import FreshnessProbe
from luckyhit.records import READS, WRITES

_NULLABLE = {"int64": pd.Int64Dtype(), "int32": pd.Int32Dtype(), "int16": pd.Int16Dtype()}


def freshness(**other: Any) -> Freshness:
    return Freshness.model_validate(
        {
            "write": {"path": "/things/{key}", "body": {"price": "{version}", "id": "{key}", "note": "for {key}"}},
            "reads": [{"path": "/things/{key}", "version": "$.data[0].price"}],
            "keys": {"first": 1, "last": 200},
            "within": "50ms",
            "horizon": "200ms",
            "rate": "40/s",
            "first_version": 1000,
            **other,
        }
    )


BUSY = {"write-past-end", "read-past-end", "key-still-open"}
"""Problems of a machine that is short of time; such probes count as nothing."""


class Measured:
    """One probed block: services, probe, arms, and the rows as frames."""

    def __init__(
        self, probe: FreshnessProbe, arms: Mapping[Any, ProbeArm], services: Any = (), end_ns: int = 0
    ) -> None:
        self.probe, self.arms, self.end_ns = probe, arms, end_ns
        self.service: VersionedService = services[0] if services else None  # type: ignore[assignment]
        writes, reads = probe.tables()
        assert writes.schema == WRITES and reads.schema == READS
        self.writes, self.reads = (
            table.to_pandas(types_mapper=lambda dtype: _NULLABLE.get(str(dtype))) for table in (writes, reads)
        )

    @cached_property
    def classified(self) -> pd.DataFrame:
        return classify_reads(self.reads, self.writes)

    @property
    def outcomes(self) -> dict[str, int]:
        return self.classified["outcome"].value_counts().to_dict()

    def outcomes_by(self, column: str) -> dict[Any, set[str]]:
        """What reads showed, by the value of a column; without those that show nothing, such as one that timed out."""
        grouped = self.classified.query("outcome != 'unknown'").groupby(column)["outcome"]
        return {name: set(outcomes) for name, outcomes in grouped}

    @property
    def problems(self) -> set[str]:
        """Ids of what went wrong or could not be seen, but for requests that the end of the block cut off."""
        return {problem for problem, sentence in self.probe.problems if "no answer (timeout)" not in sentence}


def arm_for(url: str, spec: Freshness, *, originals: Mapping[str, int] | None = None, **other: Any) -> ProbeArm:
    headers = other.pop("headers", {})
    reader = ProbeReader(
        url,
        spec.reads,
        headers,
        worker_header=other.pop("worker_header", None),
        variants=variants_of(spec, other.pop("routes", [])),
        signals=SignalReader(),
    )
    settings: dict[str, Any] = {"headers": headers, "timeout_s": 5.0, "originals": originals, **other}
    return ProbeArm(spec, reader, **settings)


def probe_for(arms: Mapping[Any, ProbeArm], spec: Freshness, **other: Any) -> FreshnessProbe:
    settings = {"rng": random.Random(1), "first_version": spec.first_version, "block": 3, "origin_ns": 0, **other}
    return FreshnessProbe(spec, arms, **settings)


def cold_values(spec: Freshness, value: int = 500) -> dict[str, int]:
    """What a survey of the keys would return."""
    return {str(key): value for key in KeyRanges.of(spec).cold}


async def measured_block(
    *services: VersionedService | str,
    spec: Mapping[str, Any] | None = None,
    seconds: float = 0.75,
    preflight: bool = False,
    restore: bool = False,
    arm: Mapping[str, Any] | None = None,
    **other: Any,
) -> Measured:
    """Probe one arm, or both, for a while. `spec`: other fields of the probe's section; `arm`: settings of `arm_for`;
    a service may be an address."""
    probe_spec = freshness(**(spec or {}))
    settings = {"originals": cold_values(probe_spec), **(arm or {})}
    async with AsyncExitStack() as stack:
        arms: dict[Any, ProbeArm] = {}
        for name, service in zip(("before", "after"), services, strict=False):
            if isinstance(service, VersionedService):
                await stack.enter_async_context(running(service))
            url = service if isinstance(service, str) else service.base_url
            arms[name] = arm_for(url, probe_spec, **settings)
            stack.push_async_callback(arms[name].close)
        probe = probe_for(arms, probe_spec, **other)
        if preflight:
            await probe.preflight()
        start_ns = time.monotonic_ns()
        end_ns = start_ns + round(seconds * 1e9)
        if seconds:
            await probe.run(start_ns, end_ns)
        if restore:
            await probe.restore()
    return Measured(probe, arms, services, end_ns)


def measure(*services: VersionedService | str, **other: Any) -> Measured:
    return asyncio.run(measured_block(*services, **other))

"""Probing small services for one block, and what came of it as frames."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import pandas as pd
from versioned_service import VersionedService, running

from luckyhit.case.freshness import Freshness
from luckyhit.judge.freshness.classify import classify_reads
from luckyhit.load.signals import Signals
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_plan import KeyRanges
from luckyhit.probe.probe_reads import Door
from luckyhit.probe.probe_run import FreshnessProbe
from luckyhit.probe.variants import variants_of
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
            "rate": "60/s",
            "first_version": 1000,
            **other,
        }
    )


class Measured:
    """One probed block: the probe, its arms, and its rows as frames."""

    def __init__(self, probe: FreshnessProbe, arms: Mapping[Any, ProbeArm], end_ns: int = 0) -> None:
        self.probe, self.arms, self.end_ns = probe, arms, end_ns
        writes, reads = probe.tables()
        assert writes.schema == WRITES and reads.schema == READS
        self.writes, self.reads = (
            table.to_pandas(types_mapper=lambda dtype: _NULLABLE.get(str(dtype))) for table in (writes, reads)
        )

    @property
    def classified(self) -> pd.DataFrame:
        return classify_reads(self.reads, self.writes)

    @property
    def outcomes(self) -> dict[str, int]:
        return self.classified["outcome"].value_counts().to_dict()

    @property
    def problems(self) -> str:
        return "\n".join(self.probe.problems)


def arm_for(url: str, spec: Freshness, *, originals: Mapping[str, int] | None = None, **other: Any) -> ProbeArm:
    headers = other.pop("headers", {})
    variants = variants_of(spec, other.pop("routes", []))
    door = Door.to(
        url,
        spec.reads,
        headers,
        worker_header=other.pop("worker_header", None),
        variants=variants,
        signals=Signals(),
    )
    settings: dict[str, Any] = {"headers": headers, "timeout_s": 5.0, "originals": originals, **other}
    return ProbeArm(spec, door, **settings)


def probe_for(arms: Mapping[Any, ProbeArm], spec: Freshness, **other: Any) -> FreshnessProbe:
    settings: dict[str, Any] = {
        "rng": random.Random(1),
        "first_version": spec.first_version,
        "block": 3,
        "origin_ns": 0,
        **other,
    }
    return FreshnessProbe(spec, arms, **settings)


def cold_values(spec: Freshness, value: int = 500) -> dict[str, int]:
    """What a survey of the keys would have found."""
    return {str(key): value for key in KeyRanges.of(spec).cold}


def measure(
    *services: VersionedService | str,
    spec: Freshness | None = None,
    seconds: float = 0.75,
    preflight: bool = False,
    restore: bool = False,
    arm: Mapping[str, Any] | None = None,
    **other: Any,
) -> Measured:
    """Probe one arm, or both, for a while. `arm`: settings of `arm_for`; a service may be an address."""
    spec = spec or freshness()
    settings = {"originals": cold_values(spec), **(arm or {})}

    async def block() -> Measured:
        async with AsyncExitStack() as stack:
            arms: dict[Any, ProbeArm] = {}
            for name, service in zip(("before", "after"), services, strict=False):
                if isinstance(service, VersionedService):
                    await stack.enter_async_context(running(service))
                arms[name] = arm_for(service if isinstance(service, str) else service.base_url, spec, **settings)
                stack.push_async_callback(arms[name].close)
            probe = probe_for(arms, spec, **other)
            if preflight:
                await probe.preflight()
            start_ns = time.monotonic_ns()
            end_ns = start_ns + round(seconds * 1e9)
            if seconds:
                await probe.run(start_ns, end_ns)
            if restore:
                await probe.restore()
        return Measured(probe, arms, end_ns)

    return asyncio.run(block())

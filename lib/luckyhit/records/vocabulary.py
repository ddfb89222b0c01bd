"""The words that files, code and reports share: arms, stages, statuses, errors, metrics and their units."""

from __future__ import annotations

from typing import Literal, get_args

SCHEMA_VERSION = 1

Arm = Literal["before", "after"]
Phase = Literal["warmup", "measure"]
CacheStatus = Literal["hit", "miss", "stale", "bypass", "unknown"]
CACHE_STATUSES: tuple[CacheStatus, ...] = get_args(CacheStatus)
RequestError = Literal["connect", "timeout", "reset", "protocol", "dropped", "unexpected"]
Verdict = Literal["HELPED", "HURT", "EQUIVALENT", "INCONCLUSIVE", "INVALID"]
MetricName = Literal[
    "hit_ratio",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "error_rate",
    "db_calls",
    "stale_reads",
    "staleness_p99_ms",
]
METRICS: tuple[MetricName, ...] = get_args(MetricName)
HIGHER_IS_BETTER: frozenset[MetricName] = frozenset({"hit_ratio"})
UNITS: dict[MetricName, str] = {
    "hit_ratio": "share",
    "latency_p50_ms": "ms",
    "latency_p95_ms": "ms",
    "latency_p99_ms": "ms",
    "error_rate": "share",
    "db_calls": "calls/request",
    "stale_reads": "share",
    "staleness_p99_ms": "ms",
}

# Blocks are numbered through the whole run: the baseline first, then those of the change, then the one that is
# measured after the rollback. `stage` in the manifest's list of blocks tells which is which.
Stage = Literal["baseline", "wash-out", "change", "after-rollback"]

"""What one record is: the columns of every file in a run directory, and the shape of `result.json`.

File format history (`SCHEMA_VERSION`):
    1  first version
"""

from __future__ import annotations

from luckyhit.records.finding import (
    PREFLIGHT_MET_FAULT,
    CountOf,
    Doubt,
    DoubtId,
    Preflight,
    RunFinding,
    UnexpectedAnswer,
)
from luckyhit.records.repeat import Repeat
from luckyhit.records.result import (
    Accounting,
    Beside,
    Earlier,
    EventMetric,
    FreshnessFacts,
    Guard,
    Metric,
    Moved,
    Naive,
    Result,
    Rollback,
    RunEvent,
)
from luckyhit.records.schemas import (
    COUNTERS,
    EVENTS,
    MAY_LACK,
    READS,
    REQUESTS,
    WRITES,
)
from luckyhit.records.vocabulary import (
    CACHE_STATUSES,
    HIGHER_IS_BETTER,
    METRICS,
    SCHEMA_VERSION,
    UNITS,
    Arm,
    CacheStatus,
    MetricName,
    Phase,
    RequestError,
    Stage,
    Verdict,
)

__all__ = [
    "CACHE_STATUSES",
    "COUNTERS",
    "EVENTS",
    "HIGHER_IS_BETTER",
    "MAY_LACK",
    "METRICS",
    "PREFLIGHT_MET_FAULT",
    "READS",
    "REQUESTS",
    "SCHEMA_VERSION",
    "UNITS",
    "WRITES",
    "Accounting",
    "Arm",
    "Beside",
    "CacheStatus",
    "CountOf",
    "Doubt",
    "DoubtId",
    "Earlier",
    "EventMetric",
    "FreshnessFacts",
    "Guard",
    "Metric",
    "MetricName",
    "Moved",
    "Naive",
    "Phase",
    "Preflight",
    "Repeat",
    "RequestError",
    "Result",
    "Rollback",
    "RunEvent",
    "RunFinding",
    "Stage",
    "UnexpectedAnswer",
    "Verdict",
]

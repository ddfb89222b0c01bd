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
from luckyhit.records.metrics import (
    FAULTS,
    METRICS,
    GoalName,
    MarginUnit,
    MetricKind,
    MetricName,
    kind_of,
    metric_of_goal,
    route_of_goal,
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
    OldData,
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
    SCHEMA_VERSION,
    Arm,
    CacheStatus,
    Limit,
    OldDataLooked,
    Phase,
    RequestError,
    Stage,
    Verdict,
)

__all__ = [
    "CACHE_STATUSES",
    "COUNTERS",
    "EVENTS",
    "FAULTS",
    "MAY_LACK",
    "METRICS",
    "PREFLIGHT_MET_FAULT",
    "READS",
    "REQUESTS",
    "SCHEMA_VERSION",
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
    "GoalName",
    "Guard",
    "Limit",
    "MarginUnit",
    "Metric",
    "MetricKind",
    "MetricName",
    "Moved",
    "Naive",
    "OldData",
    "OldDataLooked",
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
    "kind_of",
    "metric_of_goal",
    "route_of_goal",
]

"""What one record is: the columns of every file in a run directory, and the shape of `result.json`.

File format history (`SCHEMA_VERSION`):
    1  first version

Times are int64 nanoseconds of one monotonic clock, counted from the run's start (`origin_ns` in the manifest).
Latency is `done_ns - due_ns`: what a user waits, counted from the moment the request was due, so that time
spent waiting behind a slow answer is never hidden (coordinated omission).
"""

from __future__ import annotations

from typing import Literal, get_args

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

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

_DICT = pa.dictionary(pa.int16(), pa.string())

REQUESTS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("slot", pa.int64(), nullable=False),
        pa.field("phase", _DICT, nullable=False),
        pa.field("route", _DICT, nullable=False),
        pa.field("key", pa.string()),
        pa.field("due_ns", pa.int64(), nullable=False),
        pa.field("sent_ns", pa.int64()),
        pa.field("first_byte_ns", pa.int64()),
        pa.field("done_ns", pa.int64()),
        pa.field("status", pa.int16()),
        pa.field("error", _DICT),
        pa.field("cache", _DICT, nullable=False),
        pa.field("db_calls", pa.int32()),
        pa.field("age_s", pa.float64()),
        pa.field("bytes", pa.int64()),
        pa.field("connection", pa.int32()),
        pa.field("worker", pa.int16()),
        pa.field("version", pa.int64()),
        pa.field("layers", _DICT),
        pa.field("body_hash", pa.int64()),
    ]
)
"""One row for every scheduled request, sent or not. `version`: the value that its answer showed, or that it wrote,
where its route tells (`workload.routes[].version`). `layers`: what each cache on the way said, nearest first, such as
`x-varnish=hit x-cache=miss`; null where none did. `body_hash`: XXH3 of the decoded body, 64 bits, without the address
of the service in it (the arms have ports of their own); null where the answer was not whole."""

WRITES = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("probe", pa.int64(), nullable=False),
        pa.field("mode", _DICT, nullable=False),
        pa.field("prestate", _DICT, nullable=False),
        pa.field("sent_ns", pa.int64(), nullable=False),
        pa.field("acked_ns", pa.int64()),
        pa.field("status", pa.int16()),
        pa.field("connection", pa.int32()),
    ]
)
"""One row for every version that the freshness probe wrote. `acked_ns` is null where no answer came, and where the
answer was not that of an accepted write (`status` tells which): only what was acknowledged counts as committed. `probe`
numbers the probes: the version whose visibility the probe is about. A probe of the prestate `in-flight` has two writes:
the first empties the cache, the second (its version is `probe`) meets a read under way. `status` and `connection` are
null where a write went round the service (a command, or SQL)."""

READS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("probe", pa.int64(), nullable=False),
        pa.field("mode", _DICT, nullable=False),
        pa.field("route", _DICT, nullable=False),
        pa.field("delay_ns", pa.int64(), nullable=False),
        pa.field("conditional", pa.bool_(), nullable=False),
        pa.field("sent_ns", pa.int64(), nullable=False),
        pa.field("done_ns", pa.int64()),
        pa.field("seen_version", pa.int64()),
        pa.field("absent", pa.bool_(), nullable=False),
        pa.field("connection", pa.int32()),
        pa.field("fresh_connection", pa.bool_(), nullable=False),
        pa.field("worker", _DICT),
        pa.field("cache", _DICT, nullable=False),
        pa.field("status", pa.int16()),
        pa.field("variant", _DICT),
        pa.field("layers", _DICT),
    ]
)
"""One row for every read of the freshness probe (the reads that only warm a key aside). `probe` is the version that it
is about (see WRITES). `delay_ns` is the planned delay behind the acknowledgement (once), or the polling gap (burst).
`seen_version` is null where the answer showed none; a 304 shows the version of the answer whose validator was sent
(`conditional`). `absent`: the answer said that there is no such thing (404, 410, or an answer without the key where the
probe had created it). `fresh_connection`: a connection of its own. `worker`: what `target.worker_header` said.
`variant`: the name of the request headers that it was asked with (the manifest's block has them). `layers`: as in
REQUESTS."""

EVENTS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("block", pa.int32(), nullable=False),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("cache_key", pa.string(), nullable=False),
        pa.field("event", _DICT, nullable=False),
        pa.field("ttl_ms", pa.int64()),
    ]
)
"""One row for every keyspace event of a probed key: what the cache did, by its own words (`set`, `del`, `expired`).
`key` is the probe's, `cache_key` the cache's. `at_ns` is when the event reached us. `ttl_ms` is what the key had left
to live just after a `set` (-1: for ever; null: not asked, or gone). Rows with an empty `key` mark since when it was
listened, when that was interrupted, and until when: `(watching)`, `(lost)`, `(watched)`; that the server does not let
flushes be seen: `(flushes not told)`; and that all keys went at once (FLUSHDB, FLUSHALL): `flushed`. The key `*` is
that of a group: a key of the cache that several probed keys share."""

COUNTERS = pa.schema(
    [
        pa.field("arm", _DICT, nullable=False),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("name", _DICT, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
"""Redis INFO and the like over time, in long form."""

MAY_LACK: frozenset[str] = frozenset(
    {
        *(f"requests.{name}" for name in ("first_byte_ns", "status", "cache", "db_calls", "age_s", "bytes")),
        *(f"requests.{name}" for name in ("connection", "worker", "version", "layers", "body_hash")),
        *(f"reads.{name}" for name in ("conditional", "connection", "fresh_connection", "worker", "cache", "status")),
        *(f"reads.{name}" for name in ("variant", "layers")),
        *(f"writes.{name}" for name in ("status", "connection")),
        "events.ttl_ms",
    }
)
"""Columns (`table.column`) that a part file may do without, one of an older version or of another program: what they
would tell is not visible then. Without any other column nobody knows what the rows are about, or how they ended."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Metric(_Record):
    """One metric in both arms. Every number is null where it could not be seen: never 0 instead."""

    unit: str
    before: float | None = None
    after: float | None = None
    effect: float | None = Field(default=None, description="after - before, in the metric's unit")
    low: float | None = None
    high: float | None = None
    margin: float | None = Field(
        default=None, description="the margin that matters, in the metric's unit; null: no goal"
    )
    want: Literal["better", "no-worse"] | None = None
    verdict: Verdict | None = Field(default=None, description="null where the case sets no goal for it")
    pairs: int = Field(default=0, description="what the interval is made of: slots seen in both arms, reads or windows")
    expected_pairs: int | None = Field(
        default=None,
        description="with so many, the interval reaches no further than the margin; null: not told",
    )
    wald_pairs: int | None = Field(
        default=None, description="the least number expected of any test of a difference as large as the margin"
    )
    note: str = ""


class Guard(_Record):
    """One guard: what it checked, whether that held, the evidence, and what to do where it did not hold."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


PREFLIGHT_MET_FAULT = "preflight-met-fault"
"""Id of a note of `luckyhit check`, and of a finding: before anything was measured, a route gave an answer that the
case does not expect, and a goal covers it."""


class UnexpectedAnswer(_Record):
    """An answer that was not as expected, without secrets: `request` is its line, `wrong` half a sentence, `body` how
    it begins."""

    arm: Arm
    route: str
    request: str
    status: int
    wrong: str
    body: str


class Preflight(_Record):
    """What asking each safe route once came to, before anything was measured; `preflight` in the manifest."""

    id: str = PREFLIGHT_MET_FAULT
    asked: int = 0
    unexpected: list[UnexpectedAnswer] = []


class Accounting(_Record):
    """scheduled = completed + failed + timed_out + dropped, exactly."""

    scheduled: int = 0
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    dropped: int = 0

    @property
    def exact(self) -> bool:
        return self.scheduled == self.completed + self.failed + self.timed_out + self.dropped


class Naive(_Record):
    """What a plain before/after would have said: the first look at the system as it was found, warming cache
    and all, against the last look after the change, by means and Welch's t-test."""

    latency_before_ms: float | None = None
    latency_after_ms: float | None = None
    latency_change: float | None = Field(default=None, description="relative: -0.4 is 40 % faster")
    p_value: float | None = None
    hit_ratio_before: float | None = None
    hit_ratio_after: float | None = None
    claim: Literal["faster", "slower", "no difference", "no data"] = "no data"
    sentence: str = ""


class Counted(_Record):
    """`count` out of `of`."""

    count: int
    of: int


class Finding(_Record):
    """Something that a run shows beside its metrics, with its counts in each arm (null: not visible there). The ids are
    those of `luckyhit.judge.findings.FINDERS`; `luckyhit.report.finding_sentences` words them."""

    id: str
    before: Counted | None = None
    after: Counted | None = None
    facts: dict[str, float | int | str | bool | None] = Field(
        default={}, description="numbers and names that belong to it; units are in the names"
    )
    examples: list[dict[str, float | int | str | bool | None]] = Field(
        default=[], description="rows that show it, a few at most"
    )


DoubtId = Literal[
    "hit-on-write", "hit-with-db-calls", "hit-with-new-body", "counters-disagree", "hits-as-slow-as-misses"
]


class Doubt(_Record):
    """What shows that the cache status of one arm can't be believed: `count` of `of` answers do (see
    `luckyhit.judge.belief`)."""

    id: DoubtId
    count: int = 0
    of: int = 0
    facts: dict[str, float | int | str | bool | None] = Field(
        default={}, description="numbers and names that belong to it; units are in the names"
    )


class Rollback(_Record):
    """Whether the change is out again, and whether the second *before* equals the first."""

    confirmed: bool = False
    detail: str = ""
    same_as_before: bool | None = Field(
        default=None, description="null where it was not measured again, or where that can't tell"
    )


class FreshnessFacts(_Record):
    """What the freshness probe found in one arm. Every number is null where it could not be seen: never 0 instead.

    "Counted" reads are those of the headline: `once` reads of keys that an old copy could be of (prestates warm,
    in-flight, absent), sent later than the declared bound after the acknowledgement of the write they are about.
    Pairs in dictionaries are (stale, fresh + stale) counted reads.
    """

    writes: int = Field(default=0, description="versions that the service acknowledged")
    probes: int = Field(default=0, description="probes with a write")
    reads: int = Field(default=0, description="all reads of the probe, counted or not")
    fresh: int = Field(default=0, description="counted reads that showed the newest version")
    stale: int = Field(default=0, description="counted reads that showed an older one")
    unknown: int = Field(default=0, description="counted reads that showed nothing to tell by")
    never_committed: int = Field(default=0, description="of all reads: those that showed what no accepted write wrote")
    share: float | None = Field(default=None, description="stale / (fresh + stale)")
    low: float | None = Field(default=None, description="exact 95 % interval of the share")
    high: float | None = None
    zero_bound: float | None = Field(
        default=None, description="with no stale read: the largest share that is possible all the same, at 95 %"
    )
    by_prestate: dict[str, tuple[int, int]] = Field(default={}, description="has `cold` too, as a control")
    by_route: dict[str, tuple[int, int]] = {}
    by_connection: dict[str, tuple[int, int]] = Field(default={}, description="kept, new")
    by_kind: dict[str, tuple[int, int]] = Field(default={}, description="plain, conditional")
    by_cache: dict[str, tuple[int, int]] = Field(default={}, description="by cache status, as the answer told it")
    by_variant: dict[str, tuple[int, int]] = Field(default={}, description="by the request headers asked with")
    by_layer: dict[str, tuple[int, int]] = Field(
        default={}, description="by the nearest cache that said hit or stale; `service` where none did"
    )
    windows: int = Field(default=0, description="writes that were polled until every route was lastingly fresh")
    stuck: int = Field(default=0, description="of these: still stale at the last read of the polling")
    window_p50_ms: tuple[float, float] | None = Field(
        default=None, description="the quantile lies between these; null: beyond what was polled, or no windows"
    )
    window_p95_ms: tuple[float, float] | None = None
    window_p99_ms: tuple[float, float] | None = None
    versions_behind_mean: float | None = Field(default=None, description="over all stale reads; null without one")
    versions_behind_max: int | None = None
    read_your_writes: int = Field(
        default=0, description="stale reads later than the declared bound on a connection that wrote a newer version"
    )
    monotonic_reads: int = Field(default=0, description="reads older than an earlier one on the same connection")
    disagreements: dict[str, int] = Field(
        default={}, description="probes in which routes, workers or connections told different things"
    )
    refused_writes: int = Field(default=0, description="writes that had to be rejected, and were")
    left_out: int = Field(default=0, description="writes that the state of the thing did not allow, as declared")
    refused_seen: int = Field(default=0, description="reads that showed a version of such a write")
    conditional_reads: int = Field(default=0, description="of all reads: those that sent a validator")
    workers: int | None = Field(default=None, description="distinct workers that answered; null where none told")
    background_stale: int | None = Field(
        default=None, description="reads of the workload itself that were stale for longer than the declared bound"
    )
    background_reads: int | None = Field(default=None, description="reads of the workload that could be told apart")
    background_agreed: int | None = Field(
        default=None, description="of these: stale, but not for longer than the declared bound"
    )
    background_unknown: int | None = Field(default=None, description="reads of the workload that could not be")
    background_by_cache: dict[str, tuple[int, int]] = Field(
        default={}, description="(stale, fresh + stale) reads of the workload itself, by cache status"
    )
    added_requests: int | None = Field(
        default=None, description="what the probe added to the load in the measured parts, over all arms of the blocks"
    )
    added_share: float | None = Field(default=None, description="the same as a share of the load")


EventMetric = Literal["hit_ratio", "latency_ms", "error_rate"]
"""What is watched for events inside an arm; `latency_ms` is the geometric mean."""


class Moved(_Record):
    """How far one arm moved in an event: a share, or ms. `size` is became - was."""

    was: float
    became: float
    size: float


class RunEvent(_Record):
    """Something that happened inside an arm, or inside both at once, while the change was measured."""

    kind: Literal["drift", "shift"]
    metric: EventMetric
    arms: list[Arm] = Field(description="those that met it")
    at_s: float = Field(description="since the first block began; of a drift, where it was first measured")
    until_s: float | None = Field(default=None, description="the end of a drift; null for a shift")
    block: int = Field(description="the block in which it began")
    moved: dict[Arm, Moved]


class Beside(_Record):
    """One metric of a baseline beside those of earlier runs, in the metric's unit."""

    value: float
    runs: int = Field(description="earlier baselines that showed the metric")
    median: float | None = Field(default=None, description="of the earlier ones; null where there are none")
    low: float | None = None
    high: float | None = None
    outside: bool | None = Field(default=None, description="beyond all earlier ones; null where they are too few")
    chance: float | None = Field(
        default=None, description="how often that happens where nothing changed: 2 / (runs + 1) at most"
    )


class Earlier(_Record):
    """A baseline beside those of earlier runs of the same case, where the change was not measured. No verdict."""

    runs: int = Field(description="earlier baselines that can be compared")
    left_out: dict[str, int] = Field(default={}, description="earlier runs that can't be, by the reason")
    metrics: dict[MetricName, Beside] = {}
    sentence: str = ""


class Result(_Record):
    """`result.json`: the whole answer of one run. `schema` is the file's schema version."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    schema_: int = Field(default=SCHEMA_VERSION, alias="schema")
    case: str
    run: str
    date: str
    design: str
    verdict: Verdict
    because: str
    metrics: dict[MetricName, Metric] = {}
    guards: list[Guard] = []
    accounting: Accounting = Accounting()
    naive: Naive = Naive()
    rollback: Rollback = Rollback()
    noise_floor: dict[MetricName, float] = Field(
        default={}, description="half-width of an A/A comparison inside the baseline, in the metric's unit"
    )
    freshness: dict[Arm, FreshnessFacts] = Field(
        default={}, description="what the probe found in each arm of the change's blocks (before: the baseline's alone)"
    )
    routes: dict[str, dict[MetricName, Metric]] = Field(
        default={}, description="the metrics of requests for each route, without verdicts; empty where there is one"
    )
    events: list[RunEvent] = Field(
        default=[], description="drifts and shifts inside the arms of the change's blocks, in the order of time"
    )
    findings: list[Finding] = Field(default=[], description="what the run shows beside its metrics, weightiest first")
    doubts: dict[Arm, list[Doubt]] = Field(
        default={},
        description="arms whose cache status can't be believed, with what shows it: hit ratio is not visible there",
    )
    replayed: dict[Arm, dict[str, Counted]] = Field(
        default={},
        description="by arm and route: hits that told the database calls of the answer they were filled with; all hits "
        "of these routes are taken to have made none",
    )
    earlier: Earlier | None = Field(default=None, description="null where the change was measured")
    notes: list[str] = Field(default=[], description="warnings and what could not be seen, one sentence each")
    report: str | None = None

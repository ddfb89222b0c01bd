"""The shape of `result.json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, model_validator

from luckyhit.records.finding import CountOf, Doubt, FileRecord, Note, RunFinding
from luckyhit.records.metrics import EventMetric, GoalName
from luckyhit.records.vocabulary import SCHEMA_VERSION, Arm, GuardId, Limit, OldDataLooked, Verdict, id_of_title


class Metric(FileRecord):
    """One metric in both arms. Numbers that are not visible are null, never 0."""

    unit: str
    before: float | None = None
    after: float | None = None
    effect: float | None = Field(default=None, description="after - before, in the metric's unit")
    low: float | None = None
    high: float | None = None
    margin: float | None = Field(
        default=None, description="the margin that matters, in the metric's unit; null: no goal"
    )
    at_most: float | None = Field(
        default=None, description="the hard limit on the after arm, in the metric's unit; null: none"
    )
    want: Literal["better", "no-worse"] | None = None
    verdict: Verdict | None = Field(default=None, description="null where the case sets no goal for it")
    limit: Limit | None = Field(
        default=None,
        description="of the hard limit on the after arm: shown to be kept, shown to be broken (a goal not met), open; "
        "null where the goal sets none",
    )
    pairs: int = Field(default=0, description="what the interval is made of: slots seen in both arms, reads or windows")
    expected_pairs: int | None = Field(
        default=None,
        description="an open goal: in all, until it is decided (the median forecast); else those with which an "
        "interval as this one reaches no further than the margin; null: not told, or more than 100 times the sample",
    )
    wald_pairs: int | None = Field(
        default=None, description="the least number expected of any test of a difference as large as the margin"
    )
    notes: list[Note] = Field(
        default=[], description="what belongs to these numbers: why they are missing, and what they leave open"
    )


class Guard(FileRecord):
    """One guard: what it checked, whether it held, the evidence, and what to do if it failed."""

    id: Annotated[GuardId, BeforeValidator(id_of_title)] = Field(validation_alias=AliasChoices("id", "name"))
    ok: bool
    detail: str
    remedy: str = ""


class Accounting(FileRecord):
    """scheduled = completed + failed + timed_out + dropped, exactly."""

    scheduled: int = 0
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    dropped: int = 0

    @property
    def exact(self) -> bool:
        return self.scheduled == self.completed + self.failed + self.timed_out + self.dropped


class Naive(FileRecord):
    """The result of a plain before/after comparison: the first block without the change, warming cache included,
    against the last block with it, by means and Welch's t-test. Side by side, both are taken while the other arm
    ran."""

    latency_before_ms: float | None = None
    latency_after_ms: float | None = None
    latency_change: float | None = Field(default=None, description="relative: -0.4 is 40 % faster")
    p_value: float | None = None
    hit_ratio_before: float | None = None
    hit_ratio_after: float | None = None
    claim: Literal["faster", "slower", "no-difference", "no-data"] = "no-data"
    sentence: str = ""


class Rollback(FileRecord):
    """Whether the change is rolled back, and whether the second *before* equals the first."""

    confirmed: bool = False
    detail: str = ""
    same_as_before: bool | None = Field(
        default=None, description="null where it was not measured again, or where that can't tell"
    )


class OldData(FileRecord):
    """Whether the run measured old data, which no other metric shows."""

    looked: OldDataLooked
    pairs: int = Field(default=0, description="pairs of `stale_reads`; 0 if it is not visible")
    at_most: float | None = Field(
        default=None, description="the largest share of stale reads that is possible after the change; null: no pairs"
    )


class FreshnessFacts(FileRecord):
    """What the freshness probe found in one arm. Numbers that are not visible are null, never 0.

    "CountOf" reads are those of the headline: `once` reads of keys that an old copy could be of (prestates warm,
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
    low: float | None = Field(
        default=None,
        description="bound of the share, at the level of the metric `stale_reads`; at 5 % where nothing was compared",
    )
    high: float | None = Field(default=None, description="the same; of no stale read it is `zero_bound`")
    zero_bound: float | None = Field(
        default=None,
        description="with no stale read: the largest share that is possible all the same; the bound of the metric "
        "`stale_reads`, over all that counts for it. At 95 % and of these reads alone where nothing was compared",
    )
    by_prestate: dict[str, tuple[int, int]] = Field(default={}, description="has `cold` too, as a control")
    by_route: dict[str, tuple[int, int]] = Field(default={})
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
    read_your_writes: int | None = Field(
        default=None,
        description="stale reads later than the declared bound on a connection that wrote a newer version; null where "
        "no read was on a connection that had written its key",
    )
    monotonic_reads: int | None = Field(
        default=None,
        description="reads older than an earlier one on the same connection; null where no connection had two reads of "
        "one key, as where each is closed after one answer",
    )
    disagreements: dict[str, int] = Field(
        default={}, description="probes in which routes, workers or connections told different things"
    )
    probes_compared: int | None = Field(
        default=None, description="probes in which two readers could have disagreed; null where an older version judged"
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


class Moved(FileRecord):
    """By how much one arm moved in an event: a share, or ms. `size` is became - was."""

    was: float
    became: float
    size: float


class RunEvent(FileRecord):
    """An event inside one arm, or inside both at once, while the change was measured."""

    kind: Literal["drift", "shift"]
    metric: EventMetric
    arms: list[Arm] = Field(description="those that met it")
    at_s: float = Field(description="since the first block began; of a drift, where it was first measured")
    until_s: float | None = Field(default=None, description="the end of a drift; null for a shift")
    block: int = Field(description="the block in which it began")
    with_block: bool = Field(
        default=False,
        description="one arm met it, inside a block, and it was not seen beyond: gone with the clear, or no block came "
        "after it. What piles up since a clear looks like that",
    )
    moved: dict[Arm, Moved]


class Beside(FileRecord):
    """One metric of a baseline beside earlier runs, in the metric's unit."""

    value: float
    runs: int = Field(description="earlier baselines with the metric")
    median: float | None = Field(default=None, description="of the earlier ones; null where there are none")
    low: float | None = None
    high: float | None = None
    outside: bool | None = Field(default=None, description="beyond all earlier ones; null where they are too few")
    chance: float | None = Field(
        default=None, description="how often that happens where nothing changed: 2 / (runs + 1) at most"
    )
    side: Literal["better", "worse"] | None = Field(
        default=None, description="of one outside: whether it lies on the better or on the worse side; null: inside"
    )


class Earlier(FileRecord):
    """A baseline beside those of earlier runs of the same case, without a change and without a verdict."""

    runs: int = Field(description="comparable earlier baselines")
    left_out: dict[str, int] = Field(default={}, description="earlier runs that are not comparable, by reason")
    metrics: dict[GoalName, Beside] = Field(default={})
    sentence: str = ""

    @property
    def outside(self) -> list[GoalName]:
        """The metrics that lie beyond all earlier ones, on either side."""
        return [name for name, beside in self.metrics.items() if beside.outside]

    @property
    def worse(self) -> list[GoalName]:
        """Of these, the ones on the worse side."""
        return [name for name in self.outside if self.metrics[name].side == "worse"]


class Result(FileRecord):
    """`result.json`: the result of one run. `schema` is the version of the file's schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    schema_: int = Field(default=SCHEMA_VERSION, alias="schema")
    case: str
    run: str
    date: str
    design: str
    verdict: Verdict
    reason: str
    metrics: dict[GoalName, Metric] = Field(
        default={}, description="by metric; a goal of one route is under `route.metric`, such as `stores.hit_ratio`"
    )
    guards: list[Guard] = Field(default=[])
    accounting: Accounting = Accounting()
    naive: Naive = Naive()
    rollback: Rollback = Rollback()
    old_data: OldData | None = Field(default=None, description="null in a result of an earlier version")
    noise_floor: dict[GoalName, float] = Field(
        default={}, description="half-width of an A/A comparison inside the baseline, in the metric's unit"
    )
    freshness: dict[Arm, FreshnessFacts] = Field(
        default={}, description="what the probe found in each arm of the change's blocks (before: the baseline's alone)"
    )
    baseline_freshness: FreshnessFacts | None = Field(
        default=None,
        description="what the probe alone found in the baseline, where the change was measured too: `freshness` is of "
        "the change then; null without a probe",
    )
    routes: dict[str, dict[GoalName, Metric]] = Field(
        default={}, description="the metrics of requests for each route, without verdicts; empty where there is one"
    )
    events: list[RunEvent] = Field(
        default=[], description="drifts and shifts inside the arms of the change's blocks, in the order of time"
    )
    findings: list[RunFinding] = Field(
        default=[], description="what the run shows beside its metrics, weightiest first"
    )
    doubts: dict[Arm, list[Doubt]] = Field(
        default={},
        description="arms whose cache status can't be believed, with what shows it: their hit ratio is counted by "
        "database calls (`miss_calls`), or not visible",
    )
    miss_calls: dict[str, int] = Field(
        default={},
        description="where one arm is in doubt, by route: an answer with so many database calls or more counts as a "
        "miss, any other as a hit, in both arms; of other routes the status is not visible then",
    )
    replayed: dict[Arm, dict[str, CountOf]] = Field(
        default={},
        description="by arm and route: hits that told the database calls of the answer they were filled with; all hits "
        "of these routes are taken to have made none",
    )
    earlier: Earlier | None = Field(default=None, description="null where the change was measured")
    notes: list[Note] = Field(default=[], description="warnings and what could not be seen")
    report: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _observed(cls, document: Any) -> Any:
        """Earlier versions noted a baseline alone as INCONCLUSIVE."""
        alone = isinstance(document, dict) and document.get("earlier") and document.get("verdict") == "INCONCLUSIVE"
        return {**document, "verdict": "OBSERVED"} if alone else document

    @property
    def unseen_status(self) -> tuple[Arm, ...]:
        """The arms whose cache status is not visible, since it can't be trusted and nothing else shows it."""
        return () if self.miss_calls else tuple(self.doubts)

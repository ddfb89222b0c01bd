"""`manifest.json` of a run, typed: its host, its blocks and what was done before each, how it ended.

`load_manifest` is lenient: it returns what can be read of a damaged or foreign manifest, and which fields can't. A
field that was not recorded has its default. A part (`block.washout`) is true if anything was recorded in it. Fields
that this version does not know are kept as they are.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from luckyhit.records.finding import Preflight
from luckyhit.records.lenient import UnreadPart, load_record
from luckyhit.records.parts.block_numbers import MOST_BLOCKS
from luckyhit.records.result import Accounting, Guard, Rollback
from luckyhit.records.vocabulary import Arm, Stage, Verdict


class Repeat(BaseModel):
    """How to repeat a run. `case`, `runs_dir` and `reports_dir` are shell words to use in the project's folder (empty
    for the project's own folders); `variables` are the names of variables that have to be set."""

    case: str = ""
    runs_dir: str = ""
    reports_dir: str = ""
    variables: list[str] = Field(default_factory=list)


State = Literal["measuring", "measured", "finished", "failed"]
STAGES: tuple[Stage, ...] = get_args(Stage)

Count = Annotated[int, Field(ge=0, lt=10**15)]
BlockNumber = Annotated[int, Field(ge=0, lt=MOST_BLOCKS)]
Time_ns = Annotated[int, Field(ge=-(2**62), lt=2**62)]
Figure = Annotated[float, Field(ge=0, lt=1e15)]


class ManifestPart(BaseModel):
    """A part of the manifest; true if anything was recorded in it."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True, allow_inf_nan=False, populate_by_name=True)

    def __bool__(self) -> bool:
        return bool(self.model_fields_set)


class RunFailure(ManifestPart):
    """Why a run failed; `exit_code` is that of the command. `refusal`: what the target refused (`errors.REFUSALS`), or
    null; earlier versions did not record it."""

    error: str = ""
    message: str = ""
    hint: str = ""
    exit_code: int = 1
    refusal: str | None = None
    log: list[str] = []


class HostNotes(ManifestPart):
    system: str = ""
    machine: str = ""
    cpus: int | None = None


class PlanNotes(ManifestPart):
    """`sized`: fields of the plan that were `auto`. `power`: by goal, what the plan can decide."""

    sized: list[str] = []
    power: list[dict[str, Any]] = []


class InterimLook(ManifestPart):
    """An interim look after `blocks` blocks of the change. `added`: blocks added to the plan."""

    blocks: int | None = None
    verdict: Verdict | None = None
    reason: str = ""
    stopped: bool = False
    added: Count = 0


class KeyShape(ManifestPart):
    """The text around a probed key in the cache's keys. `group`: keys that stand for several probed keys."""

    before: str
    after: str
    group: bool = False


class LearnedKeys(ManifestPart):
    """The cache keys that reads of probed keys stored, in one stack. `unknown`: the reason by key."""

    shapes: list[KeyShape] = []
    reads: Count = 0
    unknown: dict[str, Literal["not-of-the-key", "too-broad"]] = {}


class ClearNotes(ManifestPart):
    """Number of keys cleared before a block (`luckyhit.change.clearing.clear.ClearReport`); null: not recorded."""

    scanned: Count | None = None
    matched: Count | None = None
    cleared: Count | None = None
    gone: Count | None = None
    appeared: Count | None = None
    without_ttl_kept: Count | None = None
    outside: Count | None = None
    outside_gone: int | None = None
    outside_left: Count | None = None
    outside_keys: list[str] = []
    expired_meanwhile: Count | None = None
    rewritten: Count | None = None
    contended: Count | None = None
    unguarded: Count | None = None
    named: Count | None = None
    servers: Count | None = None
    backup: str | None = None
    seconds: float = 0.0
    detail: str = ""


class PurgeNotes(ManifestPart):
    """The purge calls before a block (`luckyhit.change.clearing.purge.PurgeReport`)."""

    calls: Count | None = None
    statuses: dict[str, int] = {}
    seconds: float = 0.0
    detail: str = ""


class EngineNotes(ManifestPart):
    """The timing of the load engine in a block (`luckyhit.load.block.EngineCheck`)."""

    added_p50_ms: float | None = None
    added_p99_ms: float | None = None
    schedule_error_p99_ms: float | None = None
    trustworthy: bool | None = None
    detail: str = ""
    loop_lag_ms: float | None = None
    cpu_share: float | None = None


LARGEST_CLOCK_ERROR_MS = 20.0
"""What is off in a shard's clock is off in its sending: as much as an engine may be late (p99)."""


class ShardNotes(ManifestPart):
    """One of several hosts that sent a block. `workers`: the numbers of its processes, as in the requests' column;
    `rows`: how many it recorded. `offset_ns`: how far its monotonic clock was ahead of the run's host, give or take
    `offset_error_ns`; `offset_after_ns`: at the end of the block; `clock_error_ns`: by how much its instants may be
    off; null: not known. `lost`: why it was lost; `never_sent`: slots that it left out, which are `dropped` in the
    requests. The other fields are those of EngineNotes.
    """

    shard: Count
    host: str = ""
    workers: list[Count] = []
    rows: Count = 0
    offset_ns: int | None = None
    offset_error_ns: Count | None = None
    offset_after_ns: int | None = None
    clock_error_ns: Count | None = None
    lost: str | None = None
    never_sent: Count = 0
    first_never_sent: Count | None = None
    last_never_sent: Count | None = None
    added_p50_ms: float | None = None
    added_p99_ms: float | None = None
    schedule_error_p99_ms: float | None = None
    trustworthy: bool | None = None


class ProbeNotes(ManifestPart):
    """The freshness probe's own counts in a block. `requests`: in the measured part, with their `share` of the load;
    `beside`: the others. `put_back`, `not_put_back`: keys; null: unknown."""

    probes: Count | None = None
    writes: int | None = None
    reads: int | None = None
    requests: Figure | None = None
    beside: Count | None = None
    share: Figure | None = None
    put_back: dict[Arm, Count | None] | None = None
    not_put_back: dict[Arm, Count | None] | None = None
    variants: dict[str, dict[str, str]] = {}
    vary: dict[Arm, list[str]] = {}
    not_asked: list[str] = []
    outlived: dict[Arm, bool] = {}
    left_out: dict[Arm, Count] = {}
    problems: list[str] = []


class WashoutNotes(ManifestPart):
    """The wash-out before a block. `settled`: whether the hit ratio was stationary (null: unknown); `ratios`: of its
    windows."""

    stretches: Count | None = None
    seconds: Figure | None = None
    settled: bool | None = None
    ratios: list[Figure] = []


class LimitNotes(ManifestPart):
    """The limits watched in a block. `stopped`: the limit that stopped it, in a sentence."""

    error_rate: Figure | None = None
    p99_ms: Figure | None = None
    window_s: Figure | None = None
    fewest: Figure | None = None
    stopped: str | None = None


class ExampleNotes(ManifestPart):
    """An unexpected answer, with the number of its kind in the block (`luckyhit.load.bodies.examples`)."""

    arm: Arm
    route: str
    request: str
    status: int
    wrong: str
    body: str
    reason: str
    cache: str
    count: Count


class NotedBlock(ManifestPart):
    """One finished block. Times are ns since the start of the run; null: not recorded.

    `stage` is null, and `arms` empty, where what was noted can't be read. `start`: the how many-th process start each
    arm has; `started`: its pid. `differences`: by arm and entry of the fingerprint, (first value, value now).
    `clear` is null where nothing was noted of a clear, and empty where nothing was to be cleared.
    """

    block: BlockNumber
    stage: Stage | None = None
    arms: list[Arm] = []
    pair: BlockNumber | None = None
    control: bool = False
    start_ns: Time_ns | None = None
    measure_ns: Time_ns | None = None
    end_ns: Time_ns | None = None
    start: dict[Arm, int] = {}
    started: dict[Arm, int | None] = {}
    clear: dict[Arm, ClearNotes] | None = None
    purge: dict[Arm, PurgeNotes] = {}
    washout: WashoutNotes = WashoutNotes()
    limits: LimitNotes = LimitNotes()
    differences: dict[Arm, dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]]] = {}
    engine: EngineNotes = EngineNotes()
    shards: list[ShardNotes] = []
    probe: ProbeNotes = ProbeNotes()
    accounting: dict[Arm, Accounting] = {}
    unexpected: str | None = None
    unseen: list[str] = []
    refused: list[str] = []
    examples: list[ExampleNotes] = []
    distinct_keys: Count | None = None
    digest: str = ""
    retried: Count | None = None
    unchecked: Count | None = None
    unlogged: Count | None = None
    stopped: str | None = None
    stopped_ns: Time_ns | None = None
    first_failure: str = ""

    @property
    def clocks_apart_ns(self) -> int:
        """By how much instants of different hosts may seem nearer, or further apart, than they were; 0 for one host.
        Where that is not known, by the largest error that a block may have."""
        largest_ns = round(LARGEST_CLOCK_ERROR_MS * 1e6)
        errors_ns = [
            largest_ns if one.clock_error_ns is None else one.clock_error_ns for one in self.shards if one.rows
        ]
        return 2 * max(errors_ns, default=0)

    def cleared(self, arm: Arm) -> ClearNotes:
        """The clear in one arm; false if nothing was recorded."""
        return (self.clear or {}).get(arm, ClearNotes())


class Manifest(ManifestPart):
    """`manifest.json`. Empty texts and nulls: not recorded. `origin_ns` is the run's start on the monotonic clock,
    `origin_s` the same moment in seconds since 1970. `pinned`: pruning keeps the run."""

    schema_: int | None = Field(default=None, alias="schema", ge=1)
    case: str = ""
    run: str = ""
    started: str = ""
    origin_ns: int = 0
    origin_s: Figure | None = None
    state: State | None = None
    seed: int | None = None
    design: str | None = None
    case_sha256: str | None = None
    revision: str = ""
    command: str = ""
    environment: str | None = None
    observe: bool = False
    changed: bool = False
    pinned: bool = False
    report: str = ""
    measured_s: Figure = 0.0
    inputs_scrubbed: bool = False
    inputs: list[str] = []
    variables: dict[str, str] = {}
    versions: dict[str, str] = {}
    host: HostNotes = HostNotes()
    repeat: Repeat = Repeat()
    plan: PlanNotes = PlanNotes()
    preflight: Preflight = Preflight()
    revisions: dict[Arm, str] | None = None
    fingerprints: dict[Arm, dict[str, str]] = {}
    cache_keys: dict[str, LearnedKeys] = {}
    guards: list[Guard] = []
    blocks: list[NotedBlock] = []
    looks: list[InterimLook] = []
    rollback: Rollback | None = None
    failure: RunFailure | None = None

    @model_validator(mode="after")
    def _each_block_once(self) -> Manifest:
        numbers = [block.block for block in self.blocks]
        if len(set(numbers)) < len(numbers):
            raise ValueError("a block is noted twice")
        return self

    @property
    def ended(self) -> bool:
        """Whether the run was measured to its end."""
        return self.state in ("measured", "finished")

    @property
    def incomplete(self) -> str:
        """Why the run ended early; empty if it did not."""
        if self.state != "failed" and self.failure is None:
            return ""
        return (self.failure.message if self.failure else "") or "no reason was recorded"

    def stage(self, stage: Stage) -> list[NotedBlock]:
        """The finished blocks of one stage."""
        return [block for block in self.blocks if block.stage == stage]

    def numbers(self, stage: Stage) -> list[int]:
        """The numbers of the finished blocks of one stage."""
        return [block.block for block in self.stage(stage)]


_STANDS_FOR: dict[tuple[str, ...], Any] = {
    ("failure",): {"error": "unreadable"},
    ("changed",): True,
    ("blocks", "*", "limits", "stopped"): "what stopped it can't be read",
    ("blocks", "*", "probe", "put_back", "before"): None,
    ("blocks", "*", "probe", "put_back", "after"): None,
    ("blocks", "*", "probe", "not_put_back", "before"): None,
    ("blocks", "*", "probe", "not_put_back", "after"): None,
}
"""By path: the replacement of an unreadable field whose default would mean that all is well."""


def load_manifest(document: dict[str, Any]) -> tuple[Manifest, list[UnreadPart]]:
    """The manifest as far as it can be read, and a problem for each unreadable field or entry. Never raises. Of several
    entries with the same number the first is kept."""
    return load_record(Manifest, document, _STANDS_FOR, unique={("blocks",): "block"})


def load_blocks(entries: list[Any]) -> tuple[list[NotedBlock], list[UnreadPart]]:
    """The same for a list of blocks."""
    manifest, problems = load_manifest({"blocks": entries})
    return manifest.blocks, problems


def written(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of the manifest as written to the file. Raises ValidationError for an unknown field or an invalid
    value."""
    known = Manifest.model_validate(fields, extra="forbid")
    return known.model_dump(mode="json", by_alias=True, exclude_unset=True)


def written_block(fields: dict[str, Any]) -> dict[str, Any]:
    """The same for one block."""
    return NotedBlock.model_validate(fields, extra="forbid").model_dump(mode="json", exclude_unset=True)

"""What a block is to measure, and what is reported of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from luckyhit.records import Accounting, Arm, Stage


@dataclass(frozen=True)
class BlockPlan:
    """One block: one base URL for each arm (one or two), its seed, its length in seconds.

    `headers` are sent with each request and may hold secrets: they reach the engine through a pipe, never a file or
    an argument. `ca_file`: authorities to trust instead of the system's. `selfcheck`: let the engine measure itself
    first (half a second). For the freshness probe: `originals` are the values of its cold keys, `start_values` what
    `target.start.command` is filled in with (both by arm), `databases` URLs by the name of their variable: these may
    hold secrets too.

    `limits`: where the block is stopped (see luckyhit.measure.watch): `error_rate` (a share), `p99_ms`, `window_s`,
    `fewest`; what is None or missing of the first two is not limited. `measure_s` may be 0: a wash-out, all of it
    warm-up, without a probe or a self-check. `probed`: with the case's freshness probe beside the load; without it the
    block is a control, which shows what the load alone does.
    """

    block: int
    stage: Stage
    targets: Mapping[Arm, str]
    warmup_s: float
    measure_s: float
    seed: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    selfcheck: bool = True
    limits: Mapping[str, float | None] | None = None
    originals: Mapping[Arm, Mapping[str, int]] = field(default_factory=dict)
    start_values: Mapping[Arm, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    databases: Mapping[str, str] = field(default_factory=dict, repr=False)
    probed: bool = True


@dataclass(frozen=True)
class EngineCheck:
    """What the engine adds by itself (null: not checked in this block), and whether its timings can be trusted.

    `schedule_error_p99_ms`: how late it sent, in the block; `loop_lag_ms`: how late at most; `cpu_share`: of one core.
    """

    added_p50_ms: float | None
    added_p99_ms: float | None
    schedule_error_p99_ms: float | None
    trustworthy: bool
    detail: str
    loop_lag_ms: float | None = None
    cpu_share: float | None = None


@dataclass(frozen=True)
class BlockReport:
    """How a block went.

    `unexpected`: the first answer that was not as expected, in one sentence. `probe`: empty without a freshness probe;
    else probes, rows of writes and of reads, requests in the measured part and their share of the load's there (over
    all arms), requests beside it (preflight, putting back), keys put back and not put back (by arm), problems.
    `start_ns`, `measure_ns`, `end_ns`: start, end of the warm-up and end, from the run's start. `digest` tells which
    schedule was sent; `retried`: requests sent again since a kept-alive connection was closed under them; `unchecked`:
    answers too large to be looked into; `examples`: an unexpected answer of each kind (route, arm, reason, status,
    cache status), and how many there were (see luckyhit.measure.answered.examples). `stopped`: the limit of the plan
    that was exceeded, in one sentence with figures; what was not sent then, or not answered, is `dropped`, and the
    measured part ended before `end_ns`.
    """

    accounting: dict[Arm, Accounting]
    engine: EngineCheck
    unexpected: str | None
    probe: dict[str, Any]
    start_ns: int
    measure_ns: int
    end_ns: int
    distinct_keys: int
    digest: str = ""
    retried: int = 0
    unchecked: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    stopped: str | None = None

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> BlockReport:
        """The report from what the engine's last line says."""
        return cls(
            **{
                **facts,
                "accounting": {arm: Accounting(**counts) for arm, counts in facts["accounting"].items()},
                "engine": EngineCheck(**facts["engine"]),
            }
        )

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self), "accounting": {arm: counts.model_dump() for arm, counts in self.accounting.items()}}

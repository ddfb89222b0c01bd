"""What `luckyhit load` is asked for, checked and made into the engine's configuration, before anything is sent."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from luckyhit.case.workload import Response, Workload
from luckyhit.errors import ArgumentError
from luckyhit.measure.engine_config import EngineConfig, Http
from luckyhit.measure.head import Origin, head_lines
from luckyhit.measure.load_asked import Asked
from luckyhit.measure.load_workload import checked, workload_of
from luckyhit.measure.signals import DeclaredSignals, signals_of

USUAL_SECONDS = 10.0


@dataclass(frozen=True)
class LoadPlan:
    """What will be sent. `rate` is the one that was asked for; None where stages, a log or the answers set the pace.

    `root`: what the workload's file names are relative to.
    """

    base: str
    workload: Workload
    expected: Response | None
    signals: DeclaredSignals
    seconds: float
    warmup_s: float
    closed: int
    rate: float | None
    seed: int
    headers: Mapping[str, str] = field(repr=False)
    http: Http
    ca_file: Path | None
    root: Path
    pace: str

    def config(self, directory: Path, inputs: Path | None) -> EngineConfig:
        """What the engine is asked for. `directory`: where the records go."""
        return EngineConfig(
            workload=self.workload,
            targets={"before": self.base},
            headers=dict(self.headers),
            seed=self.seed,
            warmup_s=self.warmup_s,
            measure_s=self.seconds,
            origin_ns=time.monotonic_ns(),
            directory=directory,
            inputs=inputs,
            closed=self.closed,
            http=self.http,
            ca_file=str(self.ca_file) if self.ca_file else None,
            expected=self.expected,
            signals=self.signals,
        )


def plan_load(url: str, asked: Asked) -> LoadPlan:
    """Raises ArgumentError for what can't be asked for; its hint says what would be right."""
    asked.check()
    workload, base = workload_of(url, asked)
    target = asked.case.target if asked.case else None
    head_lines(Origin.parse(base), asked.headers)
    root = asked.root or Path.cwd()
    ca_file = asked.ca_file.resolve() if asked.ca_file else None
    if ca_file is None and (declared := (target.ca_file if target else None)):
        ca_file = root / declared
    if asked.ca_file is not None and not asked.ca_file.is_file():
        raise ArgumentError(f"there is no file {asked.ca_file}", hint="--ca-file names a PEM file with authorities.")
    return LoadPlan(
        base=base,
        workload=workload,
        expected=_expected(asked),
        signals=signals_of(asked.case.target) if asked.case else DeclaredSignals(),
        seconds=_seconds(workload, asked),
        warmup_s=float(asked.warmup_s),
        closed=asked.closed,
        rate=None if asked.closed else workload.rate,
        seed=workload.seed,
        headers=asked.headers,
        http=cast(Http, asked.http or (target.http if target else "auto")),
        ca_file=ca_file,
        root=root,
        pace=_pace(workload, asked),
    )


def _seconds(workload: Workload, asked: Asked) -> float:
    if asked.seconds is not None:
        return float(asked.seconds)
    stages = workload.stages
    if stages:
        return max(0.1, sum(stage.lasts for stage in stages) - asked.warmup_s)
    return USUAL_SECONDS


def _pace(workload: Workload, asked: Asked) -> str:
    """How the requests are paced, for people."""
    if asked.closed:
        return f"closed loop, {asked.closed} connections"
    stages, replay = workload.stages, workload.replay
    if replay is not None and replay.timing == "log":
        return f"replay with the log's own gaps{f', {replay.speed:g} times as fast' if replay.speed != 1 else ''}"
    how = f", {workload.arrivals.capitalize() if workload.arrivals == 'poisson' else workload.arrivals} arrivals"
    kind = "replay in the log's order" if replay is not None else "open loop"
    if stages:
        told = [f"{s.rate:g}/s{f' to {s.to:g}/s' if s.to is not None else ''} for {s.lasts:g} s" for s in stages]
        return f"{kind}, {', then '.join(told)}{how}"
    return f"{kind}, {workload.rate:g}/s{how}"


def _expected(asked: Asked) -> Response | None:
    given: dict[str, Any] = {}
    if asked.expect_status is not None:
        given["status"] = asked.expect_status
    if asked.expect_sha256 is not None:
        given["sha256"] = asked.expect_sha256.lower()
        if not re.fullmatch(r"[0-9a-f]{64}", given["sha256"]):
            raise ArgumentError("--expect-sha256 is no SHA-256", hint="64 hexadecimal digits, as sha256sum tells.")
    if not given:
        return asked.case.expected.response if asked.case else None
    return checked(Response, given)

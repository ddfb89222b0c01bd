"""The options of `luckyhit load` as a workload (of a URL, an access log or a case) and an engine's configuration."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from pydantic import ValidationError

from luckyhit.case.values.units import format_duration, format_rate
from luckyhit.case.workload import MOST_SENDERS, Response, Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.command.options import LoadOptions, is_json, key_facts, stage_facts, template, text_or_file
from luckyhit.load.engine_config import EngineConfig, Http
from luckyhit.load.http1.request_head import Origin, checked_target, head_lines
from luckyhit.load.sharding.shard_hosts import LOCAL, named_address
from luckyhit.load.signals import DeclaredSignals, signals_of

USUAL_SECONDS, USUAL_RATE = 10.0, 100.0
EVERY_LINE = [{"name": "log", "path": "/"}, {"name": "log-head", "method": "HEAD", "path": "/"}]
"""Routes that all GET and HEAD lines of a log belong to."""


@dataclass(frozen=True)
class LoadPlan:
    """What will be sent. `rate`: None if stages, a log or the responses set the pace; `root`: the folder that the
    workload's file names are relative to; `hosts_at`: the address of the hosts that send; empty: this one alone."""

    base: str
    workload: Workload
    expected: Response | None
    signals: DeclaredSignals
    seconds: float
    warmup_s: float
    closed: int
    rate: float | None
    headers: Mapping[str, str] = field(repr=False)
    http: Http
    ca_file: Path | None
    root: Path
    pace: str
    hosts_at: str = ""

    @property
    def names_files(self) -> bool:
        """Whether the workload names files of keys or a log."""
        keys = [route.keys for route in self.workload.routes]
        return self.workload.replay is not None or any(one is not None and one.file is not None for one in keys)

    def config(self, directory: Path, inputs: Path | None) -> EngineConfig:
        """The engine's configuration. `directory`: where the records go."""
        return EngineConfig(
            workload=self.workload,
            targets={"before": self.base},
            headers=dict(self.headers),
            seed=self.workload.seed,
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
            live=True,
        )


def plan_load(url: str, options: LoadOptions) -> LoadPlan:
    """Raises ArgumentError for invalid options; its hint says what would be right."""
    options.check()
    workload, base = _case_workload(url, options) if options.case else _url_workload(url, options)
    target = options.case.target if options.case else None
    head_lines(Origin.parse(base), options.headers)
    _refuse_idle_senders(workload, options)
    root = options.root or Path.cwd()
    ca_file = options.ca_file.resolve() if options.ca_file else None
    if ca_file is None and (declared := (target.ca_file if target else None)):
        ca_file = root / declared
    if options.ca_file is not None and not options.ca_file.is_file():
        raise ArgumentError(f"no such file: {options.ca_file}", hint="Let --ca-file name a PEM file with authorities.")
    return LoadPlan(
        base=base,
        workload=workload,
        expected=_expected(options),
        signals=signals_of(target) if target else DeclaredSignals(),
        seconds=_seconds(workload, options),
        warmup_s=float(options.warmup_s),
        closed=options.closed,
        rate=None if options.closed else workload.rate,
        headers=options.headers,
        http=cast(Http, options.http or (target.http if target else "auto")),
        ca_file=ca_file,
        root=root,
        pace=_pace(workload, options),
        hosts_at=_hosts_at(workload, options),
    )


def _refuse_idle_senders(workload: Workload, options: LoadOptions) -> None:
    """Raises ArgumentError for more sending processes than can be told apart, or than have a connection to send on."""
    processes = f"{workload.senders} sending processes (hosts x workers)"
    if workload.senders > MOST_SENDERS:
        raise ArgumentError(f"{processes} are more than {MOST_SENDERS}", hint="Lower --shards or --workers.")
    if options.closed and workload.senders > options.closed:
        raise ArgumentError(
            f"{processes} can't share {options.closed} connections",
            hint="Raise --closed, or lower --shards or --workers.",
        )


def _hosts_at(workload: Workload, options: LoadOptions) -> str:
    """Where the hosts are. A case that asks for some has to be told."""
    if options.dask is not None:
        return options.dask
    if workload.hosts == 1:
        return ""
    return LOCAL if options.shards is not None else named_address(workload.hosts)


def _seconds(workload: Workload, options: LoadOptions) -> float:
    if options.seconds is not None:
        return float(options.seconds)
    if workload.stages:
        return max(0.1, sum(stage.lasts for stage in workload.stages) - options.warmup_s)
    return USUAL_SECONDS


def _pace(workload: Workload, options: LoadOptions) -> str:
    """How the requests are paced, for people."""
    if options.closed:
        return f"closed loop, {options.closed} connections"
    stages, replay = workload.stages, workload.replay
    if replay is not None and replay.timing == "log":
        return f"replay with the log's own gaps{f', {replay.speed:g} times as fast' if replay.speed != 1 else ''}"
    arrivals = f"{workload.arrivals.capitalize() if workload.arrivals == 'poisson' else workload.arrivals} arrivals"
    kind = "replay in the log's order" if replay is not None else "open loop"
    if stages:
        steps = [f"{s.rate:g}/s{f' to {s.to:g}/s' if s.to is not None else ''} for {s.lasts:g} s" for s in stages]
        return f"{kind}, {', then '.join(steps)}, {arrivals}"
    return f"{kind}, {workload.rate:g}/s, {arrivals}"


def _expected(options: LoadOptions) -> Response | None:
    facts: dict[str, Any] = {}
    if options.expect_status is not None:
        facts["status"] = options.expect_status
    if options.expect_sha256 is not None:
        facts["sha256"] = options.expect_sha256.lower()
        if not re.fullmatch(r"[0-9a-f]{64}", facts["sha256"]):
            raise ArgumentError("--expect-sha256 is not a SHA-256", hint="64 hexadecimal digits, as sha256sum prints.")
    if not facts:
        return options.case.expected.response if options.case else None
    return _valid(Response, facts)


def _url_workload(url: str, options: LoadOptions) -> tuple[Workload, str]:
    """The workload, and the base URL of its paths."""
    if "://" not in url:
        hint = (
            f"Did you mean http://{url} ?" if re.match(r"[\w.-]+(:\d+)?(/|$)", url) else "Write http://host:port/path."
        )
        raise ArgumentError(f"{url[:120]!r} has no scheme", hint=hint)
    Origin.parse(url.partition("?")[0].partition("#")[0])
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    path = checked_target((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    facts: dict[str, Any] = {"seed": options.seed if options.seed is not None else 1, **_common(options)}
    if options.replay is not None:
        facts |= _replay(options.replay, options)
        base += path.partition("?")[0].rstrip("/")
    else:
        facts["routes"] = [_route(path, options)]
    return _valid(Workload, facts), base


def _route(path: str, options: LoadOptions) -> dict[str, Any]:
    names = ["key", "number"] if options.keys is not None else ["number"]
    body = text_or_file(options.body, "--body") if options.body is not None else None
    if options.keys is None and "{key}" in path:
        raise ArgumentError("the URL has {key}, but there are no keys", hint="Add --keys 1-1000 or --keys @FILE.")
    if options.keys is not None and "{key}" not in path + (body or ""):
        raise ArgumentError("--keys without {key} in the URL", hint="For example http://host/items/{key}.")
    route: dict[str, Any] = {"name": "url", "path": template(path, names)}
    route["method"] = (options.method or ("POST" if options.body is not None else "GET")).upper()
    if body is not None:
        route["body"] = template(body, names)
        if is_json(body) and not any(name.lower() == "content-type" for name in options.headers):
            route["headers"] = {"content-type": "application/json"}
    if options.keys is not None:
        chosen = {name: getattr(options, name) for name in ("popularity", "exponent", "hot", "hot_share")}
        route["keys"] = key_facts(options.keys) | {name: value for name, value in chosen.items() if value is not None}
    return route


def _replay(log: Path, options: LoadOptions) -> dict[str, Any]:
    if not log.is_file():
        raise ArgumentError(f"no such file: {log}", hint="Let --replay name an access log.")
    chosen = {"format": options.log_format, "speed": options.speed}
    replay = {"file": str(log), "timing": options.timing or "log", "others": True}
    return {
        "replay": replay | {name: value for name, value in chosen.items() if value is not None},
        "routes": EVERY_LINE,
    }


def _case_workload(url: str, options: LoadOptions) -> tuple[Workload, str]:
    """The same of a case."""
    assert options.case is not None
    facts = options.case.workload.model_dump(mode="json", exclude_unset=True)
    if options.rate is not None or options.stages:
        facts.pop("rate", None)
        facts.pop("stages", None)
    if options.seed is not None:
        facts["seed"] = options.seed
    return _valid(Workload, facts | _common(options, usual=False)), url.rstrip("/")


def _common(options: LoadOptions, *, usual: bool = True) -> dict[str, Any]:
    """Rate, arrivals and the rest; `usual`: with the usual rate, if none is given."""
    facts: dict[str, Any] = {}
    by_log = options.replay is not None and options.timing != "rate"
    if options.stages:
        facts["stages"] = [stage_facts(text) for text in options.stages]
    elif options.rate is not None or (usual and not by_log):
        facts["rate"] = format_rate(options.rate if options.rate is not None else USUAL_RATE)
    if options.arrivals is not None:
        facts["arrivals"] = options.arrivals
    if options.timeout_s is not None:
        facts["timeout"] = format_duration(options.timeout_s)
    if options.fresh:
        facts["connections"] = "fresh"
    if options.workers is not None:
        facts["workers"] = options.workers
    if options.shards is not None:
        facts["hosts"] = options.shards
    return facts


def _valid(part: Any, facts: dict[str, Any]) -> Any:
    """A part of the case model from the options; its first problem as an ArgumentError."""
    try:
        return part.model_validate_json(json.dumps(facts))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(item) for item in problem["loc"] if not isinstance(item, int) and item != "routes")
        message = str(problem["msg"]).removeprefix("Value error, ")
        value = problem.get("input")
        shown = f": {str(value)[:60]!r}" if isinstance(value, (str, int, float)) else ""
        hint = f"{message[:1].upper()}{message[1:]}."
        raise ArgumentError(f"invalid {place or 'workload'}{shown}", hint=hint) from None

"""What `luckyhit load` is asked for, checked and made into the engine's configuration, before anything is sent.

The workload of `luckyhit load`: from a URL, an access log or a case.
"""

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
from luckyhit.case.workload import Response, Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.command.options import Asked, given_text, is_json, key_facts, stage_facts, template
from luckyhit.load.engine_config import EngineConfig, Http
from luckyhit.load.http1.request_head import Origin, checked_target, head_lines
from luckyhit.load.signals import DeclaredSignals, signals_of

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
        stages_text = [f"{s.rate:g}/s{f' to {s.to:g}/s' if s.to is not None else ''} for {s.lasts:g} s" for s in stages]
        return f"{kind}, {', then '.join(stages_text)}{how}"
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


USUAL_RATE = 100.0
EVERY_LINE = [{"name": "log", "path": "/"}, {"name": "log-head", "method": "HEAD", "path": "/"}]
"""Routes that every GET and HEAD line of a log belongs to."""


def workload_of(url: str, asked: Asked) -> tuple[Workload, str]:
    """The workload, and the base URL of its paths. Raises ArgumentError."""
    return _case_workload(url, asked) if asked.case else _url_workload(url, asked)


def _url_workload(url: str, asked: Asked) -> tuple[Workload, str]:
    if "://" not in url:
        hint = (
            f"Did you mean http://{url} ?" if re.match(r"[\w.-]+(:\d+)?(/|$)", url) else "Write http://host:port/path."
        )
        raise ArgumentError(f"{url[:120]!r} has no scheme", hint=hint)
    Origin.parse(url.partition("?")[0].partition("#")[0])
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    path = checked_target((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    facts: dict[str, Any] = {"seed": asked.seed if asked.seed is not None else 1, **_common(asked)}
    if asked.replay is not None:
        facts |= _replay(asked)
        base += path.partition("?")[0].rstrip("/")
    else:
        facts["routes"] = [_route(path, asked)]
    return checked(Workload, facts), base


def _route(path: str, asked: Asked) -> dict[str, Any]:
    names = ["key", "number"] if asked.keys is not None else ["number"]
    body = given_text(asked.body, "--body") if asked.body is not None else None
    if asked.keys is None and "{key}" in path:
        raise ArgumentError(
            "{key} stands in the request, but there are no keys", hint="Add --keys 1-1000 or --keys @FILE."
        )
    if asked.keys is not None and "{key}" not in path + (body or ""):
        raise ArgumentError(
            "--keys is given, but {key} stands nowhere in the URL", hint="For example http://host/items/{key}."
        )
    route: dict[str, Any] = {"name": "url", "path": template(path, names)}
    method = (asked.method or ("POST" if asked.body is not None else "GET")).upper()
    route["method"] = method
    if body is not None:
        route["body"] = template(body, names)
        if is_json(body) and not any(name.lower() == "content-type" for name in asked.headers):
            route["headers"] = {"content-type": "application/json"}
    if asked.keys is not None:
        chosen = {
            "popularity": asked.popularity,
            "exponent": asked.exponent,
            "hot": asked.hot,
            "hot_share": asked.hot_share,
        }
        route["keys"] = key_facts(asked.keys) | {name: value for name, value in chosen.items() if value is not None}
    return route


def _replay(asked: Asked) -> dict[str, Any]:
    assert asked.replay is not None
    if not asked.replay.is_file():
        raise ArgumentError(f"there is no file {asked.replay}", hint="--replay names an access log.")
    replay: dict[str, Any] = {"file": str(asked.replay), "timing": asked.timing or "log", "others": True}
    if asked.log_format is not None:
        replay["format"] = asked.log_format
    if asked.speed is not None:
        replay["speed"] = float(asked.speed)
    return {"replay": replay, "routes": EVERY_LINE}


def _case_workload(url: str, asked: Asked) -> tuple[Workload, str]:
    assert asked.case is not None
    facts = asked.case.workload.model_dump(mode="json", exclude_unset=True)
    if asked.rate is not None or asked.stages:
        facts.pop("rate", None)
        facts.pop("stages", None)
    if asked.seed is not None:
        facts["seed"] = asked.seed
    common = _common(asked, usual=False)
    return checked(Workload, facts | common), url.rstrip("/")


def _common(asked: Asked, *, usual: bool = True) -> dict[str, Any]:
    """Rate, arrivals and the rest; with `usual` a rate is there even where nobody asked for one."""
    facts: dict[str, Any] = {}
    by_log = asked.replay is not None and asked.timing != "rate"
    if asked.stages:
        facts["stages"] = [stage_facts(text) for text in asked.stages]
    elif asked.rate is not None or (usual and not by_log):
        facts["rate"] = format_rate(asked.rate if asked.rate is not None else USUAL_RATE)
    if asked.arrivals is not None:
        facts["arrivals"] = asked.arrivals
    if asked.timeout_s is not None:
        facts["timeout"] = format_duration(asked.timeout_s)
    if asked.fresh:
        facts["connections"] = "fresh"
    if asked.workers is not None:
        facts["workers"] = asked.workers
    return facts


def checked(part: Any, facts: dict[str, Any]) -> Any:
    """A part of the case model from what was asked for; its first problem as an ArgumentError."""
    try:
        return part.model_validate_json(json.dumps(facts))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(item) for item in problem["loc"] if not isinstance(item, int) and item != "routes")
        message = str(problem["msg"]).removeprefix("Value error, ")
        value = problem.get("input")
        shown = f" ({str(value)[:60]!r})" if isinstance(value, (str, int, float)) else ""
        hint = f"{message[:1].upper()}{message[1:]}."
        raise ArgumentError(f"{where or 'the workload'}{shown} can't be used", hint=hint) from None

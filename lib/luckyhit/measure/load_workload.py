"""The workload of `luckyhit load`: from a URL, an access log or a case."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from luckyhit.case.units import format_duration, format_rate
from luckyhit.case.workload import Workload
from luckyhit.errors import ArgumentError
from luckyhit.measure.head import Origin, checked_target
from luckyhit.measure.load_asked import Asked
from luckyhit.measure.load_texts import given_text, is_json, key_facts, stage_facts, template

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
        said = str(problem["msg"]).removeprefix("Value error, ")
        found = problem.get("input")
        shown = f" ({str(found)[:60]!r})" if isinstance(found, (str, int, float)) else ""
        hint = f"{said[:1].upper()}{said[1:]}."
        raise ArgumentError(f"{where or 'the workload'}{shown} can't be used", hint=hint) from None

"""JSON lines: with the usual names, with those of the Elastic Common Schema, and with OpenTelemetry's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from luckyhit.load.access_logs.line import LogLine, request
from luckyhit.text.json_values import as_object

_REQUEST_LINE = re.compile(r"(?P<method>[A-Z]{3,10}) (?P<target>\S+)(?: HTTP/[0-9.]{1,5})?")
_PARTS = ("request", "httpRequest", "http", "url")
_TIMES = ("time", "timestamp", "ts", "@timestamp", "msec", "time_iso8601", "time_local", "StartUTC", "date")
_METHODS = ("method", "request_method", "requestMethod", "RequestMethod", "http_method", "verb")
_TARGETS = ("request_uri", "requestUrl", "RequestPath", "url", "uri", "target", "path", "request_path")
_QUERIES = ("query", "query_string", "args")
_OTEL_TIMES = ("timeUnixNano", "Timestamp", "timestamp", "time", "observedTimeUnixNano", "ObservedTimestamp")
_SEMANTIC_METHODS = ("http.request.method", "http.method")
_SEMANTIC_TARGETS = ("url.original", "http.target", "url.path", "url.full", "http.url")
_SEMANTIC_QUERIES = ("url.query",)


def parse_json(text: str) -> LogLine | None:
    """An object a line, with a time, a method and a target under one of their usual names, or a `request` line."""
    entry = object_of(text)
    for name in _PARTS:
        if part := as_object(entry.get(name)):
            entry = {**part, **entry}
    method, target = _first_text(entry, _METHODS), _first_text(entry, _TARGETS)
    query = _first_text(entry, _QUERIES)
    match entry:
        case {"request": str(line)} if (match := _REQUEST_LINE.fullmatch(line)) is not None:
            method, target, query = match["method"], match["target"], None
    return _request([entry.get(name) for name in _TIMES], method, target, query)


def parse_ecs(text: str) -> LogLine | None:
    """Elastic Common Schema, dotted or nested, with an `@timestamp`; an export of Elasticsearch has it in `_source`."""
    entry: Mapping[Any, Any] = object_of(text)
    match entry:
        case {"_source": {**source}}:
            entry = source
    return _semantic(entry, [entry["@timestamp"]]) if "@timestamp" in entry else None


def parse_otel(text: str) -> LogLine | None:
    """A log record of OpenTelemetry: attributes of the semantic conventions in `attributes` (an object, or OTLP's list
    of keys and values), or at the top."""
    record = object_of(text)
    if "@timestamp" in record:
        return None
    attributes: Mapping[Any, Any] = record
    match record:
        case {"attributes": [*items]} | {"Attributes": [*items]}:
            attributes = dict(pair for item in items if (pair := _pair(item)) is not None)
        case {"attributes": {**named}} | {"Attributes": {**named}}:
            attributes = named
    return _semantic(attributes, [record.get(name) for name in _OTEL_TIMES])


def _semantic(attributes: Mapping[Any, Any], times: list[Any]) -> LogLine | None:
    method, target, query = (
        next((text for name in names if (text := _at(attributes, name)) is not None), None)
        for names in (_SEMANTIC_METHODS, _SEMANTIC_TARGETS, _SEMANTIC_QUERIES)
    )
    return _request(times, method, target, query)


def _request(times: list[Any], method: str | None, target: str | None, query: str | None) -> LogLine | None:
    if not method or not target:
        return None
    if "?" not in target and query:
        target = f"{target}?{query.removeprefix('?')}"
    return request(times, method.upper(), target)


def object_of(text: str) -> dict[str, Any]:
    """The object in a line; empty if there is none."""
    if text.startswith("{"):
        try:
            return dict(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return {}


def _first_text(entry: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((entry[name] for name in names if isinstance(entry.get(name), str)), None)


def _at(entry: Mapping[Any, Any], name: str) -> str | None:
    """The text under a dotted name, any part of which may be nested."""
    if isinstance(text := entry.get(name), str):
        return text
    parts = name.split(".")
    for cut in range(1, len(parts)):
        match entry.get(".".join(parts[:cut])):
            case {**inner} if (text := _at(inner, ".".join(parts[cut:]))) is not None:
                return text
    return None


def _pair(item: Any) -> tuple[str, str] | None:
    match item:
        case {"key": str(key), "value": {"stringValue": str(text)}}:
            return key, text
    return None

"""Routes, their weights and ids by popularity, and the rate, from an access log in any form that is replayed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from luckyhit.discover.evidence import ServiceEvidence
from luckyhit.discover.sources.traffic import Traffic
from luckyhit.errors import ArgumentError
from luckyhit.load.access_logs import FORMS
from luckyhit.load.access_logs.replay import MOST_LINES, form_of, log_lines

BUSIEST = 0.1
"""The proportion of minutes with requests that are busy; the rate is their median."""


def from_file(path: Path, form: str = "auto") -> ServiceEvidence:
    """`form`: a name in FORMS, or `auto`. Lines without a request are left out, with a note. Raises ArgumentError for a
    file that can't be read, or has no request."""
    if form != "auto" and form not in FORMS:
        raise ArgumentError(f"unknown form of access logs {form!r}", hint=f"Name one of {', '.join(FORMS)}.")
    try:
        form = form_of(path) if form == "auto" else form
        parse = FORMS[form].reader()
        traffic, minutes = Traffic(), Counter[int]()
        first_s = last_s = None
        lines = unread = 0
        for number, text in log_lines(path):
            if number > MOST_LINES:
                break
            lines += 1
            line = parse(text)
            if line is None:
                unread += 1
                continue
            traffic.add(line.method, line.target)
            if line.at_s is not None:
                minutes[int(line.at_s // 60)] += 1
                first_s = line.at_s if first_s is None else min(first_s, line.at_s)
                last_s = line.at_s if last_s is None else max(last_s, line.at_s)
    except ArgumentError as error:
        raise error.with_hint("Name an access log, a file with a request a line (or its gzip).") from None
    where = path.name
    if not traffic.total:
        raise ArgumentError(
            f"{path} has no request: none of {lines:,} lines, read as {form}", hint="Name an access log."
        )
    routes, notes = traffic.routes(where)
    if unread:
        notes.append(f"{where}: {unread:,} of {lines:,} lines are no request, read as {form}.")
    if FORMS[form].log_queries and not any(
        parameter.place == "query" for route in routes for parameter in route.parameters
    ):
        notes.append(f"{where}: a log of {form} has no query strings.")
    if lines == MOST_LINES:
        notes.append(f"{where}: only the first {MOST_LINES:,} lines were read.")
    span_s = last_s - first_s if first_s is not None and last_s is not None else 0.0
    return ServiceEvidence(routes=routes, rate=_rate(minutes, span_s), notes=tuple(notes))


def _rate(minutes: Counter[int], span_s: float) -> float | None:
    """Requests per second in the busy minutes; of a shorter log, over all of it."""
    if not minutes or span_s <= 0:
        return None
    if span_s < 120:
        return sum(minutes.values()) / max(span_s, 1.0)
    counts = sorted(minutes.values(), reverse=True)
    busy = counts[: max(round(BUSIEST * len(counts)), 1)]
    return busy[len(busy) // 2] / 60

"""Access logs and files of keys as workloads: what is read, what is left out, what is refused, and what is sent."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Replay, Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.access_logs import FORMS, LATEST_S, REFUSED, LogLine, seconds_of
from luckyhit.load.access_logs import replay as replaying
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.inputs import Inputs, gather
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.schedule import Schedule, closed_schedule, schedule_for
from tier import examples

ORIGIN = Origin.parse("http://shop:8000/v1")
ROUTES = [
    {"name": "item", "path": "/items/{key}"},
    {"name": "search", "path": "/search?q={key}&page={number}"},
    {"name": "put", "method": "PUT", "path": "/items/{key}", "body": {"id": "{key}"}},
    {"name": "home", "path": "/"},
]
START = datetime(2026, 11, 23, 5, 15, 26, tzinfo=UTC)
AT = START.isoformat()


def workload(routes: list[dict[str, Any]] = ROUTES, **replay: Any) -> Workload:
    facts: dict[str, Any] = {"seed": 3, "routes": routes}
    if replay:
        facts["replay"] = {"file": "access.log", **replay}
    if replay.get("timing") == "rate" or not replay:
        facts["rate"] = "100/s"
    return Workload.model_validate(facts)


def read(
    folder: Path, log: bytes | str, routes: list[dict[str, Any]] = ROUTES, **replay: Any
) -> tuple[Workload, Inputs, list[str]]:
    """The workload of a log, its inputs and the notes about it."""
    (folder / "access.log").write_bytes(log.encode() if isinstance(log, str) else log)
    load = workload(routes, **{"format": "auto", **replay})
    notes = gather(load, folder, folder / "inputs")
    return load, Inputs.load(folder / "inputs", len(load.routes)), notes


def requests(load: Workload, schedule: Schedule) -> list[str]:
    """Method and path of each slot."""
    templates = [
        RouteTemplate(route, ORIGIN, {}, table=table) for route, table in zip(load.routes, schedule.tables, strict=True)
    ]
    slots = zip(schedule.route.tolist(), schedule.key.tolist(), schedule.number.tolist(), strict=True)
    return [templates[route].render(key, number).split(b" HTTP")[0].decode() for route, key, number in slots]


def read_by_forms(text: str) -> dict[str, LogLine]:
    """By form, what it makes of a line of text."""
    return {name: line for name, form in FORMS.items() if (line := form.reader()(text)) is not None}


def combined(second: int, request: str) -> str:
    return f'10.1.2.3 - jane [23/Nov/2026:05:15:{second:02} +0100] "{request} HTTP/1.1" 200 512 "http://ref/" "Agent"\n'


def entry(at: Any = AT, target: str = "/items/7", method: str = "GET") -> str:
    return json.dumps({"time": at, "method": method, "path": target}) + "\n"


# Lines

AT_S = 1795968746.0
"""29 November 2026, 16:12:26 UTC: when the example of each form was asked for, to the second."""
EXACT = {"json": 0, "ecs": 0.25, "otel": 0.25, "haproxy": 0.943, "alb": -0.636, "squid": 0.7}
NO_TIME = {"uvicorn"}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_alone_reads_its_example(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    ((by, line),) = read_by_forms(form.example).items()
    assert by == name
    assert (line.method, line.complete) == ("GET", True)
    assert line.target == ("/items/7" if form.log_queries else "/items/7?q=a%20b&page=2")
    assert line.at_s == (None if name in NO_TIME else pytest.approx(AT_S + EXACT.get(name, 0), abs=1e-6))
    assert line.exact == (name in EXACT.keys() - {"json"})
    # In a log the form is detected, or named.
    log = f"Starting up\n{form.example}\n{form.example.replace('/items/7', '/items/8')}\n"
    facts = {"timing": "rate"} if name in NO_TIME else {}
    path = "/items/{key}" if form.log_queries else "/items/{key}?q=a%20b&page={number}"
    for named in ("auto", name):
        load, inputs, _ = read(tmp_path, log, [{"name": "item", "path": path}], format=named, **facts)
        assert schedule_for(load, 1, 1, inputs).distinct_keys == 2
    if form.log_queries:
        with pytest.raises(ArgumentError) as refused:
            read(tmp_path, f"{form.example}\n")
        assert form.log_queries in (refused.value.hint or "")


def test_a_case_takes_the_forms_that_are_read() -> None:
    assert get_args(Replay.model_fields["format"].annotation) == ("auto", *FORMS)


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_cannot_be_replayed_is_named(tmp_path: Path, name: str) -> None:
    example = REFUSED[name].example
    assert not read_by_forms(example)
    assert [other for other, form in REFUSED.items() if form.mark.match(example)] == [name]
    with pytest.raises(ArgumentError, match=name) as refused:
        read(tmp_path, f"{example}\n")
    assert refused.value.hint == REFUSED[name].remedy


@pytest.mark.parametrize(
    ("text", "at", "target"),
    [
        ('1.2.3.4 - - [23/Nov/2026:05:15:26 +0000] "GET /a?b=1 HTTP/1.1" 200 5', 1795410926, "/a?b=1"),
        ('shop 1.2.3.4 - j [23/Nov/2026:05:15:26 +0000] "GET /a HTTP/2.0" 200 5 "-" "x"', 1795410926, "/a"),
        (r'- - - [23/Nov/2026:05:15:26 +0000] "GET /a\x22b\"c HTTP/1.1" 400 0', 1795410926, '/a"b"c'),
        ('INFO:     127.0.0.1:54321 - "GET /a HTTP/1.1" 200 OK', None, "/a"),
        ('2026-11-23 05:15:26,500 INFO:     127.0.0.1:54321 - "GET /a HTTP/1.1" 200 OK', ..., "/a"),
        ('{"time": "2026-11-23T05:15:26.25Z", "method": "get", "path": "/a", "query": "b=1"}', 1795410926.25, "/a?b=1"),
        ('{"ts": 1795410926250, "request": "GET /a HTTP/1.1"}', 1795410926.25, "/a"),
        ('{"msec": "1795410926.250", "request_method": "GET", "request_uri": "/a"}', 1795410926.25, "/a"),
        ('{"request": {"method": "GET", "uri": "/a"}, "ts": 1795410926.25}', 1795410926.25, "/a"),
        ('{"timestamp": 1795410926, "method": "GET", "url": "https://shop/a?x"}', 1795410926, "/a?x"),
    ],
)
def test_usual_lines(text: str, at: Any, target: str) -> None:
    (line,) = read_by_forms(text).values()
    assert (line.method, line.target) == ("GET", target)
    assert at is ... or line.at_s == at


@pytest.mark.parametrize(
    ("before", "at_s"),
    [
        ("INFO:    ", None),  # on a Unix socket there is no address
        ("2026-11-23T05:15:26.123456789Z INFO:     127.0.0.1:1", START.timestamp() + 0.123456),
        ("2026-11-23 05:15:26,500 - uvicorn.access - INFO - 127.0.0.1:1", START.timestamp() + 0.5),
        ("[2026-11-23 06:15:26 +0100] [12] [INFO] [::1]:1", START.timestamp()),
        ("23/Nov/2026:05:15:26 +0000 | testclient:50000", START.timestamp()),
    ],
)
def test_uvicorns_line_after_any_prefix(before: str, at_s: float | None) -> None:
    line = FORMS["uvicorn"].reader()(f'{before} - "GET /a?b=1 HTTP/1.1" 200 OK')
    assert line is not None and (line.method, line.target) == ("GET", "/a?b=1")
    assert line.at_s == (pytest.approx(at_s, abs=1e-6) if at_s else None)


# Lines that the servers wrote, beside the example of their form: escapes, encodings and methods.
@pytest.mark.parametrize(
    ("name", "text", "target"),
    [
        ("granian", '[2026-11-29 16:16:43 +0000] 127.0.0.1 - "GET /items/grün HTTP/1.1" 200 0.037', "/items/gr%C3%BCn"),
        ("granian", '[2026-11-29 16:16:43 +0000] 127.0.0.1 - "GET /items/grÃ¼n HTTP/1.1" 200 0.042', "/items/gr%C3%BCn"),
        ("granian", """[2026-11-29 16:16:43 +0000] 127.0.0.1 - "GET /a[1]'b"c HTTP/1.1" 200 0.036""", "/a%5B1%5D'b%22c"),
        ("granian", '[2026-11-29 16:16:43 +0000] 127.0.0.1 - "GET /a b%?q=a%20b HTTP/1.1" 200 0.110', "/a%20b%25?q=a%20b"),
        ("hypercorn", '[2026-11-29 16:16:43 +0000] [2] [INFO] h:1 - - [29/Nov/2026:16:16:43 +0000] "GET /a b%?q=a%20b 2" 200 2 "-" "c"', "/a%20b%25?q=a%20b"),
        ("hypercorn", '[2026-11-29 16:16:43 +0000] [2] [INFO] h:1 - - [29/Nov/2026:16:16:43 +0000] "GET /items/grün 1.1" - - "-" "c"', None),
        ("daphne", '127.0.0.1:50074 - - [29/Nov/2026:16:12:59] "GET /items/gr%C3%BCn" 200 -', "/items/gr%C3%BCn"),
        ("haproxy", """127.0.0.1:3 [29/Nov/2026:16:12:27.117] fe2 be/s1 0/0/0/0/0 200 98 - - ---- 1/1/0/0/0 0/0 {a|b} "GET /a[1]'b#22c HTTP/1.1\"""", """/a[1]'b"c"""),
        ("haproxy", '127.0.0.1:3 [29/Nov/2026:16:12:27.117] fe fe/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>"', None),
        ("alb", '2015-05-13T23:39:43.945958Z lb 192.0.2.1:28 10.0.0.1:80 0.0 0.0 0.0 200 200 0 29 "GET http://s:80/ HTTP/1.1" "c" - -', "/"),
        ("alb", 'http 2026-11-29T16:12:26.186641Z app/s/5 192.0.2.1:28 - -1 -1 -1 400 - 0 0 "- http://s:80- -" "-" - - -', None),
        ("uwsgi", "[pid: 1|app: 0|req: 4/4] 127.0.0.1 () {28 vars in 342 bytes} [Sun Nov  1 16:12:59 2026] GET /items/9?x=%22y => generated 2 bytes in 1 msecs", "/items/9?x=%22y"),
        ("sanic", "\x1b[38;5;240mMain \x1b[1000D\x1b[5C|2026-11-29 16:14:59 +0000\x1b[0m \x1b[38;2;255;13;104mACCESS\x1b[0m: \x1b[1000D\x1b[42C\x1b[K\x1b[35m127.0.0.1:58344 \x1b[34m\x1b[1mGET http://127.0.0.1:23116/items/gr%C3%BCn\x1b[0m \x1b[1000C\x1b[11D\x1b[K200 2 \x1b[38;5;240m 0.1ms\x1b[0m", "/items/gr%C3%BCn"),
        ("sanic", "[2026-11-29 16:14:59 +0000] - (sanic.access)[INFO][127.0.0.1:5]: GET http://127.0.0.1:9/a?b=1  200 2", "/a?b=1"),
        ("json", '{"timestamp": "2026-11-29 16:14:59 +0000", "request": "GET http://127.0.0.1:9106/a?b=1", "status": 200}', "/a?b=1"),
        ("tornado", "\x1b[32m[I 261129 16:12:26 web:2591]\x1b(B\x1b[m 200 GET /a[1]'b\"c (127.0.0.1) 0.31ms", "/a[1]'b\"c"),
        ("tornado", "INFO:tornado.access:200 GET /a (::1) 1.40ms", "/a"),
        ("cloudfront", "#Version: 1.0", None),
        ("cloudfront", '{"date":"2026-11-29","time":"16:14:59","cs-method":"GET","cs-uri-stem":"/a","cs-uri-query":"b=1"}', "/a?b=1"),
        ("combined", '[2026-11-29T16:14:59.310Z] "GET /a?b=1 HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "c" "-" "s" "-"', "/a?b=1"),
        ("ecs", '{"@timestamp":"2026-11-29T16:14:59Z","http.request.method":"get","url.path":"/a","url.query":"b=1"}', "/a?b=1"),
        ("ecs", '{"_source":{"@timestamp":"2026-11-29T16:14:59Z","http":{"request.method":"GET"},"url":{"original":"/a?b=1","path":"/a"}}}', "/a?b=1"),
        ("otel", '{"Timestamp":"2026-11-29T16:14:59Z","Attributes":{"http.method":"GET","http.target":"/a?b=1"}}', "/a?b=1"),
        ("otel", '{"timestamp":"2026-11-29T16:14:59Z","http":{"request":{"method":"GET"}},"url":{"full":"https://s:8443/a?b=1"}}', "/a?b=1"),
    ],
)  # fmt: skip
def test_lines_that_the_servers_wrote(name: str, text: str, target: str | None) -> None:
    assert {form: line.target for form, line in read_by_forms(text).items()} == ({name: target} if target else {})


@pytest.mark.parametrize(
    "text",
    [
        "", "GET / HTTP/1.1", '- - - [23/Nov/2026:05:15:26 +0000] "CONNECT a:443 HTTP/1.1" 200 1',
        '- - - [23/Nov/2026:05:15:26 +0000] "GET /a\\x0d\\x0aX:1 HTTP/1.1" 200 1',
        '- - - [23/Nov/2026:05:15:26 +0000] "GET /a b HTTP/1.1" 200 1',
        '- - - [23/Nov/2026:05:15:26 +0000] "\\x16\\x03\\x01" 400 1', '{"method": 3, "path": []}', "[" * 100_000, "{",
        '{"method": "GET", "path": "relative"}', '{"time": 1e400, "method": "GET", "path": "/\\u0000"}',
    ],
)  # fmt: skip
def test_lines_that_cannot_be_sent_are_left_out(text: str) -> None:
    assert not read_by_forms(text)


printed = st.text(st.characters(codec="utf-8"), max_size=60)
named = st.sampled_from([
    "time", "ts", "method", "path", "request", "query", "@timestamp", "http", "url", "attributes", "_source", "key",
    "value", "stringValue", "http.request.method", "url.path",
])  # fmt: skip
hostile_objects = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | printed | st.sampled_from(["GET", "/a", "2026-11-29T16:14:59Z"]),
    lambda inner: st.dictionaries(named, inner) | st.lists(inner),
).map(json.dumps)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """The example of some form, a piece of it replaced."""
    example = draw(st.sampled_from([form.example for form in FORMS.values()]))
    first, last = sorted((draw(st.integers(0, len(example))), draw(st.integers(0, len(example)))))
    return example[:first] + draw(printed) + example[last:]


hostile_lines = st.one_of(
    printed,
    damaged(),
    hostile_objects,
    st.builds('- - - [{}] "{} {} HTTP/1.1" 200'.format, printed, st.sampled_from(["GET", "HEAD"]), printed),
    st.builds('{}127.0.0.1:5 - "GET {} HTTP/1.1" 200'.format, printed, printed),
)


@given(hostile_lines)
@settings(max_examples=examples(400))
def test_no_line_is_an_error_and_none_smuggles(text: str) -> None:
    for line in read_by_forms(text).values():
        assert line.target.startswith("/") and line.target.isascii() and line.target.isprintable()
        assert " " not in line.target and line.method.isascii()
        assert line.at_s is None or 0 < line.at_s < 1e12


@given(st.text(st.characters(codec="utf-8", exclude_characters="?\n"), max_size=40))
def test_a_path_that_was_logged_decoded_is_sent_as_it_was(path: str) -> None:
    line = FORMS["granian"].reader()(FORMS["granian"].example.replace("/items/7", f"/{path}"))
    # Latin-1 that is valid UTF-8 is what a WSGI server makes of UTF-8.
    if line is not None and not path.isascii():
        assert unquote(line.target) in (f"/{path}", f"/{path}".encode("latin-1", "ignore").decode("utf-8", "ignore"))
    elif line is not None:
        assert unquote(line.target) == f"/{path}"


@pytest.mark.timeout(30)  # far more than linear time takes, far less than anything else
@pytest.mark.parametrize(
    "piece",
    [" ", ":", "a:1", "[", '[23/Nov/2026:05:15:26 +0000] "', ' - "GET /', "\\", "\\x", ' HTTP/1', "{", '{"a":', "1", "\x00", "\ufeff", '[2026-11-29 16:12:26 +0000] a - "GET /', '[29/Nov/2026:16:12:26.943] f b/s ', "1795968746.717 1 a ", "GET http://a", " 200 GET /", "http 2026-11-29T16:12:26Z a ", "\x1b[", "a\t"],
)  # fmt: skip
def test_a_line_made_to_be_slow_is_read_fast(piece: str) -> None:
    text = (piece * replaying.LONGEST_LINE)[: replaying.LONGEST_LINE]
    opened = '1.2.3.4 - - [23/Nov/2026:05:15:26 +0000] "GET /' + text
    for hostile in (text, opened, f'{text}1:1 - "GET /{text}', '{"time":"' + text):
        assert [form.reader()(hostile) for form in FORMS.values()] == [None] * len(FORMS)
        assert not any(form.mark.match(hostile) for form in REFUSED.values())


# Times


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)))
@settings(max_examples=examples(100))
def test_an_instant_is_the_same_in_any_notation(naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC, microsecond=naive.microsecond // 1000 * 1000)
    since = at.timestamp()
    whole_ms = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    written = [since, at.isoformat(), naive.replace(microsecond=at.microsecond).isoformat(" "), f"{since:.3f}"]
    if whole_ms >= 10**11:  # shorter numbers are seconds
        written += [whole_ms, whole_ms * 1000, whole_ms * 1_000_000, str(whole_ms)]
    if since >= 1e8:
        assert [seconds_of(when) for when in written] == pytest.approx([since] * len(written), abs=1e-3)
    at = at.replace(microsecond=0)
    assert seconds_of(at.strftime("%d/%b/%Y:%H:%M:%S +0000")) == at.timestamp()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner)))
@settings(max_examples=examples(100))
def test_any_value_is_a_time_or_none(when: Any) -> None:
    at_s = seconds_of(when)
    assert at_s is None or 0 < at_s < LATEST_S


@pytest.mark.parametrize(
    "when",
    [10**400, "9" * 400, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", -1, True, [], {}],
    ids=lambda when: str(when)[:12],
)
def test_a_line_with_an_impossible_time_is_left_out(when: Any, tmp_path: Path) -> None:
    load, inputs, notes = read(tmp_path, entry() + entry(when, "/") + entry())
    assert len(schedule_for(load, 0.9, 1, inputs)) == 2
    assert len(notes) == 2 and "line 2 (GET /)" in notes[1]


# Logs

LOG = "".join(
    [
        combined(0, "GET /items/7"),
        combined(0, "GET /items/a%20b"),
        combined(2, "PUT /items/7"),
        combined(2, "GET /search?q=x&page=12"),
        combined(1, "GET /other/1"),
        combined(3, "GET /items/7"),
        "\x00 no request\n",
    ]
)


def test_a_log_is_repeated_with_its_own_gaps(tmp_path: Path) -> None:
    load, inputs, notes = read(tmp_path, LOG)
    schedule = schedule_for(load, 8, 1, inputs)
    lap = ["GET /v1/items/7", "GET /v1/items/a%20b", "GET /v1/search?q=x&page=12", "GET /v1/items/7"]
    assert requests(load, schedule) == lap * 2
    # Two in the first second, spread; then the gaps of the log; a lap ends with a gap like the others, 1 s on average.
    assert (schedule.due_ns / 1e9).tolist() == [0, 0.5, 2, 3, 4, 4.5, 6, 7]
    assert schedule.key_texts(np.arange(4)).to_pylist() == ["7", "a b", "x", "7"]
    assert schedule.distinct_keys == 3
    for part in ("PUT", "line 5 (GET /other/1)", "line 7"):
        assert any(part in note for note in notes)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "inputs").iterdir())
    assert kept and not any(word in kept for word in (b"10.1.2.3", b"jane", b"Agent", b"ref"))
    _, other, _ = read(tmp_path, LOG.replace("items/7", "items/8"))
    assert schedule_for(load, 8, 1, inputs).digest == schedule.digest != schedule_for(load, 8, 1, other).digest


def test_speed_rate_methods_and_lines_of_no_route(tmp_path: Path) -> None:
    load, inputs, _ = read(tmp_path, LOG, speed=2.0, methods=["GET", "PUT"], others=True)
    schedule = schedule_for(load, 1.6, 1, inputs)
    assert (schedule.due_ns / 1e9).tolist() == [0, 0.25, 0.5, 1, 1.25, 1.5]
    assert "GET /v1/other/1" in requests(load, schedule) and "PUT /v1/items/7" in requests(load, schedule)
    load, inputs, _ = read(tmp_path, LOG, timing="rate")
    schedule = schedule_for(load, 1, 1, inputs)
    assert 60 < len(schedule) < 140
    assert requests(load, schedule)[:5] == [*requests(load, closed_schedule(load, 4, 1, inputs)), "GET /v1/items/7"]


def test_lines_without_times_keep_their_order(tmp_path: Path) -> None:
    log = "".join(f'INFO:     127.0.0.1:5 - "GET /items/{n} HTTP/1.1" 200 OK\n' for n in (5, 3, 9))
    load, inputs, _ = read(tmp_path, log, timing="rate")
    schedule = schedule_for(load.model_copy(update={"arrivals": "constant", "rate": 4.0}), 1, 1, inputs)
    assert schedule.due_ns.tolist() == [0, 250_000_000, 500_000_000, 750_000_000]
    assert schedule.key_texts(np.arange(4)).to_pylist() == ["5", "3", "9", "5"]


@pytest.mark.parametrize("lines", [1, 5])
def test_a_log_of_one_instant_is_no_flood(lines: int, tmp_path: Path) -> None:
    load, inputs, _ = read(tmp_path, entry("2026-11-23T05:15:26.5Z") * lines)
    schedule = schedule_for(load, 3, 1, inputs)
    assert schedule.due_ns.tolist() == [second * 10**9 for second in range(3) for _ in range(lines)]


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=60), st.sampled_from([0.5, 1.0, 4.0]))
@settings(max_examples=examples(40), deadline=None)
def test_each_line_is_due_within_its_second_in_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, bool]], speed: float
) -> None:
    # Key k is line k; times of milliseconds and of whole seconds are mixed, and in any order.
    written = [START + timedelta(seconds=second, milliseconds=250 if exact else 0) for second, exact in lines]
    log = "".join(entry(at.isoformat(), f"/items/{k}") for k, at in enumerate(written))
    load, inputs, _ = read(tmp_path_factory.mktemp("log"), log, speed=speed)
    assert inputs.log is not None
    # One lap, and not the first request of the next, which rounding may put a nanosecond before its end.
    schedule = schedule_for(load, (inputs.log.lasts_ns - 1000) / 1e9 / speed, 1, inputs)
    assert len(schedule) == len(lines) and (np.diff(schedule.due_ns) >= 0).all()
    order = [int(key) for key in schedule.key_texts(np.arange(len(schedule))).to_pylist()]
    assert sorted(order) == list(range(len(lines)))
    for second in range(7):
        whole = [line for line in order if lines[line] == (second, False)]
        assert whole == sorted(whole)
    exact = np.array([lines[line][1] for line in order])
    at_s = np.array([lines[line][0] for line in order]) + 0.25 * exact
    late_s = schedule.due_ns * speed / 1e9 - (at_s - at_s[0])
    assert (late_s > -1e-6).all() and (late_s < 1).all() and late_s[exact] == pytest.approx(0, abs=1e-6)


def test_distinct_keys_are_keys_and_not_paths(tmp_path: Path) -> None:
    targets = ["/items/7?page=1", "/items/7?page=2", "/items/8?page=1", "/", "/items/%37?page=1"]
    log = "".join(entry((START + timedelta(seconds=at)).isoformat(), target) for at, target in enumerate(targets))
    load, inputs, _ = read(tmp_path, log, [{"name": "item", "path": "/items/{key}?page={number}"}, ROUTES[3]])
    schedule = schedule_for(load, 5, 1, inputs)
    assert schedule.key_texts(np.arange(5)).to_pylist() == ["7", "7", "8", None, "7"]
    assert schedule.key_texts(np.array([3, 2])).to_pylist() == [None, "8"]
    assert schedule.distinct_keys == 2 and schedule.keyed.tolist() == [True, True, True, False, True]


def test_usual_names_of_json_fields(tmp_path: Path) -> None:
    at = START.isoformat()
    lines = [
        {"httpRequest": {"requestMethod": "GET", "requestUrl": "http://shop/items/1?page=1"}, "timestamp": at},
        {"StartUTC": at, "RequestMethod": "GET", "RequestPath": "/items/2?page=1"},
        {"@timestamp": at, "http": {"method": "GET"}, "url": {"path": "/items/3", "query": "page=1"}},
        {"time_local": "23/Nov/2026:05:15:26 +0000", "request_method": "GET", "uri": "/items/4", "args": "page=1"},
    ]
    log = "".join(json.dumps(line) + "\n" for line in lines)
    load, inputs, notes = read(tmp_path, log, [{"name": "item", "path": "/items/{key}?page={number}"}], format="json")
    assert len(notes) == 1
    assert set(schedule_for(load, 1, 1, inputs).key_texts(np.arange(4)).to_pylist()) == {"1", "2", "3", "4"}


def test_a_query_that_squid_stripped_is_not_replayed(tmp_path: Path) -> None:
    whole = FORMS["squid"].example
    stripped = whole.replace("?q=a%20b&page=2", "?")
    load, inputs, _ = read(tmp_path, f"{stripped}\n{whole.replace('?q=a%20b&page=2', '')}\n")
    assert requests(load, schedule_for(load, 1, 1, inputs)) == ["GET /v1/items/7"]
    with pytest.raises(ArgumentError) as refused:
        read(tmp_path, f"{stripped}\n")
    assert "strip_query_terms" in (refused.value.hint or "")


def test_cloudfronts_columns_are_those_of_its_header(tmp_path: Path) -> None:
    rows = ["#Fields: cs-uri-query cs-uri-stem time date cs-method", "x=1\t/items/a\t16:12:27\t2026-11-29\tGET",
            "#Fields: date time cs-method cs-uri-stem cs-uri-query", "2026-11-29\t16:12:29\tGET\t/items/b\t-"]  # fmt: skip
    routes = [{"name": "a", "path": "/items/{key}?x={number}"}, {"name": "b", "path": "/items/{key}"}]
    load, inputs, _ = read(tmp_path, "\n".join(rows), routes, format="cloudfront")
    schedule = schedule_for(load, 3, 1, inputs)
    assert schedule.route.tolist() == [0, 1] and schedule.due_ns.tolist() == [0, 2_000_000_000]


def test_gzip_long_lines_and_disorder(tmp_path: Path) -> None:
    disorder = combined(9, "GET /items/3") + combined(8, "GET /items/1") + combined(8, "GET /items/2")
    long = combined(10, f"GET /items/{'x' * 200_000}") + combined(11, "GET /items/4")
    load, inputs, notes = read(tmp_path, gzip.compress((disorder + long).encode()))
    assert requests(load, schedule_for(load, 3.5, 1, inputs)) == [f"GET /v1/items/{key}" for key in (1, 2, 3, 4)]
    assert any("line 4" in note for note in notes)


def test_notes_are_few_and_show_no_query(tmp_path: Path) -> None:
    odd = "".join(entry(method=f"AA{chr(65 + n % 26)}{chr(65 + n // 26)}") for n in range(200))
    _, _, notes = read(tmp_path, odd + entry() + entry(method="DELETE") + entry(target="/login?token=s3cret"))
    assert len(notes) == 4 and "200 of 203" in notes[1]
    assert any("/login" in note for note in notes) and "s3cret" not in " ".join(notes)


@given(st.binary(max_size=2000))
@settings(max_examples=examples(60), deadline=None)
def test_any_bytes_are_a_log_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        read(tmp_path_factory.mktemp("log"), content + b"\n" + LOG.encode())
    except ArgumentError as error:
        assert error.hint


@pytest.mark.parametrize(
    "log",
    [
        "nonsense\n", "", combined(0, "POST /items/1"), 'INFO:     127.0.0.1:1 - "GET /items/1 HTTP/1.1" 200 OK\n',
        b"\x1f\x8bbroken",
    ],
    ids=["nonsense", "empty", "no reads", "no times", "not gzip"],
)  # fmt: skip
def test_a_log_that_cannot_be_replayed_is_refused(tmp_path: Path, log: str | bytes) -> None:
    with pytest.raises(ArgumentError, match=r"access\.log") as refused:
        read(tmp_path, log)
    assert refused.value.hint


@pytest.mark.parametrize(("limit", "value"), [("MOST_LINES", 2), ("LARGEST_BYTES", 100), ("MOST_TEXT", 20)])
def test_a_log_beyond_a_limit_is_refused(
    limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, limit, value)
    with pytest.raises(ArgumentError, match=r"access\.log"):
        read(tmp_path, "".join(entry(target=f"/items/{n}") for n in range(9)))
    monkeypatch.setattr(replaying, "LARGEST_BYTES", 1 << 20)
    with pytest.raises(ArgumentError, match=r"access\.log"):
        read(tmp_path, entry().encode() + b"x" * (2 << 20))  # one long line


def no_file(path: Path) -> None:
    """Make none."""


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, no_file])
@pytest.mark.timeout(30)
def test_what_is_no_file_is_refused_and_not_waited_for(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "access.log")
    make(tmp_path / "keys.txt")
    for load, name in ((workload(format="auto"), "access"), (keyed(), "keys")):
        with pytest.raises(ArgumentError, match=rf"{name}\.(log|txt)"):
            gather(load, tmp_path, tmp_path / "inputs")


# Files of keys


def keyed(**keys: Any) -> Workload:
    path = {"name": "item", "path": "/items/{key}?k={key}", "headers": {"X-Key": "k {key}"}}
    return workload([{**path, "keys": {"file": "keys.txt", **keys}}])


def test_keys_of_a_file_are_sent_encoded(tmp_path: Path) -> None:
    """The first one most often."""
    (tmp_path / "keys.txt").write_bytes("\ufeffred shoe\r\ngrün\n\n../x?y&z\nred shoe\n".encode())
    load = keyed()
    (note,) = gather(load, tmp_path, tmp_path / "inputs")
    assert note.startswith("1 of")  # a repeated key
    schedule = schedule_for(load.model_copy(update={"rate": 3000.0}), 1, 1, Inputs.load(tmp_path / "inputs", 1))
    template = RouteTemplate(load.routes[0], ORIGIN, {}, table=schedule.tables[0])
    assert b"GET /v1/items/red%20shoe?k=red%20shoe HTTP" in template.render(0, 1)
    assert b"GET /v1/items/gr%C3%BCn?k=gr%C3%BCn HTTP" in template.render(1, 1)
    last = template.render(2, 1)
    assert b"/items/..%2Fx%3Fy%26z?" in last and b"X-Key: k ..%2Fx%3Fy%26z\r\n" in last
    counts = np.bincount(schedule.key, minlength=3)
    assert len(counts) == 3 and counts[0] > counts[1] > counts[2] > 0  # Zipf's law: 6 to 3 to 2
    assert set(schedule.key_texts(np.arange(len(schedule))).to_pylist()) == {"red shoe", "grün", "../x?y&z"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"good\na\rX-Evil: 1\n", ":2"),
        (b"good\nnul\x00\n", ":2"),
        (b"good\n\xff\xfe\n", ":2"),
        (b"x" * 2000, ":1"),
        (b"\n\n", ""),
    ],
)
def test_harmful_keys_are_refused_with_their_line(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "keys.txt").write_bytes(content)
    with pytest.raises(ArgumentError, match=rf"keys\.txt{line}"):
        gather(keyed(), tmp_path, tmp_path / "inputs")


def test_not_all_keys_of_a_file_can_be_hot(tmp_path: Path) -> None:
    load = keyed(popularity="hot-set", hot=2)
    (tmp_path / "keys.txt").write_text("a\nb\n")
    with pytest.raises(ArgumentError, match=r"keys\.txt"):
        gather(load, tmp_path, tmp_path / "inputs")
    (tmp_path / "keys.txt").write_text("a\nb\nc\n")
    assert gather(load, tmp_path, tmp_path / "inputs") == []

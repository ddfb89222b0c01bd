"""Access logs as workloads, and files of keys: what is read, what is left out, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Replay, Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.access_logs import FORMS, REFUSED, LogLine
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
]


def workload(routes: list[dict[str, Any]] = ROUTES, **replay: Any) -> Workload:
    facts: dict[str, Any] = {"seed": 3, "routes": routes}
    if replay:
        facts["replay"] = {"file": "access.log", **replay}
    if replay.get("timing") == "rate" or not replay:
        facts["rate"] = "100/s"
    return Workload.model_validate(facts)


def read(tmp_path: Path, log: bytes | str, **replay: Any) -> tuple[Workload, Inputs, list[str]]:
    (tmp_path / "access.log").write_bytes(log.encode() if isinstance(log, str) else log)
    load = workload(**{"format": "auto", **replay})
    notes = gather(load, tmp_path, tmp_path / "inputs")
    return load, Inputs.load(tmp_path / "inputs", len(load.routes)), notes


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


def test_a_log_is_sent_with_its_own_gaps_again_and_again(tmp_path: Path) -> None:
    load, inputs, notes = read(tmp_path, LOG)
    schedule = schedule_for(load, 8, 1, inputs)
    lap = ["GET /v1/items/7", "GET /v1/items/a%20b", "GET /v1/search?q=x&page=12", "GET /v1/items/7"]
    assert requests(load, schedule) == lap * 2
    # Two in the first second, spread; then the gaps of the log; a lap ends with a gap like the others, 1 s on average.
    assert (schedule.due_ns / 1e9).tolist() == [0, 0.5, 2, 3, 4, 4.5, 6, 7]
    assert schedule.key_texts(np.arange(4)).to_pylist() == ["7", "a b", "x", "7"]
    assert schedule.distinct_keys == 3
    assert any("1 of 7 lines" in note and "PUT" in note for note in notes)
    assert any("no declared route, such as line 5 (GET /other/1)" in note for note in notes)
    assert any("no request that can be read, such as line 7" in note for note in notes)


def test_nothing_of_a_log_is_kept_but_what_is_sent(tmp_path: Path) -> None:
    read(tmp_path, LOG)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "inputs").iterdir())
    assert kept and not any(word in kept for word in (b"10.1.2.3", b"jane", b"Agent", b"ref"))


def test_speed_rate_methods_and_lines_of_no_route(tmp_path: Path) -> None:
    load, inputs, _ = read(tmp_path, LOG, speed=2.0, methods=["GET", "PUT"], others=True)
    schedule = schedule_for(load, 1.6, 1, inputs)
    assert (schedule.due_ns / 1e9).tolist() == [0, 0.25, 0.5, 1, 1.25, 1.5]
    assert "GET /v1/other/1" in requests(load, schedule) and "PUT /v1/items/7" in requests(load, schedule)
    load, inputs, _ = read(tmp_path, LOG, timing="rate")
    schedule = schedule_for(load, 1, 1, inputs)
    assert 60 < len(schedule) < 140
    assert requests(load, schedule)[:5] == [*requests(load, closed_schedule(load, 4, 1, inputs)), "GET /v1/items/7"]


def test_the_same_log_makes_the_same_schedule_and_another_log_another(tmp_path: Path) -> None:
    load, inputs, _ = read(tmp_path, LOG)
    digest = schedule_for(load, 5, 1, inputs).digest
    assert schedule_for(load, 5, 1, inputs).digest == digest
    _, other, _ = read(tmp_path, LOG.replace("items/7", "items/8"))
    assert schedule_for(load, 5, 1, other).digest != digest


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
def test_the_usual_formats(text: str, at: Any, target: str) -> None:
    (line,) = read_by_forms(text).values()
    assert (line.method, line.target) == ("GET", target)
    assert at is ... or line.at_s == at


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
def test_what_can_not_be_sent_is_left_out(text: str) -> None:
    assert not read_by_forms(text)


AT_S = 1795968746.0
"""29 November 2026, 16:12:26 UTC: when the example of each form was asked for, to the second."""
EXACT = {"json": 0, "ecs": 0.25, "otel": 0.25, "haproxy": 0.943, "alb": -0.636, "squid": 0.7}
NO_TIME = {"uvicorn"}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_reads_its_example_and_no_other_does(name: str) -> None:
    ((form, line),) = read_by_forms(FORMS[name].example).items()
    assert form == name
    assert (line.method, line.complete) == ("GET", True)
    assert line.target == ("/items/7" if FORMS[name].log_queries else "/items/7?q=a%20b&page=2")
    assert line.at_s == (None if name in NO_TIME else pytest.approx(AT_S + EXACT.get(name, 0), abs=1e-6))
    assert line.exact == (name in EXACT.keys() - {"json"})


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_a_log_is_known_by_itself(tmp_path: Path, name: str) -> None:
    log = f"Starting up\n{FORMS[name].example}\n{FORMS[name].example.replace('/items/7', '/items/8')}\n"
    facts = {"timing": "rate"} if name in NO_TIME else {}
    path = "/items/{key}" if FORMS[name].log_queries else "/items/{key}?q=a%20b&page={number}"
    (tmp_path / "access.log").write_text(log)
    for format in ("auto", name):
        load = workload([{"name": "item", "path": path}], format=format, **facts)
        gather(load, tmp_path, tmp_path / "inputs")
        schedule = schedule_for(load, 1, 1, Inputs.load(tmp_path / "inputs", 1))
        assert schedule.distinct_keys == 2


def test_the_formats_of_a_case_are_those_that_are_read() -> None:
    assert get_args(Replay.model_fields["format"].annotation) == ("auto", *FORMS)


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_cannot_be_replayed_is_named(tmp_path: Path, name: str) -> None:
    example = REFUSED[name].example
    assert not read_by_forms(example)
    assert [other for other, form in REFUSED.items() if form.mark.match(example)] == [name]
    with pytest.raises(ArgumentError, match=name) as refused:
        read(tmp_path, f"{example}\n")
    assert refused.value.hint == REFUSED[name].remedy


# Lines that the servers wrote, beside the example of their form: what each makes of escapes, encodings and methods.
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
def test_what_the_servers_write(name: str, text: str, target: str | None) -> None:
    assert {form: line.target for form, line in read_by_forms(text).items()} == ({name: target} if target else {})


def test_a_query_that_squid_stripped_is_not_sent_without(tmp_path: Path) -> None:
    whole = FORMS["squid"].example
    stripped = whole.replace("?q=a%20b&page=2", "?")
    load, inputs, _ = read(tmp_path, f"{stripped}\n{whole.replace('?q=a%20b&page=2', '')}\n")
    assert requests(load, schedule_for(load, 1, 1, inputs)) == ["GET /v1/items/7"]
    with pytest.raises(ArgumentError, match="none of the 1 lines") as refused:
        read(tmp_path, f"{stripped}\n")
    assert "strip_query_terms" in (refused.value.hint or "")


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.log_queries])
def test_a_log_without_queries_is_refused_for_routes_with(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match="route search") as refused:
        read(tmp_path, f"{FORMS[name].example}\n")
    assert FORMS[name].log_queries in (refused.value.hint or "")


def test_the_columns_of_cloudfront_are_those_its_header_names(tmp_path: Path) -> None:
    rows = ["#Fields: cs-uri-query cs-uri-stem time date cs-method", "x=1\t/items/a\t16:12:27\t2026-11-29\tGET",
            "#Fields: date time cs-method cs-uri-stem cs-uri-query", "2026-11-29\t16:12:29\tGET\t/items/b\t-"]  # fmt: skip
    routes = [{"name": "a", "path": "/items/{key}?x={number}"}, {"name": "b", "path": "/items/{key}"}]
    (tmp_path / "access.log").write_text("\n".join(rows))
    load = workload(routes, format="cloudfront")
    gather(load, tmp_path, tmp_path / "inputs")
    schedule = schedule_for(load, 3, 1, Inputs.load(tmp_path / "inputs", 2))
    assert schedule.route.tolist() == [0, 1] and schedule.due_ns.tolist() == [0, 2_000_000_000]


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
def test_no_line_is_ever_an_error_and_nothing_is_smuggled_in(text: str) -> None:
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


@given(st.binary(max_size=2000))
@settings(max_examples=examples(60), deadline=None)
def test_any_bytes_are_a_log_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("log")
    try:
        read(folder, content + b"\n" + LOG.encode())
    except ArgumentError as error:
        assert error.hint


def test_gzip_long_lines_and_disorder(tmp_path: Path) -> None:
    disorder = combined(9, "GET /items/3") + combined(8, "GET /items/1") + combined(8, "GET /items/2")
    long = combined(10, f"GET /items/{'x' * 200_000}") + combined(11, "GET /items/4")
    load, inputs, notes = read(tmp_path, gzip.compress((disorder + long).encode()))
    assert requests(load, schedule_for(load, 3.5, 1, inputs)) == [f"GET /v1/items/{key}" for key in (1, 2, 3, 4)]
    assert any("line 4" in note for note in notes)


@pytest.mark.parametrize(
    ("log", "replay", "said"),
    [
        ("nonsense\n", {}, "no format"),
        ("", {}, "no format"),
        (combined(0, "POST /items/1"), {}, "none of the 1 lines"),
        ('INFO:     127.0.0.1:1 - "GET /items/1 HTTP/1.1" 200 OK\n', {}, "this line has no time"),
        (b"\x1f\x8bbroken", {}, "can't be read"),
    ],
)
def test_logs_that_can_not_be_replayed(tmp_path: Path, log: str | bytes, replay: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        read(tmp_path, log, **replay)


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"access\.log can't be read: No such file"):
        gather(workload(format="auto"), tmp_path, tmp_path / "inputs")


# Files of keys


def keyed(**keys: Any) -> Workload:
    path = {"name": "item", "path": "/items/{key}?k={key}", "headers": {"X-Key": "k {key}"}}
    return workload([{**path, "keys": {"file": "keys.txt", **keys}}])


def test_keys_of_a_file_are_sent_encoded_the_first_most_often(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_bytes("\ufeffred shoe\r\ngrün\n\n../x?y&z\nred shoe\n".encode())
    load = keyed()
    notes = gather(load, tmp_path, tmp_path / "inputs")
    assert notes == ["1 of the lines of keys.txt repeat a key; each key counts where it stands first."]
    schedule = schedule_for(load.model_copy(update={"rate": 3000.0}), 1, 1, Inputs.load(tmp_path / "inputs", 1))
    template = RouteTemplate(load.routes[0], ORIGIN, {}, table=schedule.tables[0])
    assert b"GET /v1/items/red%20shoe?k=red%20shoe HTTP" in template.render(0, 1)
    assert b"GET /v1/items/gr%C3%BCn?k=gr%C3%BCn HTTP" in template.render(1, 1)
    assert b"/items/..%2Fx%3Fy%26z?" in template.render(2, 1) and b"X-Key: k ..%2Fx%3Fy%26z\r\n" in template.render(
        2, 1
    )
    counts = np.bincount(schedule.key, minlength=3)
    assert len(counts) == 3 and counts[0] > counts[1] > counts[2] > 0  # Zipf's law: 6 to 3 to 2
    assert set(schedule.key_texts(np.arange(len(schedule))).to_pylist()) == {"red shoe", "grün", "../x?y&z"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"good\na\rX-Evil: 1\n", r"keys\.txt:2: a key with a control character"),
        (b"good\nnul\x00\n", r"keys\.txt:2"),
        (b"good\n\xff\xfe\n", r"keys\.txt:2: this is not UTF-8"),
        (b"x" * 2000, r"keys\.txt:1: a very long key"),
        (b"\n\n", "holds no keys"),
    ],
)
def test_keys_that_could_do_harm_are_refused_with_their_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "keys.txt").write_bytes(content)
    with pytest.raises(ArgumentError, match=said):
        gather(keyed(), tmp_path, tmp_path / "inputs")


@given(st.integers(2, 3000), st.data())
@settings(max_examples=examples(30), deadline=None)
def test_a_hot_set_takes_its_share(size: int, data: st.DataObject) -> None:
    hot = data.draw(st.integers(1, size - 1))
    facts = {"first": 1, "last": size, "popularity": "hot-set", "hot": hot, "hot_share": "80 %"}
    load = workload([{"name": "item", "path": "/{key}", "keys": facts}]).model_copy(update={"rate": 20_000.0})
    first, second = (schedule_for(load, 1, seed) for seed in (1, 2))
    assert first.key.min() >= 1 and first.key.max() <= size
    # The hot keys are the same in every block: they are those that are asked for most where they are few.
    counts = np.bincount(first.key, minlength=size + 1) + np.bincount(second.key, minlength=size + 1)
    if hot * 5 < size:
        hottest = np.argsort(counts)[::-1][:hot]
        assert counts[hottest].sum() / counts.sum() == pytest.approx(0.8, abs=0.1)

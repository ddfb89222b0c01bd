"""Access logs as workloads, and files of keys: what is read, what is left out, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Workload
from luckyhit.errors import ArgumentError
from luckyhit.measure.access_log import PARSERS, parse_combined, parse_json, parse_uvicorn
from luckyhit.measure.head import Origin
from luckyhit.measure.inputs import Inputs, gather
from luckyhit.measure.schedule import Schedule, closed_schedule, schedule_for
from luckyhit.measure.templates import RouteTemplate
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
    (line,) = [line for parse in PARSERS.values() if (line := parse(text)) is not None]
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
    assert [parse(text) for parse in PARSERS.values()] == [None] * len(PARSERS)


printed = st.text(st.characters(codec="utf-8"), max_size=60)
hostile_lines = st.one_of(
    printed,
    st.builds('- - - [{}] "{} {} HTTP/1.1" 200'.format, printed, st.sampled_from(["GET", "HEAD"]), printed),
    st.builds('{}127.0.0.1:5 - "GET {} HTTP/1.1" 200'.format, printed, printed),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | printed,
        lambda inner: st.dictionaries(st.sampled_from(["time", "ts", "method", "path", "request", "query"]), inner),
    ).map(json.dumps),
)


@given(hostile_lines)
@settings(max_examples=examples(400))
def test_no_line_is_ever_an_error_and_nothing_is_smuggled_in(text: str) -> None:
    for parse in (parse_combined, parse_uvicorn, parse_json):
        line = parse(text)
        if line is not None:
            assert line.target.startswith("/") and line.target.isascii() and line.target.isprintable()
            assert " " not in line.target and line.method.isascii()
            assert line.at_s is None or 0 < line.at_s < 1e12


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

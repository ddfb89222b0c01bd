"""Replayed logs: hostile ones end, odd ones start no flood, and what is counted is what is sent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.access_logs import FORMS, LATEST_S, REFUSED, seconds_of
from luckyhit.load.access_logs import replay as replaying
from luckyhit.load.inputs import Inputs, gather
from luckyhit.load.schedule import schedule_for
from tier import examples

START = datetime(2026, 11, 23, 5, 15, 26, tzinfo=UTC)
ITEM = {"name": "item", "path": "/items/{key}?page={number}"}
SEARCH = {"name": "home", "path": "/"}


def entry(at: Any, target: str = "/items/7?page=1", method: str = "GET") -> str:
    return json.dumps({"time": at, "method": method, "path": target}) + "\n"


def read(folder: Path, log: str | bytes, *, rate: str | None = None, **replay: Any) -> tuple[Workload, list[str]]:
    (folder / "access.log").write_bytes(log.encode() if isinstance(log, str) else log)
    facts: dict[str, Any] = {"seed": 3, "routes": [ITEM, SEARCH], "replay": {"file": "access.log", **replay}}
    load = Workload.model_validate(facts | ({"rate": rate} if rate else {}))
    return load, gather(load, folder, folder / "inputs")


def inputs_in(folder: Path, routes: int = 2) -> Inputs:
    return Inputs.load(folder / "inputs", routes)


@pytest.mark.timeout(30)  # far more than linear time takes, far less than anything else
@pytest.mark.parametrize(
    "piece",
    [" ", ":", "a:1", "[", '[23/Nov/2026:05:15:26 +0000] "', ' - "GET /', "\\", "\\x", ' HTTP/1', "{", '{"a":', "1", "\x00", "\ufeff", '[2026-11-29 16:12:26 +0000] a - "GET /', '[29/Nov/2026:16:12:26.943] f b/s ', "1795968746.717 1 a ", "GET http://a", " 200 GET /", "http 2026-11-29T16:12:26Z a ", "\x1b[", "a\t"],
)  # fmt: skip
def test_a_line_made_to_be_slow_is_read_as_fast_as_any(piece: str) -> None:
    text = (piece * replaying.LONGEST_LINE)[: replaying.LONGEST_LINE]
    opened = '1.2.3.4 - - [23/Nov/2026:05:15:26 +0000] "GET /' + text
    for hostile in (text, opened, f'{text}1:1 - "GET /{text}', '{"time":"' + text):
        assert [form.reader()(hostile) for form in FORMS.values()] == [None] * len(FORMS)
        assert not any(form.mark.match(hostile) for form in REFUSED.values())


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
def test_uvicorns_line_behind_what_people_put_before_it(before: str, at_s: float | None) -> None:
    line = FORMS["uvicorn"].reader()(f'{before} - "GET /a?b=1 HTTP/1.1" 200 OK')
    assert line is not None and (line.method, line.target) == ("GET", "/a?b=1")
    assert line.at_s == (pytest.approx(at_s, abs=1e-6) if at_s else None)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)))
@settings(max_examples=examples(100))
def test_an_instant_is_the_same_however_it_is_written(naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC, microsecond=naive.microsecond // 1000 * 1000)
    since = at.timestamp()
    whole_ms = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    written = [since, at.isoformat(), naive.replace(microsecond=at.microsecond).isoformat(" "), f"{since:.3f}"]
    if whole_ms >= 10**11:  # shorter numbers are seconds
        written += [whole_ms, whole_ms * 1000, whole_ms * 1_000_000, str(whole_ms)]
    assert [seconds_of(when) for when in written if since >= 1e8] == pytest.approx(
        [since] * len(written) if since >= 1e8 else [], abs=1e-3
    )
    at = at.replace(microsecond=0)
    assert seconds_of(at.strftime("%d/%b/%Y:%H:%M:%S +0000")) == at.timestamp()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_any_value_is_a_time_or_none(when: Any) -> None:
    at_s = seconds_of(when)
    assert at_s is None or 0 < at_s < LATEST_S


@pytest.mark.parametrize(
    "when",
    [10**400, "9" * 400, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", -1, True, [], {}],
    ids=lambda when: str(when)[:12],
)
def test_a_line_with_an_impossible_time_is_left_out_and_the_others_are_sent(when: Any, tmp_path: Path) -> None:
    _, notes = read(tmp_path, entry(START.isoformat()) + entry(when, "/") + entry(START.isoformat()))
    assert notes[0].startswith("2 of 3 lines") and "without a time, such as line 2 (GET /)" in notes[1]


@pytest.mark.parametrize("lines", [1, 5])
def test_a_log_of_one_instant_is_no_flood(lines: int, tmp_path: Path) -> None:
    load, _ = read(tmp_path, entry("2026-11-23T05:15:26.5Z") * lines)
    schedule = schedule_for(load, 3, 1, inputs_in(tmp_path))
    assert schedule.due_ns.tolist() == [second * 10**9 for second in range(3) for _ in range(lines)]


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=60), st.sampled_from([0.5, 1.0, 4.0]))
@settings(max_examples=examples(40), deadline=None)
def test_every_line_is_due_within_its_second_in_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, bool]], speed: float
) -> None:
    folder = tmp_path_factory.mktemp("log")
    # Key k is line k; times of milliseconds and of whole seconds are mixed, and in any order.
    written = [START + timedelta(seconds=second, milliseconds=250 if exact else 0) for second, exact in lines]
    load, _ = read(
        folder, "".join(entry(at.isoformat(), f"/items/{k}?page=1") for k, at in enumerate(written)), speed=speed
    )
    inputs = inputs_in(folder)
    assert inputs.log is not None
    # One lap, and not the first request of the next, which rounding may put a nanosecond before its end.
    schedule = schedule_for(load, (inputs.log.lasts_ns - 1000) / 1e9 / speed, 1, inputs)
    assert len(schedule) == len(lines) and (np.diff(schedule.due_ns) >= 0).all()
    order = [int(key) for key in schedule.key_texts(np.arange(len(schedule))).to_pylist()]
    assert sorted(order) == list(range(len(lines)))
    for second in range(7):
        whole = [line for line in order if lines[line] == (second, False)]
        assert whole == sorted(whole)
    since_s = schedule.due_ns * speed / 1e9
    at_s = np.array([lines[line][0] for line in order]) + 0.25 * np.array([lines[line][1] for line in order])
    first_s = at_s[0]
    late_s = since_s - (at_s - first_s)
    exact = np.array([lines[line][1] for line in order])
    assert (late_s > -1e-6).all() and (late_s < 1).all() and late_s[exact] == pytest.approx(0, abs=1e-6)


def test_distinct_keys_are_keys_and_not_paths(tmp_path: Path) -> None:
    targets = ["/items/7?page=1", "/items/7?page=2", "/items/8?page=1", "/", "/items/%37?page=1"]
    log = "".join(entry((START + timedelta(seconds=at)).isoformat(), target) for at, target in enumerate(targets))
    load, _ = read(tmp_path, log)
    schedule = schedule_for(load, 5, 1, inputs_in(tmp_path))
    assert schedule.key_texts(np.arange(5)).to_pylist() == ["7", "7", "8", None, "7"]
    assert schedule.key_texts(np.array([3, 2])).to_pylist() == [None, "8"]
    assert schedule.distinct_keys == 2 and schedule.keyed.tolist() == [True, True, True, False, True]


def test_other_methods_are_counted_together_however_many_there_are(tmp_path: Path) -> None:
    odd = "".join(entry(START.isoformat(), "/", f"AA{chr(65 + n % 26)}{chr(65 + n // 26)}") for n in range(200))
    _, notes = read(tmp_path, odd + entry(START.isoformat(), "/") + entry(START.isoformat(), "/", "DELETE"))
    assert len(notes) == 3 and "200 of 202 lines" in notes[1] and "DELETE requests" in notes[2]


def test_what_a_query_holds_is_not_told(tmp_path: Path) -> None:
    _, notes = read(tmp_path, entry(START.isoformat()) + entry(START.isoformat(), "/login?token=s3cret"))
    assert "/login" in notes[1] and "s3cret" not in " ".join(notes)


@pytest.mark.parametrize(("limit", "value"), [("MOST_LINES", 2), ("LARGEST_BYTES", 100), ("MOST_TEXT", 20)])
def test_a_log_beyond_a_limit_is_refused(
    limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, limit, value)
    with pytest.raises(ArgumentError, match=r"access\.log") as refused:
        read(tmp_path, "".join(entry(START.isoformat(), f"/items/{n}?page=1") for n in range(9)))
    assert refused.value.hint == "Replay a part of it."


def test_a_line_of_a_gigabyte_counts_towards_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "LARGEST_BYTES", 1 << 20)
    with pytest.raises(ArgumentError, match="larger than"):
        read(tmp_path, entry(START.isoformat()).encode() + b"x" * (2 << 20))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "access.log")
    make(tmp_path / "keys.txt")
    load = Workload.model_validate({"seed": 1, "routes": [SEARCH], "replay": {"file": "access.log"}})
    with pytest.raises(ArgumentError, match=r"access\.log is not a file"):
        gather(load, tmp_path, tmp_path / "inputs")
    routes = [ITEM | {"keys": {"file": "keys.txt"}}]
    with pytest.raises(ArgumentError, match=r"keys\.txt is not a file"):
        gather(Workload.model_validate({"seed": 1, "rate": "1/s", "routes": routes}), tmp_path, tmp_path / "inputs")


def test_more_hot_keys_than_the_file_has(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("a\nb\n")
    keys = {"file": "keys.txt", "popularity": "hot-set", "hot": 2}
    load = Workload.model_validate({"seed": 1, "rate": "1/s", "routes": [ITEM | {"keys": keys}]})
    with pytest.raises(ArgumentError, match="2 keys, of which 2 are to be hot"):
        gather(load, tmp_path, tmp_path / "inputs")
    (tmp_path / "keys.txt").write_text("a\nb\nc\n")
    assert gather(load, tmp_path, tmp_path / "inputs") == []


def test_lines_without_times_are_sent_at_a_rate_in_their_order(tmp_path: Path) -> None:
    log = "".join(f'INFO:     127.0.0.1:5 - "GET /items/{n}?page=1 HTTP/1.1" 200 OK\n' for n in (5, 3, 9))
    load, _ = read(tmp_path, log, rate="4/s", timing="rate")
    load = load.model_copy(update={"arrivals": "constant"})
    schedule = schedule_for(load, 1, 1, inputs_in(tmp_path))
    assert schedule.due_ns.tolist() == [0, 250_000_000, 500_000_000, 750_000_000]
    assert schedule.key_texts(np.arange(4)).to_pylist() == ["5", "3", "9", "5"]


def test_a_time_and_a_query_under_other_names(tmp_path: Path) -> None:
    lines = [
        {"httpRequest": {"requestMethod": "GET", "requestUrl": "http://shop/items/1?page=1"}, "timestamp": START.isoformat()},
        {"StartUTC": START.isoformat(), "RequestMethod": "GET", "RequestPath": "/items/2?page=1"},
        {"@timestamp": START.isoformat(), "http": {"method": "GET"}, "url": {"path": "/items/3", "query": "page=1"}},
        {"time_local": "23/Nov/2026:05:15:26 +0000", "request_method": "GET", "uri": "/items/4", "args": "page=1"},
    ]  # fmt: skip
    load, notes = read(tmp_path, "".join(json.dumps(line) + "\n" for line in lines), format="json")
    assert len(notes) == 1, notes
    schedule = schedule_for(load, 1, 1, inputs_in(tmp_path))
    assert set(schedule.key_texts(np.arange(4)).to_pylist()) == {"1", "2", "3", "4"}

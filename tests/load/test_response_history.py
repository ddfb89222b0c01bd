"""Layers without a header of their own: what several responses of one URL show together, also about earlier rows."""

from __future__ import annotations

import pandas as pd
import pytest
from handled import handler
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.workload import Route
from luckyhit.load.http1.response import Heads, HttpResponse
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.schedule import closed_schedule
from luckyhit.load.signals import ResponseHistory, ResponseSignals, SignalReader, response_history

SECOND = 1_000_000_000
NOWHERE = memoryview(b"")


class Block:
    """Responses as a block keeps them: `rows` are their signals by now, in order."""

    def __init__(self, reader: SignalReader | None = None) -> None:
        self.reader, self.history = reader or SignalReader(), ResponseHistory()
        self.rows: list[ResponseSignals] = []

    def response(self, at_s: float, *lines: str, url: int = 1, route: int = 0, arm: int = 0) -> ResponseSignals:
        """What is shown at once; with LEARNING rows, the earlier rows are corrected."""
        pairs = (line.partition(":") for line in lines)
        headers = [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs]
        signals, mark = self.reader.inspect(headers)
        shown = self.history.inspect(arm, route, url, signals, mark, round(at_s * SECOND))
        self.rows.append(shown)
        if self.history.clue is not None:
            self.history.wait(self.history.clue, (NOWHERE, len(self.rows) - 1))
        while (revised := self.history.revised()) is not None:
            (_, row), corrected = revised
            self.rows[row] = corrected
        return shown

    @property
    def statuses(self) -> list[str]:
        return [signals.cache for signals in self.rows]


def date(second: int) -> str:
    return f"Date: Sun, 29 Nov 2026 16:12:{second:02d} GMT"


def expires(second: int) -> str:
    return f"Expires: Sun, 29 Nov 2026 16:12:{second:02d} GMT"


OWN = ["X-Cache: MISS", "X-DB-Calls: 2"]
CALLS, TIMES = "X-DB-Calls: 2", 'Server-Timing: app;dur=23.421, db;dur=2.345;desc="2"'
ID = "X-Request-Id: 0123456789abcdef012%d"
AT_ONCE = {
    "an Age with hits alone: HAProxy 2.6 over a service with a header of its own": [
        (0, 1, [date(1), *OWN], "miss x-cache=miss", 2),
        (0.1, 1, [date(1), *OWN, "age: 0"], "hit age=hit x-cache=miss", 0),
        (1.2, 1, [date(1), *OWN, "age: 1"], "hit age=hit x-cache=miss", 0),
        (3, 1, [date(4), *OWN], "miss age=miss x-cache=miss", 2),
    ],
    "an Age with each response: Traffic Server 9.2 without letters in its Via": [
        (0, 1, [date(1), *OWN, "Age: 0"], "miss x-cache=miss", 2),
        (2.1, 1, [date(1), *OWN, "Age: 2"], "hit age=hit x-cache=miss", 0),
        (4, 1, [date(5), *OWN, "Age: 0"], "miss age=miss x-cache=miss", 2),
        (4.2, 1, [date(5), *OWN, "Age: 0"], "hit age=hit x-cache=miss", 0),
        # The service's Date is up to a second old when the response is made.
        (9, 1, [date(8), *OWN, "Age: 1"], "miss age=miss x-cache=miss", 2),
    ],
    "a number that is repeated: nginx without add_header over Varnish": [
        (0, 1, [date(1), CALLS, "X-Varnish: 65582", "Age: 0"], "miss x-varnish=miss", 2),
        (0.2, 1, [date(2), CALLS, "X-Varnish: 65582", "Age: 0"], "hit replay=hit x-varnish=miss", 0),
        (0.4, 1, [date(2), CALLS, "X-Varnish: 65590", "Age: 0"], "miss replay=miss x-varnish=miss", 2),
    ],
    "an id of a request that is repeated": [
        *((0, url, [date(1), ID % url], "unknown", None) for url in range(3)),
        (0.1, 1, [date(1), ID % 1], "hit replay=hit", None),
    ],
    "an id that never changes is not a request's own": [
        (at, 1, [date(at), ID % 0], "unknown", None) for at in range(5)
    ],
    "nor is one of two URLs": [(0, url, [date(1), ID % 0], "unknown", None) for url in (1, 2, 1, 2)],
    "a Date that stays the same": [
        (0, 1, [date(1), CALLS], "unknown", 2),
        (1.5, 1, [date(1), CALLS], "unknown", 2),
        (3.2, 2, [date(4)], "unknown", None),
        (3.5, 1, [date(1), CALLS], "hit date=hit", 0),
        (4, 1, [date(5), CALLS], "miss date=miss", 2),
        (4.1, 1, [date(5), CALLS], "hit date=hit", 0),
    ],
    "a busy uvicorn writes the same Date for seconds, but not for a quarter of a minute": [
        *((number / 2, number % 3, [date(1)], "unknown", None) for number in range(28)),
        (15.5, 0, [date(1)], "hit date=hit", None),
    ],
    "an Expires that stays the same: nginx without add_header over Django": [
        (0, 1, [date(1), expires(10), CALLS, "Cache-Control: max-age=9"], "unknown", 2),
        (1, 1, [date(2), expires(10), CALLS, "Cache-Control: max-age=9"], "unknown", 2),
        (4, 1, [date(5), expires(10), CALLS, "Cache-Control: max-age=9"], "hit expires=hit", 0),
        (11, 1, [date(12), expires(21), CALLS, "Cache-Control: max-age=9"], "miss expires=miss", 2),
        (12, 1, [date(13), expires(21), CALLS, "Cache-Control: max-age=9"], "hit expires=hit", 0),
    ],
    "a count after what was stored may be live: a middleware around Django's cache": [
        (0, 1, [date(1), expires(10), "Cache-Control: max-age=9", "X-DB-Calls: 1"], "unknown", 1),
        (4, 1, [date(5), expires(10), "Cache-Control: max-age=9", "X-DB-Calls: 1"], "hit expires=hit", 1),
    ],
    "an Expires that never changes proves nothing": [
        step
        for at in range(0, 40, 4)
        for step in (
            (at, 1, [date(at), expires(50), "Cache-Control: max-age=59"], "unknown", None),
            (at, 2, [date(at), expires(50), f"Cache-Control: max-age={50 - at}"], "unknown", None),
        )
    ],
    "clocks of two machines are not compared: one of them is a second late": [
        (number / 2, 1, [date(10 + number // 2 - number % 2)], "unknown", None) for number in range(60)
    ],
    "a header with hits alone: Flask-Caching": [
        (0, 1, [date(1)], "unknown", None),
        (0.1, 1, [date(1), "hit_cache: True"], "hit hit_cache=hit", None),
        (0.2, 1, [date(1)], "miss hit_cache=miss", None),
    ],
    "a service with an Age of its own is one layer": [
        step
        for at in range(0, 20, 2)
        for step in (
            (at, 1, [date(at), "X-Cache: MISS"], "miss x-cache=miss", None),
            (at + 1, 1, [date(at), "X-Cache: HIT", f"Age: {at}"], "hit x-cache=hit", None),
        )
    ],
}


@pytest.mark.parametrize("steps", AT_ONCE.values(), ids=AT_ONCE)
def test_layers_that_only_several_responses_show(steps: list[tuple[float, int, list[str], str, int | None]]) -> None:
    block = Block()
    for at_s, url, lines, shown, calls in steps:
        signals = block.response(at_s, *lines, url=url)
        assert (f"{signals.cache} {signals.layers or ''}".strip(), signals.db_calls) == (shown, calls), at_s


def test_arms_and_routes_are_kept_apart() -> None:
    block = Block()
    block.response(0, date(1))
    block.response(0, date(1), "Age: 3")
    assert block.response(1, date(2)).cache == "miss"
    assert block.response(1, date(2), route=1).cache == "unknown"
    assert block.response(1, date(2), arm=1).cache == "unknown"


def test_a_chosen_header_still_decides_alone() -> None:
    block = Block(SignalReader("X-Cache"))
    block.response(0, date(1), "X-Cache: MISS")
    signals = block.response(1, date(1), *OWN, "Age: 3")
    assert [signals.cache, *(signals.layers or "").split(), signals.db_calls] == ["miss", "age=hit", "x-cache=miss", 0]


def test_the_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_history, "MOST_URLS", 100)
    block = Block()
    for number in range(1000):
        block.response(0, date(1), f"X-Varnish: {number}", url=number)
        block.response(0, date(1), f"X-Request-Id: 0123456789abcdef{number}", url=1)
    assert len(block.history._urls) <= 100
    assert len(block.history._owners) <= 100


# Rows of the first seconds wait until later responses show what they were.

EARLIER = {
    "an Age of the first second": (
        [(0.1, 1, [date(1), "Age: 0"]), (2.2, 1, [date(1), "Age: 2"])], ["miss", "hit"], [None, None],
    ),
    "a Date of the first seconds: nginx with proxy_pass_header Date": (
        [(0, 1, [date(1)]), (0.2, 2, [date(1)]), (0.4, 1, [date(1)]), (3.2, 3, [date(4)]), (3.5, 1, [date(1)])],
        ["miss", "miss", "hit", "miss", "hit"], [None] * 5,
    ),
    "nothing shows more": (
        [(number, number % 2, [date(number), "X-Cache: MISS"]) for number in range(8)], ["miss"] * 8, [None] * 8,
    ),
    "repeated counts and times: Traffic Server over a service with exact times": (
        [(0, 1, [date(1), CALLS, TIMES, "Age: 0"]), (0.2, 1, [date(1), CALLS, TIMES, "Age: 0"]),
         (2.5, 1, [date(1), CALLS, TIMES, "Age: 2"])],
        ["miss", "hit", "hit"], [2, 0, 0],
    ),
    "repeated times behind a miss: nginx over a middleware that keeps responses for longer": (
        [(0, 1, [date(1), CALLS, TIMES, "X-Cache: MISS", "X-Cache-Status: MISS"]),
         (9, 1, [date(9), CALLS, TIMES, "X-Cache: HIT", "X-Cache-Status: EXPIRED"])],
        ["miss", "miss"], [2, 0],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "statuses", "calls"), EARLIER.values(), ids=EARLIER)
def test_earlier_rows_are_corrected(
    steps: list[tuple[float, int, list[str]]], statuses: list[str], calls: list[int | None]
) -> None:
    block = Block()
    for at_s, url, lines in steps:
        block.response(at_s, *lines, url=url)
    assert block.statuses == statuses
    assert [signals.db_calls for signals in block.rows] == calls


@given(st.lists(st.integers(1, 5), min_size=2, max_size=30))
def test_misses_without_an_age_are_known_in_any_order(urls: list[int]) -> None:
    block, stored = Block(), [url in urls[:place] for place, url in enumerate(urls)]
    for url, hit in zip(urls, stored, strict=True):  # HAProxy 2.6: an Age with hits alone
        block.response(0.01, date(1), CALLS, *(["age: 0"] if hit else []), url=url)
    if not any(stored):
        assert set(block.statuses) == {"unknown"}
        return
    assert block.statuses == ["hit" if hit else "miss" for hit in stored]
    assert [signals.db_calls for signals in block.rows] == [0 if hit else 2 for hit in stored]


def test_rows_wait_for_seconds_and_not_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block()
    assert not block.history.holds(0)
    block.response(1, date(1))
    assert block.history.holds(2 * SECOND)
    assert not block.history.holds(round((1 + response_history.LEARNS_S) * SECOND)) and not block.history.learns
    block.response(12, date(12), "Age: 0")
    assert block.statuses[0] == "unknown"
    monkeypatch.setattr(response_history, "MOST_WAITING", 3)
    block = Block()
    for url in range(5):
        block.response(0, date(1), url=url)
    block.response(0.1, date(1), "age: 0")
    assert block.statuses == ["unknown"] * 5 + ["hit"] and not block.history.holds(SECOND)


def test_a_waiting_row_is_amended_in_its_place() -> None:
    schedule = closed_schedule(handler(Route(name="item", path="/i")).workload, 3, 1)
    recorder = RequestRecorder(schedule, ["before"])
    done = HttpResponse(sent_ns=1, first_byte_ns=2, done_ns=3, status=200, size=4, connection=5)
    places = []
    for slot in range(3):
        recorder.record(slot, 0, done, ResponseSignals(db_calls=2), body_hash=7)
        places.append(recorder.last())
    before = recorder.table().to_pylist()
    recorder.amend(places[1], ResponseSignals("hit", 0, 4.0, "age=hit"))
    after = recorder.table().to_pylist()
    assert after[1] == {**before[1], "cache": "hit", "db_calls": 0, "age_s": 4.0, "layers": "age=hit"}
    assert (after[0], after[2]) == (before[0], before[2])


def recorded(heads: list[tuple[float, bytes]], method: str = "GET") -> pd.DataFrame:
    """The rows of responses with these heads, by when they were done."""
    handled, known = handler(Route(name="page", path="/page", method=method), slots=100), Heads()  # type: ignore[arg-type]
    for slot, (at_s, raw) in enumerate(heads):
        head = known.known.get(raw) or known.read(raw)
        assert head is not None
        at_ns = round(at_s * SECOND)
        response = HttpResponse(at_ns, at_ns, at_ns, 200, None, head.headers, connection=1, head=head, due_ns=at_ns)
        handled.responses.record(slot, 0, response)
    handled.responses.finish()
    return handled.recorder.table().to_pandas()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"


def test_rows_have_what_responses_show_together() -> None:
    head = HEAD + b"x-cache: MISS\r\nx-db-calls: 2"
    rows = recorded([(0, head), (1, head + b"\r\nage: 0"), (2, head + b"\r\nage: 1"), (3, head)])
    assert rows["cache"].tolist() == ["miss", "hit", "hit", "miss"]
    assert rows["layers"].tolist() == [f"age={status} x-cache=miss" for status in rows["cache"]]
    assert rows["db_calls"].tolist() == [2, 0, 0, 2]


@pytest.mark.parametrize(("method", "hits"), [("GET", 5), ("POST", 0)])
def test_one_head_is_inspected_again_after_a_while(method: str, hits: int) -> None:
    rows = recorded([(float(second), HEAD + date(1).encode()) for second in range(20)], method)
    assert rows["cache"].tolist() == ["unknown"] * (20 - hits) + ["hit"] * hits  # a write is never stored


lines = st.sampled_from(
    ["Age: 0", "Age: 1", "Age: 5", "X-Cache: HIT", "X-Cache: MISS", "X-Varnish: 5", "X-Varnish: 6 5", "hit_cache: True"]
)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.lists(lines, max_size=3)), max_size=30))
def test_no_order_of_responses_is_an_error(responses: list[tuple[int, int, list[str]]]) -> None:
    block = Block()
    for number, (url, second, shown) in enumerate(responses):
        signals = block.response(number, date(second), *shown, url=url)
        assert signals.cache in ("hit", "miss", "stale", "bypass", "unknown")
        assert signals.cache == "unknown" or signals.layers

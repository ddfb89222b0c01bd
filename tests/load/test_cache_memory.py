"""Layers that no header of their own tells: what several answers of one URL show together."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.workload import Workload
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.http1.response_head import Heads
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import Answers
from luckyhit.load.schedule import closed_schedule
from luckyhit.load.signals import Memory, Seen, Signals
from luckyhit.load.signals import memory as memory_module

SECOND = 1_000_000_000


class Front:
    """Answers of one arm and route, read one after the other."""

    def __init__(self, signals: Signals | None = None) -> None:
        self.signals, self.memory = signals or Signals(), Memory()

    def answer(self, at_s: float, *lines: str, url: int = 1, route: int = 0, arm: int = 0) -> Seen:
        pairs = (line.partition(":") for line in lines)
        found = [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs]
        seen, mark = self.signals.look(found)
        return self.memory.look(arm, route, url, seen, mark, round(at_s * SECOND))


def date(second: int) -> str:
    return f"Date: Sun, 29 Nov 2026 16:12:{second:02d} GMT"


def shown(seen: Seen) -> tuple[str, list[str] | None, int | None]:
    return seen.cache, seen.layers.split() if seen.layers else None, seen.db_calls


def test_an_age_with_hits_alone_tells_hits_and_misses() -> None:
    front = Front()  # HAProxy 2.6 over a service with a header of its own
    own = ["x-cache: MISS", "x-db-calls: 2"]
    assert shown(front.answer(0, date(1), *own)) == ("miss", ["x-cache=miss"], 2)
    assert shown(front.answer(0.1, date(1), *own, "age: 0")) == ("hit", ["age=hit", "x-cache=miss"], 0)
    assert shown(front.answer(1.2, date(1), *own, "age: 1")) == ("hit", ["age=hit", "x-cache=miss"], 0)
    assert shown(front.answer(3, date(4), *own)) == ("miss", ["age=miss", "x-cache=miss"], 2)


def test_an_age_with_each_answer_tells_with_the_date() -> None:
    front = Front()  # Traffic Server 9.2 without letters in its Via
    own = ["X-Cache: MISS", "X-DB-Calls: 2"]
    assert front.answer(0, date(1), *own, "Age: 0").cache == "miss"
    assert front.answer(2.1, date(1), *own, "Age: 2").layers.split() == ["age=hit", "x-cache=miss"]
    assert shown(front.answer(4, date(5), *own, "Age: 0")) == ("miss", ["age=miss", "x-cache=miss"], 2)
    assert shown(front.answer(4.2, date(5), *own, "Age: 0")) == ("hit", ["age=hit", "x-cache=miss"], 0)
    # The service's Date is up to a second old when the answer is made.
    assert front.answer(9, date(8), *own, "Age: 1").cache == "miss"


def test_a_number_that_comes_again_was_stored() -> None:
    front = Front()  # nginx without add_header over Varnish
    assert front.answer(0, date(1), "X-DB-Calls: 2", "X-Varnish: 65582", "Age: 0").cache == "miss"
    again = front.answer(0.2, date(2), "X-DB-Calls: 2", "X-Varnish: 65582", "Age: 0")
    assert shown(again) == ("hit", ["replay=hit", "x-varnish=miss"], 0)
    other = front.answer(0.4, date(2), "X-DB-Calls: 2", "X-Varnish: 65590", "Age: 0")
    assert shown(other) == ("miss", ["replay=miss", "x-varnish=miss"], 2)


def test_an_id_that_never_changes_is_no_requests_own() -> None:
    echo = "X-Request-Id: 0123456789abcdef0123"
    front = Front()
    assert {front.answer(number, date(number), echo).cache for number in range(5)} == {"unknown"}
    front = Front()
    assert {front.answer(0, date(1), echo, url=url).cache for url in (1, 2, 1, 2)} == {"unknown"}


def test_an_id_of_a_request_that_comes_again_was_stored() -> None:
    front = Front()
    for number in range(3):
        assert front.answer(0, date(1), f"X-Request-Id: 0123456789abcdef012{number}", url=number).cache == "unknown"
    assert front.answer(0.1, date(1), "X-Request-Id: 0123456789abcdef0121", url=1).layers.split() == ["replay=hit"]


def test_a_date_that_stands_still_was_stored() -> None:
    front = Front()
    assert front.answer(0, date(1), "X-DB-Calls: 2").cache == "unknown"
    assert front.answer(1.5, date(1), "X-DB-Calls: 2").cache == "unknown"
    front.answer(3.2, date(4), url=2)
    assert shown(front.answer(3.5, date(1), "X-DB-Calls: 2")) == ("hit", ["date=hit"], 0)
    assert shown(front.answer(4, date(5), "X-DB-Calls: 2")) == ("miss", ["date=miss"], 2)
    assert front.answer(4.1, date(5), "X-DB-Calls: 2").cache == "hit"


def test_a_service_that_is_behind_with_its_date_stores_nothing() -> None:
    front = Front()  # uvicorn on a busy machine writes the same Date for seconds
    told = [front.answer(number / 2, date(1), url=number % 3) for number in range(28)]
    assert {reading.cache for reading in told} == {"unknown"}
    assert front.answer(15.5, date(1), url=0).cache == "hit"  # not for a quarter of a minute


def expires(second: int) -> str:
    return f"Expires: Sun, 29 Nov 2026 16:12:{second:02d} GMT"


def test_an_expires_that_stands_still_was_stored() -> None:
    front = Front()  # nginx without add_header over Django
    own = ["X-DB-Calls: 2", "Cache-Control: max-age=9"]
    assert front.answer(0, date(1), expires(10), *own).cache == "unknown"
    assert front.answer(1, date(2), expires(10), *own).cache == "unknown"
    assert shown(front.answer(4, date(5), expires(10), *own)) == ("hit", ["expires=hit"], 0)
    assert shown(front.answer(11, date(12), expires(21), *own)) == ("miss", ["expires=miss"], 2)
    assert front.answer(12, date(13), expires(21), *own).cache == "hit"


def test_a_count_behind_what_was_stored_may_be_live() -> None:
    front = Front()  # a middleware around Django's cache
    own = ["Cache-Control: max-age=9", "X-DB-Calls: 1"]
    front.answer(0, date(1), expires(10), *own)
    assert shown(front.answer(4, date(5), expires(10), *own)) == ("hit", ["expires=hit"], 1)


def test_an_expires_that_never_changes_proves_nothing() -> None:
    front = Front()
    for second in range(0, 40, 4):
        seen = front.answer(second, date(second), expires(50), "Cache-Control: max-age=59")
        assert seen.cache == "unknown"
        seen = front.answer(second, date(second), expires(50), f"Cache-Control: max-age={50 - second}", url=2)
        assert seen.cache == "unknown"


def test_clocks_of_two_machines_are_not_compared() -> None:
    front = Front()  # one of them is a second behind
    cached = {front.answer(number / 2, date(10 + number // 2 - number % 2)).cache for number in range(60)}
    assert cached == {"unknown"}


def test_a_header_that_comes_with_hits_alone_tells_misses_too() -> None:
    front = Front()  # Flask-Caching
    assert front.answer(0, date(1)).cache == "unknown"
    assert front.answer(0.1, date(1), "hit_cache: True").cache == "hit"
    assert shown(front.answer(0.2, date(1))) == ("miss", ["hit_cache=miss"], None)


def test_a_service_with_an_age_of_its_own_is_one_layer() -> None:
    front = Front()
    for second in range(0, 20, 2):
        assert front.answer(second, date(second), "X-Cache: MISS").layers.split() == ["x-cache=miss"]
        assert front.answer(second + 1, date(second), "X-Cache: HIT", f"Age: {second}").layers.split() == [
            "x-cache=hit"
        ]


def test_arms_and_routes_are_kept_apart() -> None:
    front = Front()
    front.answer(0, date(1))
    front.answer(0, date(1), "Age: 3")
    assert front.answer(1, date(2)).cache == "miss"
    assert front.answer(1, date(2), route=1).cache == "unknown"
    assert front.answer(1, date(2), arm=1).cache == "unknown"


def test_the_chosen_header_still_counts_alone() -> None:
    front = Front(Signals("X-Cache"))
    front.answer(0, date(1), "X-Cache: MISS")
    seen = front.answer(1, date(1), "X-Cache: MISS", "X-DB-Calls: 2", "Age: 3")
    assert shown(seen) == ("miss", ["age=hit", "x-cache=miss"], 0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MOST_URLS", 100)
    front = Front()
    for number in range(1000):
        front.answer(0, date(1), f"X-Varnish: {number}", url=number)
        front.answer(0, date(1), f"X-Request-Id: 0123456789abcdef{number}", url=1)
    assert len(front.memory._urls) <= 100
    assert len(front.memory._owners) <= 100


def settled(heads: list[tuple[float, bytes]], method: str = "GET") -> pd.DataFrame:
    """The rows of answers with these heads, by when they were done."""
    route = {"name": "page", "path": "/page", "method": method}
    schedule = closed_schedule(Workload.model_validate({"seed": 1, "rate": "9/s", "routes": [route]}), 100, 1)
    rows = RequestRecorder(schedule, ["before"], block=0, warmup_ns=0, directory=None, endless=True)
    templates = [
        [RouteTemplate(schedule.routes[0], Origin.parse("http://127.0.0.1:1"), {}, table=None, cookies={})],
    ]
    answers, known = Answers(schedule, rows, ["before"], templates, Signals(), None), Heads()
    for slot, (at_s, raw) in enumerate(heads):
        head = known.known.get(raw) or known.read(raw)
        assert head is not None
        at_ns = round(at_s * SECOND)
        answer = HttpResponse(head=head, headers=head.headers, status=200, due_ns=at_ns, sent_ns=at_ns, connection=1)
        answer.first_byte_ns = answer.done_ns = at_ns
        answers.settle(slot, 0, answer)
    answers.finish()
    return rows.table(rows._pending()).to_pandas()


def test_rows_hold_what_answers_show_together() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-cache: MISS\r\nx-db-calls: 2"
    found = settled([(0, head), (1, head + b"\r\nage: 0"), (2, head + b"\r\nage: 1"), (3, head)])
    assert found["cache"].tolist() == ["miss", "hit", "hit", "miss"]
    assert found["layers"].tolist() == [f"age={status} x-cache=miss" for status in found["cache"]]
    assert found["db_calls"].tolist() == [2, 0, 0, 2]


def test_one_head_is_looked_at_again_when_its_date_has_stood_still() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + date(1).encode()
    found = settled([(float(second), head) for second in range(20)])
    assert found["cache"].tolist() == ["unknown"] * 15 + ["hit"] * 5


def test_writes_are_never_said_to_be_stored() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + date(1).encode()
    found = settled([(float(second), head) for second in range(12)], method="POST")
    assert set(found["cache"]) == {"unknown"}


lines = st.sampled_from(
    ["Age: 0", "Age: 1", "Age: 5", "X-Cache: HIT", "X-Cache: MISS", "X-Varnish: 5", "X-Varnish: 6 5", "hit_cache: True"]
)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.lists(lines, max_size=3)), max_size=30))
def test_no_order_of_answers_is_an_error(answers: list[tuple[int, int, list[str]]]) -> None:
    front = Front()
    for number, (url, second, found) in enumerate(answers):
        seen = front.answer(number, date(second), *found, url=url)
        assert seen.cache in ("hit", "miss", "stale", "bypass", "unknown")
        assert seen.cache == "unknown" or seen.layers

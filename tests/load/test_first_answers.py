"""The first answers of a route wait until others show what they were: misses come first, and would be left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.workload import Keys, Route, Workload
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.schedule import schedule_for
from luckyhit.load.signals import Memory, Seen, Signals
from luckyhit.load.signals import memory as memory_module

SECOND = 1_000_000_000
NOWHERE = memoryview(b"")


class Block:
    """Answers of one route as a block keeps them: `rows` is what their rows tell by now, in their order."""

    def __init__(self) -> None:
        self.signals, self.memory = Signals(), Memory()
        self.rows: list[Seen] = []

    def answer(self, at_s: float, url: int, *lines: str) -> None:
        pairs = (line.partition(": ") for line in lines)
        seen, mark = self.signals.look([(name.lower().encode(), value.encode()) for name, _, value in pairs])
        self.rows.append(self.memory.look(0, 0, url, seen, mark, round(at_s * SECOND)))
        if self.memory.clue is not None:
            self.memory.wait(self.memory.clue, (NOWHERE, len(self.rows) - 1))
        while (revised := self.memory.revised()) is not None:
            (_, row), more = revised
            self.rows[row] = more

    @property
    def statuses(self) -> list[str]:
        return [reading.cache for reading in self.rows]


def date(second: int) -> str:
    return f"Date: Sun, 29 Nov 2026 16:12:{second:02d} GMT"


def visits(urls: list[int]) -> list[tuple[int, bool]]:
    """Each URL with whether it was asked for before."""
    return [(url, url in urls[:place]) for place, url in enumerate(urls)]


@given(st.lists(st.integers(1, 5), min_size=2, max_size=30))
def test_misses_without_an_age_are_told_in_any_order(urls: list[int]) -> None:
    block = Block()  # HAProxy 2.6: an Age with hits alone
    for url, stored in visits(urls):
        block.answer(0.01, url, date(1), "x-db-calls: 2", *(["age: 0"] if stored else []))
    whole = len(set(urls)) < len(urls)
    assert block.statuses == (
        ["hit" if stored else "miss" for _, stored in visits(urls)] if whole else ["unknown"] * len(urls)
    )
    if whole:
        assert [seen.db_calls for seen in block.rows] == [0 if stored else 2 for _, stored in visits(urls)]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_ages_of_the_first_second_are_told_by_a_later_one(urls: list[int]) -> None:
    block = Block()  # Traffic Server 9.2: an Age with each answer, counted from the service's Date
    for url, _ in visits(urls):
        block.answer(0.1, url, date(1), "Age: 0")
    block.answer(2.2, urls[0], date(1), "Age: 2")
    assert block.statuses == [*("hit" if stored else "miss" for _, stored in visits(urls)), "hit"]


def test_dates_of_the_first_seconds_are_told_by_one_that_stays() -> None:
    block = Block()  # nginx with proxy_pass_header Date
    for at_s, url, second in ((0, 1, 1), (0.2, 2, 1), (0.4, 1, 1), (3.2, 3, 4), (3.5, 1, 1)):
        block.answer(at_s, url, date(second))
    assert block.statuses == ["miss", "miss", "hit", "miss", "hit"]


def test_what_nothing_tells_is_left_as_it_is() -> None:
    block = Block()
    for number in range(8):
        block.answer(number, number % 2, date(number), "X-Cache: MISS")
    assert set(block.statuses) == {"miss"} and {seen.layers for seen in block.rows} == {"x-cache=miss"}


def test_rows_are_held_for_seconds_and_not_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block()
    assert not block.memory.holds(0)
    block.answer(1, 1, date(1))
    assert block.memory.holds(2 * SECOND)
    assert not block.memory.holds(round((1 + memory_module.LEARNS_S) * SECOND)) and not block.memory.learns
    block.answer(12, 1, date(12), "Age: 0")
    assert block.statuses[0] == "unknown"
    monkeypatch.setattr(memory_module, "MOST_WAITING", 3)
    block = Block()
    for number in range(5):
        block.answer(0, number, date(1))
    block.answer(0.1, 1, date(1), "age: 0")
    assert block.statuses == ["unknown"] * 5 + ["hit"] and not block.memory.holds(SECOND)


def test_a_row_that_waits_is_amended_where_it_stands() -> None:
    route = Route(name="item", path="/i/{key}", keys=Keys(first=1, last=3))
    workload = Workload(seed=1, rate="100/s", arrivals="constant", routes=[route])  # type: ignore[arg-type]
    rows = RequestRecorder(schedule_for(workload, 0.03, 1), ["before"], block=0, warmup_ns=0, directory=None)
    done = HttpResponse(sent_ns=1, first_byte_ns=2, done_ns=3, status=200, size=4, connection=5)
    places = []
    for slot in range(3):
        rows.settle(slot, 0, done, Seen(db_calls=2), body_hash=7)
        places.append(rows.last())
    before = rows.table(rows._pending()).to_pylist()
    rows.amend(places[1], Seen("hit", 0, 4.0, "age=hit"))
    after = rows.table(rows._pending()).to_pylist()
    assert after[1] == {**before[1], "cache": "hit", "db_calls": 0, "age_s": 4.0, "layers": "age=hit"}
    assert (after[0], after[2]) == (before[0], before[2])


def test_a_count_that_is_told_again_keeps_no_row_from_waiting() -> None:
    block = Block()  # Traffic Server over a service that tells exact times: Date, Age and times of the same answer
    timing = 'Server-Timing: app;dur=23.421, db;dur=2.345;desc="2"'
    block.answer(0, 1, date(1), "X-DB-Calls: 2", timing, "Age: 0")
    block.answer(0.2, 1, date(1), "X-DB-Calls: 2", timing, "Age: 0")
    block.answer(2.5, 1, date(1), "X-DB-Calls: 2", timing, "Age: 2")
    assert block.statuses == ["miss", "hit", "hit"] and [reading.db_calls for reading in block.rows] == [2, 0, 0]


def test_times_that_come_again_behind_a_miss_are_of_an_earlier_answer() -> None:
    block = Block()  # nginx over a middleware that kept the whole answer, and lives longer
    service = ["X-DB-Calls: 2", "Server-Timing: app;dur=23.421, db;dur=2.345"]
    block.answer(0, 1, date(1), *service, "X-Cache: MISS", "X-Cache-Status: MISS")
    block.answer(9, 1, date(9), *service, "X-Cache: HIT", "X-Cache-Status: EXPIRED")
    assert block.statuses == ["miss", "miss"] and [reading.db_calls for reading in block.rows] == [2, 0]

"""Stale reads in the workload itself: found where a cache is never invalidated, never found where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.case.workload import Keys, Route
from luckyhit.judge.stale.background import background_reads, background_share
from luckyhit.judge.stale.background_routes import families
from luckyhit.records import REQUESTS
from tier import examples

KEYS = Keys(first=1, last=9)
READ = Route(name="read", path="/products/{key}", keys=KEYS, version="$.price")
WRITE = Route(
    name="write", method="PUT", path="/products/{key}/price", keys=KEYS, body={"price": "{number}"}, version="{number}"
)
BULK = Route(name="bulk", method="POST", path="/bulk", keys=KEYS, body={"{key}": "{number}"}, version="{number}")
REMOVE = Route(name="remove", method="DELETE", path="/products/{key}", keys=KEYS)
VIEW = Route(name="view", method="POST", path="/products/{key}/views", keys=KEYS)
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}


def case_of(*routes: Route, design: str = "crossover") -> Case:
    case = a_case(design=design)
    return case.model_copy(update={"workload": case.workload.model_copy(update={"routes": list(routes)})})


CASE = case_of(READ, WRITE, REMOVE, VIEW)


def request(route: str, sent: int | None, done: int | None, version: int | None = None, **other: Any) -> dict[str, Any]:
    row = {"arm": "before", "block": 1, "slot": 0, "phase": "measure", "key": "7", "due_ns": 0, "cache": "unknown"}
    row |= {"status": None if done is None else 200, "error": "timeout" if done is None else None}
    return {**row, "route": route, "sent_ns": sent, "done_ns": done, "version": version, **other}


def read(sent: int, done: int | None, version: int | None, **other: Any) -> dict[str, Any]:
    return request("read", sent, done, version, **other)


def write(sent: int | None, done: int | None, version: int | None, **other: Any) -> dict[str, Any]:
    return request("write", sent, done, version, **other)


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """With the types that a run directory gives."""
    return pa.Table.from_pylist(list(rows), schema=REQUESTS).to_pandas(types_mapper=_NULLABLE.get)


def outcomes(*rows: dict[str, Any], case: Case = CASE) -> list[str]:
    return background_reads(frame(rows), case)["outcome"].tolist()


# By hand


def test_an_old_value_after_an_acknowledged_write_is_stale_and_the_new_one_is_fresh() -> None:
    found = background_reads(
        frame([write(10, 20, 5), write(30, 40, 6), read(50, 60, 5), read(50, 60, 6), read(35, 60, 5)]), CASE
    )
    assert found.columns.tolist() == [
        "arm", "block", "slot", "route", "key", "sent_ns", "seen_version", "outcome", "behind", "since_ack_ns",
        "write_slot", "since_write_ns", "cache",
    ]  # fmt: skip
    assert found["outcome"].tolist() == ["stale", "fresh", "fresh"]
    assert found["behind"].tolist() == [1, pd.NA, pd.NA]
    assert found.index.tolist() == [2, 3, 4]
    assert found["seen_version"].tolist() == [5, 6, 5]


def test_nothing_is_told_before_the_first_acknowledgement() -> None:
    assert outcomes(read(1, 2, 500), write(10, 20, 5), read(15, 30, 500), read(20, 30, 500)) == ["unknown"] * 3


def test_the_original_is_what_was_shown_before_the_first_write() -> None:
    rows = [read(1, 2, 500), write(10, 20, 5), read(30, 40, 500), read(30, 40, 501)]
    assert outcomes(*rows) == ["unknown", "stale", "unknown"]


def test_a_read_that_loads_the_original_while_it_is_overwritten_shows_which_one_it_is() -> None:
    """The stale-set race: the slow load of a first read puts the old value into the cache."""
    assert outcomes(read(9, 30, 500), write(10, 20, 5), read(40, 50, 500)) == ["unknown", "stale"]


def test_a_read_that_overlaps_a_write_may_show_either_value() -> None:
    rows = [write(1, 2, 5), write(10, 40, 6)]
    assert outcomes(*rows, read(5, 20, 6), read(5, 20, 5), read(15, 20, 5)) == ["fresh"] * 3
    assert outcomes(*rows, read(5, 9, 6)) == ["unknown"]  # shown before it was written


def test_reads_of_the_warm_up_are_history_and_are_not_told() -> None:
    found = background_reads(
        frame([read(1, 2, 500, phase="warmup"), write(3, 4, 5, phase="warmup"), read(6, 7, 500)]), CASE
    )
    assert found["outcome"].tolist() == ["stale"] and found["behind"].tolist() == [1]


def test_values_of_one_block_arm_or_key_say_nothing_about_another() -> None:
    for other in ({"arm": "after"}, {"block": 2}, {"key": "8"}):
        assert outcomes(write(1, 2, 5), write(3, 4, 6), read(5, 6, 5, **other)) == ["unknown"]


def test_a_write_without_an_answer_may_land_at_any_later_time() -> None:
    lost = write(1, None, 5)
    assert outcomes(lost, write(10, 20, 6), read(30, 40, 5)) == ["unknown"]
    # It says nothing about other values, and overtakes none.
    assert outcomes(write(1, 2, 4), lost, write(10, 20, 6), read(30, 40, 4)) == ["stale"]
    assert outcomes(write(1, 2, 4), write(3, None, 5), read(30, 40, 4)) == ["fresh"]
    assert outcomes(write(1, 2, 4), write(3, None, 5), read(30, 40, 5)) == ["fresh"]
    # Not even in the next block, where one value was the original.
    late = [lost, read(60, 61, 5, block=2), write(70, 80, 6, block=2), read(90, 95, 5, block=2)]
    assert outcomes(*late) == ["unknown", "unknown"]
    assert outcomes(late[0], *({**row, "arm": "after"} for row in late[1:])) == ["unknown", "unknown"]
    isolated = case_of(READ, WRITE, design="side-by-side")
    assert outcomes(late[0], *({**row, "arm": "after"} for row in late[1:]), case=isolated) == ["unknown", "stale"]


@pytest.mark.parametrize("status", [500, 409, 201, None])
def test_a_write_with_an_unexpected_answer_may_have_been_committed(status: int | None) -> None:
    odd = write(10, 20, 6, status=status, error="unexpected")
    assert outcomes(write(1, 2, 5), odd, read(30, 40, 5)) == ["fresh"]
    assert outcomes(write(1, 2, 5), odd, write(21, 22, 7), read(30, 40, 6)) == ["unknown"]


def test_a_write_that_was_sent_twice_excuses_what_comes_later() -> None:
    """Its value is not recorded: its first copy may take effect after the second was answered."""
    before, after = [write(1, 2, 5), write(3, 4, 6), read(5, 6, 5)], [write(20, 21, 7), read(30, 31, 5)]
    assert outcomes(*before, write(10, 11, None), *after) == ["stale", "unknown"]
    assert outcomes(*before, write(None, None, None, error="reset"), *after) == ["unknown", "unknown"]
    assert outcomes(*before, write(None, None, None, error="connect"), *after) == ["stale", "stale"]


def test_a_value_that_was_written_again_is_current_again() -> None:
    rows = [write(1, 2, 5), write(3, 4, 6), write(7, 8, 5)]
    assert outcomes(*rows, read(5, 6, 5), read(9, 10, 5), read(9, 10, 6)) == ["stale", "fresh", "stale"]


def test_a_write_to_the_path_that_is_read_may_have_put_any_value_there() -> None:
    rows = [write(1, 2, 5), write(3, 4, 6)]
    removal, view = request("remove", 5, 6), request("view", 5, 6)
    assert outcomes(*rows, view, read(8, 9, 5)) == ["stale"]
    assert outcomes(*rows, removal, read(8, 9, 5), read(8, 9, 6)) == ["unknown", "fresh"]
    assert outcomes(*rows, removal, write(10, 11, 7), read(12, 13, 5)) == ["stale"]
    assert outcomes(*rows, request("remove", 5, None), write(10, 11, 7), read(12, 13, 5)) == ["unknown"]


def test_versions_behind_are_those_that_are_surely_newer() -> None:
    overlapping = write(4, 30, 8)  # sent while the shown one was under way, acknowledged behind the read's send
    rows = [write(1, 5, 5), overlapping, write(6, 7, 6), write(8, 9, 7), write(18, 40, 9), read(20, 50, 5)]
    found = background_reads(frame(rows), CASE)
    assert found["behind"].tolist() == [2]


def test_a_route_that_shows_something_else_than_what_is_written_tells_nothing() -> None:
    """A price with tax: each new value looks like one that nobody wrote, and the first one like the original."""
    rows = [read(9, 30, 119), write(10, 20, 100), read(40, 45, 119)]
    for start in range(100, 1000, 100):
        rows += [write(start, start + 10, start), read(start + 20, start + 30, round(start * 1.19))]
    assert set(outcomes(*rows)) == {"unknown"}


def test_answers_without_a_value_and_reads_that_were_never_sent() -> None:
    rows = [write(1, 2, 5), read(3, None, None), read(4, 5, None, status=404, error="unexpected"), read(6, 7, None)]
    unsent = {**read(0, None, None, error="dropped"), "sent_ns": None}
    assert outcomes(*rows, unsent) == ["unknown"] * 3
    share = background_share(frame([*rows, unsent]), CASE)
    assert (share.reads, share.unknown, share.share) == (0, 3, None)


def test_records_without_versions_tell_nothing() -> None:
    rows = frame([write(1, 2, 5), write(3, 4, 6), read(5, 6, 5)])
    assert background_share(rows.drop(columns="version"), CASE).reads == 0
    assert background_share(frame([]), CASE).reads == 0
    untold = background_reads(rows, case_of(READ.model_copy(update={"version": None})))
    assert untold.empty and untold.columns.tolist() == background_reads(rows, CASE).columns.tolist()


# Which routes belong together


def test_reads_and_writes_of_one_resource_are_told_by_their_paths() -> None:
    user = Route(name="user", path="/users/{key}", keys=KEYS, version="$.age")
    birthday = WRITE.model_copy(update={"name": "birthday", "path": "/users/{key}/age"})
    admin = WRITE.model_copy(update={"name": "admin", "path": "/admin/products/{key}"})
    (one,) = families([READ, WRITE, BULK, REMOVE, VIEW])
    assert one.writes == {"write", "bulk"} and one.unnamed == {"remove"} and not one.elsewhere
    products, users = families([READ, user, WRITE, birthday, BULK])
    assert (products.reads, products.writes, products.elsewhere) == ({"read"}, {"write"}, {"birthday", "bulk"})
    assert (users.reads, users.writes, users.elsewhere) == ({"user"}, {"birthday"}, {"write", "bulk"})
    assert [family.writes for family in families([READ, admin])] == [{"admin"}]
    assert families([READ, user, admin]) == [] and families([WRITE]) == []


def test_a_user_of_the_same_number_has_nothing_to_do_with_a_product() -> None:
    user = Route(name="user", path="/users/{key}", keys=KEYS, version="$.age")
    both = case_of(READ, user, WRITE)
    rows = [request("user", 1, 2, 44), read(1, 2, 500), write(3, 4, 6), request("user", 5, 6, 44), read(5, 6, 500)]
    assert outcomes(*rows, case=both) == ["unknown", "stale"]


def test_only_an_accepted_write_overtakes() -> None:
    """A rejection that the route expects is none; a form's redirection is."""
    before, after = write(1, 2, 5), read(5, 6, 5)
    assert outcomes(before, write(3, 4, 6, status=303), after) == ["stale"]
    assert outcomes(before, write(3, 4, 6, status=409), after) == ["fresh"]


# Whatever happens


@dataclass(frozen=True)
class Written:
    sent: int
    done: int
    value: int
    takes_effect: tuple[int, ...]
    kind: str = "accepted"  # or lost, unexpected, twice, removal

    def row(self) -> dict[str, Any]:
        if self.kind == "lost":
            return write(self.sent, None, self.value)
        if self.kind == "unexpected":
            return write(self.sent, self.done, self.value, status=503, error="unexpected")
        if self.kind == "removal":
            return request("remove", self.sent, self.done)
        return write(self.sent, self.done, None if self.kind == "twice" else self.value)


LAST = 60
EXAMPLES = examples(100)


@st.composite
def written(draw: st.DrawFn, start: int) -> Written:
    """A write of one of few values, that begins in the block from `start` on."""
    sent = draw(st.integers(start, start + LAST))
    done = draw(st.integers(sent, sent + 15))
    kind = draw(st.sampled_from(["accepted"] * 6 + ["lost", "unexpected", "twice", "removal"]))
    effects = [draw(st.integers(sent, done))]
    if kind in ("lost", "unexpected"):
        effects = draw(st.lists(st.integers(sent, sent + 200), max_size=2))
    elif kind == "twice":
        effects += draw(st.lists(st.integers(sent, sent + 200), max_size=1))
    return Written(sent, done, draw(st.integers(1, 4)), tuple(effects), kind)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[list[Written]], list[tuple[int, int, int, int]]]:
    """The original, the writes of two blocks, and reads: block, sent, when they look, done."""
    starts = (0, 2 * LAST)
    blocks = [draw(st.lists(written(start), max_size=7)) for start in starts]
    moments = st.tuples(st.integers(0, LAST + 30), st.integers(0, 15), st.integers(0, 15))
    reads = [
        (block, starts[block] + begin, starts[block] + begin + first, starts[block] + begin + first + second)
        for block in (0, 1)
        for begin, first, second in draw(st.lists(moments, max_size=10))
    ]
    return draw(st.integers(1, 5)), blocks, reads


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_register_that_shows_what_is_current_never_gives_a_stale_read(history: Any, order: Any) -> None:
    original, blocks, reads = history
    happens = [(at, order.random(), each.value) for block in blocks for each in block for at in each.takes_effect]
    looks = [(at, order.random(), read) for read in reads for at in (read[2],)]
    rows = [{**each.row(), "block": number} for number, block in enumerate(blocks) for each in block]
    for at, turn, (block, sent, _, done) in looks:
        before = [(when, which, value) for when, which, value in happens if (when, which) < (at, turn)]
        rows.append(read(sent, done, max(before)[2] if before else original, block=block))
    order.shuffle(rows)
    assert "stale" not in outcomes(*rows)


def expected_outcome(shown: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[str, int]:
    """The definition, word by word: for one read among the rows of its block."""
    writes = [row for row in rows if row["route"] == "write"]
    accepted = [row for row in writes if row["error"] is None]
    acked = [row for row in accepted if row["done_ns"] < shown["sent_ns"]]
    value = shown["version"]

    def overtaken(row: dict[str, Any]) -> bool:
        return row in accepted and any(
            other["version"] != value and other["sent_ns"] > row["done_ns"] for other in acked
        )

    sources = [row for row in writes if row["version"] == value and row["sent_ns"] <= shown["done_ns"]]
    first = min((row["sent_ns"] for row in writes), default=0)
    original = any(row["route"] == "read" and row["version"] == value and row["sent_ns"] < first for row in rows)
    if not acked or not (sources or original):
        return "unknown", 0
    if all(overtaken(row) for row in sources):
        over = max((row["done_ns"] for row in sources), default=-1)
        return "stale", sum(row["sent_ns"] > over for row in acked)
    named = [row for row in sources if row in accepted and not overtaken(row)]
    just = [row for row in sources if row not in accepted and row["sent_ns"] >= max(w["sent_ns"] for w in acked)]
    return ("fresh" if named or just else "unknown"), 0


rows_of_any_kind = st.builds(
    lambda kind, sent, took, value, lost: (
        read(sent, sent + took, value)
        if kind == "read"
        else replace(Written(sent, sent + took, value, ()), kind="lost" if lost else "accepted").row()
    ),
    st.sampled_from(["read", "read", "write"]),
    st.integers(0, 60),
    st.integers(0, 25),
    st.integers(1, 5),
    st.sampled_from([False] * 5 + [True]),
)


@given(st.lists(rows_of_any_kind, max_size=25))
@settings(max_examples=EXAMPLES, deadline=None)
def test_outcomes_are_those_of_the_definition_whatever_a_service_shows(rows: list[dict[str, Any]]) -> None:
    # Something that is shown often and was surely written, so that no route seems to show another kind of value.
    sure = [write(100, 101, 900, key="8"), *(read(110, 111, 900, key="8") for _ in range(30))]
    found = background_reads(frame([*rows, *sure]), CASE)
    mine = found[found["key"] == "7"]
    expected = [expected_outcome(row, rows) for row in rows if row["route"] == "read"]
    assert mine["outcome"].tolist() == [outcome for outcome, _ in expected]
    assert mine["behind"].fillna(0).tolist() == [behind for _, behind in expected]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), min_size=1, max_size=30))
@settings(max_examples=EXAMPLES // 2, deadline=None)
def test_a_cache_that_is_never_invalidated_is_stale_after_each_overwrite(steps: list[tuple[bool, int]]) -> None:
    """One after the other; the value is cached by the first read, for good."""
    rows, current, cached, expected, behind = [], 500, None, [], 0
    for number, (writes, took) in enumerate(steps):
        at = 100 * number
        if writes:
            current, behind = 1000 + number, behind + (cached is not None)
            rows.append(write(at, at + took, current))
            continue
        cached = current if cached is None else cached
        rows.append(read(at, at + took, cached))
        wrote = any(row["route"] == "write" for row in rows)
        expected.append("unknown" if not wrote else "stale" if behind else "fresh")
    found = background_reads(frame(rows), CASE)
    assert found["outcome"].tolist() == expected
    assert found["behind"].isna().tolist() == [outcome != "stale" for outcome in expected]
    if behind and expected[-1] == "stale" and not steps[-1][0]:
        assert found["behind"].iloc[-1] == behind


def test_many_requests_take_little_time_for_each() -> None:
    """CountOf, not timed: a hundred thousand rows of one hot key, all of them stale but the first ones."""
    count = 100_000
    writes = np.arange(count) % 10 == 5
    at = np.arange(count) * 100
    rows = frame([read(1, 2, 500)] * 2).iloc[[0] * count].reset_index(drop=True)
    rows = rows.assign(
        route=np.where(writes, "write", "read"),
        sent_ns=pd.array(at, dtype="Int64"),
        done_ns=pd.array(at + 150, dtype="Int64"),
        version=pd.array(np.where(writes, 1000 + np.arange(count), 500), dtype="Int64"),
    )
    found = background_reads(rows, CASE)
    stale = found[found["outcome"] == "stale"]
    assert len(found) == count - writes.sum() and len(stale) == len(found) - 6
    assert stale["behind"].iloc[-1] == writes.sum() and (stale["behind"].diff().dropna() >= 0).all()

"""Stale reads in the workload itself: reads where a cache is never invalidated, never reads where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.case.workload import Keys, Route
from luckyhit.judge.stale.background import background_reads, share_beyond
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


def read(sent: int | None, done: int | None, version: int | None, **other: Any) -> dict[str, Any]:
    return request("read", sent, done, version, **other)


def write(sent: int | None, done: int | None, version: int | None, **other: Any) -> dict[str, Any]:
    return request("write", sent, done, version, **other)


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """With the types that a run directory gives."""
    return pa.Table.from_pylist(list(rows), schema=REQUESTS).to_pandas(types_mapper=_NULLABLE.get)


def outcomes(*rows: dict[str, Any], case: Case = CASE) -> list[str]:
    return background_reads(frame(rows), case)["outcome"].tolist()


# By hand


def test_an_old_value_is_stale_after_an_acknowledged_write() -> None:
    reads = background_reads(
        frame([write(10, 20, 5), write(30, 40, 6), read(50, 60, 5), read(50, 60, 6), read(35, 60, 5)]), CASE
    )
    assert reads.columns.tolist() == [
        "arm", "block", "slot", "route", "key", "sent_ns", "seen_version", "outcome", "behind", "since_ack_ns",
        "write_slot", "since_write_ns", "cache",
    ]  # fmt: skip
    assert reads["outcome"].tolist() == ["stale", "fresh", "fresh"]
    assert reads["behind"].tolist() == [1, pd.NA, pd.NA]
    assert reads.index.tolist() == [2, 3, 4]
    assert reads["seen_version"].tolist() == [5, 6, 5]


OVERWRITTEN = [write(1, 2, 5), write(3, 4, 6)]
LOST = write(1, None, 5)
NEXT_BLOCK = [read(60, 61, 5, block=2), write(70, 80, 6, block=2), read(90, 95, 5, block=2)]
OTHER_ARM = [{**row, "arm": "after"} for row in NEXT_BLOCK]
REPEATED = [*OVERWRITTEN, write(7, 8, 5)]
LATER = [write(20, 21, 7), read(30, 31, 5)]
REMOVAL, VIEW_REQUEST = request("remove", 5, 6), request("view", 5, 6)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Nothing is decided before the first acknowledgement.
        ([read(1, 2, 500), write(10, 20, 5), read(15, 30, 500), read(20, 30, 500)], "unknown unknown unknown"),
        # The original is what was shown before the first write.
        ([read(1, 2, 500), write(10, 20, 5), read(30, 40, 500), read(30, 40, 501)], "unknown stale unknown"),
        # The stale-set race: the slow load of a first read puts the old value into the cache.
        ([read(9, 30, 500), write(10, 20, 5), read(40, 50, 500)], "unknown stale"),
        # A read that overlaps a write may show either value, and none before it was written.
        ([write(1, 2, 5), write(10, 40, 6), read(5, 20, 6), read(5, 20, 5), read(15, 20, 5)], "fresh fresh fresh"),
        ([write(1, 2, 5), write(10, 40, 6), read(5, 9, 6)], "unknown"),
        # Another block, arm or key says nothing.
        *(([*OVERWRITTEN, read(5, 6, 5, **other)], "unknown") for other in ({"arm": "after"}, {"block": 2}, {"key": "8"})),
        # A write without an answer may land at any later time, even in the next block; it overtakes nothing.
        ([LOST, write(10, 20, 6), read(30, 40, 5)], "unknown"),
        ([write(1, 2, 4), LOST, write(10, 20, 6), read(30, 40, 4)], "stale"),
        ([write(1, 2, 4), write(3, None, 5), read(30, 40, 4)], "fresh"),
        ([write(1, 2, 4), write(3, None, 5), read(30, 40, 5)], "fresh"),
        ([LOST, *NEXT_BLOCK], "unknown unknown"),
        ([LOST, *OTHER_ARM], "unknown unknown"),
        # A write that was sent twice: its first copy may take effect after the second was answered.
        ([*OVERWRITTEN, read(5, 6, 5), write(10, 11, None), *LATER], "stale unknown"),
        ([*OVERWRITTEN, read(5, 6, 5), write(None, None, None, error="reset"), *LATER], "unknown unknown"),
        ([*OVERWRITTEN, read(5, 6, 5), write(None, None, None, error="connect"), *LATER], "stale stale"),
        # A value that was written again is current again.
        ([*REPEATED, read(5, 6, 5), read(9, 10, 5), read(9, 10, 6)], "stale fresh stale"),
        # A write without a version to the path that is read may have put any value there.
        ([*OVERWRITTEN, VIEW_REQUEST, read(8, 9, 5)], "stale"),
        ([*OVERWRITTEN, REMOVAL, read(8, 9, 5), read(8, 9, 6)], "unknown fresh"),
        ([*OVERWRITTEN, REMOVAL, write(10, 11, 7), read(12, 13, 5)], "stale"),
        ([*OVERWRITTEN, request("remove", 5, None), write(10, 11, 7), read(12, 13, 5)], "unknown"),
        # Only an accepted write overtakes: a form's redirection is one, an expected rejection is none.
        ([write(1, 2, 5), write(3, 4, 6, status=303), read(5, 6, 5)], "stale"),
        ([write(1, 2, 5), write(3, 4, 6, status=409), read(5, 6, 5)], "fresh"),
        # Reads without a value, and one that was never sent.
        ([write(1, 2, 5), read(3, None, None), read(4, 5, None, status=404, error="unexpected"), read(6, 7, None),
          read(None, None, None, error="dropped")], "unknown unknown unknown"),
    ],
)  # fmt: skip
def test_outcomes_by_hand(rows: list[dict[str, Any]], expected: str) -> None:
    assert outcomes(*rows) == expected.split()


def test_a_lost_write_stays_in_its_arm_where_arms_are_isolated() -> None:
    assert outcomes(LOST, *OTHER_ARM, case=case_of(READ, WRITE, design="side-by-side")) == ["unknown", "stale"]


def test_reads_of_the_warm_up_are_history_only() -> None:
    warm = [read(1, 2, 500, phase="warmup"), write(3, 4, 5, phase="warmup")]
    reads = background_reads(frame([*warm, read(6, 7, 500)]), CASE)
    assert reads["outcome"].tolist() == ["stale"] and reads["behind"].tolist() == [1]


@pytest.mark.parametrize("status", [500, 409, 201, None])
def test_a_write_with_an_unexpected_answer_may_be_committed(status: int | None) -> None:
    odd = write(10, 20, 6, status=status, error="unexpected")
    assert outcomes(write(1, 2, 5), odd, read(30, 40, 5)) == ["fresh"]
    assert outcomes(write(1, 2, 5), odd, write(21, 22, 7), read(30, 40, 6)) == ["unknown"]


def test_versions_behind_are_surely_newer() -> None:
    overlapping = write(4, 30, 8)  # sent while the shown one was under way, acknowledged behind the read's send
    rows = [write(1, 5, 5), overlapping, write(6, 7, 6), write(8, 9, 7), write(18, 40, 9), read(20, 50, 5)]
    reads = background_reads(frame(rows), CASE)
    assert reads["behind"].tolist() == [2]


def test_a_route_that_shows_other_values_tells_nothing() -> None:
    """A price with tax: each new value looks like one that nobody wrote, and the first one like the original."""
    rows = [read(9, 30, 119), write(10, 20, 100), read(40, 45, 119)]
    for start in range(100, 1000, 100):
        rows += [write(start, start + 10, start), read(start + 20, start + 30, round(start * 1.19))]
    assert set(outcomes(*rows)) == {"unknown"}


def test_records_without_versions_tell_nothing() -> None:
    rows = frame([write(1, 2, 5), write(3, 4, 6), read(5, 6, 5)])
    assert share_beyond(background_reads(rows.drop(columns="version"), CASE), 0.0).reads == 0
    assert share_beyond(background_reads(frame([]), CASE), 0.0).reads == 0
    untold = background_reads(rows, case_of(READ.model_copy(update={"version": None})))
    assert untold.empty and untold.columns.tolist() == background_reads(rows, CASE).columns.tolist()


# Which routes belong together


def test_paths_tell_which_routes_are_of_one_resource() -> None:
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


def test_resources_of_the_same_number_are_kept_apart() -> None:
    user = Route(name="user", path="/users/{key}", keys=KEYS, version="$.age")
    both = case_of(READ, user, WRITE)
    rows = [request("user", 1, 2, 44), read(1, 2, 500), write(3, 4, 6), request("user", 5, 6, 44), read(5, 6, 500)]
    assert outcomes(*rows, case=both) == ["unknown", "stale"]


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
def test_a_register_never_gives_a_stale_read(history: Any, order: Any) -> None:
    original, blocks, reads = history
    happens = [(at, order.random(), wrote.value) for block in blocks for wrote in block for at in wrote.takes_effect]
    looks = [(at, order.random(), read) for read in reads for at in (read[2],)]
    rows = [{**wrote.row(), "block": number} for number, block in enumerate(blocks) for wrote in block]
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
def test_outcomes_are_those_of_the_definition(rows: list[dict[str, Any]]) -> None:
    # Something that is shown often and was surely written, so that no route seems to show another kind of value.
    sure = [write(100, 101, 900, key="8"), *(read(110, 111, 900, key="8") for _ in range(30))]
    reads = background_reads(frame([*rows, *sure]), CASE)
    judged = reads[reads["key"] == "7"]
    expected = [expected_outcome(row, rows) for row in rows if row["route"] == "read"]
    assert judged["outcome"].tolist() == [outcome for outcome, _ in expected]
    assert judged["behind"].fillna(0).tolist() == [behind for _, behind in expected]

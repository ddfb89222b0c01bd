"""Requests read part by part are those of the whole frame, whatever is in the parts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from luckyhit.judge.table import columns
from luckyhit.judge.table.columns import JUDGED, rows_of, rows_of_parts
from luckyhit.judge.table.rows import RequestTable
from luckyhit.records import NUMBER_COLUMNS, REQUESTS
from tier import examples

SCHEMA = pa.schema([REQUESTS.field(name) for name in JUDGED])
NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}
SAME = ("arm", "block", "slot", "measured", "due_ns", "done_ns", "clock", "error", "cache", "latency_ms", "hit", "failed",
        "wrong", *NUMBER_COLUMNS)  # fmt: skip
"""What a reader sees; numbers of keys and routes say only which rows have the same."""

small = st.integers(0, 10**10)
instant = st.one_of(small, st.sampled_from([0, 2**31, 2**53 - 1, 2**53 + 1, 2**62]), st.integers(-(2**62), 2**62))
word = st.sampled_from(
    ["before", "after", "measure", "warmup", "hit", "miss", "stale", "timeout", "dropped", "unexpected", "ß", ""]
)
key = st.one_of(st.none(), st.integers(0, 40).map(str))


def field_values(field: pa.Field) -> st.SearchStrategy[Any]:
    if pa.types.is_dictionary(field.type):
        values = word
    elif pa.types.is_string(field.type):
        return key
    elif field.type == pa.int64():
        values = instant if field.name.endswith("_ns") else st.one_of(st.integers(0, 50), instant)
    elif field.type == pa.int16():
        values = st.one_of(st.integers(100, 599), st.integers(-(2**15), 2**15 - 1))
    else:
        values = st.one_of(st.integers(0, 50), st.integers(-(2**31), 2**31 - 1))
    # Nulls come in all columns: the schema forbids them, a damaged file may hold them.
    return st.one_of(values, st.none()) if field.nullable else st.one_of(values, values, values, st.none())


likely = st.fixed_dictionaries(
    {field.name: (small if field.name.endswith("_ns") else field_values(field)) for field in SCHEMA}
)
any_row = st.fixed_dictionaries({field.name: field_values(field) for field in SCHEMA})
any_parts = st.lists(st.one_of(st.lists(likely, max_size=8), st.lists(any_row, max_size=4)), max_size=4)


def a_part(rows: list[dict[str, Any]], words: str = "dictionary") -> pa.Table:
    """`words`: how texts are held, as a `dictionary` (as in the schema), `plain`, or in a `large` one."""
    nullable = pa.schema([field.with_nullable(True) for field in SCHEMA])
    table = pa.Table.from_pylist(rows, schema=nullable)
    for index, field in enumerate(SCHEMA):
        if pa.types.is_dictionary(field.type) and words == "plain":
            table = table.set_column(index, field.name, table[field.name].cast(pa.string()))
        if pa.types.is_dictionary(field.type) and words == "large":
            plain = table[field.name].cast(pa.string())
            table = table.set_column(index, field.name, plain.cast(pa.large_string()).dictionary_encode())
        if field.name == "key" and words != "plain":
            table = table.set_column(index, field.name, table["key"].dictionary_encode())
    return table


def a_frame(parts: list[list[dict[str, Any]]]) -> pd.DataFrame:
    whole = pa.concat_tables([a_part(rows, "plain") for rows in parts]) if parts else SCHEMA.empty_table()
    return whole.to_pandas(types_mapper=NULLABLE.get)


def column_of(rows: RequestTable, name: str) -> np.ndarray:
    return rows.number(name) if name in NUMBER_COLUMNS else getattr(rows, name)


def assert_same(one: RequestTable, other: RequestTable) -> None:
    assert len(one) == len(other)
    for name in SAME:
        np.testing.assert_array_equal(column_of(one, name), column_of(other, name), err_msg=name)
    np.testing.assert_array_equal(one.answered, other.answered)
    for name in ("key", "route"):
        numbers = [getattr(rows, name).tolist() for rows in (one, other)]
        assert [number < 0 for number in numbers[0]] == [number < 0 for number in numbers[1]], name
        pairs = set(zip(*numbers, strict=True))
        assert len(pairs) == len(set(numbers[0])) == len(set(numbers[1])), name


def all_of(*parts: pa.Table) -> list[tuple[str, ...]]:
    """The rows of these parts, in no order: what is in each of them."""
    rows = rows_of_parts(parts)
    values = [column_of(rows, name).astype(float) for name in SAME]
    values += [(getattr(rows, name) < 0).astype(float) for name in ("key", "route")]
    return sorted(tuple(map(repr, row)) for row in zip(*(column.tolist() for column in values), strict=True))


@given(any_parts, st.lists(st.sampled_from(["dictionary", "plain", "large"]), min_size=4, max_size=4))
@settings(deadline=None, max_examples=examples(100))
def test_parts_give_the_rows_of_the_whole(parts: list[list[dict[str, Any]]], words: list[str]) -> None:
    read = rows_of_parts(a_part(rows, how) for rows, how in zip(parts, words, strict=False))
    assert_same(read, rows_of(a_frame(parts)))


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["before", "after"])), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
)
@example([(0, "before")] * 9 + [(4, "after")] + [(0, "before")] * 5, [10])  # what is late waits while others come
@settings(deadline=None, max_examples=examples(100))
def test_rows_that_come_late_get_their_place(sent: list[tuple[int, str]], cuts: list[int]) -> None:
    """A block is put in order piece by piece while it comes; some answers come when their piece is over."""
    rows = [
        {**dict.fromkeys(JUDGED), "block": 1, "arm": arm, "slot": slot, "phase": "measure", "key": str(place),
         "route": "detail", "due_ns": 10 * slot, "sent_ns": 10 * slot + 1, "done_ns": 10 * slot + 5 + place}
        for place, (slot, arm) in enumerate(sent)
    ]  # fmt: skip
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [rows[first:stop] for first, stop in pairwise(edges)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(columns, "MOST", 5)
        patched.setattr(columns, "LATEST", 3)
        assert_same(rows_of_parts(map(a_part, parts)), rows_of(a_frame([rows])))


@given(st.lists(likely, min_size=1, max_size=20), st.randoms())
@settings(deadline=None, max_examples=examples(50))
def test_what_is_picked_is_what_every_column_would_pick(rows: list[dict[str, Any]], random: Any) -> None:
    read = rows_of_parts([a_part(rows)])
    which = np.array([index for index in range(len(rows)) if random.random() < 0.6], dtype=np.int64)
    first, last = sorted(random.randrange(len(rows) + 1) for _ in range(2))
    stretch = np.arange(first, last)
    for places in (which, stretch):
        mask = np.isin(np.arange(len(read)), places)
        inner = np.array([random.random() < 0.5 for _ in places], dtype=bool)
        for name in (*SAME, "key", "route", "send_delay_ns"):
            column = column_of(read, name)
            for picked in (read.take(places), read.take(mask)):
                np.testing.assert_array_equal(column_of(picked, name), column[places], err_msg=name)
                again = column_of(picked.take(inner), name)
                np.testing.assert_array_equal(again, column[places][inner], err_msg=name)


@given(st.lists(likely, min_size=1, max_size=20))
@settings(deadline=None, max_examples=examples(100))
def test_rows_are_kept_in_the_order_of_their_slots(rows: list[dict[str, Any]]) -> None:
    """Measured ones last, by arm, block and slot; of those with the same slot the one that came first is the first."""
    numbered = [{**row, "key": str(place)} for place, row in enumerate(rows)]
    read = rows_of_parts([a_part(numbered)])
    columns = (getattr(read, name).tolist() for name in ("measured", "arm", "block", "slot", "key"))
    order = list(zip(*columns, strict=True))
    assert order == sorted(order)


ODD = {
    "texts for numbers": {"due_ns": ["5", "x", None], "block": ["1", "2", "ß"]},
    "floats, none and infinite": {"done_ns": [1.5, np.nan, np.inf], "slot": [1.0, 1.5, -2.0], "db_calls": [0.5, -1, 2]},
    "unsigned": {"due_ns": np.array([1, 2**63, 2], dtype=np.uint64), "slot": np.array([1, 2, 3], dtype=np.uint8)},
    "numbers for words": {"arm": [0, 1, 2], "error": [5, None, 6], "key": [7, 8, 7]},
    "truth values": {"phase": [True, False, None]},
    "nothing": {"cache": [None] * 3, "sent_ns": [None] * 3, "key": [None] * 3},
}
GOOD = {
    "arm": ["before", "after", "before"], "block": [1, 1, 2], "slot": [0, 0, 1], "phase": ["measure"] * 3,
    "route": ["detail"] * 3, "key": ["7", "7", "8"], "due_ns": [0, 0, 9], "sent_ns": [1, 2, 10],
    "first_byte_ns": [2, 3, 11], "done_ns": [3, 4, 12], "status": [200, None, 200],
    "error": [None, "timeout", "unexpected"], "cache": ["hit"] * 3, **{name: [0, 2, 0] for name in NUMBER_COLUMNS},
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_columns_of_other_kinds(odd: dict[str, Any]) -> None:
    table = pa.table({**GOOD, **odd})
    assert_same(rows_of_parts([table]), rows_of(table.to_pandas(types_mapper=NULLABLE.get)))
    # Beside parts as they should be, it is the same rows that are odd.
    assert all_of(pa.table(GOOD), table, pa.table(GOOD)) == sorted(2 * all_of(pa.table(GOOD)) + all_of(table))


@pytest.mark.parametrize("gone", JUDGED)
def test_a_column_that_is_not_there(gone: str) -> None:
    table = pa.table(GOOD).drop_columns([gone])
    assert_same(rows_of_parts([table]), rows_of(table.to_pandas()))
    assert all_of(pa.table(GOOD), table) == sorted(all_of(pa.table(GOOD)) + all_of(table))


def test_nothing_recorded() -> None:
    for parts in ([], [SCHEMA.empty_table()], [SCHEMA.empty_table(), SCHEMA.empty_table()]):
        rows = rows_of_parts(parts)
        assert len(rows) == 0 and rows.latency_ms.shape == (0,)
        assert_same(rows, rows_of(pd.DataFrame()))


def test_the_numbers_of_keys_hold_over_parts() -> None:
    """Each part has a dictionary of its own; with more words together than one part's numbers can count."""
    parts = [
        [{**dict.fromkeys(JUDGED), "key": str(number)} for number in range(first, first + 150)] for first in (0, 100)
    ]
    numbers = rows_of_parts([a_part(rows) for rows in parts]).key
    assert numbers[100:150].tolist() == numbers[150:200].tolist()
    assert len(set(numbers.tolist())) == 250


def test_a_time_is_kept_to_the_nanosecond() -> None:
    """Four bytes hold two seconds after the due time; a later answer is no less exact."""
    late = [3, 2**31 - 1, 2**31, 2**50 + 1]
    due = 2**51 + 1
    rows = [{**dict.fromkeys(JUDGED), "due_ns": due, "done_ns": due + ns} for ns in late]
    for parts in ([rows], [rows[:2], rows[2:]], [[row] for row in rows]):
        read = rows_of_parts([a_part(part) for part in parts])
        assert (read.done_ns - read.due_ns).tolist() == late
        assert read.latency_ms.tolist() == [ns / 1e6 for ns in late]

"""Part files of a block as one: the same rows, to the nanosecond, and no row twice or lost whatever happens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.errors import RunUnreadable
from luckyhit.records import REQUESTS
from luckyhit.records.parquet import (
    PART_SCHEMA,
    part_files,
    read_parts,
    read_table,
    read_what_can_be,
    row_count,
    rows_of_slots,
    write_part,
)
from luckyhit.records.parts import merging
from luckyhit.records.parts.merging import merge_parts
from luckyhit.records.parts.names import part_name
from luckyhit.records.parts.part_texts import readable_texts, rewrite_texts
from luckyhit.records.parts.times import stored, with_durations, with_instants

LEAST, MOST = -(2**63), 2**63 - 1
instant = st.one_of(st.none(), st.integers(LEAST, MOST), st.integers(10**9, 10**12))
TIMES = ("due_ns", "sent_ns", "first_byte_ns", "done_ns")


def row(slot: int, arm: str, **other: Any) -> dict[str, Any]:
    at_ns = 10**9 + slot * 500_000
    usual = {
        "arm": arm, "block": 0, "slot": slot, "phase": "warmup" if slot < 5 else "measure", "route": f"r{slot % 2}",
        "key": None if slot % 2 else str(slot % 7), "due_ns": at_ns, "sent_ns": at_ns + 60_000 + slot % 13,
        "first_byte_ns": at_ns + 5_000_000, "done_ns": at_ns + 5_000_100, "status": 200, "error": None,
        "cache": "hit" if slot % 3 else "miss", "db_calls": slot % 3, "age_s": slot % 4 / 2, "bytes": 100 + slot % 5,
        "connection": slot % 9 + 1, "worker": 0, "version": None, "layers": None, "body_hash": slot % 6 - 3,
    }  # fmt: skip
    return {**usual, **other}


FAILED = {
    "status": None, "done_ns": None, "first_byte_ns": None, "error": "timeout", "bytes": None, "body_hash": None,
}  # fmt: skip
ROWS = [
    row(slot, arm, **(FAILED if slot % 10 == 3 else {"sent_ns": None, **FAILED} if slot == 17 else {}))
    for slot in range(40)
    for arm in ("after", "before")[:: 1 if slot % 2 else -1]
]


def by_slot(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda one: (one["slot"], one["arm"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The requests of one block, in four part files."""
    requests = tmp_path / "run" / "requests"
    requests.mkdir(parents=True)
    for number in range(4):
        some = ROWS[number * 20 : number * 20 + 20]
        write_part(requests, part_name(0, 0, number), pa.Table.from_pylist(some, schema=REQUESTS))
    return requests


def rows_in(folder: Path, columns: list[str] | None = None) -> list[dict[str, Any]]:
    return pa.concat_tables(read_parts(folder, "requests", columns, "run")).to_pylist()


@given(st.lists(st.tuples(st.integers(LEAST, MOST), instant, instant, instant), max_size=20))
def test_any_instants_come_back_to_the_nanosecond(times: list[tuple[int | None, ...]]) -> None:
    fields = [pa.field(name, pa.int64()) for name in ("slot", *TIMES)]
    table = pa.Table.from_pylist(
        [{"slot": slot, **dict(zip(TIMES, row, strict=True))} for slot, row in enumerate(times)], pa.schema(fields)
    )
    kept = with_durations(table)
    assert with_instants(kept).select(table.column_names).equals(table)
    for wanted in TIMES:
        assert with_instants(kept.select(stored([wanted])))[wanted].equals(table[wanted])


def test_a_merged_block_has_the_same_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "ROWS_AT_ONCE", 30)  # the last of three groups is not full
    path = merge_parts(folder, 0)
    assert path is not None and part_files(folder) == [path] == list(folder.iterdir())
    assert pq.read_metadata(path).num_row_groups == 3 and row_count(folder) == len(ROWS)
    assert by_slot(rows_in(folder)) == by_slot(ROWS)
    (whole,) = read_parts(folder, "requests", None, "run")
    assert whole.schema.equals(REQUESTS)
    assert read_table(path).column_names == REQUESTS.names


@pytest.mark.parametrize("columns", [["slot"], ["first_byte_ns", "slot"], ["done_ns", "slot"], ["slot", *TIMES, "key"]])
def test_some_columns_of_a_merged_block(folder: Path, columns: list[str]) -> None:
    merge_parts(folder, 0)
    wanted = [{name: one[name] for name in columns} for one in by_slot(ROWS)]
    assert rows_in(folder, columns) == wanted
    assert read_what_can_be(folder, "requests", columns)[0].to_pylist() == wanted
    third = [one for one, all_of in zip(wanted, by_slot(ROWS), strict=True) if all_of["slot"] == 3]
    assert rows_of_slots(folder, 0, {3}, columns) == third


def test_parts_that_a_crash_left_beside_are_not_read(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "before")
    merge_parts(folder, 0)
    for number in (1, 3):
        shutil.copy(tmp_path / "before" / f"{part_name(0, 0, number)}.parquet", folder)
    write_part(folder, part_name(0, 1, 1), pa.Table.from_pylist([row(99, "before", worker=1)], schema=REQUESTS))
    write_part(folder, part_name(1, 0, 1), pa.Table.from_pylist([row(0, "before", block=1)], schema=REQUESTS))
    assert row_count(folder) == len(rows_in(folder)) == len(ROWS) + 2
    assert read_what_can_be(folder, "requests", ["slot"])[0].num_rows == len(ROWS) + 2


def damaged(folder: Path) -> None:
    path = folder / f"{part_name(0, 0, 2)}.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def missing(folder: Path) -> None:
    (folder / f"{part_name(0, 0, 1)}.parquet").unlink()


def foreign_columns(folder: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), folder / f"{part_name(0, 0, 3)}.parquet")


@pytest.mark.parametrize("fault", [damaged, missing, foreign_columns])
def test_what_cannot_be_merged_stays_as_it_is(folder: Path, fault: Any) -> None:
    fault(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert merge_parts(folder, 0) is None
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_merging_stops_when_it_is_told_to(folder: Path) -> None:
    assert merge_parts(folder, 0, stopped=lambda: True) is None
    assert len(list(folder.iterdir())) == 4 and by_slot(rows_in(folder)) == by_slot(ROWS)


def test_without_room_the_parts_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    assert merge_parts(folder, 0) is None
    assert len(list(folder.iterdir())) == 4 and row_count(folder) == len(ROWS)


def test_another_block_and_process_is_left_alone(folder: Path) -> None:
    assert merge_parts(folder, 1) is None and merge_parts(folder, 0, 1) is None
    assert len(part_files(folder)) == 4


def test_texts_of_a_merged_file_can_be_replaced(folder: Path) -> None:
    path = merge_parts(folder, 0)
    assert path is not None and {"r0", "r1", "6"} <= readable_texts(path)
    rewrite_texts(path, {"r1": "hidden"})
    wanted = [{**one, "route": "hidden" if one["route"] == "r1" else one["route"]} for one in by_slot(ROWS)]
    assert by_slot(rows_in(folder)) == wanted and "r1" not in readable_texts(path)


def test_a_file_of_a_later_version_is_refused(folder: Path) -> None:
    path = merge_parts(folder, 0)
    assert path is not None
    table = pq.read_table(path)
    later = table.replace_schema_metadata({**(table.schema.metadata or {}), PART_SCHEMA: b"3"})
    pq.write_table(later, path)
    with pytest.raises(RunUnreadable, match=path.name):
        rows_in(folder)

"""Each column of each table is documented, where a reader of a run looks for it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from luckyhit.api import OpenedRun
from luckyhit.records.column_docs import (
    COLUMNS_FILE,
    FRAME_COLUMNS,
    FRAME_ROWS,
    ColumnDocs,
    FrameName,
    columns_markdown,
    documented,
)
from luckyhit.records.parquet import write_part
from luckyhit.records.schemas import MAY_LACK, SCHEMAS, TABLE_ROWS, Column, Table

COLUMNS = [(table, column) for table in SCHEMAS for column in documented(table)]
UNITS = {"_ns": "ns", "_ms": "ms", "_s": "s"}


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda value: getattr(value, "name", value))
def test_a_column_says_meaning_unit_and_null(table: Table, column: Column) -> None:
    assert column.meaning and table in TABLE_ROWS
    if column.name in SCHEMAS[table].names:
        assert bool(column.null) == SCHEMAS[table].field(column.name).nullable
    for suffix, unit in UNITS.items():
        assert not column.name.endswith(suffix) or column.unit == unit


@pytest.mark.parametrize("name", FRAME_COLUMNS)
def test_a_frames_column_says_meaning_and_unit(name: FrameName) -> None:
    assert FRAME_ROWS[name]
    for column in FRAME_COLUMNS[name]:
        assert column.meaning and column.name in columns_markdown()
        for suffix, unit in UNITS.items():
            assert not column.name.endswith(suffix) or column.unit == unit


@pytest.mark.parametrize("table", SCHEMAS)
def test_help_on_a_frame_names_its_columns(table: Table) -> None:
    text = getattr(OpenedRun, table).__doc__
    assert all(column.name in text for column in documented(table))


def test_a_run_shows_the_columns_of_every_table() -> None:
    docs = OpenedRun(None).columns
    assert docs.rows.keys() == {*SCHEMAS, "journal", "blocks"}
    for shown in (repr(docs), docs._repr_html_(), columns_markdown()):
        assert all(column.name in shown for _, column in COLUMNS)
    assert list(ColumnDocs("reads").rows) == ["reads"]


def test_the_committed_page_is_up_to_date() -> None:
    renew = "out of date: run `make docs`, which is `python -m luckyhit.records.column_docs`"
    assert COLUMNS_FILE.read_text(encoding="utf-8") == columns_markdown(), renew


def test_columns_that_may_be_missing_are_columns() -> None:
    assert {f"{table}.{name}" for table, schema in SCHEMAS.items() for name in schema.names} >= MAY_LACK


def test_part_files_do_not_repeat_the_documentation(tmp_path: Path) -> None:
    path = write_part(tmp_path, "part", SCHEMAS["requests"].empty_table())
    written: pa.Schema = pq.read_schema(path)
    assert written.equals(SCHEMAS["requests"])
    assert not any(b"meaning" in (field.metadata or {}) for field in written)

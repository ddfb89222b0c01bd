"""The documentation of the columns, in a notebook and as docs/columns.md.

`python -m luckyhit.records.column_docs` writes the page again.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from textwrap import fill
from typing import Literal

import pyarrow as pa

from luckyhit.records.parquet import kind_of
from luckyhit.records.schemas import (
    BLOCK_NUMBER,
    COUNTER_BLOCK,
    LATENCY,
    SCHEMAS,
    STAGE,
    TABLE_ROWS,
    Column,
    Table,
    columns_of,
)

FrameName = Literal["journal", "blocks", "runs", "compare"]

_TEXT, _INT, _FLOAT, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_OBJECT = pa.map_(pa.string(), pa.string())
_NS = "ns"
_NOT_NOTED = "not recorded"

JOURNAL_COLUMNS = [
    Column("at_ns", _INT, _NS, "When the line was written.", "the line has no time"),
    Column("id", _INT, "", "Number of the step.", ""),
    Column("step", _TEXT, "", "What the step does, such as `start`, `apply` or `clear`.", "its intent can't be read"),
    Column("event", _TEXT, "", "`intent`, `confirm` or `undone`.", ""),
    Column("detail", _OBJECT, "", "What was intended, confirmed or undone.", ""),
    Column("inverse", _OBJECT, "", "How to undo the step; empty where nothing has to be.", "not an intent"),
]
BLOCK_COLUMNS = [
    Column("block", _INT, "", BLOCK_NUMBER, ""),
    Column("stage", _TEXT, "", "`baseline`, `wash-out`, `change` or `after-rollback`.", _NOT_NOTED),
    Column("arms", _OBJECT, "", "The arms that were measured in it.", ""),
    Column("pair", _INT, "", "Number of the pair it belongs to.", "it belongs to none"),
    Column("control", _FLAG, "", "Whether it is a control, without the freshness probe.", _NOT_NOTED),
    Column("start_ns", _INT, _NS, "When its load began.", _NOT_NOTED),
    Column("measure_ns", _INT, _NS, "When its warm-up ended.", _NOT_NOTED),
    Column("end_ns", _INT, _NS, "When its load ended.", _NOT_NOTED),
    Column("start", _OBJECT, "", "By arm: the how many-th process start it was measured with.", _NOT_NOTED),
    Column("accounting", _OBJECT, "", "By arm: scheduled, completed, failed, timed out and dropped requests.", ""),
    Column("engine", _OBJECT, "", "How exact the load engine's own timing was.", _NOT_NOTED),
    Column("clear", _OBJECT, "", "By arm: keys scanned, in scope and cleared before it.", "nothing was cleared"),
    Column("purge", _OBJECT, "", "By arm: the purge calls before it.", "there were none"),
    Column("probe", _OBJECT, "", "The freshness probe's own counts.", "it had no probe"),
    Column("unexpected", _TEXT, "", "The first unexpected answer.", "there was none"),
]
RUN_COLUMNS = [
    Column("case", _TEXT, "", "Name of the case.", ""),
    Column("run", _TEXT, "", "The run's id, as `open_run` takes it.", ""),
    Column("started", pa.timestamp("s", "UTC"), "", "When it started.", _NOT_NOTED),
    Column(
        "state",
        _TEXT,
        "",
        "`measuring`, `measured` (without a report), `finished`, `incomplete` (it ended early) or `unreadable`.",
        _NOT_NOTED,
    ),
    Column("verdict", _TEXT, "", "The verdict; `OBSERVED` of a baseline alone.", "not judged, or incomplete"),
    Column("reason", _TEXT, "", "The verdict's reason; of an incomplete run, why it ended.", "not judged"),
    Column("observed", _FLAG, "", "Whether it measured its baseline only.", ""),
    Column("pinned", _FLAG, "", "Whether it is pinned, so that pruning keeps it.", ""),
    Column("requests", _INT, "", "Requests scheduled in the judged blocks.", "not judged"),
    Column("*_before", _FLOAT, "the metric's", "A metric without the change.", "not visible, or not judged"),
    Column("*_after", _FLOAT, "the metric's", "The metric with the change.", "not visible, or not measured"),
    Column("*_effect", _FLOAT, "the metric's", "The difference: after - before.", "not visible, or not measured"),
]
COMPARE_COLUMNS = [
    Column("metric", _TEXT, "", "Name of the metric, as in a case's goals.", ""),
    Column("unit", _TEXT, "", "Its unit.", ""),
    Column("arm", _TEXT, "", "`before` or `after`.", ""),
    Column("first", _FLOAT, "the metric's", "Its value in the first run.", "not visible there"),
    Column("second", _FLOAT, "the metric's", "Its value in the second run.", "not visible there"),
    Column("difference", _FLOAT, "the metric's", "second - first.", "not visible in one of them"),
    Column(
        "noise",
        _FLOAT,
        "the metric's",
        "Half-width of an A/A comparison inside a baseline, of the noisier run: what chance alone moves in one run.",
        "too few requests",
    ),
    Column("better", _TEXT, "", "The run with the better value: `first` or `second`.", "alike, or not visible"),
]

FRAME_COLUMNS: dict[FrameName, list[Column]] = {
    "journal": JOURNAL_COLUMNS,
    "blocks": BLOCK_COLUMNS,
    "runs": RUN_COLUMNS,
    "compare": COMPARE_COLUMNS,
}
FRAME_ROWS: dict[FrameName, str] = {
    "journal": "One row for every line of the journal: what was intended on the target, confirmed, and undone.",
    "blocks": "One row for every finished block; further fields are as noted in the manifest.",
    "runs": "`luckyhit.runs()`: one row for every run, oldest first; three columns for each metric that any run has.",
    "compare": "`luckyhit.compare(first, second).numbers`: one row for every metric and arm that either run has.",
}

COLUMNS_FILE = Path(__file__).parents[3] / "docs" / "columns.md"
_OPENING = """\
# Columns

<!-- Generated by `make docs` from lib/luckyhit/records/schemas.py. Change the texts there. -->

The columns of each table of a run. `luckyhit.open_run()` gives it as a frame of that name, and the Parquet files in a
run directory have the same columns, but for three of the requests: instead of `sent_ns`, `done_ns` and `first_byte_ns`
they have `late_ns` (`sent_ns - due_ns`), `latency_ns` (`done_ns - due_ns`) and `body_ns` (`done_ns - first_byte_ns`;
without an end it counts from `sent_ns`, and is negative), which take less room. Files of an older version, and those
that another program writes, may have the instants. `stage`, `latency_ms` and the `block` of counters are computed, and
only in the frames. Times (`…_ns`) are integer nanoseconds of one monotonic clock, from the run's start. Those of the
journal are of the computer's clock, which may be set meanwhile; in a run of an older version they are exact to a
second.
"""
Documented = Table | FrameName


class ColumnDocs:
    """Shows the documentation of the columns of these tables and frames, computed ones too; `rows` are the columns by
    name of the table. By default: of all that a run has."""

    def __init__(self, *names: Documented) -> None:
        shown: tuple[Documented, ...] = names or (*SCHEMAS, "journal", "blocks")
        self.rows: dict[Documented, list[Column]] = {name: documented(name) for name in shown}

    def __repr__(self) -> str:
        return "\n\n".join(f"{table}\n{_text(columns)}" for table, columns in self.rows.items())

    def _repr_html_(self) -> str:
        tables = "".join(_html(table, columns) for table, columns in self.rows.items())
        # Without these classes JupyterLab would render text between two dollar signs as a formula.
        return f"<div class='tex2jax_ignore mathjax_ignore'>{tables}</div>"


def documented(name: Documented) -> list[Column]:
    """The columns of a frame; of a table's frame, the computed ones too."""
    for table, schema in SCHEMAS.items():
        if table == name:
            return [*columns_of(schema), *computed(table)]
    return [column for frame, columns in FRAME_COLUMNS.items() if frame == name for column in columns]


def computed(table: Table) -> list[Column]:
    """The columns of a table's frame that are not recorded."""
    of_block = [COUNTER_BLOCK, STAGE] if table == "counters" else [STAGE]
    return of_block + [LATENCY] * (table == "requests")


def columns_markdown() -> str:
    """The page: a section per table and frame, with a row per column."""
    lines = [_OPENING]
    rows: list[tuple[Documented, str]] = [*TABLE_ROWS.items(), *FRAME_ROWS.items()]
    for name, each_row in rows:
        lines += [f"\n## {name}\n\n{each_row}\n", "| column | values | unit | meaning | null |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        lines += [
            f"| `{column.name}` | {_kind(column.dtype)} | {column.unit} | {column.meaning} | {column.null} |"
            for column in documented(name)
        ]
    return "\n".join(lines) + "\n"


def _kind(dtype: pa.DataType) -> str:
    if pa.types.is_map(dtype):
        return "objects"
    return "times" if pa.types.is_timestamp(dtype) else kind_of(dtype)


def _text(columns: list[Column]) -> str:
    return "\n".join(
        fill(_sentence(column), 100, initial_indent=f"  {column.name:<17}", subsequent_indent=" " * 19)
        for column in columns
    )


def _sentence(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{_kind(column.dtype)}{unit}: {column.meaning}{f' Null: {column.null}.' if column.null else ''}"


def _html(table: Documented, columns: list[Column]) -> str:
    left = " style='text-align: left'"
    rows = "".join(
        f"<tr><th{left}><code>{column.name}</code></th><td{left}>{_kind(column.dtype)}</td><td{left}>{column.unit}</td><td{left}>{_code(column.meaning)}</td><td{left}>{_code(column.null)}</td></tr>"
        for column in columns
    )
    head = "".join(f"<th{left}>{name}</th>" for name in ("column", "values", "unit", "meaning", "null"))
    return f"<p><strong>{table}</strong></p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _code(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def main() -> None:
    """Write the page that is generated."""
    COLUMNS_FILE.write_text(columns_markdown(), encoding="utf-8")
    print(COLUMNS_FILE)


if __name__ == "__main__":
    main()

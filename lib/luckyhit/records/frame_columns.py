"""The columns of the frames that no Parquet file has: journal, blocks, the list of runs, two runs side by side.

They are explained where those of the tables are: `luckyhit.records.column_docs`.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from luckyhit.records.schemas import Column

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
    Column("block", _INT, "", "Number of the block, through the whole run.", ""),
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

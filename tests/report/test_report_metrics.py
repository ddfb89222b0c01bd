"""METRICS chooses where the report shows a metric: in the table of metrics, in the baseline, in the index's lines."""

from __future__ import annotations

from luckyhit.case_run import CaseRun
from luckyhit.records import METRICS, Result
from luckyhit.report.recorded import recorded
from luckyhit.report.tables.baseline_rows import DASH, baseline
from luckyhit.report.tables.metric_rows import metrics
from luckyhit.report.trends import SHOWN
from luckyhit.text.numbers import sentence_case
from luckyhit.text.quantities import name_of


def test_metrics_are_shown_where_their_rows_say(judged_run: tuple[CaseRun, Result]) -> None:
    run, result = judged_run
    levels = {level.name: level for level in baseline(recorded(run, result))}
    assert {sentence_case(kind.baseline) for kind in METRICS.values() if kind.baseline} <= levels.keys()
    rows = {row.name: row for row in metrics(result)}
    assert {sentence_case(name_of(name)) for name, kind in METRICS.items() if kind.part_of is None} <= rows.keys()
    assert [name for name, kind in METRICS.items() if kind.trend] == list(SHOWN)


def test_bytes_stand_in_the_table_and_in_the_baseline(judged_run: tuple[CaseRun, Result]) -> None:
    run, result = judged_run
    level = next(level for level in baseline(recorded(run, result)) if level.name == "Bytes per request")
    row = next(row for row in metrics(result) if row.name == "Bytes per request")
    assert (level.value, row.before, row.after) == ("900 bytes",) * 3
    assert level.noise != DASH and (row.effect, row.verdict) == ("0 bytes", "")

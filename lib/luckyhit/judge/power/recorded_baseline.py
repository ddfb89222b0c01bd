"""The baseline of a run, from what it recorded."""

from __future__ import annotations

from luckyhit.case_run import CaseRun
from luckyhit.judge.power.measured_baseline import MeasuredBaseline, baseline_of
from luckyhit.judge.table.record import BEFORE, read
from luckyhit.judge.table.samples import JUDGED, rows_of_parts


def recorded_baseline(run: CaseRun) -> MeasuredBaseline:
    """Raises RunUnreadable where a file of the baseline is damaged."""
    rows = rows_of_parts(run.parts("requests", JUDGED), run.length("requests"))
    record = read(rows, None, run.table("reads"), run.table("writes"), run.manifest.blocks)
    return baseline_of(record.measured("baseline", BEFORE), record.probed("baseline", "before"), run.case)


__all__ = ["recorded_baseline"]

"""From a case file to a report: what the notebooks call, and what `luckyhit run` does unattended."""

from luckyhit.workflow.unattended.run_case import RunEnding, new_run, run_case
from luckyhit.workflow.workbook import baseline, change, report

__all__ = ["RunEnding", "baseline", "change", "new_run", "report", "run_case"]

"""The road from a case file to a report: what the notebooks call, and what `luckyhit run` does unattended."""

from luckyhit.workflow.unattended.run_case import Outcome, new_run, run_case
from luckyhit.workflow.workbook import baseline, change, report

__all__ = ["Outcome", "baseline", "change", "new_run", "report", "run_case"]

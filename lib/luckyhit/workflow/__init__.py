"""From a case file to a report: what the notebooks call, and what `luckyhit run` does unattended."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from luckyhit.workflow.late_imports import uncollected

if TYPE_CHECKING:
    from luckyhit.workflow.unattended.run_case import RunEnding, new_run, run_case
    from luckyhit.workflow.workbook import baseline, change, report

__all__ = ["RunEnding", "baseline", "change", "new_run", "report", "run_case"]
_BOOKS, _UNATTENDED = "luckyhit.workflow.workbook", "luckyhit.workflow.unattended.run_case"
_PLACES = dict.fromkeys(("baseline", "change", "report"), _BOOKS) | dict.fromkeys(
    ("RunEnding", "new_run", "run_case"), _UNATTENDED
)


def __getattr__(name: str) -> Any:
    # Imported at first use: a notebook's first cell waits for it.
    if name in _PLACES:
        with uncollected():
            return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

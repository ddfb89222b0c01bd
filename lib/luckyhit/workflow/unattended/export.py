"""From a judged run to its report: written, listed, and noted in the run; each file whole under its name, or not there.

A run may be exported as often as one likes, by several processes at once: all of them write the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luckyhit.case_run import CaseRun
from luckyhit.errors import ReportNotWritten
from luckyhit.records import Result
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded


def export(run: CaseRun, result: Result, reports_dir: Path, *, recorded_run: Recorded | None = None) -> Path:
    """Write the result, the report and the index, and note in the manifest that the run is finished. `recorded_run`:
    what was recorded, with this result, where it was read already. Returns the report's path. Raises ReportNotWritten
    where one of them can't be written; the run is still a measured one then."""
    keep_result(run, result)
    path = render(run, result, reports_dir, recorded_run=recorded_run)
    near = os.path.relpath(path, run.path)
    with _written(run, "manifest.json"):
        finished = {"state": "finished"} if run.state == "measured" else {}
        # From far away, the way there would tell the machine's folders.
        run.update(report=near if near.count("../") <= 4 else path.name, **finished)
    keep_result(run, result.model_copy(update={"report": path.name}))
    return path


def keep_result(run: CaseRun, result: Result) -> None:
    """Write `result.json`. Raises ReportNotWritten."""
    with _written(run, "result.json"):
        run.write_result(result)


@contextmanager
def _written(run: CaseRun, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportNotWritten(
            f"{name} of run {run.id} could not be written: {error.strerror or type(error).__name__}; what was measured "
            "is there",
            hint=f"Make room in, or rights to, the folder {run.path}, then `luckyhit report {run.called}`.",
        ) from None

"""From a judged run to its report: written, listed, and noted in the run; each file whole under its name, or not there.

A run may be exported as often as one likes, by several processes at once: all of them write the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luckyhit.errors import ReportNotWritten
from luckyhit.records import Result
from luckyhit.run import Run


def export(run: Run, result: Result, reports_dir: Path) -> Path:
    """Write the result, the report and the index, and note in the manifest that the run is finished. Returns the
    report's path. Raises ReportNotWritten where one of them can't be written; the run is still a measured one then."""
    from luckyhit.report import render

    keep_result(run, result)
    path = render(run, result, reports_dir)
    with _written(run, "manifest.json"):
        finished = {"state": "finished"} if run.state == "measured" else {}
        run.update(report=os.path.relpath(path, run.path), **finished)
    keep_result(run, result.model_copy(update={"report": path.name}))
    return path


def keep_result(run: Run, result: Result) -> None:
    """Write `result.json`. Raises ReportNotWritten."""
    with _written(run, "result.json"):
        run.write_result(result)


@contextmanager
def _written(run: Run, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportNotWritten(
            f"{name} of run {run.id} could not be written: {error.strerror or type(error).__name__}; what was measured "
            "is there",
            hint=f"Make room in, or rights to, the folder {run.path}, then `luckyhit report {run.id}`.",
        ) from None

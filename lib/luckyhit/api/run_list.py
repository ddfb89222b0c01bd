"""The list of the runs there are, as a frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from luckyhit.errors import LuckyHitError
from luckyhit.project import Project
from luckyhit.records.column_docs import RUN_COLUMNS, ColumnDocs
from luckyhit.run import Run
from luckyhit.run import runs as runs_in

if TYPE_CHECKING:
    import pandas as pd

SIDES = ("before", "after", "effect")
_ALWAYS = [column.name for column in RUN_COLUMNS if not column.name.startswith("*")]


def runs(case: str = "", *, runs_dir: str | Path = "") -> pd.DataFrame:
    """Every run, oldest first, with its verdict and its numbers. `case`: only the runs of this case. `runs_dir`: the
    folder of the runs, if it is not `data/runs` of the project around the working directory.

    A run that can't be read has its row, with the state `unreadable`. Nothing is measured, judged or written.
    """
    import pandas as pd

    folder = Project.find(runs_dir=str(runs_dir)).runs
    rows = [_row(run) for run in runs_in(folder) if not case or run.path.parent.name == case]
    frame = pd.DataFrame(rows, columns=list(dict.fromkeys([*_ALWAYS, *(name for row in rows for name in row)])))
    started = pd.to_datetime(frame["started"], utc=True, errors="coerce").astype("datetime64[s, UTC]")
    return frame.assign(started=started).astype({"requests": "Int64", "observed": bool, "pinned": bool})


def _row(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {"case": run.path.parent.name, "run": run.id, "observed": False, "pinned": False}
    try:
        manifest, result = run.manifest, run.result
    except LuckyHitError as error:
        return row | {"state": "unreadable", "reason": error.message}
    row |= {"started": manifest.started, "observed": manifest.observe, "pinned": manifest.pinned}
    if manifest.incomplete:
        return row | {"state": "incomplete", "reason": manifest.incomplete}
    row["state"] = manifest.state
    if result is None:
        return row
    row |= {"verdict": result.verdict, "reason": result.reason, "requests": result.accounting.scheduled}
    return row | {f"{name}_{side}": getattr(metric, side) for name, metric in result.metrics.items() for side in SIDES}


runs.__doc__ = f"{runs.__doc__}\n\n{ColumnDocs('runs')}"

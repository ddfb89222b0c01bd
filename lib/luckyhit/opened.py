"""A run for questions of one's own: its frames, its case, its result.

    import luckyhit

    run = luckyhit.open_run("stale-price")                 # the newest run of a case
    measured = run.requests.query("phase == 'measure'")
    measured.groupby(["arm", "cache"], observed=True).latency_ms.quantile([0.5, 0.99])

A long run has more rows than a frame of all columns leaves room for: `run.frame("requests", columns=[...])` reads only
what is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.project import Project
from luckyhit.run import Run, Table, find_run

if TYPE_CHECKING:
    import pandas as pd

    from luckyhit.case import Case
    from luckyhit.records import Result

TABLES: tuple[Table, ...] = get_args(Table)
LATENCY = "latency_ms"
FROM_DUE = ["due_ns", "done_ns", "error"]


def open_run(run: str | Path = "", *, case: str = "", runs_dir: str | Path = "") -> OpenedRun:
    """Open a run for reading.

    `run`: its directory, its id, the end of its id, or the name of a case, for that case's newest run; nothing for the
    newest of all (or of `case`). `runs_dir`: where runs are kept, where that is not `data/runs` of the project around
    the working directory. Nothing is measured, judged or written.

    Raises ArgumentError where there is no such run, saying which there are, and RunUnreadable where it is none.
    """
    wanted = str(run).strip()
    if wanted and Path(wanted).expanduser().is_dir():
        return OpenedRun(Run.open(Path(wanted).expanduser().resolve()))
    runs = Project.find(runs_dir=str(runs_dir)).runs
    if wanted and (runs / wanted).is_dir():
        wanted, case = "", wanted
    try:
        return OpenedRun(find_run(runs, wanted or (f"latest:{case}" if case else "latest")))
    except ArgumentError as error:
        cases = sorted(path.name for path in runs.glob("*") if path.is_dir())
        there = f"There are runs of {', '.join(cases)}." if cases else "There are no runs yet: `luckyhit run CASE`."
        raise ArgumentError(error.message, hint=there) from None


class OpenedRun:
    """One run. Its frames are read when they are first asked for, and kept; the columns are those of
    `luckyhit.records`, and `latency_ms`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._frames: dict[str, pd.DataFrame] = {}

    def __repr__(self) -> str:
        return f"run {self.run.id} of case {self.run.name} ({self.run.state})"

    def _repr_html_(self) -> str:
        rows = [(f"<code>{name}</code>", f"{self.run.length(name):,} rows") for name in TABLES]
        rows.append(("<code>blocks</code>", f"{len(self.manifest.get('blocks') or []):,} rows"))
        result = self._result_or_why()
        rows.append(("<code>result</code>", escape(result if isinstance(result, str) else _verdict(result))))
        cells = "".join(f"<tr><th style='text-align:left'>{name}</th><td>{text}</td></tr>" for name, text in rows)
        return f"<table><caption>{escape(repr(self))}</caption><tbody>{cells}</tbody></table>"

    @property
    def path(self) -> Path:
        return self.run.path

    @property
    def case(self) -> Case:
        """The case as it was run."""
        return self.run.case

    @property
    def manifest(self) -> dict[str, Any]:
        """Seed, revision, versions, host, timings, blocks: read anew each time, since a run may be going on."""
        return self.run.manifest

    @property
    def result(self) -> Result | None:
        """What the judge said; None before it did. Raises RunUnreadable where it is damaged."""
        return self.run.result

    @property
    def requests(self) -> pd.DataFrame:
        """One row for every scheduled request (columns: luckyhit.records.REQUESTS), with `latency_ms`."""
        return self._frame("requests", lambda: _with_latency(self.run.table("requests")))

    @property
    def reads(self) -> pd.DataFrame:
        """One row for every read of the freshness probe (columns: luckyhit.records.READS)."""
        return self._frame("reads", self.run.reads)

    @property
    def writes(self) -> pd.DataFrame:
        """One row for every version the probe wrote (columns: luckyhit.records.WRITES)."""
        return self._frame("writes", self.run.writes)

    @property
    def counters(self) -> pd.DataFrame:
        """The cache's own counters over time (columns: luckyhit.records.COUNTERS)."""
        return self._frame("counters", self.run.counters)

    @property
    def events(self) -> pd.DataFrame:
        """What the cache told of probed keys (columns: luckyhit.records.EVENTS)."""
        return self._frame("events", self.run.events)

    @property
    def blocks(self) -> pd.DataFrame:
        """One row for every finished block: its stage, its arms, and what was noted of it."""
        import pandas as pd

        return pd.DataFrame(self.manifest.get("blocks") or [], columns=None)

    @cached_property
    def journal(self) -> pd.DataFrame:
        """One row for every line of the journal: what was going to be done, and that it was. A line that can't be read
        (the last one of a run that was killed) is left out."""
        import pandas as pd

        lines = []
        path = self.path / "journal.jsonl"
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return pd.DataFrame([line for line in lines if isinstance(line, dict)])

    def frame(self, table: Table, columns: Sequence[str]) -> pd.DataFrame:
        """Only these columns of a table, for a run that is too long for all of them; `latency_ms` is one of requests.

        Raises ArgumentError for a table or a column that there is none of.
        """
        if table not in TABLES:
            raise ArgumentError(f"a run has no table {table!r}", hint=f"It has {', '.join(TABLES)}.")
        known = [*self.run.schema(table).names, *([LATENCY] if table == "requests" else [])]
        unknown = [name for name in columns if name not in known]
        if unknown:
            raise ArgumentError(f"{table} has no column {unknown[0]!r}", hint=f"It has {', '.join(known)}.")
        if LATENCY not in columns:
            return self.run.table(table, list(columns))[list(columns)]
        read = [name for name in known if name != LATENCY and name in {*columns, *FROM_DUE}]
        return _with_latency(self.run.table(table, read))[list(columns)]

    def measured(self) -> None:
        """Forget frames that were read before: the run has more rows now."""
        self._frames.clear()

    def _frame(self, name: str, load: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        if name not in self._frames:
            self._frames[name] = load()
        return self._frames[name]

    def _result_or_why(self) -> Result | str | None:
        try:
            return self.result
        except LuckyHitError as error:
            return error.message


def _with_latency(requests: pd.DataFrame) -> pd.DataFrame:
    """With the time from due to done, in ms; NaN for a request that failed, since nobody got an answer then."""
    done = requests["done_ns"].where(requests["error"].isna())
    requests[LATENCY] = ((done - requests["due_ns"]) / 1e6).astype("float64")
    return requests


def _verdict(result: Result | None) -> str:
    return "not judged yet" if result is None else f"{result.verdict}: {result.because}"


__all__ = ["OpenedRun", "open_run"]

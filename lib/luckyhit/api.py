"""Open a run for your own analysis: its frames, its case, its result.

import luckyhit

run = luckyhit.open_run("stale-price")                 # the newest run of a case measured = run.requests.query("phase
== 'measure'") measured.groupby(["stage", "arm", "cache"], observed=True).latency_ms.quantile([0.5, 0.99])

A long run may have too many rows for a frame with all columns: `run.frame("requests", [...], arms="after")` reads only
a part. Texts are categories, and integers stay integers if some are missing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, LuckyHitError, RunUnreadable
from luckyhit.project import Project
from luckyhit.records import Arm, Stage, schemas
from luckyhit.records.column_docs import ColumnDocs
from luckyhit.records.journal import JOURNAL, load_journal
from luckyhit.records.manifest import Manifest
from luckyhit.records.parquet import damaged_parts, nullable_integers, part_files
from luckyhit.records.schemas import Table
from luckyhit.run import Run, runs

if TYPE_CHECKING:
    import pandas as pd

    from luckyhit.case import Case
    from luckyhit.records import Result

TABLES: tuple[Table, ...] = get_args(Table)
LATENCY, STAGE = schemas.LATENCY.name, schemas.STAGE.name
FROM_DUE = ("due_ns", "done_ns", "error")
_WHAT: dict[str, str] = {
    "requests": "every scheduled request, sent or not",
    "writes": "what the freshness probe wrote",
    "reads": "what it read back",
    "counters": "what the cache counted, over time",
    "events": "the cache's events of the probed keys",
    "blocks": "every finished block",
    "journal": "intended and confirmed actions on the target",
}
_SHOWN = 4


def open_run(run: str | Path | None = None, *, case: str = "", runs_dir: str | Path = "") -> OpenedRun:
    """Open a run for reading.

    `run`: its directory, its id, the end of its id, or the name of a case, for that case's newest run; by default the
    newest of all (or of `case`). `runs_dir`: the folder of the runs, if it is not `data/runs` of the project around the
    working directory. Nothing is measured, judged or written.

    Raises ArgumentError if there is no such run, and RunUnreadable if it is not a run.
    """
    wanted = str(run or "").strip()
    as_path = Path(wanted).expanduser()
    if len(as_path.parts) > 1 and as_path.is_dir():  # needs no project around it
        return OpenedRun(CaseRun.open(as_path.resolve()))
    project = Project.find(runs_dir=str(runs_dir))
    known = list(runs(project.runs))
    if wanted in {run.path.parent.name for run in known}:  # there may be a folder of that name, too
        wanted, case = "", wanted
    elif wanted and as_path.is_dir():
        return OpenedRun(CaseRun.open(as_path.resolve()))
    try:
        return OpenedRun(CaseRun.find(project.runs, wanted or (f"latest:{case}" if case else "latest")))
    except ArgumentError as error:
        raise ArgumentError(error.message, hint=_which_there_are(wanted or case, known, project)) from None


class OpenedRun:
    """One run. Its frames are read at first use, and kept; the columns are those of `luckyhit.records` and two computed
    ones. `columns` explains them."""

    def __init__(self, run: CaseRun | None) -> None:
        self._run = run  # None: in a notebook that has measured nothing yet
        self._frames: dict[Table, pd.DataFrame] = {}

    def __repr__(self) -> str:
        if self._run is None:
            return "nothing is measured yet"
        rows = "".join(f"\n  .{name:<9} {count:>12}  {contents}" for name, count, contents in self._contents())
        return f"{self._heading()}\n  {self._ended()}{rows}"

    def _repr_html_(self) -> str:
        if self._run is None:
            return escape(repr(self))
        left = " style='text-align: left'"
        rows = "".join(
            f"<tr><th{left}><code>.{name}</code></th><td>{count}</td><td{left}>{escape(contents)}</td></tr>"
            for name, count, contents in self._contents()
        )
        caption = f"<strong>{escape(self._heading())}</strong><br>{escape(self._ended())}"
        table = f"<table><thead><tr><th></th><th>rows</th><th></th></tr></thead><tbody>{rows}</tbody></table>"
        also = "<p><code>.columns</code> explains the columns. "
        also += "Also <code>.case</code>, <code>.result</code>, <code>.manifest</code>; "
        also += "<code>.frame(table, columns, arms)</code> reads a part of a long table.</p>"
        # Without these classes JupyterLab would render text between two dollar signs as a formula.
        return f"<div class='tex2jax_ignore mathjax_ignore'><p>{caption}</p>{table}{also}</div>"

    def _heading(self) -> str:
        try:
            state: str = self.manifest.state or "of unknown state"
        except LuckyHitError:
            state = "unreadable"
        return f"run {self.run.id} of case {self.path.parent.name} ({state})"

    def _ended(self) -> str:
        try:
            result = self.result
        except LuckyHitError as error:
            return error.message
        return "not judged yet" if result is None else f"{result.verdict}: {result.reason}"

    def _contents(self) -> list[tuple[str, str, str]]:
        """(name, rows, contents) of every frame, from the metadata of the part files."""
        counts: dict[str, str] = {}
        for name in TABLES:
            bad = damaged_parts(self.path / name)
            counts[name] = f"{self.run.length(name):,}{f' ({len(bad)} damaged)' if bad else ''}"
        try:
            counts["blocks"] = f"{len(self.blocks):,}"
        except LuckyHitError:
            counts["blocks"] = "unreadable"
        counts["journal"] = f"{len(self.journal):,}"
        return [(name, counts[name], contents) for name, contents in _WHAT.items()]

    @property
    def columns(self) -> ColumnDocs:
        """The meaning of each column of each table, with its unit, and the meaning of null."""
        return ColumnDocs()

    @property
    def run(self) -> CaseRun:
        """The run directory. Raises ArgumentError in a notebook that has measured nothing yet."""
        if self._run is None:
            raise ArgumentError("nothing is measured yet", hint="Run the cell with `measure()` first.")
        return self._run

    def reopen(self, run: CaseRun) -> None:
        """Continue with another run."""
        self._run = run
        self.measured()

    @property
    def path(self) -> Path:
        return self.run.path

    @property
    def case(self) -> Case:
        """The case as it was run."""
        return self.run.case

    @property
    def manifest(self) -> Manifest:
        """Seed, revision, versions, host, timings, blocks; read again each time, since a run may be in progress."""
        return self.run.manifest

    @property
    def result(self) -> Result | None:
        """The judge's result; None if not judged yet. Raises RunUnreadable if it is damaged."""
        return self.run.result

    @property
    def requests(self) -> pd.DataFrame:
        """One row for every scheduled request, sent or not."""
        return self._frame("requests")

    @property
    def reads(self) -> pd.DataFrame:
        """One row for every read of the freshness probe."""
        return self._frame("reads")

    @property
    def writes(self) -> pd.DataFrame:
        """One row for every version that the freshness probe wrote."""
        return self._frame("writes")

    @property
    def counters(self) -> pd.DataFrame:
        """The cache's own counters over time."""
        return self._frame("counters")

    @property
    def events(self) -> pd.DataFrame:
        """The cache's events of the probed keys."""
        return self._frame("events")

    @property
    def blocks(self) -> pd.DataFrame:
        """One row for every finished block: its stage, its arms, and its facts."""
        import pandas as pd

        return pd.DataFrame([block.model_dump(exclude_unset=True) for block in self.manifest.blocks])

    @property
    def journal(self) -> pd.DataFrame:
        """One row for every line of the journal: intended and confirmed actions. Unreadable lines (the last one of a
        killed run) are left out."""
        import pandas as pd

        path = self.path / JOURNAL
        return pd.DataFrame(list(load_journal(path.read_bytes()).lines) if path.exists() else [])

    def frame(
        self, table: Table, columns: Sequence[str] | None = None, arms: str | Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Only these columns of a table, in this order, and only the rows of these arms (None: all), for long runs.
        `stage` and, of requests, `latency_ms` are columns as well. Read again each time.

        Raises ArgumentError for an unknown table, column or arm, RunUnreadable for damaged files.
        """
        _refuse_unknown("unknown table", [table], TABLES)
        schema = self.run.schema(table)
        known = [*schema.names, *([STAGE] if "block" in schema.names else []), *([LATENCY] * (table == "requests"))]
        wanted = known if columns is None else [columns] if isinstance(columns, str) else list(columns)
        only = [] if arms is None else [arms] if isinstance(arms, str) else list(arms)
        _refuse_unknown(f"unknown column of {table}:", wanted, known)
        _refuse_unknown("unknown arm", only, get_args(Arm))
        self._refuse_damaged(table)
        needed = {*wanted, *(["arm"] if only else []), *(["block"] if STAGE in wanted else [])}
        needed |= set(FROM_DUE) if LATENCY in wanted else set()
        stored = [name for name in schema.names if name in needed]
        stages = self._stages() if STAGE in wanted else {}
        parts = [_part(part, wanted, only, stages) for part in self.run.parts(table, stored)]
        if not parts:
            parts = [_part(_no_rows(schema, stored), wanted, only, stages)]
        whole = pa.concat_tables(parts).unify_dictionaries()
        del parts
        # Each column of the table is freed once the frame has it.
        return whole.to_pandas(types_mapper=nullable_integers, split_blocks=True, self_destruct=True)

    def measured(self) -> None:
        """Discard the frames, since the run has more rows now."""
        self._frames.clear()

    def _frame(self, name: Table) -> pd.DataFrame:
        if name not in self._frames:
            self._frames[name] = self.frame(name)
        return self._frames[name]

    def _stages(self) -> dict[int, str]:
        return {block.block: block.stage for block in self.manifest.blocks if block.stage is not None}

    def _refuse_damaged(self, table: Table) -> None:
        if bad := damaged_parts(self.path / table):
            raise RunUnreadable(
                f"{len(bad)} of {len(part_files(self.path / table))} part files in {table} of run {self.run.id} can't "
                f"be read: {', '.join(bad)}",
                hint="Move the damaged files out of the run directory to read the others.",
            )


def _which_there_are(wanted: str, known: Sequence[Run], project: Project) -> str:
    if not known:
        return "There are no runs yet: `luckyhit run CASE`."
    if wanted in {path.stem for path in project.case_files()}:
        return f"That case has no runs here yet: `luckyhit run {wanted}`."
    cases = sorted({run.path.parent.name for run in known})
    near = difflib.get_close_matches(wanted, [*cases, *(run.id for run in known)], n=1)
    newest = ", ".join(f"{run.id} ({run.path.parent.name})" for run in known[: -_SHOWN - 1 : -1])
    meant = f"Did you mean {near[0]!r}? " if near else ""
    return f"{meant}Cases with runs: {', '.join(cases)}. Newest runs: {newest}."


def _refuse_unknown(kind: str, asked: Iterable[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise ArgumentError(f"{kind} {name!r}", hint=f"{meant}Choose from {', '.join(known)}.")


def _part(part: pa.Table, wanted: list[str], arms: list[str], stages: dict[int, str]) -> pa.Table:
    """One part file in the requested columns, computed ones included."""
    if arms:
        part = part.filter(pc.is_in(part["arm"].cast(pa.string()), value_set=pa.array(arms, pa.string())))
    made: dict[str, Any] = {}
    if LATENCY in wanted:
        took_ns = pc.subtract(part["done_ns"], part["due_ns"]).cast(pa.float64(), safe=False)
        answered = pc.is_null(part["error"])
        made[LATENCY] = pc.if_else(answered, pc.divide(took_ns, 1e6), pa.scalar(None, pa.float64()))
    if STAGE in wanted:
        words = list(get_args(Stage))
        numbers = pa.array([words.index(stage) for stage in stages.values()], pa.int8())
        block = part["block"].combine_chunks()
        at = pc.index_in(block, value_set=pa.array(list(stages), block.type))
        made[STAGE] = pa.DictionaryArray.from_arrays(numbers.take(at), words)
    return pa.table({name: made[name] if name in made else part[name] for name in wanted})


def _no_rows(schema: pa.Schema, columns: list[str]) -> pa.Table:
    texts = pa.dictionary(pa.int32(), pa.string())
    fields = [schema.field(name) for name in columns]
    return pa.schema(
        [field.with_type(texts) if pa.types.is_string(field.type) else field for field in fields]
    ).empty_table()


for _table in TABLES:  # so that `run.requests?` explains its columns
    _frame = OpenedRun.__dict__[_table]
    _frame.__doc__ = f"{_frame.__doc__}\n\n{ColumnDocs(_table)}"

__all__ = ["OpenedRun", "open_run"]

"""One run, opened for your own analysis: its frames, its case, its result.

A long run may have too many rows for a frame with all columns: `run.frame("requests", [...], arms="after")` reads only
a part. Texts are categories, and integers stay integers if some are missing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, LuckyHitError, RunUnreadable
from luckyhit.project import Project
from luckyhit.records import Arm, Stage, schemas
from luckyhit.records.column_docs import FRAME_ROWS, JOURNAL_COLUMNS, ColumnDocs, computed
from luckyhit.records.journal import JOURNAL, JournalFile, load_journal
from luckyhit.records.manifest import Manifest
from luckyhit.records.parquet import damaged_parts, nullable_integers, part_files
from luckyhit.records.schemas import Table
from luckyhit.run import runs

if TYPE_CHECKING:
    import pandas as pd

    from luckyhit.case import Case
    from luckyhit.records import Result

TABLES: tuple[Table, ...] = get_args(Table)
LATENCY, STAGE = schemas.LATENCY.name, schemas.STAGE.name
FROM_DUE = ("due_ns", "done_ns", "error")
COUNTERS: Table = "counters"
MOST_S = 2**33
"""Seconds since 1970 that a clock may show (the year 2242): more is no time."""
_EXPLAINED: tuple[Literal["journal", "blocks"], ...] = ("journal", "blocks")
_WHAT: dict[str, str] = {
    "requests": "every scheduled request, sent or not",
    "writes": "what the freshness probe wrote",
    "reads": "what it read back",
    "counters": "what the cache counted, over time and by block",
    "events": "the cache's events of the probed keys",
    "blocks": "every finished block",
    "journal": "intended and confirmed actions on the target",
}


def open_run(run: str | Path | None = None, nth: int = -1, *, case: str = "", runs_dir: str | Path = "") -> OpenedRun:
    """Open a run for reading.

    `run`: its directory, its id, the end of its id, or the name of a case, for that case's newest run; by default the
    newest of all (or of `case`). `nth`: which run of the case, as Python counts: -1 the newest, -2 the one before, 0
    the oldest. `runs_dir`: the folder of the runs, if it is not `data/runs` of the project around the working
    directory. Nothing is measured, judged or written.

    Raises ArgumentError if there is no such run, and RunUnreadable if it is not a run.
    """
    wanted = str(run or "").strip()
    as_path = Path(wanted).expanduser()
    if len(as_path.parts) > 1 and as_path.is_dir():  # needs no project around it
        return OpenedRun(CaseRun.find(as_path, wanted, nth))
    project = Project.find(runs_dir=str(runs_dir))
    try:
        return OpenedRun(CaseRun.find(project.runs, wanted or (f"latest:{case}" if case else "latest"), nth))
    except ArgumentError as error:
        of_case = wanted or case
        declared = of_case in {path.stem for path in project.case_files()}
        if declared and not any(known.path.parent.name == of_case for known in runs(project.runs)):
            raise error.with_hint(f"That case has no runs here yet: `luckyhit run {of_case}`.") from None
        raise


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

    def reopen(self, run: CaseRun | None) -> None:
        """Continue with another run; None: with none so far."""
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
        """The cache's own counters over time, each with its block."""
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
        noted = load_journal(path.read_bytes()) if path.exists() else JournalFile()
        steps = {step.id: step.step for step in noted.steps}
        origin_s = self._origin_s()
        rows = [
            {
                "at_ns": _since(line.get("at"), origin_s),
                "id": line.get("id"),
                "step": steps.get(number) if isinstance(number := line.get("id"), int) else None,
                **{name: line.get(name) for name in ("event", "detail", "inverse")},
            }
            for line in noted.lines
        ]
        return pd.DataFrame(rows, columns=[column.name for column in JOURNAL_COLUMNS]).astype({"at_ns": "Int64"})

    def _origin_s(self) -> float | None:
        """The run's start in seconds since 1970; of older versions to the second."""
        manifest = self.manifest
        if manifest.origin_s is not None:
            return manifest.origin_s
        with suppress(ValueError):
            return datetime.fromisoformat(manifest.started).timestamp()
        return None

    def frame(
        self, table: Table, columns: Sequence[str] | None = None, arms: str | Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Only these columns of a table, in this order, and only the rows of these arms (None: all), for long runs.
        `stage`, `block` of the counters, and `latency_ms` of requests are columns as well. Read again each time.

        Raises ArgumentError for an unknown table, column or arm, RunUnreadable for damaged files.
        """
        _refuse_unknown("unknown table", [table], TABLES)
        schema = self.run.schema(table)
        known = [*schema.names, *(column.name for column in computed(table))]
        wanted = known if columns is None else [columns] if isinstance(columns, str) else list(columns)
        only = [] if arms is None else [arms] if isinstance(arms, str) else list(arms)
        _refuse_unknown(f"unknown column of {table}:", wanted, known)
        _refuse_unknown("unknown arm", only, get_args(Arm))
        self._refuse_damaged(table)
        needed = {*wanted, *(["arm"] if only else []), *(["block"] if STAGE in wanted else [])}
        needed |= set(FROM_DUE) if LATENCY in wanted else set()
        # A part without a column would have no rows either.
        stored = [name for name in schema.names if name in needed] or schema.names[:1]
        stages = self._stages() if STAGE in wanted else {}
        parts = [_part(part, wanted, only, stages) for part in self._parts(table, stored)]
        if not parts:
            nothing = _with_block(_no_rows(schema, stored), None) if table == COUNTERS else _no_rows(schema, stored)
            parts = [_part(nothing, wanted, only, stages)]
        whole = pa.concat_tables(parts).unify_dictionaries()
        del parts
        # Each column of the table is freed once the frame has it.
        return whole.to_pandas(types_mapper=nullable_integers, split_blocks=True, self_destruct=True)

    def _parts(self, table: Table, stored: Sequence[str]) -> Iterator[pa.Table]:
        if table != COUNTERS:
            yield from self.run.parts(table, stored)
            return
        for block, part in self.run.parts_by_block(table, stored):
            yield _with_block(part, block)

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


def _with_block(part: pa.Table, block: int | None) -> pa.Table:
    """A part of the counters with the number of its block."""
    return part.append_column("block", pa.array([block] * len(part), pa.int32()))


def _since(at: Any, origin_s: float | None) -> int | None:
    """Nanoseconds from the run's start of a time in seconds since 1970; None if either is not known."""
    known = isinstance(at, (int, float)) and not isinstance(at, bool) and origin_s is not None
    return round((at - origin_s) * 1e9) if known and abs(at) < MOST_S else None


def _no_rows(schema: pa.Schema, columns: list[str]) -> pa.Table:
    texts = pa.dictionary(pa.int32(), pa.string())
    fields = [schema.field(name) for name in columns]
    return pa.schema(
        [field.with_type(texts) if pa.types.is_string(field.type) else field for field in fields]
    ).empty_table()


for _table in TABLES:  # so that `run.requests?` explains its columns
    _frame = OpenedRun.__dict__[_table]
    _frame.__doc__ = f"{_frame.__doc__}\n\n{ColumnDocs(_table)}"
for _name in _EXPLAINED:
    _frame = OpenedRun.__dict__[_name]
    _frame.__doc__ = f"{_frame.__doc__} {FRAME_ROWS[_name]}\n\n{ColumnDocs(_name)}"

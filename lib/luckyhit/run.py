"""A run: one execution of a case, and the directory with everything it measured.

    data/runs/<case>/<run>/
        case.yml            the case as run, byte for byte; with `plan: auto`, its numbers are filled in
        manifest.json       schema version, seed, code revision, versions, host, design, blocks, timings
        journal.jsonl       what was changed, with its inverse (written by luckyhit.change)
        progress.jsonl      the activities of the run over time
        inputs/             keys from files, and the access log that is replayed
        trace.json          what each route asks of database and cache, if the service was traced
        requests/*.parquet  writes/*.parquet  reads/*.parquet  counters/*.parquet
        events/*.parquet
        result.json         written by luckyhit.judge
        notebooks/*.ipynb   executed

Files are append-only while measuring: each part file is written under a temporary name and then renamed, so that a file
with its final name is complete, also after a crash. All derived files can be made again without the target.

This module reads them; `luckyhit.case_run` writes, and knows the run's case.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from luckyhit.errors import ArgumentError, RunUnreadable
from luckyhit.project import Project
from luckyhit.records import SCHEMA_VERSION, Result, Stage, UnreadPart
from luckyhit.records.manifest import Manifest, State, load_manifest
from luckyhit.records.parquet import (
    counters_by_block,
    has_values,
    nullable_integers,
    one_ahead,
    read_parts,
    read_parts_by_block,
    row_count,
)
from luckyhit.records.schemas import SCHEMAS, Table
from luckyhit.records.trace import TRACE, Trace, load_trace
from luckyhit.text.json_values import is_object

if TYPE_CHECKING:
    import pandas as pd  # imported where it is needed: the load engine, which never does, starts for each block

INPUTS = "inputs"
"""Folder of a run directory with what the engine needs of key files and access logs."""
_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_SHOWN = 4


_WITHOUT = "`luckyhit judge DIR` also judges a directory with only case.yml and requests/*.parquet."


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory. `name` is the case's name, `id` the run's. Runs of the same directory are equal."""

    path: Path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run. Raises RunUnreadable if it is not a run, or from a newer version."""
        run = cls(Path(path))
        version = run.manifest.schema_
        if version is None:
            raise RunUnreadable(
                f"the manifest of {path} has no schema version", hint="Check that it is a run directory."
            )
        if version > SCHEMA_VERSION:
            raise RunUnreadable(
                f"{path} was written by a newer version (schema {version}, this one reads {SCHEMA_VERSION})",
                hint="Update Lucky Hit and try again.",
            )
        return run

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def called(self) -> str:
        """Its name on the command line of this machine, as a shell word: its id if a command finds it by that, else its
        directory."""
        with suppress(ArgumentError):
            if self.path.resolve().is_relative_to(Project.find().runs.resolve()):
                return self.id
        return shlex.quote(str(self.path))

    @property
    def name(self) -> str:
        return self.manifest.case or self.path.parent.name

    @property
    def date(self) -> str:
        """ISO 8601; empty if the manifest lacks it."""
        return self.manifest.started[:10]

    @property
    def state(self) -> State | None:
        return self.manifest.state

    @property
    def case_sha256(self) -> str:
        """The checksum of case.yml as it is now; the manifest has that of the case as it was run."""
        return hashlib.sha256((self.path / "case.yml").read_bytes()).hexdigest()

    @property
    def manifest(self) -> Manifest:
        """`manifest.json` as far as it can be read; read again each time, since three notebooks write to it. Raises
        RunUnreadable if it is missing or not a JSON object."""
        return self.load_manifest()[0]

    def load_manifest(self) -> tuple[Manifest, list[UnreadPart]]:
        """The same, and its unreadable parts."""
        return load_manifest(self.document())

    def document(self) -> dict[str, Any]:
        """`manifest.json` as it is. Raises RunUnreadable."""
        try:
            text = (self.path / "manifest.json").read_text(encoding="utf-8")
            manifest = json.loads(text)
            if "\\ud" in text.lower():  # perhaps a lone surrogate, which can't be written
                manifest = json.loads(json.dumps(manifest, ensure_ascii=False).encode("utf-8", "replace"))
        except FileNotFoundError:
            raise RunUnreadable(
                f"{self.path} is not a run directory: it has no manifest.json",
                hint=f"`luckyhit runs` lists all runs. {_WITHOUT}",
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise RunUnreadable(f"manifest.json of {self.path} can't be read: {error}", hint=_WITHOUT) from None
        if not isinstance(manifest, dict):
            raise RunUnreadable(f"manifest.json of {self.path} is not an object", hint=_WITHOUT)
        return manifest

    def blocks(self, stage: Stage) -> list[int]:
        """Numbers of the finished blocks of one stage."""
        return self.manifest.numbers(stage)

    def table(self, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All rows of one table, in all its columns or in these; no rows if nothing was written.

        Raises RunUnreadable if a part file is damaged.
        """
        parts = list(self.parts(table, columns))
        whole = pa.concat_tables(parts) if parts else SCHEMAS[table].empty_table()
        if columns is not None:
            whole = whole.select([name for name in whole.schema.names if name in columns])
        del parts
        # Each column of the table is freed once the frame has it.
        return whole.to_pandas(types_mapper=nullable_integers, split_blocks=True, self_destruct=True)

    def parts(
        self, table: Table, columns: Sequence[str] | None = None, without: Collection[str] = ()
    ) -> Iterator[pa.Table]:
        """The part files of one table, one after the other, for long runs; the next rows are read ahead.

        `without`: names of files that are left out. `columns`: only these; damage in others is not noticed, and texts
        stay dictionary-encoded. Raises RunUnreadable if a part file is damaged.
        """
        return one_ahead(read_parts(self.path / table, table, columns, self._owner, without=without))

    def parts_by_block(
        self, table: Table, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int | None, pa.Table]]:
        """The same, each with the number of the block that its file's name tells; None if it tells none."""
        return read_parts_by_block(self.path / table, table, columns, self._owner)

    def schema(self, table: Table) -> pa.Schema:
        """The columns of one table and their types, from `luckyhit.records`."""
        return SCHEMAS[table]

    def has_values(self, table: Table, column: str) -> bool:
        """False where no row is known to have a value in this column."""
        return has_values(self.path / table, column)

    def length(self, table: Table) -> int:
        """Number of rows by the metadata of the part files; unreadable files count 0."""
        return row_count(self.path / table)

    @property
    def _owner(self) -> str:
        """The id of the run that part files have to belong to; empty without a manifest."""
        try:
            return self.manifest.run
        except RunUnreadable:
            return ""

    def requests(self) -> pd.DataFrame:
        return self.table("requests")

    def writes(self) -> pd.DataFrame:
        return self.table("writes")

    def reads(self) -> pd.DataFrame:
        return self.table("reads")

    def counters(self) -> pd.DataFrame:
        return self.table("counters")

    def counters_by_block(self) -> pd.DataFrame:
        """The counters with the number of their `block`, from the names of the part files; files without a number are
        left out. Raises RunUnreadable if a part file is damaged."""
        return counters_by_block(self.path / "counters")

    def key_counts(self) -> dict[str, int]:
        """How many keys there are, by route whose keys are from a file; {} where these files are gone."""
        files = sorted((self.path / INPUTS).glob("keys-*.txt"))
        return {path.stem.removeprefix("keys-"): path.read_bytes().count(b"\n") + 1 for path in files}

    def events(self) -> pd.DataFrame:
        return self.table("events")

    @property
    def result(self) -> Result | None:
        """`result.json`, or None if the run is not judged yet."""
        try:
            text = (self.path / "result.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunUnreadable(f"result.json of {self.id} can't be read: {error}") from None
        try:
            return Result.model_validate_json(text)
        except ValueError as error:
            raise RunUnreadable(f"result.json of {self.id} can't be read: {error}") from None

    def load_trace(self) -> tuple[Trace | None, list[UnreadPart]]:
        """`trace.json` as far as it can be read, and its unreadable parts; None if the service was not traced. Raises
        RunUnreadable if it is no JSON object."""
        try:
            document = json.loads((self.path / TRACE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None, []
        except (OSError, ValueError, RecursionError) as error:
            raise RunUnreadable(f"{TRACE} of {self.id} can't be read: {error}") from None
        if not is_object(document):
            raise RunUnreadable(f"{TRACE} of {self.id} is not an object")
        return load_trace(document)


def runs(runs_dir: Path) -> Iterator[Run]:
    """All runs under `runs_dir`, oldest first; directories that don't look like a run are skipped."""
    paths = (path for path in runs_dir.glob("*/*") if path.is_dir() and _RUN_ID.fullmatch(path.name))
    for path in sorted(paths, key=lambda path: path.name):
        yield Run(path)


def find_run(runs_dir: Path, wanted: str, nth: int = -1) -> Run:
    """A run by its directory, its id, the end of its id, the name of its case (that case's newest run), or `latest`
    (`latest:CASE` for one case). A case's name takes precedence over a folder here of that name.

    `nth`: with a case or `latest`, which of the runs, as Python counts: -1 the newest, -2 the one before, 0 the oldest.
    Raises ArgumentError if there is no such run, RunUnreadable if it is not a run.
    """
    as_path = Path(wanted).expanduser()
    if len(as_path.parts) > 1 and as_path.is_dir():
        return _only(Run.open(as_path.resolve()), nth)
    known = list(runs(runs_dir))
    case = wanted.removeprefix("latest").removeprefix(":") if wanted.partition(":")[0] == "latest" else wanted
    if case != wanted or wanted in {run.path.parent.name for run in known}:
        return _nth_run(known, case, nth, runs_dir)
    if as_path.is_dir():
        return _only(Run.open(as_path.resolve()), nth)
    matches = [run for run in known if run.id == wanted or (len(wanted) >= 4 and run.id.endswith(wanted))]
    if len(matches) != 1:
        raise ArgumentError(
            f"{'no run' if not matches else f'{len(matches)} runs'} called {wanted!r} under {runs_dir}",
            hint=_known_runs(wanted, known),
        )
    return _only(Run.open(matches[0].path), nth)


def _nth_run(known: Sequence[Run], case: str, nth: int, runs_dir: Path) -> Run:
    of_case = [run for run in known if not case or run.path.parent.name == case]
    if not of_case:
        of_it = f" of case {case!r}" if case else ""
        raise ArgumentError(f"no run{of_it} under {runs_dir}", hint=_known_runs(case, known))
    if not -len(of_case) <= nth < len(of_case):
        raise ArgumentError(
            f"no run number {nth}{f' of case {case!r}' if case else ''}: {_runs(len(of_case))} under {runs_dir}",
            hint=f"Count from -1 (the newest) to {-len(of_case)} (the oldest), or from 0 to {len(of_case) - 1}.",
        )
    return Run.open(of_case[nth].path)


def _only(run: Run, nth: int) -> Run:
    if nth != -1:
        raise ArgumentError(
            f"{run.id} is one run; {nth} would count runs of a case", hint="Name the case, or leave the number out."
        )
    return run


def _runs(count: int) -> str:
    return "there is 1 run" if count == 1 else f"there are {count} runs"


def _known_runs(wanted: str, known: Sequence[Run]) -> str:
    """What to do about an unknown run: the nearest name, and what there is."""
    if not known:
        return "There are no runs yet: `luckyhit run CASE`."
    cases = sorted({run.path.parent.name for run in known})
    near = difflib.get_close_matches(wanted, [*cases, *(run.id for run in known)], n=1)
    newest = ", ".join(f"{run.id} ({run.path.parent.name})" for run in known[: -_SHOWN - 1 : -1])
    meant = f"Did you mean {near[0]!r}? " if near else ""
    return f"{meant}Cases with runs: {', '.join(cases)}. Newest runs: {newest}. `luckyhit runs` lists all."

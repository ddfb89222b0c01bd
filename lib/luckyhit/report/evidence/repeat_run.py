"""How to repeat a run: the files that its verdict rests on, with their digests, and the commands."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.records import Repeat
from luckyhit.records.manifest import Manifest

if TYPE_CHECKING:
    from luckyhit.run import Run

MOST_FILES = 30


@dataclass(frozen=True)
class DataFile:
    """A data file (or a folder of many) with its SHA-256."""

    name: str
    size: int
    digest: str


def data_files(run: Run) -> list[DataFile]:
    """What the verdict rests on. `manifest.json` and `result.json` are left out: they are written once more when the
    report is done. Folders with many files get one digest: that of what `sha256sum *.parquet` prints there."""
    listed: list[DataFile] = []
    for folder in ("", "requests", "writes", "reads", "events", "counters"):
        pattern = "*.parquet" if folder else "*"
        paths = sorted(path for path in (run.path / folder).glob(pattern) if path.is_file())
        if not folder:
            paths = [path for path in paths if path.name in ("case.yml", "change.diff", "journal.jsonl")]
        files = list(_hashed(paths, folder))
        if len(files) > MOST_FILES:
            lines = "".join(f"{file.digest}  {file.name.rpartition('/')[2]}\n" for file in files)
            digest = hashlib.sha256(lines.encode()).hexdigest()
            name = f"{folder}/*.parquet ({len(files):,} files: sha256sum *.parquet | sha256sum)"
            files = [DataFile(name, sum(file.size for file in files), digest)]
        listed += files
    return listed


def _hashed(paths: list[Path], folder: str) -> Iterator[DataFile]:
    for path in paths:
        name = f"{folder}/{path.name}" if folder else path.name
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield DataFile(name, path.stat().st_size, digest)
        except OSError as error:
            yield DataFile(name, 0, f"can't be read: {error.strerror}")


def commands(run: Run, manifest: Manifest) -> list[tuple[str, str]]:
    """(line for a shell, what it is for), in the order in which one would type them."""
    noted = manifest.repeat
    name = noted.case or shlex.quote(manifest.case or run.path.parent.name)
    runs_dir = f" --runs-dir {noted.runs_dir}" if noted.runs_dir else ""
    reports_dir = f" --reports-dir {noted.reports_dir}" if noted.reports_dir else ""
    checkout = re.match(r"[0-9a-f]{7,40}\b", manifest.revision)
    rows = [(f"git checkout {checkout[0]}", "the code that measured this")] if checkout else []
    rows += [(line, purpose) for line, purpose in _exports(noted, manifest.variables) if line]
    return [
        *rows,
        (f"luckyhit check {name}", "check the case and the target; touches nothing"),
        (manifest.command or f"luckyhit run {name}", "measure again: a new run with the same requests"),
        (f"luckyhit judge {run.id}{runs_dir}", "judge these records again, without a target"),
        (f"luckyhit report {run.id}{runs_dir}{reports_dir}", "make this page again"),
        (f"luckyhit revert {run.id}{runs_dir}", "roll back whatever this run may have left; safe to repeat"),
    ]


def _exports(noted: Repeat, shown: Mapping[str, str]) -> list[tuple[str, str]]:
    """Lines that export variables; those in the paths of requests with their values, which are not secret."""
    valued = " ".join(f"{name}={shlex.quote(shown[name])}" for name in noted.variables if name in shown)
    others = " ".join(name for name in noted.variables if name not in shown)
    return [
        (valued and f"export {valued}", "as it was during the measurement"),
        (others and f"export {others}", "set them before; their values are not kept here"),
    ]

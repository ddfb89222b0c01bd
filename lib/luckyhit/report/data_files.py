"""The files that a verdict rests on, with their digests: so that a reader can tell whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luckyhit.run import Run

MOST_FILES = 30


@dataclass(frozen=True)
class File:
    """A data file (or a folder of many) with its SHA-256."""

    name: str
    size: int
    digest: str


def data_files(run: Run) -> list[File]:
    """What the verdict rests on. `manifest.json` and `result.json` are left out: they are written once more when the
    report is done. Folders with many files get one digest: that of what `sha256sum *.parquet` prints there."""
    listed: list[File] = []
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
            files = [File(name, sum(file.size for file in files), digest)]
        listed += files
    return listed


def _hashed(paths: list[Path], folder: str) -> Iterator[File]:
    for path in paths:
        name = f"{folder}/{path.name}" if folder else path.name
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield File(name, path.stat().st_size, digest)
        except OSError as error:
            yield File(name, 0, f"can't be read: {error.strerror}")

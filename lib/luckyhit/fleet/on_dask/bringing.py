"""Run directories: brought from a worker in pieces, or kept on shared storage (a URL that fsspec knows).

A piece has at most PIECE_BYTES, and one is on its way at a time: neither scheduler nor client ever holds a whole run. A
directory is put together under another name, checked, and renamed, so it is whole or not there.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from luckyhit.atomic import replacing
from luckyhit.errors import NotEnoughData
from luckyhit.fleet.attempt import FOLDER, AttemptOutcome, Request
from luckyhit.project import Project

RUN, REPORT = "run", "report"
PIECE_BYTES = 4 * 1024 * 1024
RECORDS = ("case.yml", "manifest.json", "journal.jsonl", "result.json", "diagnosis.json")
"""What comes back of a run whose directory stays on shared storage: what lists and digests read."""

Files = Sequence[tuple[str, int, str]]
"""(name, bytes, SHA-256)."""


def bring(
    request: Request, outcome: AttemptOutcome, project: Project, files: Files, read: Callable[[str, int, int], bytes]
) -> None:
    """Put a run directory together from pieces, and its report beside the others. `read`: (name, offset, bytes) -> a
    piece. Nothing is done where the directory is here already. Raises NotEnoughData where a file changed on its way;
    OSError."""
    target = project.runs / request.name / outcome.run
    if (target / "manifest.json").is_file():
        return
    temporary = project.runs / FOLDER / request.fleet / f"{request.id}.bringing"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for name, size, digest in files:
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _bring_file(path, name, size, digest, read)
        target.parent.mkdir(parents=True, exist_ok=True)
        (temporary / RUN).rename(target)
        if (temporary / REPORT).is_file():
            project.reports.mkdir(parents=True, exist_ok=True)
            with replacing(project.reports / Path(outcome.report).name) as page:
                shutil.move(temporary / REPORT, page)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _bring_file(path: Path, name: str, size: int, digest: str, read: Callable[[str, int, int], bytes]) -> None:
    digest_here, offset = hashlib.sha256(), 0
    with path.open("wb") as file:
        while offset < size:
            piece = read(name, offset, PIECE_BYTES)
            if not piece:
                break
            file.write(piece)
            digest_here.update(piece)
            offset += len(piece)
    if digest_here.hexdigest() != digest:
        raise NotEnoughData(
            f"{name} changed while it was brought ({offset:,} of {size:,} bytes)",
            hint="It is whole on its own machine.",
        )


def keep(request: Request, outcome: AttemptOutcome, project: Project) -> AttemptOutcome:
    """Copy the run's directory and its report to `request.results`, on the machine that has them. Where that fails the
    outcome says so, and the directory stays where it is."""
    if not request.results or not outcome.run or outcome.kept:
        return outcome
    folder = project.runs / request.name / outcome.run
    url = posixpath.join(request.results, request.name, outcome.run)
    try:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(url)
        filesystem.makedirs(root, exist_ok=True)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                _put(filesystem, path, posixpath.join(root, path.relative_to(folder).as_posix()))
        report = project.reports / outcome.report
        if outcome.report and report.is_file():
            _put(filesystem, report, posixpath.join(root, outcome.report))
    except Exception as error:  # each kind of storage has errors of its own
        note = f"its run directory could not be copied to {request.results}: {type(error).__name__}: {error}"
        return replace(outcome, notes=(*outcome.notes, note))
    return replace(outcome, kept=url)


def _put(filesystem: Any, path: Path, target: str) -> None:
    filesystem.makedirs(posixpath.dirname(target), exist_ok=True)
    filesystem.put_file(str(path), target)


def to_bring(files: Files, outcome: AttemptOutcome) -> Files:
    """All files of a run; of one that is kept elsewhere, its records and its report."""
    if not outcome.kept:
        return files
    return [row for row in files if row[0] == REPORT or row[0].removeprefix(f"{RUN}/") in RECORDS]

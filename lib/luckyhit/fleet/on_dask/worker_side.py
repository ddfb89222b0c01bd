"""What runs inside a Dask worker. A case is always a process of its own: the worker only waits for it."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.fleet import carrying
from luckyhit.fleet.attempt import AttemptOutcome, Request
from luckyhit.fleet.on_dask.bringing import REPORT, RUN, keep
from luckyhit.fleet.settling import never_begun, settle, settle_earlier
from luckyhit.project import Project

RUNNING = ("executing", "long-running", "ready", "waiting")
"""States of a task, in a worker, that somebody still wants."""


def carry_out(document: Mapping[str, Any]) -> dict[str, Any]:
    """The task of one attempt. Gives the document of its outcome."""
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        # The client is gone, or has cancelled it: Dask can't end a thread, but we can end the case.
        task = worker.state.tasks.get(key)
        return task is not None and task.state in RUNNING

    request = Request.of(document)
    try:
        project = _project()
    except LuckyHitError as error:
        return AttemptOutcome(error.exit_code, reason=error.message, hint=error.hint, changed=False).document()
    outcome = carrying.carry_out(request, project, wanted=wanted)
    return keep(request, outcome, _folders(request, project)).document()


def warm_up() -> bool:
    """A task without work: what tasks need is imported then."""
    return True


async def settle_here(document: Mapping[str, Any], host: str, root: str, within_s: float) -> dict[str, Any] | None:
    """How an attempt ended that this machine knows of; None if it does not, or if it still lives. `host`, `root`: the
    machine and the project that were to carry it out: there, one that is not known was never begun. Off the event loop:
    a rollback may take a while."""
    request = Request.of(document)

    def look() -> dict[str, Any] | None:
        try:
            project = _folders(request, _project())
            folder = request.folder(project.runs)
            outcome = None
            if folder.is_dir():
                outcome = settle(folder, within_s=within_s)
            elif (host, root) == (socket.gethostname(), str(project.root)):
                outcome = never_begun(request, folder)
        except (LuckyHitError, OSError):
            return None
        return keep(request, outcome, project).document() if outcome is not None else None

    return await asyncio.to_thread(look)


async def settle_earlier_here(fleet: str, runs_dir: str) -> list[str]:
    """What earlier fleets left on this machine is settled; a sentence for each."""
    project = _project().with_folders(runs_dir=runs_dir, reports_dir="")
    return await asyncio.to_thread(settle_earlier, project.runs, but=fleet)


async def stop_here(fleet: str, kill: bool) -> int:
    """Ask the fleet's cases on this worker to stop. Gives how many there were."""
    return carrying.stop(fleet, kill=kill)


async def files_here(document: Mapping[str, Any], run: str, report: str) -> list[tuple[str, int, str]]:
    """(name, bytes, SHA-256) of the files of a run, as `run/…`, and of its report, as `report`."""
    request = Request.of(document)
    project = _folders(request, _project())

    def listed() -> list[tuple[str, int, str]]:
        folder = project.runs / request.name / run
        paths = {f"{RUN}/{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*"))}
        if report:
            paths[REPORT] = project.reports / report
        rows = []
        for name, path in paths.items():
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    rows.append((name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()))
        return rows

    return await asyncio.to_thread(listed)


async def piece_here(
    document: Mapping[str, Any], run: str, report: str, name: str, offset: int, size: int
) -> bytes:  # fmt: skip
    """One piece of one of those files."""
    request = Request.of(document)
    project = _folders(request, _project())
    folder = project.runs / request.name / run
    path = project.reports / Path(report).name if name == REPORT else (folder / name.removeprefix(f"{RUN}/")).resolve()
    if name != REPORT and not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} is not in the run")

    def read() -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return await asyncio.to_thread(read)


def _project() -> Project:
    """The project that the worker was started in. Raises ArgumentError."""
    project = Project.around(Path.cwd().resolve())
    if project is None:
        raise ArgumentError(
            f"the worker was started in {Path.cwd()}, which is in no project",
            hint="Start `dask worker` in the project's folder, with notebooks/ and data/cases/.",
        )
    return project


def _folders(request: Request, project: Project) -> Project:
    return project.with_folders(runs_dir=request.runs_dir, reports_dir=request.reports_dir)

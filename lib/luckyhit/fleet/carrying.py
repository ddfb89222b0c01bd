"""Carry one attempt out: its folder, its keeper, and the wait for its outcome. On a worker, or on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.fleet import keeper
from luckyhit.fleet.attempt import REQUEST, AttemptOutcome, Request
from luckyhit.fleet.settling import settle
from luckyhit.project import Project

LUCKYHIT = (sys.executable, "-m", "luckyhit")
_LOOK_S = 1.0
_SETTLED_WITHIN_S = 30.0
_leases: dict[tuple[str, str], int] = {}
"""By fleet and attempt: the write end of the lease of each keeper that this process owns."""
_leases_lock = threading.Lock()


def carry_out(request: Request, project: Project, *, wanted: Callable[[], bool] = lambda: True) -> AttemptOutcome:
    """Start the attempt's run in `project`, and wait for its end. `wanted`: asked every second; once it says no, the
    run is stopped and rolls back.

    An attempt that was begun before is not begun again: what it left is settled. So it does not matter how often an
    engine asks for it. Never raises a LuckyHitError: that is an outcome too.
    """
    began = time.monotonic()
    outcome: AttemptOutcome | None = None
    try:
        project = project.with_folders(runs_dir=request.runs_dir, reports_dir=request.reports_dir)
        folder = request.folder(project.runs)
        if _begun(request, project, folder):
            _keep(request, folder, wanted)
            outcome = settle(folder, within_s=_SETTLED_WITHIN_S)
        else:
            outcome = settle(folder, within_s=request.grace_s + _SETTLED_WITHIN_S)
    except LuckyHitError as error:
        outcome = AttemptOutcome(error.exit_code, reason=error.message, hint=error.hint, changed=False)
    except OSError as error:
        outcome = AttemptOutcome(4, reason=f"the attempt could not be begun: {error}", changed=False)
    outcome = outcome or AttemptOutcome(None, stopped="not-reported")
    took_s = time.monotonic() - began
    return replace(outcome, host=socket.gethostname(), overhead_s=max(0.0, took_s - outcome.seconds))


def _begun(request: Request, project: Project, folder: Path) -> bool:
    """Make the folder of the attempt; False if there is one already. Raises ArgumentError where the case is another one
    on this machine."""
    case_file = project.case_file(request.case)
    digest = hashlib.sha256(case_file.read_bytes()).hexdigest()
    if digest != request.sha256:
        raise ArgumentError(
            f"the case {request.name} differs on {socket.gethostname()}: {digest[:12]} there, {request.sha256[:12]} "
            "where the fleet was started",
            hint="Bring both projects to the same revision.",
        )
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    words = [*(request.luckyhit or LUCKYHIT), "run", request.case, "--json", *request.words]
    words += ["--timeout", f"{request.timeout_s:g}s"] if request.timeout_s else []
    for option, value in (("--runs-dir", request.runs_dir), ("--reports-dir", request.reports_dir)):
        words += [option, value] if value else []
    settling = [sys.executable, "-m", "luckyhit.fleet.settling"]
    request = replace(request, host=socket.gethostname())
    document = {**request.document(), "command": words, "settle": settling, "cwd": str(project.root)}
    write_atomically(folder / REQUEST, json.dumps(document, indent=1))
    return True


def _keep(request: Request, folder: Path, wanted: Callable[[], bool]) -> None:
    read_end, write_end = os.pipe()
    key = (request.fleet, request.id)
    try:
        process = subprocess.Popen(
            [sys.executable, "-E", str(Path(keeper.__file__)), str(folder)],
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in the terminal is for the fleet, which then decides.
            start_new_session=True,
        )
    finally:
        os.close(read_end)
    with _leases_lock:
        _leases[key] = write_end
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
                return
            if not wanted():
                stop(request.fleet, only=request.id)
    finally:
        with _leases_lock:
            os.close(_leases.pop(key))


def stop(fleet: str, *, kill: bool = False, only: str = "") -> int:
    """Ask the runs of a fleet that this process carries out to stop and roll back; `kill`: end them at once, and roll
    back from their journals. Returns how many there were."""
    with _leases_lock:
        ends = [end for (owner, attempt), end in _leases.items() if owner == fleet and only in ("", attempt)]
        for end in ends:
            with contextlib.suppress(OSError):
                os.write(end, b"k" if kill else b"s")
    return len(ends)

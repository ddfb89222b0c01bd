"""What an attempt left whose end nobody reported: its outcome is read, or it is rolled back and then told.

On the machine that carried it out: `python -m luckyhit.fleet.settling FOLDER`. The keeper does this itself for a run
that it had to kill; a worker, or the next fleet, for an attempt whose keeper was killed too.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.case_run import CaseRun
from luckyhit.change import revert_run
from luckyhit.change.journal import Journal
from luckyhit.change.lock import GONE_WITH_PROCESSES
from luckyhit.errors import LuckyHitError, NotEnoughData, TargetBusy
from luckyhit.fleet.attempt import (
    FOLDER,
    HELD,
    INTERRUPTED,
    NOT_CONFIRMED,
    OUTCOME,
    REQUEST,
    STOPS,
    AttemptOutcome,
    Request,
    Stop,
    read_outcome,
    read_request,
    write_outcome,
)
from luckyhit.project import Project
from luckyhit.records import Rollback
from luckyhit.records.manifest import RunFailure
from luckyhit.run import runs

POLL_S = 0.2
KEPT_S = 30 * 86_400.0
STOPPED_RUN = "FleetStopped"
_KERNEL_GONE_WITHIN_S = 20.0


def settle(
    folder: Path,
    *,
    stopped: Stop = "not-reported",
    within_s: float = 0.0,
    held: bool = False,
    seconds: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> AttemptOutcome | None:
    """How the attempt in `folder` ended. Where nothing of it lives any more and no outcome is written, its run is
    rolled back from its journal, and the outcome is written.

    An attempt of another machine is only read. `within_s`: how long to wait for the keeper or the run to end; None if
    one still lives then. `held`: the caller holds the lock. Raises RunUnreadable where the folder is no attempt.
    """
    request = read_request(folder)
    deadline = time.monotonic() + within_s
    while True:
        outcome = read_outcome(folder)
        if outcome is not None:
            return _classified(folder, outcome)
        if request.host not in ("", socket.gethostname()):
            # Shared storage: that nothing of it lives can be known on its own machine only.
            if time.monotonic() >= deadline:
                return None
            sleep(POLL_S)
            continue
        with contextlib.nullcontext(True) if held else _lock(folder) as free:
            if free and read_outcome(folder) is None:
                outcome = _rolled_back(folder, request.name, stopped, sleep)
                outcome = replace(outcome, seconds=seconds, host=socket.gethostname())
                write_outcome(folder, outcome)
                return outcome
        if time.monotonic() >= deadline:
            return None
        sleep(POLL_S)


def never_begun(request: Request, folder: Path) -> AttemptOutcome | None:
    """Take the place of an attempt whose folder is not here, on the machine that was to carry it out: it was not begun,
    and never will be, since whoever comes late finds the folder. None where somebody else was faster."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return None
    host = socket.gethostname()
    write_atomically(folder / REQUEST, json.dumps(replace(request, host=host).document(), indent=1))
    reason = "its machine was lost before it had begun"
    outcome = AttemptOutcome(INTERRUPTED, reason=reason, stopped="not-reported", changed=False, host=host)
    write_outcome(folder, outcome)
    return outcome


def settle_earlier(runs_dir: Path, *, but: str = "") -> list[str]:
    """Settle what fleets other than `but` left on this machine: a machine that lost power could not. Gives a sentence
    for each. Attempts that still live are left alone; folders of fleets that ended long ago are removed."""
    sentences = []
    _forget(runs_dir)
    for folder in sorted((runs_dir / FOLDER).glob("*/*")):
        if folder.parent.name == but or not (folder / REQUEST).is_file() or (folder / OUTCOME).exists():
            continue
        try:
            outcome = settle(folder)
        except LuckyHitError as error:
            sentences.append(f"{folder.parent.name}/{folder.name}: {error.message}")
            continue
        if outcome is not None:
            sentences.append(f"{folder.parent.name}/{folder.name}, run {outcome.run or 'none'}: {outcome.reason}")
    return sentences


def _forget(runs_dir: Path) -> None:
    """Remove the folders of fleets whose attempts all ended KEPT_S ago; the runs themselves stay."""
    for fleet in (runs_dir / FOLDER).glob("*"):
        attempts = [folder for folder in fleet.iterdir() if folder.is_dir()] if fleet.is_dir() else []
        ended = all((folder / OUTCOME).is_file() for folder in attempts)
        if ended and attempts and time.time() - fleet.stat().st_mtime > KEPT_S:
            shutil.rmtree(fleet, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Whether nothing of the attempt lives; locked while the block lasts, so that only one settles it."""
    with (folder / HELD).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def run_of(folder: Path, name: str) -> CaseRun | None:
    """The run that the attempt in `folder` made: the first of its case that began after it. No other can have begun
    meanwhile, since a run locks its case."""
    runs_dir, began = folder.parents[2], (folder / REQUEST).stat().st_mtime
    for run in runs(runs_dir):
        with contextlib.suppress(OSError):
            if run.path.parent.name == name and (run.path / "case.yml").stat().st_mtime >= began:
                return CaseRun(run.path)
    return None


def _classified(folder: Path, outcome: AttemptOutcome) -> AttemptOutcome:
    """With whether anything was changed, where the keeper could not tell."""
    if outcome.changed is not None or outcome.stopped is None:
        return outcome
    request = read_request(folder)
    run = CaseRun(folder.parents[2] / request.name / outcome.run) if outcome.run else run_of(folder, request.name)
    outcome = replace(outcome, changed=_changed(run), run=run.id if run is not None else "")
    write_outcome(folder, outcome)
    return outcome


def _changed(run: CaseRun | None) -> bool | None:
    """Whether the run's journal has a step about anything but its own processes; None where that can't be read."""
    if run is None:
        return False
    path = run.path / "journal.jsonl"
    if not path.is_file():
        return False
    try:
        steps = Journal(path).steps()
    except (LuckyHitError, OSError):
        return None
    return any(step.inverse and step.inverse.get("kind") not in GONE_WITH_PROCESSES for step in steps)


def _rolled_back(folder: Path, name: str, stopped: Stop, sleep: Callable[[float], None]) -> AttemptOutcome:
    run = run_of(folder, name)
    exit_code = NotEnoughData.exit_code if stopped == "time-limit" else INTERRUPTED
    if run is None:
        reason = "it was ended before it had begun a run"
        return AttemptOutcome(exit_code, reason=reason, stopped=stopped, changed=False)
    changed = _changed(run)
    outcome = AttemptOutcome(exit_code, run=run.id, stopped=stopped, changed=changed)
    try:
        rollback = _reverted(run, sleep)
        outcome = replace(outcome, reason=f"it was ended from outside. {rollback.detail}")
    except LuckyHitError as error:
        rollback = Rollback(confirmed=False, detail=error.message)
        outcome = replace(outcome, exit_code=NOT_CONFIRMED, reason=error.message, hint=error.hint)
    failure = RunFailure(
        error=STOPPED_RUN, message=outcome.reason, hint=outcome.hint, exit_code=outcome.exit_code or 1, refusal=None
    )
    with contextlib.suppress(OSError, LuckyHitError):  # a full disk must not hide the outcome
        run.update(state="failed", changed=not rollback.confirmed, rollback=rollback, failure=failure)
    return outcome


def _reverted(run: CaseRun, sleep: Callable[[float], None]) -> Rollback:
    """The rollback; a kernel whose parent was just killed ends by itself within moments."""
    deadline = time.monotonic() + _KERNEL_GONE_WITHIN_S
    project = Project.around(run.path)
    while True:
        try:
            return revert_run(run, project=project.root if project is not None else None)
        except TargetBusy:
            if time.monotonic() > deadline:
                raise
        sleep(POLL_S)


def main() -> None:
    """The command that a keeper starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--stopped", choices=STOPS, default="not-reported")
    given = parser.parse_args()
    settle(given.folder, stopped=given.stopped, held=given.held, seconds=given.seconds)


if __name__ == "__main__":
    main()

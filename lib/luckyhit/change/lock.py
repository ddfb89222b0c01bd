"""One run per target at a time, and none on a target that an earlier run left in the middle of something.

Locks are the machine's, whatever directory a run keeps its records in: files in one folder, held by flock, so that
the operating system lets go of them. Each names the run that held it last, so that what that run left open is found.
Runs on several machines don't see each other: a target should have one place that runs are started from.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from luckyhit.case import Case
from luckyhit.change.identity import target_identities
from luckyhit.change.journal import Journal
from luckyhit.change.leftovers import still_open
from luckyhit.errors import RunUnreadable, TargetBusy
from luckyhit.run import runs
from luckyhit.text.json_values import as_object

FOLDER_ENV = "LUCKYHIT_LOCKS"
"""Environment variable that names another folder for the locks than the one in the system's temporary directory."""


@contextmanager
def target_lock(
    case: Case,
    runs_dir: Path,
    *,
    run: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[list[str]]:
    """Hold what the case's target shares with others (its URL, its cache, its fixed port) until the block ends;
    gives their names. The operating system lets go of it when the process ends, however it ends.

    `run` is the id of the run that wants it: its own open steps don't stand in its way. Raises TargetBusy where
    another run holds it, or left a step open.
    """
    names = target_identities(case, environ)
    with held(names, runs_dir, run=run) as earlier:
        if names:
            _refuse_open_journals(names, runs_dir, run, earlier)
        yield names


@contextmanager
def held(names: Sequence[str], runs_dir: Path, *, run: str | None = None) -> Iterator[list[Path]]:
    """Hold what has these `names` (sorted, so that two runs never wait for each other) until the block ends, whatever
    an earlier run left there; gives the directories of the runs that held them last. Raises TargetBusy where another
    process holds one of them."""
    with ExitStack() as locks:
        yield [path for name in names if (path := locks.enter_context(_held(name, runs_dir, run))) is not None]


@contextmanager
def _held(name: str, runs_dir: Path, run: str | None) -> Iterator[Path | None]:
    """Hold one name; gives the directory of the run that held it last."""
    with _opened(locks_folder() / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TargetBusy(
                f"another run holds the {name}: {_holder(file)}",
                hint="Wait until it has ended, or stop it (Ctrl-C there; it rolls back by itself).",
            ) from None
        earlier = _read(file).get("path")
        path = next((str(path) for path in runs_dir.glob(f"*/{run}")), None) if run else None
        file.seek(0)
        file.truncate()
        # Until that one is reverted, it is what others have to know of.
        json.dump({**_who(name, run), "path": path or earlier}, file)
        file.flush()
        try:
            yield Path(earlier) if isinstance(earlier, str) else None
        finally:
            # Not only by closing: a process that another thread is just forking has a copy of the descriptor.
            fcntl.flock(file, fcntl.LOCK_UN)


def locks_folder() -> Path:
    """Where the locks are. Every user of the machine has to be able to see them."""
    folder = Path(os.environ.get(FOLDER_ENV) or Path(tempfile.gettempdir(), "luckyhit-locks"))
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(0o1777)
    return folder


def _opened(path: Path) -> IO[str]:
    """A lock file, made where there is none. Never deleted: a deleted one could be held by one run and made anew by
    another. An existing one is not opened for making: another user's could not be, in a shared folder."""
    try:
        try:
            return path.open("r+", encoding="utf-8")
        except FileNotFoundError:
            path.touch()
            with contextlib.suppress(OSError):
                path.chmod(0o666)
            return path.open("r+", encoding="utf-8")
    except OSError as error:
        raise TargetBusy(
            f"the lock {path} can't be opened: {error}",
            hint=f"Make it writable for you, or name another folder in {FOLDER_ENV} (the same for everybody).",
        ) from None


def _who(name: str, run: str | None) -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"target": name, "run": run, "pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _read(file: IO[str]) -> Mapping[str, Any]:
    file.seek(0)
    try:
        return as_object(json.load(file))
    except ValueError:  # new, or just being written
        return {}


def _holder(file: IO[str]) -> str:
    """Who holds it, as written by them; they may be just about to write it."""
    who = _read(file)
    try:
        run = f"run {who['run']}, " if who.get("run") else ""
        return f"{run}process {who['pid']} on {who['host']}, since {who['since']}"
    except KeyError:
        return "it did not say who it is"


def _refuse_open_journals(names: Sequence[str], runs_dir: Path, own: str | None, earlier: Sequence[Path] = ()) -> None:
    """An earlier run that was killed may have left its change on this target. `earlier`: runs kept anywhere else."""
    known = {run.path.resolve(): run.id for run in runs(runs_dir)}
    elsewhere = {path.resolve(): str(path) for path in earlier if path.resolve() not in known}
    for folder, called in {**known, **elsewhere}.items():
        path = folder / "journal.jsonl"
        if folder.name == own or not path.is_file():
            continue
        try:
            steps = still_open(Journal(path))
        except RunUnreadable as error:
            raise TargetBusy(f"run {called} may have left something: {error.message}", hint=error.hint) from None
        for step in steps:
            targets = [*step.detail.get("target", ())]
            if "cache" in step.inverse:
                targets.append(f"cache {step.inverse['cache']}")
            met = sorted(set(targets) & set(names))
            if met:
                raise TargetBusy(
                    f"run {folder.name} left a step open on the {met[0]} ({step.step}, step {step.id})",
                    hint=f"`luckyhit revert {called}` finishes it; then start again.",
                )

"""One run per target at a time, and none on a target on which an earlier run left a step open.

All runs on a machine share the locks, wherever they keep their records: files in one folder, held by flock, so that the
operating system releases them. Each names the run that held it last, so that what that run left open is found. Runs on
different machines don't see each other: start all runs against one target from one machine.
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
from urllib.parse import urlsplit

from luckyhit.caches import cache_identity
from luckyhit.case import Case
from luckyhit.change import processes
from luckyhit.change.journal import Journal
from luckyhit.errors import RunUnreadable, TargetBusy
from luckyhit.records.journal import AT_REST, Step
from luckyhit.run import runs
from luckyhit.text.json_values import as_object

FOLDER_ENV = "LUCKYHIT_LOCKS"
"""Environment variable that names another folder for the locks than the one in the system's temporary directory."""
GONE_WITH_PROCESSES = ("end-processes", "restart")
"""Kinds of inverse that leave nothing to undo once the run's own processes are gone."""


def target_identities(case: Case, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names, without secrets, of what the case's target shares with others: its URL, its cache, its fixed port. Sorted;
    empty where the run shares nothing."""
    names = []
    if case.target.url is not None:
        parts = urlsplit(case.target.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        names.append(f"service {(parts.hostname or '').lower()}:{port}")
    if case.target.start is not None and case.target.start.port is not None:
        names.append(f"port {case.target.start.port}")
    if case.cache.url_env is not None and environ.get(case.cache.url_env):
        names.append(f"cache {cache_identity(environ[case.cache.url_env])}")
    return sorted(names)


def steps_left_open(journal: Journal) -> list[Step]:
    """The open steps that still need undoing: those about processes count only while one of them lives, those at rest
    don't count."""
    steps = []
    for step in journal.open_steps():
        if step.inverse.get("kind") in GONE_WITH_PROCESSES:
            if processes.living(step.outcome.get("processes", ())):
                steps.append(step)
        elif step.inverse and not step.outcome.get(AT_REST):
            steps.append(step)
    return steps


@contextmanager
def target_lock(
    case: Case,
    runs_dir: Path,
    *,
    run: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[list[str]]:
    """Hold what the case's target shares with others until the block ends; yields the names. The operating system
    releases it when the process ends, however it ends.

    `run`: id of the run that takes the lock; its own open steps are no obstacle. Raises TargetBusy where another run
    holds it, or left a step open.
    """
    names = target_identities(case, environ)
    with held(names, runs_dir, run=run) as earlier:
        if names:
            _refuse_open_journals(names, runs_dir, run, earlier)
        yield names


@contextmanager
def held(names: Sequence[str], runs_dir: Path, *, run: str | None = None) -> Iterator[list[Path]]:
    """Hold these `names` (sorted, so that two runs never wait for each other) until the block ends, whatever an earlier
    run left open; yields the directories of the runs that held them last. Raises TargetBusy where another process holds
    one of them."""
    with ExitStack() as locks:
        yield [path for name in names if (path := locks.enter_context(_held(name, runs_dir, run))) is not None]


@contextmanager
def _held(name: str, runs_dir: Path, run: str | None) -> Iterator[Path | None]:
    """Hold one name; yields the directory of the run that held it last."""
    with _opened(locks_folder() / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TargetBusy(
                f"another run holds the {name}: {_holder(file)}",
                hint="Wait until it ends, or stop it (Ctrl-C there; it rolls back by itself).",
            ) from None
        earlier = _read(file).get("path")
        path = next((str(path) for path in runs_dir.glob(f"*/{run}")), None) if run else None
        file.seek(0)
        file.truncate()
        # Others have to know of the earlier run until it is reverted.
        json.dump({**_who(name, run), "path": path or earlier}, file)
        file.flush()
        try:
            yield Path(earlier) if isinstance(earlier, str) else None
        finally:
            # Closing is not enough: a process that another thread is forking right now has a copy of the descriptor.
            fcntl.flock(file, fcntl.LOCK_UN)


def locks_folder() -> Path:
    """The folder of the locks, which every user of the machine can write to."""
    folder = Path(os.environ.get(FOLDER_ENV) or Path(tempfile.gettempdir(), "luckyhit-locks"))
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(0o1777)
    return folder


def _opened(path: Path) -> IO[str]:
    """A lock file, created where it is missing. Never deleted: one run could hold the deleted file and another a new
    one. An existing file is opened without O_CREAT, which a shared folder may refuse for another user's file."""
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
            hint=f"Make it writable, or name another folder in {FOLDER_ENV} (the same one for all users).",
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
    """Who holds the lock, as the holder wrote it; it may not have written it yet."""
    who = _read(file)
    try:
        run = f"run {who['run']}, " if who.get("run") else ""
        return f"{run}process {who['pid']} on {who['host']}, since {who['since']}"
    except KeyError:
        return "holder not known yet"


def _refuse_open_journals(names: Sequence[str], runs_dir: Path, own: str | None, earlier: Sequence[Path] = ()) -> None:
    """Raise TargetBusy where a run that was killed left its change on this target. `earlier`: runs kept elsewhere."""
    known = {run.path.resolve(): run.id for run in runs(runs_dir)}
    elsewhere = {path.resolve(): str(path) for path in earlier if path.resolve() not in known}
    for folder, called in {**known, **elsewhere}.items():
        path = folder / "journal.jsonl"
        if folder.name == own or not path.is_file():
            continue
        try:
            steps = steps_left_open(Journal(path))
        except RunUnreadable as error:
            raise TargetBusy(f"run {called} may have left a step open: {error.message}", hint=error.hint) from None
        for step in steps:
            targets = [*step.detail.get("target", ())]
            if "cache" in step.inverse:
                targets.append(f"cache {step.inverse['cache']}")
            shared = sorted(set(targets) & set(names))
            if shared:
                raise TargetBusy(
                    f"run {folder.name} left a step open on the {shared[0]} ({step.step}, step {step.id})",
                    hint=f"Run `luckyhit revert {called}`, then start again.",
                )

"""One run per target at a time, and none on a target that an earlier run left in the middle of something."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from luckyhit.case import Case
from luckyhit.change.identity import target_identities
from luckyhit.change.journal import Journal
from luckyhit.change.revert import still_open
from luckyhit.errors import RunUnreadable, TargetBusy
from luckyhit.run import runs

_FOLDER = ".locks"


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
    with ExitStack() as held:
        for name in names:  # sorted, so that two runs never wait for each other
            held.enter_context(_held(name, runs_dir / _FOLDER, run))
        if names:
            _refuse_open_journals(names, runs_dir, run)
        yield names


@contextmanager
def _held(name: str, folder: Path, run: str | None) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"
    # Never deleted: a deleted lock file could be held by one run and made anew by another.
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TargetBusy(
                f"another run holds the {name}: {_holder(file)}",
                hint="Wait until it has ended, or stop it (Ctrl-C there; it rolls back by itself).",
            ) from None
        file.seek(0)
        file.truncate()
        json.dump(_who(name, run), file)
        file.flush()
        yield


def _who(name: str, run: str | None) -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"target": name, "run": run, "pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _holder(file: IO[str]) -> str:
    """Who holds it, as written by them; they may be just about to write it."""
    file.seek(0)
    try:
        who = json.load(file)
        run = f"run {who['run']}, " if who.get("run") else ""
        return f"{run}process {who['pid']} on {who['host']}, since {who['since']}"
    except (ValueError, KeyError, TypeError):
        return "it did not say who it is"


def _refuse_open_journals(names: list[str], runs_dir: Path, own: str | None) -> None:
    """An earlier run that was killed may have left its change on this target."""
    for other in runs(runs_dir):
        path = other.path / "journal.jsonl"
        if other.id == own or not path.is_file():
            continue
        try:
            steps = still_open(Journal(path))
        except RunUnreadable as error:
            raise TargetBusy(f"run {other.id} may have left something: {error.message}", hint=error.hint) from None
        for step in steps:
            targets = [*step.detail.get("target", ())]
            if "cache" in step.inverse:
                targets.append(f"cache {step.inverse['cache']}")
            met = sorted(set(targets) & set(names))
            if met:
                raise TargetBusy(
                    f"run {other.id} left a step open on the {met[0]} ({step.step}, step {step.id})",
                    hint=f"`luckyhit revert {other.id}` finishes it; then start again.",
                )

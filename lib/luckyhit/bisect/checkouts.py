"""The revisions of a search on the disk: a worktree each, built by the declared command, and started once on trial.
What can't be built or started is no revision to compare, and says why."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from luckyhit.bisect.commits import Repository
from luckyhit.case import Case
from luckyhit.case.values.units import format_duration
from luckyhit.change import Journal, worktrees
from luckyhit.errors import ArgumentError, CacheUnreachable, NoRoom, PortTaken, TargetError
from luckyhit.records.bisection import BisectOutcome
from luckyhit.scrub.redactor import Redactor
from luckyhit.system import Settings, Stack
from luckyhit.system.process import SupervisedProcess, tail
from luckyhit.system.start_settings import INHERITED, filled, own_python

_LEAST_FREE_BYTES = 20_000_000
_POLL_S = 0.05
_LOG_LINES = 20
_STARTS = 2
"""On a busy machine one start may fail that would succeed."""


@dataclass(frozen=True)
class Build:
    """The command that builds a revision, run in the service's directory of its worktree: words as a shell splits them,
    without a shell; `{python}` is filled in. Empty: nothing is built."""

    command: str = ""
    within_s: float = 600.0

    def words(self) -> list[str]:
        """Raises ArgumentError for quotes that don't match."""
        try:
            return shlex.split(self.command)
        except ValueError as error:
            raise ArgumentError(
                f"--build {self.command!r} can't be split into words: {error}", hint="Close the quotes."
            ) from None


class Untestable(Exception):
    """A revision that can't be compared. Never leaves this room."""

    def __init__(self, outcome: BisectOutcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason
        super().__init__(reason)


class Checkouts:
    """The worktrees of one search under `folder`, each made and built once, and removed by `keep_only` or at the end of
    the context. The journal has each before it is made, so that another process can remove them."""

    def __init__(self, case: Case, project: Path, folder: Path, build: Build, redactor: Redactor) -> None:
        self._case, self._project, self._folder, self._build, self._redactor = case, project, folder, build, redactor
        self._repository = Repository.of(case, project)
        self._journal = Journal(folder / "journal.jsonl", redactor=redactor)
        self._held: dict[str, tuple[ExitStack, Settings]] = {}
        self._untestable: dict[str, Untestable] = {}

    def __enter__(self) -> Checkouts:
        return self

    def __exit__(self, *_: object) -> None:
        self.keep_only()
        for emptied in ("revisions", "work"):
            shutil.rmtree(self._folder / emptied, ignore_errors=True)

    def settings(self, revision: str) -> Settings:
        """How the service of a revision is started: out of its worktree, which was built, and started once.

        Raises Untestable where that fails, TargetError or NoRoom for what another revision would meet too.
        """
        if revision in self._untestable:
            raise self._untestable[revision]
        if revision not in self._held:
            with ExitStack() as made:
                try:
                    settings = self._checked_out(revision, made)
                    self._built(revision, settings)
                    self._started(revision, settings)
                except Untestable as untestable:
                    self._untestable[revision] = untestable
                    raise
                self._held[revision] = (made.pop_all(), settings)
        return self._held[revision][1]

    def keep_only(self, *revisions: str) -> None:
        """Remove the worktrees of all others."""
        with ExitStack() as removing:
            for revision in [held for held in self._held if held not in revisions]:
                removing.push(self._held.pop(revision)[0])

    def _checked_out(self, revision: str, made: ExitStack) -> Settings:
        if not self._repository.has_directory(revision):
            raise Untestable("not-started", f"it has no directory {self._repository.inside}, where the service starts")
        place = self._folder / "revisions" / revision[:12]
        hashes = {"before": revision}
        self._refuse_full_disk()
        try:
            context = worktrees(self._case, self._project, place, self._journal, hashes, os.environ)  # type: ignore[arg-type]
            return made.enter_context(context)["before"]
        except TargetError:
            self._refuse_full_disk()
            raise

    def _built(self, revision: str, settings: Settings) -> None:
        words = self._build.words()
        if not words:
            return
        start = self._case.target.start
        assert start is not None and settings.source is not None
        python = own_python(start, self._project, os.environ)
        words = [filled(word, {"python": python}, os.environ) for word in words]
        names = {*INHERITED, *start.pass_env}
        env = {name: value for name, value in os.environ.items() if name in names}
        log = self._folder / "builds" / f"{revision[:12]}.log"
        log.parent.mkdir(exist_ok=True)
        try:
            process = SupervisedProcess(words, cwd=Path(settings.source, settings.cwd), env=env, log=log)
        except (OSError, TargetError, ValueError) as error:
            raise ArgumentError(
                f"--build {self._build.command!r} could not be started: {error}",
                hint="Name a program on PATH, or a path relative to target.start.cwd.",
            ) from None
        try:
            ended = _awaited(process, self._build.within_s)
        finally:
            process.stop()
        if ended and process.returncode == 0:
            return
        self._refuse_full_disk()
        within = format_duration(self._build.within_s)
        how = f"the build {process.ending}" if ended else f"the build did not end within {within} (--build-within)"
        raise Untestable("not-built", self._with_last_line(how, tail(log, _LOG_LINES, redactor=self._redactor)))

    def _started(self, revision: str, settings: Settings) -> None:
        workdir = self._folder / "work" / revision[:12]
        last: TargetError | None = None
        for _ in range(_STARTS):
            try:
                with Stack(self._case, "trial", workdir, project=self._project, settings=settings):
                    return
            except (PortTaken, CacheUnreachable):
                raise
            except TargetError as error:
                self._refuse_full_disk()
                last = error
            finally:
                shutil.rmtree(workdir, ignore_errors=True)
        assert last is not None
        raise Untestable("not-started", self._with_last_line(last.message, last.log))

    def _with_last_line(self, how: str, log: Sequence[str]) -> str:
        """What happened, with the last line of its output, which says most."""
        lines = [line.strip() for line in log if line.strip()]
        return self._redactor.text(f"{how}; its last line: {lines[-1]}" if lines else how)

    def _refuse_full_disk(self) -> None:
        """A full disk is no property of a revision."""
        for folder in (self._folder, self._repository.root):
            free = shutil.disk_usage(folder).free
            if free < _LEAST_FREE_BYTES:
                raise NoRoom(
                    f"the disk of the {'search' if folder == self._folder else 'repository'} is full "
                    f"({free / 1e6:.0f} MB are left)",
                    hint="Free disk space, then give the same command again: the search goes on where it was.",
                )


def _awaited(process: SupervisedProcess, within_s: float) -> bool:
    """Whether the process ended in time."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while process.alive:
        if time.monotonic() > deadline:
            return False
        pause.wait(_POLL_S)
    return True

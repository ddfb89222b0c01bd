"""The directory of one search, beside the runs of its case, and what a search that was killed left behind.

data/runs/<case>/bisect-<date>-<time>-<id>/
    bisect.json     the record: written before and after each comparison
    bisect.md       the report, and bisect.html, the same as a page
    culprit.diff    the commit's whole difference
    journal.jsonl   the worktrees, each before it is made
    cases/  runs/  reports/     the case, the run and the page of each attempt
    builds/         the output of the builds
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, revert_run
from luckyhit.change.lock import steps_left_open
from luckyhit.change.worktrees import undo
from luckyhit.errors import LuckyHitError, NoRoom, RollbackNotConfirmed
from luckyhit.records.bisection import Bisection, bisection_document, load_bisection
from luckyhit.run import runs
from luckyhit.scrub.redactor import Redactor
from luckyhit.text.json_values import as_object

RECORD = "bisect.json"
_PREFIX = "bisect-"
_SAME = ("case_sha256", "good", "bad", "build", "asked", "revisions", "at_most")
"""A search that differs in one of these is another one."""


def new_folder(runs_dir: Path, case: str, now: datetime) -> Path:
    """Make the directory of a new search. Raises NoRoom."""
    path = runs_dir / case / f"{_PREFIX}{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise NoRoom(
            f"the directory of the search can't be made: {error.strerror}",
            hint=f"Free disk space, or make {runs_dir} writable (or name another folder: --runs-dir).",
        ) from None
    return path


def save(folder: Path, record: Bisection, redactor: Redactor) -> None:
    """Write the record, flushed to the disk. Raises NoRoom; the earlier one is kept then."""
    document = redactor.document(bisection_document(record))
    try:
        write_atomically(folder / RECORD, json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise NoRoom.of(error) or error from None


def load(folder: Path) -> Bisection | None:
    """The record of a search; None where none can be read as a whole. A damaged one is never continued."""
    try:
        document = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    record, problems = load_bisection(dict(as_object(document)))
    return None if problems or not record.good else record


def searches(runs_dir: Path, case: str) -> Iterator[Path]:
    """The directories of all searches of a case, newest first."""
    return iter(sorted((runs_dir / case).glob(f"{_PREFIX}*"), reverse=True))


def unfinished(runs_dir: Path, wanted: Bisection) -> tuple[Path, Bisection] | None:
    """The newest search without a conclusion that asks the same; None if there is none."""
    for folder in searches(runs_dir, wanted.case):
        record = load(folder)
        if record is None or record.conclusion is not None:
            continue
        if all(getattr(record, name) == getattr(wanted, name) for name in _SAME):
            return folder, record
    return None


def clean_up(runs_dir: Path, case: str, project: Path) -> list[str]:
    """Undo what searches of this case left that were killed: runs that were measuring, worktrees, working files.
    Returns what was done, a line each. The caller holds the case's lock, so that none of them goes on.

    Raises RollbackNotConfirmed where something is left.
    """
    done: list[str] = []
    failed: list[LuckyHitError] = []
    for folder in searches(runs_dir, case):
        for run in runs(folder / "runs"):
            try:
                done += _reverted(CaseRun(run.path), project)
            except LuckyHitError as error:
                failed.append(error)
        journal = Journal(folder / "journal.jsonl")
        try:
            for step in reversed(journal.open_steps()):
                how = undo(step)
                journal.undo(step.id, {"outcome": "gone", "how": how})
                done.append(f"{folder.name}: {how}")
        except LuckyHitError as error:
            failed.append(error)
        for leftover in ("revisions", "work"):
            shutil.rmtree(folder / leftover, ignore_errors=True)
    if failed:
        raise RollbackNotConfirmed(
            f"an earlier search left something behind: {'; '.join(error.message for error in failed)}",
            hint=failed[0].hint,
        )
    return done


def _reverted(run: CaseRun, project: Path) -> list[str]:
    """Finish a run that was killed."""
    journal = Journal(run.path / "journal.jsonl")
    with suppress(LuckyHitError):
        if run.state != "measuring" and not steps_left_open(journal):
            return []
    rollback = revert_run(run, project=project)
    run.update(state="failed", rollback=rollback, changed=not rollback.confirmed)
    return [f"run {run.id}: {rollback.detail}"]

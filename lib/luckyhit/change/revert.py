"""`luckyhit revert RUN`: undo what the run's journal has open, from any process, on any later day.

In this order: end the run's own processes (its change ends with them), undo every other step, newest first, and last
put cleared keys back, so that the service reads them as they were. Each is noted in the journal, so that a second call
finds nothing to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from luckyhit.caches import cache_at, cache_identity
from luckyhit.caches.base import NOTIFY, UndoResult
from luckyhit.caches.restore import Restored, restore
from luckyhit.case_run import CaseRun
from luckyhit.change import processes
from luckyhit.change.journal import Journal
from luckyhit.change.kinds import UNDO, UndoContext, outcome_of
from luckyhit.change.kinds.cache_setting_kind import put_back_setting
from luckyhit.change.lock import GONE_WITH_PROCESSES, held, target_identities
from luckyhit.change.probe_undo import PROBED
from luckyhit.change.probe_undo import undo as undo_probe
from luckyhit.change.waiting import repeatedly
from luckyhit.errors import (
    CacheUnreachable,
    GuardError,
    LuckyHitError,
    RollbackNotConfirmed,
    RunUnreadable,
    TargetBusy,
)
from luckyhit.project import Project
from luckyhit.records import Rollback
from luckyhit.records.journal import AT_REST, Step

RESTORE = "restore"
_UNDO: dict[str, Callable[[Step, UndoContext], str | UndoResult]] = {
    **UNDO,
    NOTIFY: put_back_setting,
    PROBED: undo_probe,
}
"""By kind of inverse. Not in it: what ends with the run's processes, and cleared keys, which are put back together."""


def revert_run(
    run: CaseRun,
    *,
    project: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    sleep: Callable[[float], None] = time.sleep,
) -> Rollback:
    """Undo what the run's journal has open, newest step first. Safe to repeat. `project`: what paths in the case are
    relative to (default: the project around the working directory).

    Raises TargetBusy while the run still goes on in another process, RollbackNotConfirmed where a step can't be
    undone (everything else is undone first), with what to do by hand for each.
    """
    journal = Journal(_journal_path(run), redactor=run.redactor)
    with ExitStack() as lock:
        if journal.path.exists():
            # A run in progress would make its change again meanwhile.
            lock.enter_context(held(_shared(run, environ), run.path.parents[1], run=run.id))
        return _revert(run, journal, project, environ, sleep)


def _shared(run: CaseRun, environ: Mapping[str, str]) -> list[str]:
    """What the run's target shares with others; nothing where its case can't be read."""
    try:
        return target_identities(run.case, environ)
    except LuckyHitError:
        return []


def _revert(
    run: CaseRun, journal: Journal, project: Path | None, environ: Mapping[str, str], sleep: Callable[[float], None]
) -> Rollback:
    try:
        steps = journal.steps()
    except RunUnreadable as error:
        raise RollbackNotConfirmed(f"run {run.id} was not reverted: {error.message}", hint=error.hint) from None
    open_steps = [step for step in steps if step.open]
    _refuse_running(run, open_steps)
    done: list[str] = []
    failed: list[tuple[Step | None, LuckyHitError]] = []
    try:
        ended = _end_processes(run, steps)
        done += [f"{ended} processes of the run ended"] if ended else []
    except RollbackNotConfirmed as error:
        failed.append((None, error))
    for step in reversed(open_steps):
        kind = step.inverse.get("kind")
        if kind == RESTORE or (failed and failed[0][0] is None and kind in GONE_WITH_PROCESSES):
            continue
        try:
            outcome = _undo(run, step, project, environ, sleep)
            journal.undo(step.id, outcome)
        except LuckyHitError as error:
            failed.append((step, error))
            continue
        done += [outcome["how"]] if step.inverse and kind not in GONE_WITH_PROCESSES else []
    for group in _clears_by_cache(open_steps):
        try:
            restored, how = _put_keys_back(run, group, environ, sleep)
            for step in group:
                journal.undo(step.id, {"how": how, **asdict(restored)})
        except LuckyHitError as error:
            failed.append((group[0], error))
            continue
        done.append(how)
    for step in journal.steps():  # of all: a process may have died between closing a step and this
        if step.undone:
            _discard_backup(journal, step)
    if failed:
        raise _not_confirmed(run, failed)
    if not steps:
        return Rollback(confirmed=True, same_as_before=None, detail="Nothing was changed: the run's journal is empty.")
    if not open_steps and not done:
        return Rollback(
            confirmed=True, same_as_before=None, detail="Nothing was left to undo: every step of the journal is closed."
        )
    kinds = ", ".join(sorted({step.step for step in open_steps}))
    closed = f"{len(open_steps)} open steps closed ({kinds})" if open_steps else "No step was open"
    return Rollback(confirmed=True, same_as_before=None, detail="; ".join([closed, *done]) + ".")


def close_steps(journal: Journal, *, final: bool = True) -> None:
    """Close what a run that ended well has open: its services are stopped, and its clears were meant.

    Cleared keys are not put back: the service has refilled its cache since, and a key may be absent because it was
    invalidated. Their backups are deleted. A change that is still in place stays open. Where the run continues in
    another process (not `final`), clears stay open at rest, with their backups, in case that process dies.
    """
    for step in journal.open_steps():
        kind = step.inverse.get("kind")
        stopped = kind == "end-processes" and not processes.living(step.outcome.get("processes", ()))
        cleared = kind == RESTORE and step.confirmed
        if cleared and not final:
            journal.confirm(step.id, {AT_REST: True})
        elif stopped or cleared:
            journal.undo(step.id, {"outcome": "ended-well", "how": "the run ended well"})
            _discard_backup(journal, step)


def _refuse_running(run: CaseRun, open_steps: list[Step]) -> None:
    owners = [step.detail["run_process"] for step in open_steps if "run_process" in step.detail]
    running = [process for process in processes.living(owners) if process.pid != os.getpid()]
    if running and processes.living(_recorded(open_steps)):
        raise TargetBusy(
            f"run {run.id} is still in progress in process {', '.join(processes.describe(running))}",
            hint="Stop it there first (Ctrl-C; in JupyterLab: shut its kernel down): it rolls back by itself.",
        )


def _recorded(steps: list[Step]) -> list[dict[str, Any]]:
    return [process for step in steps for process in step.outcome.get("processes", ())]


def _end_processes(run: CaseRun, steps: list[Step]) -> int:
    """End every process of the run that still lives. Returns how many there were."""
    survivors = {process.pid: process for process in processes.living(_recorded(steps))}
    for process in processes.with_workdir((run.path / "work").resolve()):
        survivors[process.pid] = process
    left = processes.end(survivors.values())
    if left:
        raise RollbackNotConfirmed(
            f"processes of run {run.id} did not end: {', '.join(processes.describe(left))}",
            hint=f"End them by hand: kill -9 {' '.join(str(process.pid) for process in left)}; "
            f"then `luckyhit revert {run.called}` again.",
        )
    return len(survivors)


def _undo(
    run: CaseRun, step: Step, project: Path | None, environ: Mapping[str, str], sleep: Callable[[float], None]
) -> dict[str, Any]:
    """Undo one step. Returns what the journal notes."""
    if not step.inverse:
        return {"outcome": "nothing-done", "how": "it was begun, and has nothing to undo"}
    kind = str(step.inverse.get("kind"))
    if kind in GONE_WITH_PROCESSES:
        return {"outcome": "gone", "how": "the run's own service is stopped, and its change with it"}
    if kind not in _UNDO:
        raise RollbackNotConfirmed(
            f"unknown kind of inverse {kind!r} (of {step.step!r}): a later version may have written it",
            hint=f"Undo it by hand; its inverse, as journalled: {step.inverse}",
        )
    context = UndoContext(run.case, run.path, project or Project.find().root, environ, sleep)
    return outcome_of(_UNDO[kind](step, context))


def _clears_by_cache(steps: Iterable[Step]) -> list[list[Step]]:
    """The clears among `steps`, those of one cache together, oldest first."""
    groups: dict[tuple[object, object], list[Step]] = {}
    for step in steps:
        if step.inverse.get("kind") == RESTORE:
            groups.setdefault((step.inverse.get("url_env"), step.inverse["cache"]), []).append(step)
    return list(groups.values())


def _put_keys_back(
    run: CaseRun, steps: list[Step], environ: Mapping[str, str], sleep: Callable[[float], None]
) -> tuple[Restored, str]:
    """Put back what all clears of one cache took: what was there before the first, since a later one may have cleared
    what the run had put there. Safe to repeat. Returns it in words, too.

    Raises GuardError where the variable with the cache's URL is not set, or names another cache; CacheUnreachable,
    TargetError, RunUnreadable as `luckyhit.caches.backup` does.
    """
    url_env, known = str(steps[0].inverse.get("url_env")), str(steps[0].inverse["cache"])
    url = environ.get(url_env)
    if not url or cache_identity(url) != known:
        raise GuardError(
            f"{url_env} {f'names {cache_identity(url)}' if url else 'is not set'}; the keys were cleared from {known}",
            hint=f"Export {url_env} for the cache {known}: nothing is written to another one.",
        )
    paths = [run.path / str(step.inverse["backup"]) for step in steps]
    restored = repeatedly(lambda: restore(cache_at(url, url_env=url_env), *paths), sleep, errors=CacheUnreachable)
    return restored, (
        f"{restored.restored} cleared keys put back, {restored.present} present, {restored.expired} expired since"
    )


def _discard_backup(journal: Journal, step: Step) -> None:
    """Delete the backup, which holds what the cache held, once it is not needed."""
    name = step.inverse.get("backup")
    if name:
        (journal.path.parent / str(name)).unlink(missing_ok=True)


def _not_confirmed(run: CaseRun, failed: list[tuple[Step | None, LuckyHitError]]) -> RollbackNotConfirmed:
    unconfirmed = [
        (f"step {step.id} ({step.step})" if step is not None else "the processes", error) for step, error in failed
    ]
    return RollbackNotConfirmed(
        f"run {run.id} was not reverted in full: "
        + "; ".join(f"{name}: {error.message}" for name, error in unconfirmed),
        hint=" ".join(f"For {name}: {error.hint}" for name, error in unconfirmed)
        + f" Then run `luckyhit revert {run.called}` again. The journal {_journal_path(run)} has each open step "
        "with its inverse.",
    )


def _journal_path(run: CaseRun) -> Path:
    return run.path / "journal.jsonl"

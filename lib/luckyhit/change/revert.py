"""`luckyhit revert RUN`: finish whatever the run's journal has open, from any process, on any later day.

- A service that the run started: its processes are ended (known again by pid and time of creation). Its change
  goes with it, since only the run's own process ever had it.
- Keys cleared from somebody else's cache: put back from the backup, with the time to live that is left, where
  they are absent now.
- Somebody else's cache that was made to tell its keyspace events, or had a setting changed: the setting is put back,
  unless somebody changed it since.
- A change by an HTTP call or a command: its inverse is sent or run, and the state looked at. Where the service was the
  run's own, it is started once more for that: what was changed through it may outlive it.
- Git worktrees: removed, with their entries in the repository.

Each is confirmed in the journal, so that a second call finds nothing to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from luckyhit.caches.base import Undone
from luckyhit.case_run import CaseRun
from luckyhit.change import config, processes
from luckyhit.change.clearing.restoring import RESTORE, by_cache, put_back
from luckyhit.change.identity import target_identities
from luckyhit.change.journal import Journal
from luckyhit.change.kinds import UNDO, UndoContext
from luckyhit.change.leftovers import WITH_THE_PROCESSES
from luckyhit.change.lock import held
from luckyhit.change.notify import NOTIFY
from luckyhit.change.probe_undo import PROBED
from luckyhit.change.probe_undo import undo as undo_probe
from luckyhit.errors import LuckyHitError, RollbackNotConfirmed, RunUnreadable, TargetBusy
from luckyhit.project import Project
from luckyhit.records import Rollback
from luckyhit.records.journal import AT_REST, Step

_UNDO: dict[str, Callable[[Step, UndoContext], str | Undone]] = {
    **UNDO,
    NOTIFY: lambda step, context: config.undo(step, context.environ, context.sleep),
    PROBED: undo_probe,
}
"""By kind of inverse, of all that a run journals and that takes more than ending its processes. The cleared keys are
put back together (`luckyhit.change.clearing.restoring`)."""


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
            # A run that goes on would make its change again behind our back; so would a second call of this.
            lock.enter_context(held(_shared(run, environ), run.path.parents[1], run=run.id))
        return _revert(run, journal, project, environ, sleep)


def _shared(run: CaseRun, environ: Mapping[str, str]) -> list[str]:
    """What the run's target shares with others; nothing where its case can't be read any more."""
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
        raise RollbackNotConfirmed(
            f"the journal of run {run.id} can't be read: {error.message}", hint=error.hint
        ) from None
    open_steps = [step for step in steps if step.open]
    _refuse_running(run, open_steps)
    done: list[str] = []
    failed: list[tuple[Step | None, LuckyHitError]] = []
    try:
        ended = _end_processes(run, steps)
        done += [f"{ended} processes that the run had started were ended"] if ended else []
    except RollbackNotConfirmed as error:
        failed.append((None, error))
    clears = by_cache(open_steps)
    of_a_clear = {step.id for group in clears for step in group}
    for step in reversed(open_steps):
        if step.id in of_a_clear:
            continue
        if failed and failed[0][0] is None and step.inverse.get("kind") in WITH_THE_PROCESSES:
            continue
        try:
            outcome = _undo(run, step, project, environ, sleep)
            journal.undo(step.id, outcome)
        except LuckyHitError as error:
            failed.append((step, error))
            continue
        done += [outcome["how"]] if step.inverse.get("kind") not in WITH_THE_PROCESSES and step.inverse else []
    # At last: what is put back then is read by the service as it was.
    for group in clears:
        try:
            restored, how = put_back(run, group, environ, sleep)
            for step in group:
                journal.undo(step.id, {"how": how, **asdict(restored)})
        except LuckyHitError as error:
            failed.append((group[0], error))
            continue
        done.append(how)
    for step in journal.steps():  # also of one that a process closed which died right then
        if step.undone:
            _discard_backup(journal, step)
    if failed:
        raise _not_confirmed(run, failed)
    if not steps:
        return Rollback(confirmed=True, same_as_before=None, detail="Nothing was changed: the run's journal is empty.")
    if not open_steps and not done:
        return Rollback(
            confirmed=True, same_as_before=None, detail="Nothing was left to undo: every step in the journal is closed."
        )
    kinds = ", ".join(sorted({step.step for step in open_steps}))
    closed = f"{len(open_steps)} open steps closed ({kinds})" if open_steps else "No step was open"
    return Rollback(confirmed=True, same_as_before=None, detail="; ".join([closed, *done]) + ".")


def settle(journal: Journal, *, final: bool = True) -> None:
    """Close what a run that ended well leaves open: its services are stopped by now, and its clears were meant.

    What was cleared is not put back then: the service has been refilling its cache since, and a key that is absent
    may be absent because it was invalidated. The backups are deleted. A change that is still in place stays open.
    Where the run goes on in another process (`final` is False), its clears stay in the journal with their backups: if
    that one dies, what they took comes back too. Nobody has to wait for that.
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
    """A run that goes on would make its change again behind our back."""
    ours = {os.getpid()}
    owners = [step.detail["run_process"] for step in open_steps if "run_process" in step.detail]
    running = [process for process in processes.living(owners) if process.pid not in ours]
    if running and processes.living(_recorded(open_steps)):
        raise TargetBusy(
            f"run {run.id} still goes on in process {', '.join(processes.describe(running))}",
            hint="Stop it there first (Ctrl-C; in JupyterLab: shut its kernel down): it rolls back by itself.",
        )


def _recorded(steps: list[Step]) -> list[dict[str, Any]]:
    return [entry for step in steps for entry in step.outcome.get("processes", ())]


def _end_processes(run: CaseRun, steps: list[Step]) -> int:
    """End every process that the run started and that is still there. Returns how many there were."""
    survivors = {process.pid: process for process in processes.living(_recorded(steps))}
    for process in processes.with_workdir((run.path / "work").resolve()):
        survivors[process.pid] = process
    left = processes.end(survivors.values())
    if left:
        raise RollbackNotConfirmed(
            f"processes of run {run.id} could not be ended: {', '.join(processes.describe(left))}",
            hint=f"End them by hand: kill -9 {' '.join(str(process.pid) for process in left)}; "
            f"then `luckyhit revert {run.called}` again.",
        )
    return len(survivors)


def _undo(
    run: CaseRun, step: Step, project: Path | None, environ: Mapping[str, str], sleep: Callable[[float], None]
) -> dict[str, Any]:
    """Undo one step; what is returned goes into the journal."""
    if not step.inverse:
        return {"outcome": "nothing-done", "how": "it was begun, and there is nothing to undo about it"}
    kind = str(step.inverse.get("kind"))
    if kind in WITH_THE_PROCESSES:
        return {"outcome": "gone", "how": "the run's own service is stopped, and its change with it"}
    if kind not in _UNDO:
        raise RollbackNotConfirmed(
            f"this version does not know how to undo {step.step!r} by {kind!r}",
            hint=f"Its inverse, as journalled: {step.inverse}",
        )
    undone = _UNDO[kind](step, UndoContext(run.case, run.path, project or Project.find().root, environ, sleep))
    return undone._asdict() if isinstance(undone, Undone) else {"how": undone}


def _discard_backup(journal: Journal, step: Step) -> None:
    """What is not needed any more is not kept: a backup holds what the cache held."""
    name = step.inverse.get("backup")
    if name:
        (journal.path.parent / str(name)).unlink(missing_ok=True)


def _not_confirmed(run: CaseRun, failed: list[tuple[Step | None, LuckyHitError]]) -> RollbackNotConfirmed:
    unconfirmed = [
        (f"step {step.id} ({step.step})" if step is not None else "the processes", error) for step, error in failed
    ]
    return RollbackNotConfirmed(
        f"run {run.id} could not be reverted in full: "
        + "; ".join(f"{name}: {error.message}" for name, error in unconfirmed),
        hint=" ".join(f"For {name}: {error.hint}" for name, error in unconfirmed)
        + f" Then `luckyhit revert {run.called}` again. What is open stands in {_journal_path(run)}, "
        "each intent with its inverse.",
    )


def _journal_path(run: CaseRun) -> Path:
    return run.path / "journal.jsonl"

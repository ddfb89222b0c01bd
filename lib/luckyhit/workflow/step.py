"""One step of a run: what it holds while it lasts, and how it always ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace

from luckyhit import change as changing
from luckyhit.atomic import write_atomically
from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.errors import GuardError, LuckyHitError, NoRoom, NotEnoughData, RollbackNotConfirmed, TargetError
from luckyhit.project import Project
from luckyhit.records import Arm, Rollback
from luckyhit.records.manifest import RunFailure
from luckyhit.scrub.sweep import keep_logs, sweep
from luckyhit.system import Settings, Stack, stop_together
from luckyhit.workflow.preflight import secret_headers

Sources = Mapping[Arm, Settings]
STOP = "stop"
"""Name of the file in the run directory that requests a stop."""


@dataclass
class RunningStep:
    """The resources of one step. `originals`: by stack, the values of the probe's cold keys before the probe.
    `sources`: where each arm's revision is checked out already, if the caller keeps the worktrees; `checked_out`: where
    it is, once a stack was started."""

    run: CaseRun
    project: Project
    journal: changing.Journal
    stacks: ExitStack
    headers: Mapping[str, str]
    originals: dict[str, dict[str, int]] = field(default_factory=dict)
    looks: changing.FingerprintHistory | None = None
    sources: Sources | None = None
    checked_out: Mapping[Arm, Settings] | None = None


@contextmanager
def step_of(run: CaseRun, project: Project, sources: Sources | None = None) -> Iterator[RunningStep]:
    """Hold the target's lock and a journal; stop every stack at the end; record a failure in the manifest."""
    stop_if_asked(run)
    if run.manifest.inputs_scrubbed:
        raise NotEnoughData(
            f"run {run.id} can't be continued: its keys file or access log contained secrets, which were scrubbed "
            "when the run ended",
            hint="Start a new run: this one no longer has the requests that the case declares.",
        )
    run.update(state="measuring", failure=None)  # a failed step can be repeated by hand
    journal = changing.Journal(run.path / "journal.jsonl", redactor=run.redactor)
    try:
        with terminable(), ExitStack() as stacks:
            stacks.callback(keep_logs, run.path, run.redactor)
            stacks.enter_context(changing.target_lock(run.case, run.path.parents[1], run=run.id))
            yield RunningStep(run, project, journal, stacks, secret_headers(run.case), sources=sources)
        changing.close_steps(journal, final=run.state != "measuring")
    except BaseException as raised:
        known = NoRoom.of(raised) if isinstance(raised, OSError) else None
        if isinstance(raised, TargetError):
            known = NoRoom.in_log(raised.message, raised.log)
        error = known or raised
        if isinstance(error, LuckyHitError):
            error.reword(run.redactor.secrets)  # papermill writes it to the notebook
        _note_failure(run, project, error)
        with suppress(OSError):
            scrub(run, closed=True)
        if known is not None:
            raise known from raised
        raise
    scrub(run, closed=run.state != "measuring")


def scrub(run: CaseRun, *, closed: bool) -> None:
    """Scrub the files of the run. `closed`: it measures nothing more. Data to undo an open step is kept as it is."""
    journal = run.path / "journal.jsonl"
    try:
        left = bool(changing.Journal(journal).open_steps())
    except LuckyHitError:
        left = True
    if sweep(run.path, run.redactor, closed=closed and not left):
        run.update(inputs_scrubbed=True)


def stop_if_asked(run: CaseRun) -> None:
    """Raise KeyboardInterrupt if a stop was requested between two cells, when a signal interrupts nothing."""
    if (run.path / STOP).exists():
        raise KeyboardInterrupt


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that a scheduler's stop rolls back too."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread, which handles the signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _note_failure(run: CaseRun, project: Project, error: BaseException) -> None:
    """Record a failed step for the command line and the report, and roll back what the journal has open.

    Stopping a service that the run started rolls back its change.
    """
    taken_back = (run.manifest.rollback or Rollback()).confirmed
    changed = run.manifest.changed or bool(run.blocks("change")) or taken_back
    if isinstance(error, LuckyHitError):
        # Exit code 3 promises that nothing was changed.
        code = 4 if changed and isinstance(error, GuardError) else error.exit_code
        log = [run.redactor.text(line) for line in getattr(error, "log", ())]
        kind = type(error).__name__
        failure = RunFailure(
            error=kind, message=error.message, hint=error.hint, exit_code=code, refusal=error.refusal, log=log
        )
    elif isinstance(error, KeyboardInterrupt):
        failure = RunFailure(
            error="Interrupted", message="interrupted", hint="Start a new run.", exit_code=130, refusal=None
        )
    else:
        failure = RunFailure(
            error=type(error).__name__,
            message=f"{type(error).__name__}: {error}",
            hint="This is a bug in Lucky Hit; the executed notebook has the traceback.",
            exit_code=1,
            refusal=None,
        )
    with suppress(OSError):  # roll back even if the disk is full
        run.update(state="failed", failure=failure)
    # The stacks are stopped by now; this closes the open steps of the journal, and restores the cleared keys of a cache
    # that is not the run's own.
    try:
        rollback = changing.revert_run(run, project=project.root)
    except LuckyHitError as failed:
        rollback = Rollback(confirmed=False, detail=f"{failed.message} {failed.hint}")
        if isinstance(failed, RollbackNotConfirmed):
            with suppress(OSError):
                again = {"exit_code": failed.exit_code, "hint": failed.hint}
                run.update(failure=failure.model_copy(update=again))
    if taken_back and rollback.confirmed and not run.manifest.changed:
        return  # the step rolled back itself, and verified it
    if isinstance(error, RollbackNotConfirmed):
        return  # the evidence was found then; a journal without open steps does not refute it
    with suppress(OSError):
        run.update(rollback=rollback, changed=not rollback.confirmed)


def start_stacks(step: RunningStep, names: Mapping[Arm, str], *, hooks: str | None = None) -> dict[Arm, Stack]:
    """Start one stack per arm, without the change. They are always rolled back and stopped when the step ends. `hooks`:
    a directory that the services' Python searches first."""
    run, case = step.run, step.run.case
    if step.checked_out is None:
        step.checked_out = _worktrees(step) if case.change.diff_noted else {}
    made: dict[Arm, Stack] = {}
    for arm, name in names.items():
        workdir = run.path / "work" / name
        workdir.mkdir(parents=True, exist_ok=True)
        stack = Stack(
            case, name, workdir, project=step.project.root, allow_change=may_change(run), only_observe=observes(run)
        )
        stack.sources = step.checked_out
        stack.settings = replace(changing.settings_of(stack, "before"), hooks=hooks)
        made[arm] = stack
    step.stacks.callback(stop_together, list(made.values()))
    changing.start_stacks(list(made.values()), step.journal)
    for stack in made.values():
        if stack.cache is not None and stack.cache.owned:
            run.redactor.learn(stack.cache.secrets)
        step.stacks.callback(_taken_back, stack, step.journal)  # while the service is still there
    return made


def _worktrees(step: RunningStep) -> dict[Arm, Settings]:
    """Both revisions for the duration of the step; the first step of a run resolves their hashes."""
    run, root = step.run, step.project.root
    revisions = run.manifest.revisions
    if revisions is None:
        revisions = changing.revisions_of(run.case, root)
        write_atomically(run.path / "change.diff", run.redactor.text(changing.difference_of(run.case, root, revisions)))
        run.update(revisions=revisions)
    if step.sources is not None:
        return dict(step.sources)
    folder = run.path / "revisions"
    return step.stacks.enter_context(changing.worktrees(run.case, root, folder, step.journal, revisions, os.environ))


def _taken_back(stack: Stack, journal: changing.Journal) -> None:
    """Roll back if a step ended before it did so itself; what fails stays open in the journal."""
    if changing.in_place(stack, journal):
        with suppress(LuckyHitError):
            changing.roll_back(stack, journal)


def may_change(run: CaseRun) -> bool:
    """Whether this run may change its target and clear its cache: if the run started it, or if the case allows it and
    the run was started with the name of its environment."""
    target = run.case.target
    if observes(run):
        return False
    if target.start is not None:
        return True
    return target.allow_change and target.environment is not None and run.manifest.environment == target.environment


def observes(run: CaseRun) -> bool:
    """Whether the run measures only its baseline (`luckyhit run CASE --observe`)."""
    return run.manifest.observe


def how_to_allow(case: Case) -> str:
    if not case.target.allow_change:
        return ""
    return f"To allow the change, start the run with --environment {case.target.environment}."

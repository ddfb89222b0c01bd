"""Applying the one change, taking it back, and bringing the arms to the declared cache state.

A change of kind env or argument is a restart of the run's own service with other settings. Every restart is
journalled with its inverse first; all of this may be repeated safely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from luckyhit.case import Case, changes
from luckyhit.change import processes
from luckyhit.change.clear import clear
from luckyhit.change.fingerprint import fingerprint
from luckyhit.change.journal import Journal, Step
from luckyhit.errors import GuardError, LuckyHitError
from luckyhit.records import Arm, Rollback
from luckyhit.target import Settings, Stack, start_together

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
APPLY = "apply"
START = "start"


def settings_of(change: changes.Change, arm: Arm) -> Settings:
    """What one arm changes against the case's start section."""
    if isinstance(change, changes.EnvChange):
        return Settings(env={change.name: change.before if arm == "before" else change.after})
    if isinstance(change, changes.ArgumentChange) and arm == "after":
        return Settings(replace={change.before: change.after})
    return Settings()


def start_stacks(stacks: Iterable[Stack], journal: Journal | None = None) -> None:
    """Start all of `stacks` at the same time. With a journal, their processes are recorded in it, so that
    `luckyhit revert` finds them after a crash. Where one fails, all are stopped, and the first error is raised."""

    def start(stack: Stack) -> None:
        if journal is None or not stack.owned:
            stack.start()
            return
        step = journal.intend(START, _about(stack), {"kind": "end-processes"})
        stack.start()
        journal.confirm(step, {"processes": processes.of_stack(stack)})

    start_together(stacks, start)


def apply(stack: Stack, change: changes.Change, journal: Journal) -> None:
    """Put the change in place: restart `stack` with the settings of the after arm. May be repeated.

    Raises GuardError where the intent can't be journalled, or the target is only observed: nothing was changed
    then. Raises TargetError where the service does not come up with the change: the step stays open.
    """
    if isinstance(change, changes.NoChange):
        return
    _refuse_observed(stack)
    _set(stack, change, "after", journal)


def roll_back(stack: Stack, change: changes.Change, journal: Journal) -> Rollback:
    """Take the change back: restart `stack` with the settings of the before arm. May be repeated.

    A journal that can't be written does not keep the change in place: then `luckyhit revert` finds the step
    open later, and closes it. Raises TargetError where the service does not come up again.
    """
    if isinstance(change, changes.NoChange):
        return Rollback(
            confirmed=True, same_as_before=None, detail="Nothing was changed, so there was nothing to take back."
        )
    _refuse_observed(stack)
    stack.restart(settings_of(change, "before"))
    detail = f"The service was restarted without the change ({change.what})."
    try:
        _undo_apply(stack, journal)
    except LuckyHitError as error:
        detail += f" That could not be journalled ({error.message}); `luckyhit revert` will close the step."
    return Rollback(confirmed=True, same_as_before=None, detail=detail)


def reset_block(stacks: Mapping[Arm, Stack], case: Case, journal: Journal) -> dict[str, dict[str, Any]]:
    """Bring every arm to the state that the case declares for the start of a block: restart the service with its
    arm's settings (caches inside the process are empty then as well), all arms at once; then clear the declared
    keys. A service that is only observed is neither restarted nor cleared.

    Returns facts for the manifest: `{"clear": {arm: ...}, "fingerprint": {arm: ...}}`.
    """
    arms = list(stacks)
    owned = [arm for arm in arms if stacks[arm].owned]

    def restart(arm: Arm) -> None:
        if isinstance(case.change, changes.NoChange):
            stacks[arm].restart(settings_of(case.change, arm))
            _record_processes(stacks[arm], journal)
        else:
            _set(stacks[arm], case.change, arm, journal)

    _together(restart, owned)
    # One after the other: two arms on one cache must not list the same keys at the same time.
    cleared: dict[str, Any] = {}
    for arm in owned:
        cache = stacks[arm].cache
        if cache is not None:
            cleared[arm] = clear(cache, case.cache, journal).as_facts()
    seen = _together(lambda arm: fingerprint(stacks[arm], case), arms)
    return {"clear": cleared, "fingerprint": {str(arm): facts for arm, facts in zip(arms, seen, strict=True)}}


def _set(stack: Stack, change: changes.Change, arm: Arm, journal: Journal) -> None:
    """Restart `stack` with the settings of `arm`; the journal knows at every moment whether the change is on."""
    if arm == "before":
        stack.restart(settings_of(change, arm))
        _undo_apply(stack, journal)
        _record_processes(stack, journal)
        return
    open_step = _open_step(APPLY, stack, journal)
    step = open_step.id if open_step is not None else _intend_apply(stack, change, journal)
    stack.restart(settings_of(change, arm))
    journal.confirm(step, {"processes": processes.of_stack(stack)})


def _intend_apply(stack: Stack, change: changes.Change, journal: Journal) -> int:
    detail = {**_about(stack), "change": change.kind, "settings": asdict(settings_of(change, "after"))}
    inverse = {"kind": "restart", "settings": asdict(settings_of(change, "before"))}
    return journal.intend(APPLY, detail, inverse)


def _undo_apply(stack: Stack, journal: Journal) -> None:
    open_step = _open_step(APPLY, stack, journal)
    if open_step is not None:
        journal.undo(open_step.id, {"how": "restarted without the change"})


def _record_processes(stack: Stack, journal: Journal) -> None:
    """A restarted stack has other processes than the ones that were journalled at its start."""
    open_step = _open_step(START, stack, journal)
    step = open_step.id if open_step else journal.intend(START, _about(stack), {"kind": "end-processes"})
    journal.confirm(step, {"processes": processes.of_stack(stack)})


def _open_step(name: str, stack: Stack, journal: Journal) -> Step | None:
    """The open step of this name for this stack, as this process took it (an earlier notebook had its own)."""
    mine = _about(stack)
    steps = [step for step in journal.open_steps() if step.step == name]
    return next((step for step in reversed(steps) if all(step.detail.get(key) == mine[key] for key in mine)), None)


def _about(stack: Stack) -> dict[str, Any]:
    port = stack.case.target.start.port if stack.case.target.start else None
    return {
        "stack": stack.name,
        "workdir": str(Path(stack.workdir).resolve()),
        "run_process": processes.myself(),
        "target": [f"port {port}"] if port else [],
    }


def _refuse_observed(stack: Stack) -> None:
    if not stack.owned:
        raise GuardError(
            "a service given by its URL is observed, never changed",
            hint="Let the case start the service itself (target.start), or compare with `change: {kind: none}`.",
        )


def _together(do: Callable[[_Item], _Answer], items: list[_Item]) -> list[_Answer]:
    """Do something for all items at the same time; raise the first error once all have ended."""
    if len(items) < 2:
        return [do(item) for item in items]
    with ThreadPoolExecutor(len(items), thread_name_prefix="arm") as pool:
        return [future.result() for future in [pool.submit(do, item) for item in items]]

"""Apply the one change, take it back, and bring the arms to the declared cache state.

`luckyhit.change.kinds` has how each kind is made. Each is journalled with its inverse first; all of it may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from luckyhit.case import Case
from luckyhit.change import processes
from luckyhit.change.clearing.clear import clear
from luckyhit.change.clearing.purge import purge
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.fingerprints.sources import SourcesOnce
from luckyhit.change.journal import Journal
from luckyhit.change.kinds import ChangeKind, UndoContext, kind_of, outcome_of
from luckyhit.change.lock import target_identities
from luckyhit.errors import GuardError, LuckyHitError, RollbackNotConfirmed
from luckyhit.records import Arm, Rollback
from luckyhit.records.journal import Step
from luckyhit.system import Settings, Stack, start_together

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
APPLY = "apply"
START = "start"


def settings_of(stack: Stack, arm: Arm) -> Settings:
    """What one arm changes in the case's start section."""
    return kind_of(stack).settings(arm)


def start_stacks(stacks: Iterable[Stack], journal: Journal) -> None:
    """Start all of `stacks` at the same time, with their processes in the journal, so that `luckyhit revert` finds them
    after a crash. Where one fails, all are stopped, and the first error is raised."""

    def start(stack: Stack) -> None:
        if not stack.owned:
            stack.start()
            return
        step = journal.intend(START, _about(stack), {"kind": "end-processes"})
        stack.start()
        journal.confirm(step, {"processes": processes.of_stack(stack)})

    start_together(stacks, start)


def prepare(stack: Stack) -> None:
    """Bring a started stack of the run's own to the state that the case declares as before. Raises GuardError, and
    changes nothing, where somebody else's is in another state."""
    if stack.changeable:
        kind_of(stack).prepare()


def apply(stack: Stack, journal: Journal) -> None:
    """Put the change of the stack's case in place. May be repeated. Raises GuardError, and changes nothing, where the
    intent can't be journalled or the target is only observed; TargetError where it fails: the step stays open."""
    if stack.case.change.nothing:
        return
    _refuse_observed(stack)
    _set(stack, "after", journal)


def roll_back(stack: Stack, journal: Journal) -> Rollback:
    """Take the change back. May be repeated. Where the journal can't be written it is taken back all the same, and
    `luckyhit revert` closes the step later. Raises TargetError where it can't be taken back."""
    change = stack.case.change
    if change.nothing:
        return Rollback(confirmed=True, same_as_before=None, detail="Nothing was changed.")
    _refuse_observed(stack)
    kind = kind_of(stack)
    try:
        step = _open_step(APPLY, stack, journal)
    except LuckyHitError as error:
        if not change.needs_start:
            raise RollbackNotConfirmed(
                f"the inverse of the change can't be read: {error.message}",
                hint=f"{error.hint} {stack.case.rollback.note}",
            ) from None
        step = None
    outcome: dict[str, Any] = {"how": "restarted without the change"}
    if change.needs_start:
        stack.restart(kind.settings("before"))
        with suppress(LuckyHitError):  # then `luckyhit revert` finds them by their environment
            _record_processes(stack, journal)
        detail = f"The service was restarted without the change ({change.what})."
    elif step is None:
        return Rollback(
            confirmed=True, same_as_before=None, detail="The change was out already: the last block was one without it."
        )
    else:
        outcome = _take_back(kind, stack, step, journal)
        detail = f"Taken back ({change.what}): {outcome['how']}."
    try:
        step = _open_step(APPLY, stack, journal)
        if step is not None:
            journal.undo(step.id, outcome)
    except LuckyHitError as error:
        detail += f" That could not be journalled ({error.message}); `luckyhit revert` will close the step."
    return Rollback(confirmed=True, same_as_before=None, detail=detail)


def in_place(stack: Stack, journal: Journal) -> bool:
    """Whether the journal says that something of the change may be in place."""
    return _open_step(APPLY, stack, journal) is not None


def set_sides(stacks: Mapping[Arm, Stack], journal: Journal) -> None:
    """Set each stack's side of the change and start its service anew, all at once. Raises as `apply` does."""

    def set_side(arm: Arm) -> None:
        _refuse_observed(stacks[arm])
        if stacks[arm].case.change.nothing:
            _restart(stacks[arm], arm, journal)
        else:
            _set(stacks[arm], arm, journal)

    _together(set_side, list(stacks))


def reset_block(
    stacks: Mapping[Arm, Stack],
    case: Case,
    journal: Journal,
    *,
    headers: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Bring every arm to the declared state for the start of a block: set its side of the change and restart services
    of the run's own (which empties caches inside the process), all arms at once; then clear the declared keys, and
    purge the declared HTTP caches. A service that is only observed is left alone. `headers`: sent with each purge to
    the service's own address. `fresh`: the services are on their sides, and were just started: none is started again.

    Returns facts for the manifest: `{"clear": {arm: ...}, "purge": {arm: ...}, "started": {arm: pid}}`.
    """
    changeable = [arm for arm in stacks if stacks[arm].changeable]
    if not fresh:
        set_sides({arm: stacks[arm] for arm in changeable}, journal)
    started = {arm: stacks[arm].service_pid for arm in changeable if stacks[arm].owned}
    cleared = clear_declared({arm: stacks[arm] for arm in changeable}, case, journal, headers=headers)
    return {**cleared, "started": started}


def clear_declared(
    stacks: Mapping[Arm, Stack], case: Case, journal: Journal, *, headers: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Clear the declared keys of each arm, and purge the declared HTTP caches. Returns facts for the manifest, as
    `reset_block`."""
    # One after the other: two arms on one cache must not list the same keys at the same time.
    cleared: dict[str, Any] = {}
    for arm in stacks:
        cache = stacks[arm].cache
        if cache is not None and case.cache.clear:
            cleared[arm] = clear(cache, case.cache, journal).as_facts()
    purged = {
        arm: purge(
            case,
            stacks[arm].base_url,
            journal,
            environ=stacks[arm].environ,
            headers=headers or {},
            project=stacks[arm].project,
        ).as_facts()
        for arm in (stacks if case.cache.purge else ())
    }
    return {"clear": cleared, "purge": {str(arm): facts for arm, facts in purged.items()}}


def take_fingerprints(stacks: Mapping[Arm, Stack], case: Case, *, keyspace: bool = True) -> dict[Arm, dict[str, str]]:
    """The fingerprint of each arm, all at once. `keyspace`: count the keys outside the scope as well."""
    arms, sources = list(stacks), SourcesOnce()
    fingerprints = _together(
        lambda arm: fingerprint(stacks[arm], case, environ=stacks[arm].environ, keyspace=keyspace, sources=sources),
        arms,
    )
    return dict(zip(arms, fingerprints, strict=True))


def _set(stack: Stack, arm: Arm, journal: Journal) -> None:
    """Bring `stack` to its side of the change. At every moment the journal says whether the change is on."""
    kind, step = kind_of(stack), _open_step(APPLY, stack, journal)
    if not kind.restarts:
        # Empties the caches inside it. A change that it keeps in memory is applied again below.
        _restart(stack, arm, journal)
    if arm == "before":
        if step is not None:
            journal.undo(step.id, _take_back(kind, stack, step, journal))
        elif kind.restarts:
            _restart(stack, arm, journal)
        return
    number = step.id if step is not None else _intend_apply(stack, journal, kind.inverse())
    facts = kind.apply()
    if kind.restarts:
        _restart(stack, arm, journal)
    if stack.case.change.needs_start:
        facts["processes"] = processes.of_stack(stack)
    journal.confirm(number, {**facts, **kind.verify(arm)})


def _take_back(kind: ChangeKind[Any], stack: Stack, step: Step, journal: Journal) -> dict[str, Any]:
    context = UndoContext.of(stack, journal.path.parent, lambda: _restart(stack, "before", journal))
    return outcome_of(kind.revert(step, context))


def _restart(stack: Stack, arm: Arm, journal: Journal) -> None:
    if stack.owned:
        stack.restart(settings_of(stack, arm))
        _record_processes(stack, journal)


def _intend_apply(stack: Stack, journal: Journal, inverse: Mapping[str, Any]) -> int:
    change = stack.case.change
    detail = {**_about(stack), "change": change.kind, "what": change.what}
    if change.needs_start:
        detail["settings"] = asdict(settings_of(stack, "after"))
    return journal.intend(APPLY, detail, inverse)


def _record_processes(stack: Stack, journal: Journal) -> None:
    """Journal the processes of a restarted stack in place of the earlier ones."""
    open_step = _open_step(START, stack, journal)
    step = open_step.id if open_step else journal.intend(START, _about(stack), {"kind": "end-processes"})
    journal.confirm(step, {"processes": processes.of_stack(stack)})


def _open_step(name: str, stack: Stack, journal: Journal) -> Step | None:
    """The open step of this name for this stack that this process took: an earlier notebook has its own."""
    about = journal.as_kept(_about(stack))
    steps = [step for step in journal.open_steps() if step.step == name]
    return next((step for step in reversed(steps) if all(step.detail.get(key) == about[key] for key in about)), None)


def _about(stack: Stack) -> dict[str, Any]:
    return {
        "stack": stack.name,
        "workdir": str(Path(stack.workdir).resolve()),
        "run_process": processes.myself(),
        "target": target_identities(stack.case, stack.environ),
    }


def _refuse_observed(stack: Stack) -> None:
    if not stack.changeable:
        raise GuardError(
            "a service at a URL is only observed, unless the case and the command line allow more",
            hint="Set target.allow_change and target.environment in the case, and --environment on the command line.",
        )


def _together(do: Callable[[_Item], _Result], items: list[_Item]) -> list[_Result]:
    """Call `do` for all items at the same time; raise the first error once all have ended."""
    if len(items) < 2:
        return [do(item) for item in items]
    with ThreadPoolExecutor(len(items), thread_name_prefix="arm") as pool:
        return [future.result() for future in [pool.submit(do, item) for item in items]]

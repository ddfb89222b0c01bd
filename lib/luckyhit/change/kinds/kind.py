"""How one kind of change is made, shown and taken back: the interface of all kinds, and what several share."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from luckyhit.caches.base import UndoResult
from luckyhit.case import Case
from luckyhit.case.changes.spec import STATE
from luckyhit.change.fingerprints.normalize import echoes_values
from luckyhit.change.journal import Step
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.waiting import Sleep, await_state, expect, repeatedly, shown
from luckyhit.errors import ArgumentError, LuckyHitError, TargetError
from luckyhit.records import Arm
from luckyhit.system import Settings, Stack

RESTART = "restart"
UNSET = "not set"
Fingerprint = Mapping[str, str]
Sides = tuple[str, str]
"""(value before, value after)."""
Spec = TypeVar("Spec", bound=Any)


@dataclass(frozen=True)
class UndoContext:
    """What a journalled step is undone with. `folder`: the run's directory. `project`: what paths in the case are
    relative to. `environ`: has the variables that the case names. `stack`, `restart`: of the process that made the
    change; None in another process."""

    case: Case
    folder: Path
    project: Path
    environ: Mapping[str, str]
    sleep: Sleep = time.sleep
    stack: Stack | None = None
    restart: Callable[[], None] | None = None

    @classmethod
    def of(cls, stack: Stack, folder: Path, restart: Callable[[], None]) -> Self:
        """Of the process that made the change on `stack`."""
        return cls(stack.case, folder, stack.project, stack.environ, stack=stack, restart=restart)

    @contextmanager
    def service(self, *, needed: bool) -> Iterator[Stack]:
        """The changed service. One of the run's own that is gone is started once more if `needed`: what was changed
        through it may outlive it (a flag in a database)."""
        if self.stack is not None:
            yield self.stack
            return
        with tempfile.TemporaryDirectory(prefix="luckyhit-revert-") as folder:
            stack = Stack(self.case, "revert", Path(folder), project=self.project, environ=self.environ)
            if needed and stack.owned:
                with stack:
                    yield stack
            else:
                yield stack

    def restarted(self, stack: Stack) -> None:
        """Restart the service, where it runs, so that it notices what was taken back."""
        if self.restart is not None:
            self.restart()
        elif stack.pid is not None:
            stack.restart(stack.settings)


def outcome_of(undone: str | UndoResult) -> dict[str, Any]:
    """What the journal notes of an undone step."""
    return undone._asdict() if isinstance(undone, UndoResult) else {"how": undone}


def undo_stated(
    step: Step, context: UndoContext, do: Callable[[], object], read: Callable[[], str], *, done: str, where: str
) -> str:
    """Do the inverse of a change whose state shows, several times if need be. `done`, `where`: for messages, what was
    done, and where the state shows. Raises TargetError, with what to do by hand, unless the state before shows."""
    wanted, by_hand = str(step.inverse["shows"]), f"By hand: {step.inverse.get('by_hand') or step.inverse}"

    def attempt() -> str:
        do()
        return await_state(read, wanted, float(step.inverse["within_s"]), context.sleep)

    try:
        state = repeatedly(attempt, context.sleep)
    except TargetError as error:
        raise TargetError(error.message, hint=f"{error.hint} {by_hand}", log=error.log) from None
    if state != wanted:
        raise TargetError(f"{done}, but {where} shows {shown(state)}, not {shown(wanted)}", hint=by_hand)
    return f"{done}; {where} shows {shown(state)}"


class ChangeKind(Generic[Spec]):
    """One kind of change on one stack. Every method may be repeated, without further effect."""

    inverse_kind: ClassVar[str] = ""
    """The kind of inverse that it journals, and that its `revert` undoes."""

    def __init__(self, stack: Stack, sleep: Sleep = time.sleep) -> None:
        self._stack, self._sleep = stack, sleep
        self._change = cast(Spec, stack.case.change)

    @property
    def restarts(self) -> bool:
        """Whether the service notices the change, and its inverse, only after a restart."""
        return False

    def settings(self, arm: Arm) -> Settings:
        """What an arm changes in how the service is started."""
        return Settings()

    def prepare(self) -> None:
        """Bring a stack of the run's own to the declared state before the change. Raises GuardError where somebody
        else's is in another state."""

    def check(self, findings: Findings) -> None:
        """Check what the change needs on a running stack. Changes nothing."""
        raise NotImplementedError

    def inverse(self) -> dict[str, Any]:
        """How to undo it, for the journal: all that another process needs on another day. No secrets."""
        raise NotImplementedError

    def apply(self) -> dict[str, Any]:
        """Put the change in place. Returns facts for the journal. Raises TargetError where it fails: a part of it may
        be in place then."""
        raise NotImplementedError

    def verify(self, arm: Arm) -> dict[str, Any]:
        """Wait until the state of `arm` shows. Returns facts for the journal. Raises TargetError where it does not;
        does nothing where only the fingerprint shows it."""
        return {}

    def state(self) -> str | None:
        """The state that shows whether the change is in place; None where the rest of the fingerprint shows it."""
        return None

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str | UndoResult:
        """Undo the open `step`, by the journal alone, and verify it. Returns what was done. Raises an error of the tree
        where that fails, with what to do by hand."""
        raise NotImplementedError

    @classmethod
    def declared(
        cls, change: Spec, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        """The fingerprint entries that have to differ, with both values. `revisions`: full hashes by arm."""
        return {}

    @classmethod
    def echoes(cls, change: Spec, name: str, values: Sides) -> bool:
        """Whether another entry differs only because it shows the change, as the service's configuration may."""
        return echoes_values((change.before, change.after), name, values)


class RestartKind(ChangeKind[Spec]):
    """A change of how the service is started: it ends with the run's own service."""

    inverse_kind = RESTART

    @property
    def restarts(self) -> bool:
        return True

    def inverse(self) -> dict[str, Any]:
        return {"kind": RESTART, "settings": asdict(self.settings("before"))}

    def apply(self) -> dict[str, Any]:
        """Nothing: the restart makes the change."""
        return {}

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        if context.restart is None:
            return "the run's own service is stopped, and its change with it"
        context.restart()
        return "restarted without the change"


class StatedKind(ChangeKind[Spec]):
    """A change whose state `change.verify` shows."""

    @property
    def where(self) -> str:
        """Where the state shows, for a message."""
        raise NotImplementedError

    def prepare(self) -> None:
        expect(str(self.state()), self._change.before, self.where)

    def verify(self, arm: Arm) -> dict[str, Any]:
        wanted = self._change.after if arm == "after" else self._change.before
        state = await_state(lambda: str(self.state()), wanted, self._change.within, self._sleep)
        if state != wanted:
            raise TargetError(
                f"the change was {'put in place' if arm == 'after' else 'taken back'}, but {self.where} shows "
                f"{shown(state)}, not {shown(wanted)}",
                hint="Let the change restart the service if it only notices then (change.restart), or allow more time "
                "(change.within).",
            )
        return {"shows": state}

    def check(self, findings: Findings) -> None:
        """Whether the state is that before the change."""
        try:
            state = str(self.state())
        except ArgumentError:
            raise
        except LuckyHitError as error:
            log = "".join(f"; its output: {line}" for line in list(getattr(error, "log", ()))[-2:])
            findings.problem(f"{error.message}{log}", error.hint)
            return
        before, after = self._change.before, self._change.after
        if state == before:
            findings.note(f"{self.where} shows {shown(before)}, as before the change.")
        elif state == after:
            findings.problem(
                f"{self.where} shows {shown(after)}: the change is in place already",
                "Take it back first (change.revert), or correct change.before and change.after.",
            )
        else:
            findings.problem(
                f"{self.where} shows {shown(state)}; the case says {shown(before)} (change.before)",
                "Correct change.before, or what change.verify reads.",
            )

    @classmethod
    def declared(
        cls, change: Spec, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        return {STATE: (change.before, change.after)}

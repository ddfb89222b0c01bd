"""How one kind of change is made, shown and taken back: what all kinds answer, and what many of them share."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from luckyhit.case import Case
from luckyhit.case.changes.spec import STATE
from luckyhit.change.fingerprints.echoes import echoes_values
from luckyhit.change.journal import Step
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.waiting import Sleep, await_state, expect, shown
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
    """What a journalled step is undone with.

    `folder`: the run's directory. `project`: what paths in the case are relative to. `environ`: has the variables that
    the case names. `stack` and `restart`: of the process that made the change; None in another one, on another day.
    """

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
        """The changed service. Where it was the run's own and is gone, and it is `needed`, it is started once more:
        what was changed through it may outlive it (a flag in a database)."""
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
        """Start the service anew, where it runs, so that it notices what was taken back."""
        if self.restart is not None:
            self.restart()
        elif stack.pid is not None:
            stack.restart(stack.settings)


class ChangeKind(Generic[Spec]):
    """One kind of change on one stack. Each call may be repeated; none does more the second time than the first."""

    inverse_kind: ClassVar[str] = ""
    """The kind of inverse that it journals, and that its `revert` undoes."""

    def __init__(self, stack: Stack, sleep: Sleep = time.sleep) -> None:
        self._stack, self._sleep = stack, sleep
        self._change = cast(Spec, stack.case.change)

    @property
    def restarts(self) -> bool:
        """Whether the service has to be started anew, after the change and after its inverse, to notice it."""
        return False

    def settings(self, arm: Arm) -> Settings:
        """What an arm changes in how the service is started."""
        return Settings()

    def prepare(self) -> None:
        """Bring a stack that is the run's own to the state that the case declares as before.

        Raises GuardError where somebody else's is in another one.
        """

    def look(self, findings: Findings) -> None:
        """What the change needs on a stack that runs: looked at before anything is changed, and nothing is."""
        raise NotImplementedError

    def inverse(self) -> dict[str, Any]:
        """How to undo it, for the journal: enough for another process on another day. No secrets."""
        raise NotImplementedError

    def apply(self) -> dict[str, Any]:
        """Put the change in place. Returns facts for the journal. Raises TargetError where that did not work: something
        of it may be in place then."""
        raise NotImplementedError

    def verify(self, arm: Arm) -> dict[str, Any]:
        """Wait until what shows the state shows that of `arm`. Returns facts for the journal. Raises TargetError where
        it doesn't; does nothing where only the fingerprint shows it."""
        return {}

    def state(self) -> str | None:
        """What shows whether the change is in place; None where the fingerprint has it already."""
        return None

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        """Undo what the open `step` holds, by the journal alone, and see that it is undone; says what was done.

        Raises an error of the tree where that did not work, with what to do by hand.
        """
        raise NotImplementedError

    @classmethod
    def declared(
        cls, change: Spec, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        """The entries of the fingerprint that have to differ, with both values. `revisions`: full hashes by arm."""
        return {}

    @classmethod
    def echoes(cls, change: Spec, name: str, values: Sides) -> bool:
        """Whether another entry that differs only shows the declared change: in the service's configuration, say."""
        return echoes_values((change.before, change.after), name, values)


class RestartKind(ChangeKind[Spec]):
    """Another way to start the service: nothing of it is left once the run's own service is stopped."""

    inverse_kind = RESTART

    @property
    def restarts(self) -> bool:
        return True

    def inverse(self) -> dict[str, Any]:
        return {"kind": RESTART, "settings": asdict(self.settings("before"))}

    def apply(self) -> dict[str, Any]:
        """The restart is all of it."""
        return {}

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        if context.restart is None:
            return "the run's own service is stopped, and its change with it"
        context.restart()
        return "restarted without the change"


class StatedKind(ChangeKind[Spec]):
    """A change with a place of its own where its state shows (`change.verify`)."""

    @property
    def where(self) -> str:
        """The place, for a message."""
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
                hint="Does the service need a restart to notice (change.restart), or more time (change.within)?",
            )
        return {"shows": state}

    def look(self, findings: Findings) -> None:
        """A change that is in place already, or can't be seen, would be found out in the middle of the run."""
        try:
            state = str(self.state())
        except ArgumentError:
            raise
        except LuckyHitError as error:
            log = "".join(f"; it said: {line}" for line in list(getattr(error, "log", ()))[-2:])
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
                f"{self.where} shows {shown(state)}, and the case says {shown(before)} (change.before)",
                "Correct change.before, or where change.verify looks.",
            )

    @classmethod
    def declared(
        cls, change: Spec, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        return {STATE: (change.before, change.after)}

"""What every way of changing a stack has in common: how it is put in place, taken back, and looked at."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from luckyhit.change.journal import Step
from luckyhit.errors import GuardError, LuckyHitError
from luckyhit.run import Run

ATTEMPTS, PAUSE_S = 3, 0.3
_WORD_THAT_WAS_CUT = re.compile(r"[^\s,;\"'{}\[\]]*\Z")
LONGEST_SHOWN = 200
Sleep = Callable[[float], None]
_Answer = TypeVar("_Answer")


class Way(Protocol):
    """One kind of change on one stack. Each call may be repeated; none does more the second time than the first."""

    restarts: bool
    """Whether the service has to be started anew after a change or its inverse, to take notice of it."""

    def prepare(self) -> None:
        """Bring a stack that is the run's own to the state that the case declares as before.

        Raises GuardError where somebody else's is in another one.
        """

    def inverse(self) -> dict[str, Any]:
        """How to undo it, for the journal: enough for another process on another day. No secrets."""

    def apply(self) -> dict[str, Any]:
        """Put the change in place. Returns facts for the journal. Raises TargetError where that did not work, or did
        not show within its time: something of it may be in place then."""

    def revert(self, step: Step) -> str:
        """Take back what the open `step` of the journal holds; says what was done.

        Raises TargetError where that did not work, with what to do by hand.
        """

    def state(self) -> str | None:
        """What shows whether the change is in place; None where the fingerprint has it already."""


@dataclass(frozen=True)
class Again:
    """What another process, on another day, undoes a step with: `project` is the directory that paths in the case are
    relative to, `environ` has the variables that it names."""

    run: Run
    project: Path
    environ: Mapping[str, str]
    sleep: Sleep = time.sleep


def shown(text: str) -> str:
    """A text for a message: quoted, and cut behind a whole word where it is long (half of a secret is none that could
    be recognised)."""
    cut = _WORD_THAT_WAS_CUT.sub("", text[:LONGEST_SHOWN])
    return repr(text if len(text) <= LONGEST_SHOWN else f"{cut}...")


def repeatedly(do: Callable[[], _Answer], sleep: Sleep, *, attempts: int = ATTEMPTS) -> _Answer:
    """Do it again where it fails with an error of ours; raise the last one."""
    for attempt in range(1, attempts):
        try:
            return do()
        except LuckyHitError:
            sleep(PAUSE_S * attempt)
    return do()


def await_state(
    look: Callable[[], str], wanted: str, within_s: float, sleep: Sleep, clock: Callable[[], float] = time.monotonic
) -> str:
    """Look until it shows `wanted`, or `within_s` seconds have passed. Returns what was seen last. An error while
    looking is raised once the time is over."""
    deadline, pause_s = clock() + within_s, 0.02
    while True:
        try:
            seen = look()
            if seen == wanted or clock() >= deadline:
                return seen
        except LuckyHitError:
            if clock() >= deadline:
                raise
        sleep(min(pause_s, max(0.0, deadline - clock())))
        pause_s = min(2 * pause_s, 0.5)


def expect(seen: str, wanted: str, where: str) -> None:
    """Raise GuardError unless the state before the change is what the case declares."""
    if seen != wanted:
        raise GuardError(
            f"before the change, {where} shows {shown(seen)}; the case says {shown(wanted)} (change.before)",
            hint="Is the change in place already, or does verify look at something else? Nothing was changed.",
        )

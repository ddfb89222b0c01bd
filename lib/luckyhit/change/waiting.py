"""Waiting for a state to show, doing something again, and texts of others inside our messages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from luckyhit.errors import GuardError, LuckyHitError

ATTEMPTS, PAUSE_S = 3, 0.3
_WORD_THAT_WAS_CUT = re.compile(r"[^\s,;\"'{}\[\]]*\Z")
LONGEST_SHOWN = 200
Sleep = Callable[[float], None]
_Result = TypeVar("_Result")


def shown(text: str) -> str:
    """A text for a message: quoted, and cut after a whole word where it is long (half of a secret is none that could
    be recognised)."""
    cut = _WORD_THAT_WAS_CUT.sub("", text[:LONGEST_SHOWN])
    return repr(text if len(text) <= LONGEST_SHOWN else f"{cut}...")


def repeatedly(do: Callable[[], _Result], sleep: Sleep, *, attempts: int = ATTEMPTS) -> _Result:
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
    """Look until it shows `wanted`, or `within_s` seconds have passed. Returns the last state. An error while looking
    is raised once the time is over."""
    deadline, pause_s = clock() + within_s, 0.02
    while True:
        try:
            state = look()
            if state == wanted or clock() >= deadline:
                return state
        except LuckyHitError:
            if clock() >= deadline:
                raise
        sleep(min(pause_s, max(0.0, deadline - clock())))
        pause_s = min(2 * pause_s, 0.5)


def expect(state: str, wanted: str, where: str) -> None:
    """Raise GuardError unless the state before the change is what the case declares."""
    if state != wanted:
        raise GuardError(
            f"before the change, {where} shows {shown(state)}; the case says {shown(wanted)} (change.before)",
            hint="Is the change in place already, or does verify look at something else? Nothing was changed.",
        )

"""Repeating an action, waiting for a state to show, and quoting other programs' texts in messages."""

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
    """A text for a message: quoted, and where it is long cut after a whole word, since half of a secret would not be
    recognised as one."""
    cut = _WORD_THAT_WAS_CUT.sub("", text[:LONGEST_SHOWN])
    return repr(text if len(text) <= LONGEST_SHOWN else f"{cut}...")


def repeatedly(
    do: Callable[[], _Result], sleep: Sleep, *, errors: type[LuckyHitError] = LuckyHitError, attempts: int = ATTEMPTS
) -> _Result:
    """Call `do` until it raises none of these errors, `attempts` times at most; then raise the last one."""
    for attempt in range(1, attempts):
        try:
            return do()
        except errors:
            sleep(PAUSE_S * attempt)
    return do()


def await_state(
    read: Callable[[], str], wanted: str, within_s: float, sleep: Sleep, clock: Callable[[], float] = time.monotonic
) -> str:
    """Read the state until it is `wanted` or `within_s` seconds have passed. Returns the last state, or raises its
    error."""
    deadline, pause_s = clock() + within_s, 0.02
    while True:
        try:
            state = read()
            if state == wanted or clock() >= deadline:
                return state
        except LuckyHitError:
            if clock() >= deadline:
                raise
        sleep(min(pause_s, max(0.0, deadline - clock())))
        pause_s = min(2 * pause_s, 0.5)


def expect(state: str, wanted: str, where: str) -> None:
    """Raise GuardError unless the state before the change is the declared one."""
    if state != wanted:
        raise GuardError(
            f"before the change, {where} shows {shown(state)}; the case says {shown(wanted)} (change.before)",
            hint="Nothing was changed. Take the change back if it is in place already; else correct change.before or "
            "what change.verify reads.",
        )

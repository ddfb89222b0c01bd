"""What stops a run from outside: Ctrl-C, a scheduler's SIGTERM, a time limit; and the lock that allows only one run of
a case at a time."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from luckyhit.change.lock import held
from luckyhit.errors import NotEnoughData
from luckyhit.workflow.unattended.console import plain


class Interruptions:
    """Counts the requests to stop the run. `too_late`: the first was the time limit."""

    def __init__(self, limit_s: float | None = None) -> None:
        self.count = 0
        self.too_late = False
        self._limit_s = limit_s

    def note(self, signum: int, frame: object) -> None:
        """A signal's handler."""
        self.count += 1
        if self.count == 1:
            _say("stopping: rolling back (press Ctrl-C again to kill the run)")

    def expire(self) -> None:
        """The time limit is reached."""
        if self.count == 0:
            self.too_late = True
            self.count += 1
            _say(f"{self._reason()}: stopping, rolling back")

    def as_failure(self) -> dict[str, Any]:
        """For the manifest. The exit code is that of a run without enough data; 130 is for signals."""
        hint = "Allow more time (--timeout), or measure less (plan.baseline, plan.block, plan.blocks of the case)."
        return {"error": "TimeLimit", "message": self._reason(), "hint": hint, "exit_code": NotEnoughData.exit_code}

    def _reason(self) -> str:
        seconds = self._limit_s or 0.0
        limit = f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"
        return f"the time limit of {limit} (--timeout) was reached"


def _say(text: str) -> None:
    """Print below the bar on a terminal, or a dated line in a log."""
    if sys.stderr.isatty():
        print(f"\n{text}", file=sys.stderr, flush=True)
    else:
        plain(text)


@contextlib.contextmanager
def interruptions_of(limit_s: float | None = None) -> Iterator[Interruptions]:
    """Count Ctrl-C, SIGTERM and the time limit instead of raising KeyboardInterrupt."""
    counter = Interruptions(limit_s)
    previous = {number: signal.signal(number, counter.note) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = threading.Timer(limit_s, counter.expire) if limit_s is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield counter
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def one_at_a_time(runs_dir: Path, case: str) -> Iterator[None]:
    """Lock the case: two runs of it at the same time would disturb each other. Raises TargetBusy if another run holds
    the lock, which the system releases when the process ends."""
    with held([lock_of(runs_dir, case)], runs_dir):
        yield


def lock_of(runs_dir: Path, case: str) -> str:
    """Name of the lock that the runs of a case share."""
    return f"case {case} in {runs_dir.resolve()}"

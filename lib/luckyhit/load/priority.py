"""Being on time on a busy machine: the engine wants few, short turns, each of them at once.

Left to the ordinary scheduler, it would wait for the processes it measures, and for everybody else's, and call that
the service's latency. So it asks for a real-time turn (Linux; needs CAP_SYS_NICE, as root in a container mostly has),
else for a higher priority, else goes on as it is: the check after the block tells how late it was.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator

_NICE = -10
_RLIMIT_RTTIME = 15
_LONGEST_TURN_US = 500_000


@contextlib.contextmanager
def hurried() -> Iterator[str]:
    """Until it ends, this thread and those it starts come first. Yields what could be had, for a sentence."""
    if _real_time():
        try:
            yield "at real-time priority"
        finally:
            _ordinary()
        return
    raised = False
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        raised = True
    try:
        yield "at a raised priority" if raised else "at ordinary priority"
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)


def give_back(pid: int) -> None:
    """Let a process that this one started in a hurry take its turns like others."""
    with contextlib.suppress(OSError):
        if sys.platform == "linux":
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, pid, 0)


def _real_time() -> bool:
    """Ask for real-time turns of half a second at most: a longer one gives the priority back, since an engine at its
    limit must not starve the service that it measures."""
    if sys.platform != "linux":
        return False
    try:
        resource.setrlimit(_RLIMIT_RTTIME, (_LONGEST_TURN_US, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXCPU, lambda signum, frame: _ordinary())
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except (OSError, ValueError):
        return False
    return True


def _ordinary() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

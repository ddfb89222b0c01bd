"""Raise the engine's scheduling priority, so that it sends on time on a loaded machine.

At ordinary priority it would wait for the processes that it measures, and for all others, and call that the service's
latency. It asks for real-time priority (Linux; needs CAP_SYS_NICE, which root in a container mostly has), else for a
lower nice value, else goes on as it is: the check after the block shows how late it was.
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
def raised_priority() -> Iterator[str]:
    """Raise the priority of this thread and of those that it starts. Yields in words what it got."""
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


def reset_priority(pid: int) -> None:
    """Give a process that this one started at raised priority the ordinary one."""
    with contextlib.suppress(OSError):
        if sys.platform == "linux":
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, pid, 0)


def _real_time() -> bool:
    """Ask for real-time turns of half a second at most. After a longer one the engine returns to ordinary priority: at
    its limit, it must not starve the service that it measures."""
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

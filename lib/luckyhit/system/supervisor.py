"""A small process that runs one command and makes sure that none of its processes outlives its owner.

Run as a file (`python -I -S supervisor.py ...`, standard library only: it is up in about 20 ms), by
`luckyhit.system.process`. The owner holds the write end of a pipe, the *lease*. When the lease ends (the owner closed
it or died, even by SIGKILL), on SIGTERM, SIGHUP or SIGQUIT, or when the command ends by itself, all descendants of the
command are ended: SIGTERM, some seconds of grace, then SIGKILL until none is left.

On Linux the supervisor is a child subreaper (prctl(2)): it becomes the parent of a daemon that forks twice and calls
setsid, so every descendant stays in its tree. If the supervisor itself is killed, the kernel kills the command
(PR_SET_PDEATHSIG). Elsewhere the tree is found by parent and process group, which a daemon can leave.

    supervisor.py --lease FD --status FD --grace SECONDS -- COMMAND...

Lines written to the status pipe: `started PID`, or `failed ERRNO` (the command can't be run); `ended WAITSTATUS` when
the command has; `left PID...` for processes that not even SIGKILL ended; `done` at last. The exit status is the
command's; a signal that ended the command ends the supervisor too.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # importing typing would double the time this takes to start
if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# How often to check that the owner is still our parent: needed only where a fork of the owner holds the lease too.
_OWNER_CHECK_S = 1.0
_KILL_FOR_S = 10.0
_NOT_RUN = 127


class Supervisor:
    """One command, watched until it and all its descendants have ended."""

    def __init__(self, lease: int, status: int, grace_s: float) -> None:
        self.lease, self.status, self.grace_s = lease, status, grace_s
        self.owner = os.getppid()
        self.command = 0
        self.wait_status: int | None = None
        self.told_to_end = False
        for descriptor in (lease, status):
            os.set_inheritable(descriptor, False)
        self.wakeup, write_end = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who then decides
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in _ENDING:
            signal.signal(number, self._end)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.prctl = _prctl()
        if self.prctl is not None:
            self.prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def _end(self, *_: object) -> None:
        self.told_to_end = True

    def run(self, command: list[str]) -> int:
        """Run `command`, wait for its end or ours, and end its tree. Returns its wait status."""
        failure = self._spawn(command)
        if failure:
            self._report(f"failed {failure}")
            return _NOT_RUN << 8
        self._report(f"started {self.command}")
        lease_ended = False
        while not (self.told_to_end or lease_ended or os.getppid() != self.owner):
            self._reap()
            if self.wait_status is not None:
                break
            lease_ended = self._pause(_OWNER_CHECK_S, with_lease=True)
        self._end_tree()
        self._report("done")
        return self.wait_status if self.wait_status is not None else signal.SIGKILL

    def _spawn(self, command: list[str]) -> int:
        """Start the command in a session of its own. Returns the errno of an exec that failed, else 0."""
        read_end, write_end = os.pipe()  # closed by a successful exec
        supervisor = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, *_ENDING):
                    signal.signal(number, signal.SIG_DFL)
                if self.prctl is not None:
                    self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                    if os.getppid() != supervisor:  # it died before the line above took effect
                        os._exit(_NOT_RUN)
                os.execvp(command[0], command)
            except OSError as error:
                os.write(write_end, str(error.errno).encode())
            finally:
                os._exit(_NOT_RUN)
        os.close(write_end)
        failure = os.read(read_end, 16)
        os.close(read_end)
        self.command = child
        return int(failure or 0)

    def _reap(self) -> bool:
        """Reap exited children. Returns whether any are left; for a subreaper those are all descendants."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.command:
                self.wait_status = status
                self._report(f"ended {status}")

    def _end_tree(self) -> None:
        """SIGTERM once to every descendant, after the grace SIGKILL until none is left."""
        asked: set[int] = set()
        kill_at = time.monotonic() + self.grace_s
        while True:
            children = self._reap()
            alive = self._descendants()
            if not (children or alive):
                return
            now = time.monotonic()
            if now > kill_at + _KILL_FOR_S:
                self._report(" ".join(["left", *map(str, sorted(alive))]))
                return
            if now < kill_at:
                for pid in alive - asked:
                    _send(pid, signal.SIGTERM)
                    _send(pid, signal.SIGCONT)  # a stopped process gets the signal above only when it continues
                asked |= alive
                self._pause(min(0.02, kill_at - now))
            else:
                for pid in alive:
                    _send(pid, signal.SIGKILL)
                self._pause(0.005)

    def _descendants(self) -> set[int]:
        """Pids of all living descendants."""
        table = _process_table()
        descendants: set[int] = set()
        ours = {os.getpid()}
        while ours:
            ours = {pid for pid, (parent, group, _) in table.items() if pid not in descendants and parent in ours}
            descendants |= ours
        if self.prctl is None:
            descendants |= {pid for pid, (_, group, _) in table.items() if group == self.command}
        return {pid for pid in descendants if not table[pid][2]}

    def _pause(self, seconds: float, *, with_lease: bool = False) -> bool:
        """Wait until something happens. Returns whether the lease has ended."""
        watched = select.poll()
        watched.register(self.wakeup, select.POLLIN)
        if with_lease:
            watched.register(self.lease, select.POLLIN)
        events = watched.poll(max(1, int(seconds * 1000)))
        for descriptor, _ in events:
            if descriptor == self.wakeup:
                os.read(self.wakeup, 4096)
            elif not os.read(self.lease, 4096):
                return True
        return False

    def _report(self, line: str) -> None:
        try:  # noqa: SIM105 - nor contextlib
            os.write(self.status, f"{line}\n".encode())
        except OSError:
            pass  # the owner is gone


def _prctl() -> Callable[[int, int], int] | None:
    """prctl(option, argument), or None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes

        function = ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, OSError, AttributeError):
        return None
    unused = ctypes.c_ulong(0)
    return lambda option, argument: function(option, ctypes.c_ulong(argument), unused, unused, unused)


def _process_table() -> dict[int, tuple[int, int, bool]]:
    """(parent, process group, dead) of each visible process."""
    table: dict[int, tuple[int, int, bool]] = {}
    if os.path.exists("/proc/self/stat"):  # noqa: PTH110 - pathlib takes longer to import than all else here
        for name in os.listdir("/proc"):  # noqa: PTH208
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                        state, parent, group = file.read().rpartition(b")")[2].split()[:3]
                except (OSError, ValueError):
                    continue  # gone meanwhile
                table[int(name)] = int(parent), int(group), state in (b"Z", b"X")
        return table
    import subprocess

    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,state="]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listing:
        for line in listing.communicate()[0].splitlines():
            pid, *numbers, flags = line.split()
            table[int(pid)] = int(numbers[0]), int(numbers[1]), flags.startswith("Z")
        table.pop(listing.pid, None)
    return table


def _send(pid: int, number: int) -> None:
    try:  # noqa: SIM105
        os.kill(pid, number)
    except OSError:
        pass  # gone meanwhile, or not ours to signal


def _exit_like(status: int) -> None:
    """End like the command, without a second core dump."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    os._exit(128 - code)


def main(arguments: list[str]) -> None:
    options, command = arguments[:6], arguments[7:]
    if options[0::2] != ["--lease", "--status", "--grace"] or arguments[6:7] != ["--"] or not command:
        sys.exit("usage: supervisor.py --lease FD --status FD --grace SECONDS -- COMMAND...")
    supervisor = Supervisor(int(options[1]), int(options[3]), float(options[5]))
    _exit_like(supervisor.run(command))


if __name__ == "__main__":
    main(sys.argv[1:])

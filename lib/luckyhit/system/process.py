"""One supervised command, from its owner's side: started, watched, and ended with all its descendants. And its log."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import psutil

from luckyhit.errors import TargetError
from luckyhit.scrub.characters import visible
from luckyhit.scrub.redactor import Redactor

MARKER = "LUCKYHIT_SUPERVISED"
"""Environment variable of every process that we start: the path of its log and a token of its tree. The tree can be
found by it where the supervisor was killed; `luckyhit revert` finds processes by the path."""

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_SPAWN_WITHIN_S = 60.0
_KILL_WITHIN_S = 15.0
_LOG_WINDOW_BYTES = 64 * 1024
_LONGEST_LINE = 500

# The leases of this process. A child forked without exec (multiprocessing) would hold them too, and the supervisors
# would not notice our death, so it closes them first. The lock keeps another thread from forking between the making of
# a pipe and its registration here.
_leases: weakref.WeakSet[io.FileIO] = weakref.WeakSet()
_lease_lock = threading.Lock()


def _after_fork_in_child() -> None:
    for lease in list(_leases):
        with contextlib.suppress(OSError):
            lease.close()
    _lease_lock.release()


os.register_at_fork(
    before=_lease_lock.acquire,
    after_in_parent=_lease_lock.release,
    after_in_child=_after_fork_in_child,
)


class SupervisedProcess:
    """A command that runs under `luckyhit.system.supervisor`, in a session of its own, with its output in `log` (its
    standard output in `output`, where that is given).

    It ends with all its descendants on `stop()`, when this object is garbage collected, and when this process dies in
    any way. Raises TargetError where the command can't be run.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        grace_s: float = 5.0,
        output: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log.resolve()
        self.grace_s = grace_s
        self._owner = os.getpid()
        self.command_pid: int | None = None
        self.left: list[int] = []
        self._token = f"{self.log}#{secrets.token_hex(8)}"
        self._wait_status: int | None = None
        self._done = False
        self._unread = b""
        self._lock = threading.RLock()
        with _lease_lock:
            lease_end, lease_fd = os.pipe()
            self._lease = io.FileIO(lease_fd, "w")
            _leases.add(self._lease)
        status_fd, status_end = os.pipe()
        self._status = io.FileIO(status_fd, "r")
        options = ["--lease", str(lease_end), "--status", str(status_end), "--grace", f"{grace_s:g}"]
        try:
            self.log.touch(mode=0o600)  # it may hold what others should not read
            with self.log.open("ab") as errors, output.open("wb") if output else nullcontext(errors) as answers:
                self._supervisor = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_SUPERVISOR), *options, "--", *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=answers,
                    stderr=errors,
                    cwd=cwd,
                    env={**env, MARKER: self._token},
                    pass_fds=(lease_end, status_end),
                    start_new_session=True,
                )
        except BaseException:
            self._lease.close()
            self._status.close()
            raise
        finally:
            os.close(lease_end)
            os.close(status_end)
        try:
            self._await_start()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Pid of the supervisor: the root of the tree, with every descendant of the command below it (on Linux)."""
        return self._supervisor.pid

    @property
    def returncode(self) -> int | None:
        """The command's exit code, negative for a signal that ended it; None while it runs."""
        with self._lock:
            if self._wait_status is None and not self._done:
                self._listen(0)
            if self._wait_status is not None:
                return os.waitstatus_to_exitcode(self._wait_status)
            return self._supervisor.poll()

    @property
    def alive(self) -> bool:
        return self.returncode is None

    @property
    def ending(self) -> str:
        """How the command ended, in words."""
        code = self.returncode
        if code is None:
            return "still runs"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    def stop(self) -> None:
        """End the command and all its descendants: SIGTERM, after `grace_s` seconds SIGKILL. May be repeated.

        Raises TargetError, with their pids, where processes can't be ended. In a fork of its owner it does nothing.
        """
        if os.getpid() != self._owner:
            return
        self._lease.close()  # the supervisor does the rest
        deadline = time.monotonic() + self.grace_s + _KILL_WITHIN_S
        while self._listen_locked(0.1):
            if time.monotonic() > deadline:
                self._supervisor.kill()
                break
        self._supervisor.wait()
        with self._lock:
            if not self._done:
                while self._listen(0):
                    pass
            if not self._done:
                self._sweep()  # the supervisor was killed before it could end the tree
                self._done = True
            self._status.close()
        left = [pid for pid in self.left if psutil.pid_exists(pid)]
        if left:
            pids = " ".join(map(str, left))
            raise TargetError(f"processes could not be ended: {pids}", hint=f"End them by hand: kill -9 {pids}")

    def _await_start(self) -> None:
        deadline = time.monotonic() + _SPAWN_WITHIN_S
        while self.command_pid is None and not self._done:
            if time.monotonic() > deadline or not self._listen(0.5):
                break
        if self.command_pid is None:
            raise TargetError(
                f"{self.command[0]!r} could not be started: its supervisor ended first",
                hint=f"Look at {self.log.name} in {self.log.parent}.",
            )

    def _listen_locked(self, patience_s: float) -> bool:
        with self._lock:
            return self._listen(patience_s)

    def _listen(self, patience_s: float) -> bool:
        """Read what the supervisor reports. Returns False once nothing more can come."""
        if self._status.closed:
            return False
        if not select.select([self._status], [], [], patience_s)[0]:
            return patience_s > 0
        data = os.read(self._status.fileno(), 4096)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            word, *numbers = line.decode().split()
            if word == "started":
                self.command_pid = int(numbers[0])
            elif word == "failed":
                self._done = True
                raise _cannot_run(self.command[0], int(numbers[0]))
            elif word == "ended":
                self._wait_status = int(numbers[0])
            elif word == "left":
                self.left = [int(number) for number in numbers]
            elif word == "done":
                self._done = True
        return bool(data)

    def _sweep(self) -> None:
        """Kill what is left of the tree: the command's session, and every process that carries its marker."""
        deadline = time.monotonic() + _KILL_WITHIN_S
        pause = threading.Event()
        while members := self._members():
            self.left = [process.pid for process in members]
            if time.monotonic() > deadline:
                return
            for process in members:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            pause.wait(0.02)
        self.left = []

    def _members(self) -> list[psutil.Process]:
        members = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                    continue
                in_session = self.command_pid is not None and os.getsid(process.pid) == self.command_pid
                if in_session or process.environ().get(MARKER) == self._token:
                    members.append(process)
        return members


def _cannot_run(program: str, number: int) -> TargetError:
    return TargetError(
        f"{program!r} could not be run: {os.strerror(number)}",
        hint="Check that the file and its interpreter (first line) exist, and that you may execute it.",
    )


def tail(path: Path, count: int, *, offset: int = 0, redactor: Redactor | None = None) -> list[str]:
    """The last `count` lines of a log, from byte `offset` on: secrets scrubbed, control characters visible, long lines
    cut. Empty where there is no log."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            start = max(offset, end - _LOG_WINDOW_BYTES)
            file.seek(start)
            data = file.read(end - start)
    except OSError:
        return []
    text = (redactor or Redactor()).secrets(data.decode("utf-8", errors="backslashreplace"))
    lines = text.replace("\r\n", "\n").split("\n")
    if start > offset and len(lines) > 1:
        del lines[0]  # it is cut off
    lines = [printable(line) for line in lines if line.strip()]
    return lines[-count:] if count > 0 else []


def printable(line: str) -> str:
    """A line without the power of control and direction characters; of a long line only the end."""
    cut = "…" if len(line) > _LONGEST_LINE else ""
    return cut + visible(line[-_LONGEST_LINE:].rstrip().replace("\t", "    ")).replace("\r", "␍")

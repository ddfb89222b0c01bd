"""A small process around one `luckyhit run`: it stops the run, which then rolls back, when its owner is gone.

Run as a file (`python keeper.py FOLDER`; standard library and psutil, so that it is up in some 50 ms). The owner (a
worker, or the command line) holds the write end of its standard input, the *lease*. The run is asked to stop (SIGTERM)

- when the lease ends: the owner was killed, or its machine's scheduler ended it,
- when the owner writes `s` (somebody stopped the fleet) or the keeper gets SIGTERM,
- when it is past its own time limit by more than its grace.

A run that does not end within its grace is killed with all its processes, and so it is when the owner writes `k`. Then
what it left is rolled back from its journal (`luckyhit.fleet.settling`). If the keeper itself is killed, the run gets
SIGTERM by the kernel (PR_SET_PDEATHSIG, Linux) and rolls back alone.

The lock on `held` is shared with the run, so it is free once both are gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_PDEATHSIG = 1
_LEASE = 0
_TICK_S = 0.5
_SETTLE_WITHIN_S = 300.0


class Keeper:
    """One attempt, from the start of its run to its outcome."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.request: dict[str, Any] = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        self.held = (folder / "held").open("a")
        fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (folder / "outcome.json").exists():
            raise SystemExit("somebody settled this attempt before it began")
        self.stopped: str | None = None
        self.asked = False
        self.began = self.stop_by = 0.0
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGHUP, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wakeup = read_end

    def _ask(self, *_: object) -> None:
        self.asked = True

    def keep(self) -> int:
        """Start the run, wait for its end, write the outcome. Returns the keeper's own exit status."""
        self.began = time.monotonic()
        began_at = time.time()
        with (self.folder / "output").open("wb") as output, (self.folder / "log").open("ab") as log:
            run = subprocess.Popen(
                self.request["command"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                cwd=self.request["cwd"],
                start_new_session=True,
                pass_fds=[self.held.fileno()],
                preexec_fn=_die_with_parent,
            )
        started = {"pid": run.pid, "keeper": os.getpid(), "at": began_at}
        (self.folder / "started.json").write_text(json.dumps(started), encoding="utf-8")
        lease_open = True
        while run.poll() is None:
            lease_open = self._look(lease_open, run)
        seconds = time.monotonic() - self.began
        killed = self.stopped == "killed" or run.returncode < 0
        if killed:
            self.stopped = "killed" if self.stopped in (None, "lease") else self.stopped
            return self._settle(seconds)
        answer = _json(self.folder / "output")
        self._write(
            {
                "exit_code": run.returncode,
                "run": answer.get("run") or "",
                "reason": answer.get("reason") or ("" if answer else _tail(self.folder / "log")),
                "hint": answer.get("hint") or "",
                "report": Path(answer.get("report") or "").name,
                "result": answer.get("result"),
                "stopped": self.stopped,
                "changed": None,
                "seconds": seconds,
                "host": socket.gethostname(),
            }
        )
        return 0

    def _look(self, lease_open: bool, run: subprocess.Popen[bytes]) -> bool:
        """Wait for news, at most a tick, and act on them. Returns whether the lease is still open."""
        ready, _, _ = select.select([self.wakeup, *([_LEASE] if lease_open else [])], [], [], _TICK_S)
        if self.wakeup in ready:
            os.read(self.wakeup, 4096)
        words = os.read(_LEASE, 64) if _LEASE in ready else None
        if words is not None and b"k" in words:
            self._kill(run)
        elif self.stopped is None and (words == b"" or words is not None or self.asked):
            self._stop("lease" if words == b"" else "asked", run)
        now, limit_s = time.monotonic(), self.request.get("timeout_s")
        if self.stopped is None and limit_s and now - self.began > limit_s + self.request["grace_s"]:
            self._stop("time-limit", run)
        if self.stopped is not None and now > self.stop_by:
            self._kill(run)
        return lease_open and words != b""

    def _stop(self, why: str, run: subprocess.Popen[bytes]) -> None:
        self.stopped = why
        self.stop_by = time.monotonic() + self.request["grace_s"]
        with contextlib.suppress(ProcessLookupError):
            run.send_signal(signal.SIGTERM)

    def _kill(self, run: subprocess.Popen[bytes]) -> None:
        """Kill the run and all below it; services of the run end with the processes that hold them."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(run.pid).children(recursive=True)
        if self.stopped in (None, "lease", "asked"):
            self.stopped = "killed"
        run.kill()
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        run.wait()

    def _settle(self, seconds: float) -> int:
        """Have what the killed run left rolled back, in the run's own Python; that writes the outcome."""
        words = [*self.request["settle"], str(self.folder), "--held", f"--seconds={seconds:.3f}"]
        words += [f"--stopped={self.stopped}"]
        with (self.folder / "log").open("ab") as log, contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.request["cwd"],
                           timeout=_SETTLE_WITHIN_S, start_new_session=True, check=False)  # fmt: skip
        return 0

    def _write(self, outcome: dict[str, Any]) -> None:
        temporary = self.folder / f".outcome.{os.getpid()}.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(outcome, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / "outcome.json")


def _die_with_parent() -> None:
    """In the new process: the kernel sends it SIGTERM when the keeper dies, so that it rolls back."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _json(path: Path) -> dict[str, Any]:
    """What the run printed; nothing where that is no JSON object."""
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _tail(path: Path) -> str:
    """The end of the log, for a run that printed nothing."""
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")[-1000:].strip()
    return ""


if __name__ == "__main__":
    sys.exit(Keeper(Path(sys.argv[1])).keep())

"""A run as a program of its own, and its death: of all its processes at once, or of its main one alone."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
from crash_world import World
from scenarios import ENVIRONMENT, Scenario

Whom = Literal["tree", "main"]
DRIVER = Path(__file__).with_name("driver.py")
_HANGS_AFTER_S = 120.0
_GONE_WITHIN_S = 30.0


@dataclass(frozen=True)
class Moment:
    """Right before or right after the journal gets its line `number`."""

    number: int
    side: Literal["before", "after"]
    event: str = ""
    of: str = ""

    def __str__(self) -> str:
        return f"{self.side} line {self.number} ({self.event} {self.of})"


@dataclass
class Victim:
    """A started driver. `run` is its run directory, once there is one; `told` what it said."""

    world: World
    process: subprocess.Popen[str]
    run: Path | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    members: list[psutil.Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def upto(self, moment: Moment | None) -> bool:
        """Let it go on until that moment, or to its end (None). Returns whether it got there."""
        if moment is None:
            return not self._upto({"step": None})
        return self._upto({"step": moment.number, "side": moment.side})

    def upto_event(self, event: str, of: str, side: str) -> bool:
        """The same, for the first line of its kind in the journal."""
        return self._upto({"event": event, "of": of, "side": side})

    def _upto(self, wanted: dict[str, Any]) -> bool:
        if self.events:
            self._go_on()
        while line := self._lines.get(timeout=_HANGS_AFTER_S):
            event = self._hear(line)
            if event.items() >= wanted.items():
                return True
            self._go_on()
        self.process.wait(_HANGS_AFTER_S)
        return False

    def live_for(self, seconds: float) -> None:
        """Let it run for that long (or to its end), from its start."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, self.started + seconds - time.monotonic()))

    def kill(self, whom: Whom = "tree") -> None:
        """End it by SIGKILL, and bury it. `tree`: none of its processes does anything after the first one's death.
        `main`: the way in which the kernel ends what takes too much memory; the others notice. One that has ended by
        itself is only buried."""
        if self.process.poll() is None:
            self._kill(whom)
        self.process.wait()
        self._reader.join()
        while not self._lines.empty():
            if line := self._lines.get():
                self._hear(line)
        if whom == "tree":
            for member in self.members:
                with contextlib.suppress(psutil.TimeoutExpired):
                    member.wait(_GONE_WITHIN_S)

    def _kill(self, whom: Whom) -> None:
        main = psutil.Process(self.process.pid)
        with contextlib.suppress(psutil.Error):
            main.suspend()
            self.members = list(_stopped(main)) if whom == "tree" else main.children(recursive=True)
        for member in [main, *self.members] if whom == "tree" else [main]:
            with contextlib.suppress(psutil.Error):
                member.kill()

    def left_running(self) -> list[str]:
        """Command lines of what it started, and of whatever names its project, that is still there."""
        project, ours = str(self.world.project), {os.getpid(), *self.world.pids()}
        members = {process.pid for process in self.members if process.is_running()}
        lines = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid in ours or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                words = " ".join(process.cmdline())
                if process.pid in members or project in words or process.cwd().startswith(project):
                    lines.append(f"{process.pid} {words}")
        return lines

    def _go_on(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def _hear(self, line: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(line)
        self.events.append(event)
        if "run" in event:
            self.run = Path(event["run"])
        return event

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")


def _stopped(main: psutil.Process) -> Iterator[psutil.Process]:
    """All descendants, stopped; what a child started while it was being stopped, too."""
    seen: set[psutil.Process] = set()
    while new := [process for process in main.children(recursive=True) if process not in seen]:
        for process in new:
            seen.add(process)
            with contextlib.suppress(psutil.Error):
                os.kill(process.pid, signal.SIGSTOP)
                yield process


def start(world: World, *words: str, steps: bool = False, light: bool = False) -> Victim:
    """Start the driver with these words. `steps`: it stops at every line that the journal gets; `light`: without load
    (see driver.py)."""
    # A compiled module that is cut by a kill, or by a limit on the length of files, spoils the next import of it.
    env = {
        **world.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        **({"CRASH_STEPS": "1"} if steps else {}),
        **({"CRASH_LIGHT": "1"} if light else {}),
    }
    with (world.project / "driver.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(world.project), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env, cwd=world.project,
            start_new_session=True,
        )  # fmt: skip
    return Victim(world, process)


def start_run(world: World, scenario: Scenario, *, steps: bool = False, light: bool = False) -> Victim:
    environment = [ENVIRONMENT] if scenario.live else []
    return start(world, "measure", str(scenario.write(world)), *environment, steps=steps, light=light)

"""A copy of the project to try its documentation in: nothing there is anybody's but the test's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from shell_blocks import ROOT

from luckyhit import change as changing
from luckyhit.case import load_case
from luckyhit.system import Stack

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "runs", "*.html", "tests"
)


@dataclass
class Copy:
    """A reader's own copy of the project, and their shell in it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def give(self, command: str, *, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Give one command, in the project's directory. What it exports holds for those that follow."""
        script = f'{command}\nstatus=$?\nenv -0 > "{self.root}/.env-after"\nexit $status'
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=timeout_s, cwd=self.root, env=self.env
        )
        if command.startswith(("export ", ". ")):
            pairs = (self.root / ".env-after").read_text().split("\0")
            self.env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done

    def start(self, command: str, *, within_s: float = 60) -> bool:
        """The same for one that goes on, in a terminal of its own; returns whether it listens on the port that the
        command names."""
        named = re.search(r"--port (\d+)", command)
        assert named is not None, f"{command} names no port"
        script = f"exec {command}" if "=" not in command.split()[0] else command
        process = subprocess.Popen(
            ["bash", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd=self.root, env=self.env,
            start_new_session=True,
        )  # fmt: skip
        self.background.append(process)
        pause, deadline = threading.Event(), time.monotonic() + within_s
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", int(named[1])), timeout=1):
                return True
            pause.wait(0.05)
        return False

    def stop(self) -> None:
        for process in reversed(self.background):
            os.killpg(process.pid, 15)
            process.wait(20)


def make_copy(folder: Path) -> Copy:
    root = folder / "lucky-hit"
    shutil.copytree(ROOT, root, ignore=NOT_COPIED, symlinks=True)
    # As `make setup` leaves it: the tests run in an environment that it made, or in one like it.
    (root / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():  # all of it: by pyvenv.cfg the interpreter finds its packages
        (root / ".venv" / part.name).symlink_to(part)
    (root / ".venv" / ".ready").touch()
    env = {**os.environ, "PYTHONPATH": str(root / "lib"), "LUCKYHIT_LOCKS": str(folder / "locks"), "HOME": str(folder)}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return Copy(root, env)


@contextmanager
def served_shop(copy: Copy) -> Iterator[str]:
    """The shop of the tutorial, running with a cache of its own; its address."""
    case = load_case(copy.root / "docs" / "examples" / "shop" / "stale-stock.yml")
    workdir = copy.root.parent / "shop"
    workdir.mkdir()
    stack = Stack(case, "shop", workdir, project=copy.root)
    stack.settings = changing.settings_of(stack, "before")
    with stack:
        yield stack.base_url

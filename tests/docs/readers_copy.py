"""A copy of the project to try its documentation in: nothing there is anybody's but the test's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shell_blocks import ROOT

from luckyhit import change as changing
from luckyhit.case import load_case
from luckyhit.target import Stack

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "runs", "*.html", "tests"
)
READY = re.compile(r"Uvicorn running on|Ready to accept connections")
"""What the services of the pages say when they listen."""


@dataclass
class Copy:
    """A reader's own copy of the project, and their shell in it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    background: list[subprocess.Popen[str]] = field(default_factory=list)

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
        """The same for one that goes on, in a terminal of its own; returns whether it said that it is ready."""
        script = f"exec {command}" if "=" not in command.split()[0] else command
        process = subprocess.Popen(
            ["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.root,
            env={**self.env, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
        )  # fmt: skip
        self.background.append(process)
        over, said = threading.Event(), []

        def read() -> None:
            for line in process.stdout or ():  # to its end, so that it can always write
                if READY.search(line):
                    said.append(line)
                    over.set()
            over.set()

        threading.Thread(target=read, daemon=True).start()
        over.wait(within_s)
        return bool(said)

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

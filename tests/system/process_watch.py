"""Watching processes: are they there, are they gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
LIB = HERE.parents[1] / "lib"
FAMILY = ("first", "child", "ignoring", "setsid", "daemon")


def eventually(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Wait until `condition` holds, and give what it returned. The deadline only ends a test that has failed."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came true: {condition}"
        pause.wait(0.01)
    return found


def runs(pid: int) -> bool:
    """Whether a process is there, and no zombie that only its parent could bury."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_gone(pids: list[int]) -> None:
    eventually(lambda: not any(map(runs, pids)))


def family(folder: Path) -> list[int]:
    """The pids of `family_tree.py`, once all of them are there."""
    eventually(lambda: all((folder / name).exists() for name in FAMILY))
    return [int((folder / name).read_text()) for name in FAMILY]

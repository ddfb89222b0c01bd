"""Watching processes: are they there, are they gone."""

from __future__ import annotations

from pathlib import Path

import psutil

from waiting import eventually

HERE = Path(__file__).parent
LIB = HERE.parents[1] / "lib"
FAMILY = ("first", "child", "ignoring", "setsid", "daemon")


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

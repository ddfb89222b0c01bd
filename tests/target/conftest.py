from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from luckyhit.case.model import Case
from luckyhit.target import Settings, Stack

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


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Run Python code as a process of its own, in a process group of its own: one that owns what it starts."""
    with contextlib.ExitStack() as started:

        def run(code: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": f"{LIB}{os.pathsep}{HERE}"},
                process_group=0,
            )
            started.enter_context(process)
            started.callback(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
            return process

        yield run


def case_document(*how: str, start: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """A whole case whose service is `shop_service.py`; `start` and `parts` replace fields."""
    document: dict[str, Any] = {
        "title": "Prices are old",
        "owner": {"name": "Shop", "contact": "#shop"},
        "route": "GET /products/{id}",
        "input": "A product's number.",
        "suspect": "SELECT price FROM product",
        "noticed": "The product page.",
        "expected": {"result": "The new price.", "response": {"status": 200}},
        "hypothesis": "The wrong key is deleted.",
        "failure_mode": "More misses.",
        "assumptions": ["One cache."],
        "change": {"kind": "none", "what": "Nothing."},
        "cache": {"clear": ["product:{id}"]},
        "rollback": {"note": "Nothing to do.", "notice": "Nothing to see."},
        "target": {
            "start": {
                "command": ["{python}", "-S", str(HERE / "shop_service.py"), "{port}", *how],
                "env": {"SHOP_CACHE": "{cache_url}", "SHOP_FILES": "{workdir}/files", "SHOP_TTL": "30"},
                **(start or {}),
            }
        },
        "workload": {
            "seed": 7,
            "rate": "20/s",
            "routes": [{"name": "detail", "path": "/products/{key}", "keys": {"first": 1, "last": 9}}],
        },
        "goals": {"hit_ratio": {"want": "better", "margin": "2 %"}},
        "design": "crossover",
    }
    return {**document, **parts}


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """`make_stack(*how, name=..., settings=..., environ=..., start={...}, **parts of the case)`; stopped at the end."""
    with contextlib.ExitStack() as made:

        def make(
            *how: str,
            name: str = "before",
            settings: Settings = Settings(),
            environ: dict[str, str] | None = None,
            **parts: Any,
        ) -> Stack:
            case = Case.model_validate(case_document(*how, **parts))
            environ = {"PATH": os.environ["PATH"], **(environ or {})}
            stack = Stack(
                case, name, tmp_path / "work" / name, project=tmp_path, settings=settings, environ=environ
            )
            made.callback(stack.stop)
            return stack

        yield make

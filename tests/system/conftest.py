from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process_watch import HERE, LIB

import world
from luckyhit.case.model import Case
from luckyhit.system import Settings, Stack

AS_DECLARED = Settings()


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
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (LIB, HERE, HERE.parent)))},
                process_group=0,
            )
            started.enter_context(process)
            started.callback(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
            return process

        yield run


def case_document(*how: str, start: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """A whole case whose service is `shop_service.py`; `start` and `parts` replace fields."""
    own: dict[str, Any] = {
        "change": {"kind": "none", "what": "Nothing."},
        "cache": {"clear": ["product:{id}"]},
        "target": {
            "start": {
                "command": ["{python}", "-S", str(HERE / "shop_service.py"), "{port}", *how],
                "env": {"SHOP_CACHE": "{cache_url}", "SHOP_FILES": "{workdir}/files", "SHOP_TTL": "30"},
                **(start or {}),
            }
        },
        "design": "crossover",
    }
    return world.case(**{**own, **parts})


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """`make_stack(*how, name=..., settings=..., environ=..., start={...}, **parts of the case)`; stopped at the end."""
    with contextlib.ExitStack() as made:

        def make(
            *how: str,
            name: str = "before",
            settings: Settings = AS_DECLARED,
            environ: dict[str, str] | None = None,
            grace_s: float = 5.0,
            **parts: Any,
        ) -> Stack:
            case = Case.model_validate(case_document(*how, **parts))
            environ = {"PATH": os.environ["PATH"], **(environ or {})}
            stack = Stack(
                case,
                name,
                tmp_path / "work" / name,
                project=tmp_path,
                settings=settings,
                environ=environ,
                grace_s=grace_s,
            )
            made.callback(stack.stop)
            return stack

        yield make

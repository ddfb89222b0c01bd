from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process_watch import Owner
from shop_case import case_document

from luckyhit.case.model import Case
from luckyhit.system import Settings, Stack

AS_DECLARED = Settings()


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[..., Owner]]:
    """`owner(do)`: a process, in a process group of its own, that calls `do()` in `tmp_path`."""
    with contextlib.ExitStack() as started:

        def run(do: Callable[[], object]) -> Owner:
            process = Owner(do, tmp_path)
            started.callback(process.close)
            return process

        yield run


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

        make.close = made.close  # type: ignore[attr-defined]
        yield make

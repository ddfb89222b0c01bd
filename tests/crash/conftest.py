from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from crash_world import LOCKS_ENV, World


@pytest.fixture
def new_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], World]]:
    """`new_world()` starts another one; all are stopped at the end."""
    locks = tmp_path / "locks"
    monkeypatch.setenv(LOCKS_ENV, str(locks))
    with ExitStack() as running:
        numbers = iter(range(1000))
        yield lambda: running.enter_context(World(tmp_path / f"{next(numbers)}", locks))


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()

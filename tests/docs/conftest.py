"""What the tests of the documentation share: a copy of the project to try it in, and runs made from a seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "report"))  # synthetic_run, and what it needs

from readers_copy import Copy, make_copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    made = make_copy(tmp_path_factory.mktemp("reader"))
    yield made
    made.stop()

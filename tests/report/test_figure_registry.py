"""FIGURES is complete: a module that draws has a row, a row has all its parts, and notebooks ask for rows that exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from luckyhit.report import figures
from luckyhit.report.figures.figure_rows import FIGURES
from luckyhit.report.recorded import Recorded

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_each_module_that_draws_has_one_row() -> None:
    modules = [import_module(f"{figures.__name__}.{found.name}") for found in iter_modules(figures.__path__)]
    drawing = [module for module in modules if hasattr(module, "draw")]
    assert sorted(row.module.__name__ for row in FIGURES.values()) == sorted(module.__name__ for module in drawing)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FIGURES)
def test_each_row_has_all_its_parts(name: str) -> None:
    row = FIGURES[name]
    numbers = row.module.data(Recorded())
    assert row.id == name and row.title
    assert row.module.is_empty(numbers) and row.module.say(numbers, None)


def test_notebooks_ask_for_figures_that_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS.glob("*.ipynb"))
    asked = set(re.findall(r"""\.figure\(['"\\]+([a-z-]+)""", text))
    assert asked and asked <= set(FIGURES)

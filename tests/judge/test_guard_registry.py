"""GUARDS is complete: each guard of the judge has one row, under its own id, with a line in the docs."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import CodeType
from typing import Any

import pytest

from luckyhit.judge import GUARDS, guards
from luckyhit.records import Guard
from luckyhit.text.messages import guard_title

TROUBLE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
IDS = {row.id for row in GUARDS}


def names_in(code: CodeType) -> set[str]:
    return {*code.co_names, *(name for part in code.co_consts if isinstance(part, CodeType) for name in names_in(part))}


def test_ids_are_unique() -> None:
    assert len(IDS) == len(GUARDS)


def test_each_guard_function_has_a_row() -> None:
    modules = [import_module(f"{guards.__name__}.{found.name}") for found in iter_modules(guards.__path__)]
    functions = {
        name
        for module in modules
        for name, value in vars(module).items()
        if name.endswith("_guard") and not name.startswith("_") and value.__module__ == module.__name__
    }
    asked = set().union(*(names_in(row.look.__code__) for row in GUARDS))
    assert len(functions) > 10 and functions <= asked


@pytest.mark.parametrize("row", GUARDS, ids=lambda row: row.id)
def test_each_row_is_in_the_docs(row: Any) -> None:
    cells = re.findall(r"^\| (`.+?) \|", TROUBLE.read_text(encoding="utf-8"), re.M)
    titles = re.findall(r"`([^`]+)`", " ".join(cells))
    assert guard_title(row.id) in titles


@pytest.mark.parametrize("design", ["side-by-side", "crossover", "before-after"])
def test_guards_of_a_result_come_in_the_order_of_their_rows(design: str, simulate: Any, case_with: Any) -> None:
    run = simulate(1, design=design, blocks=4, seconds=2.0)
    goals = {"hit_ratio": {"want": "better", "margin": "5 %"}}
    result = run.judge(case_with(goals, design=design))
    found = [guard.id for guard in result.guards if guard not in run.guards]
    order = [row.id for row in GUARDS]
    assert set(found) <= set(order) and found == sorted(found, key=order.index)
    assert ("no-carry-over" in found) is (design == "crossover")
    assert all(isinstance(guard, Guard) and (guard.ok or guard.remedy) for guard in result.guards)

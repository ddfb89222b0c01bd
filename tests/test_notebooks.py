"""The notebooks as they are kept: clean, short, parameterised, and free of anything that belongs in the library."""

import ast
import importlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import papermill
import pytest

from luckyhit.judge import judge
from luckyhit.project import EXPLORE, NOTEBOOKS
from luckyhit.workflow.workbook import PARAMETERS

ROOT = Path(__file__).parents[1]
EVERY = (*NOTEBOOKS, EXPLORE)
OF_EXPLORE = {"run", "case", "other", "runs_dir"}
QUESTIONS = 10


@pytest.fixture
def make_run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "report"))
    return importlib.import_module("synthetic_run").make_run


def notebook(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", EVERY)
def test_it_is_kept_without_outputs(name: str) -> None:
    for cell in notebook(name).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.parametrize("name", EVERY)
def test_cells_are_short_and_hold_no_logic(name: str) -> None:
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.With, ast.Try)
    for cell in notebook(name).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 8
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, forbidden)]


@pytest.mark.parametrize("name", EVERY)
def test_papermill_lists_its_typed_parameters_with_help(name: str) -> None:
    inferred = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
    # Which environment may be changed, if anything at all, is said when a run is made.
    of_a_step = PARAMETERS if name == "1-baseline" else PARAMETERS - {"environment", "observe", "diagnose"}
    assert set(inferred) == (OF_EXPLORE if name == EXPLORE else of_a_step)
    for parameter in inferred.values():
        assert parameter["inferred_type_name"] == ("bool" if parameter["name"] in ("observe", "diagnose") else "str")
        assert len(parameter["help"]) > 20


@pytest.mark.parametrize("name", EVERY)
def test_it_names_no_machine_of_ours(name: str) -> None:
    text = json.dumps(notebook(name))
    assert "/home/" not in text and "/root/" not in text
    assert notebook(name).metadata.kernelspec.name == "python3"


def test_explore_has_ten_questions_of_three_lines() -> None:
    cells = notebook(EXPLORE).cells
    asked = [(title, cell) for title, cell in pairwise(cells) if re.match(r"## \d+ · .+\?", title.source)]
    assert [title.source.split()[1] for title, _ in asked] == [str(number) for number in range(1, QUESTIONS + 1)]
    assert all(cell.cell_type == "code" and 2 <= len(cell.source.splitlines()) <= 3 for _, cell in asked)


@pytest.mark.parametrize(("stages", "probes"), [(("baseline", "change", "after-rollback"), 20), (("baseline",), 0)])
def test_each_question_has_an_answer(stages: tuple[str, ...], probes: int, tmp_path: Path, make_run: Any) -> None:
    """On a whole run and on a baseline alone, with a probe and without one."""
    run = make_run(tmp_path, stages=stages, probes=probes)
    run.write_result(judge(run))
    names = {"run": str(run.path), "case": "", "other": "", "runs_dir": ""}
    answers = []
    for cell in notebook(EXPLORE).cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            *statements, last = ast.parse(cell.source).body
            exec(compile(ast.Module(statements, []), EXPLORE, "exec"), names)
            answers.append(eval(compile(ast.Expression(last.value), EXPLORE, "eval"), names))
    first, *of_questions = answers
    assert run.id in repr(first) and len(of_questions) == QUESTIONS
    *frames, compared = of_questions
    assert all(isinstance(frame, pd.DataFrame) for frame in frames) and run.id in repr(compared)
    assert all(len(frame) for number, frame in enumerate(frames, 1) if number not in (3, 9)), "3: a probe; 9: counters"

"""The notebooks as they are kept: clean, short, parameterised, and free of anything that belongs in the library."""

import ast
import json
from pathlib import Path

import nbformat
import papermill
import pytest

from luckyhit.project import NOTEBOOKS
from luckyhit.workflow.workbook import PARAMETERS

ROOT = Path(__file__).parents[1]


def notebook(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_kept_without_outputs(name: str) -> None:
    for cell in notebook(name).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_are_short_and_hold_no_logic(name: str) -> None:
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.With, ast.Try)
    for cell in notebook(name).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 8
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, forbidden)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_papermill_lists_its_typed_parameters_with_help(name: str) -> None:
    inferred = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
    # Which environment may be changed, if anything at all, is said when a run is made.
    assert set(inferred) == (
        PARAMETERS if name == "1-baseline" else PARAMETERS - {"environment", "observe", "diagnose"}
    )
    for parameter in inferred.values():
        assert parameter["inferred_type_name"] == ("bool" if parameter["name"] in ("observe", "diagnose") else "str")
        assert len(parameter["help"]) > 20


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_names_no_machine_of_ours(name: str) -> None:
    text = json.dumps(notebook(name))
    assert "/home/" not in text and "/root/" not in text
    assert notebook(name).metadata.kernelspec.name == "python3"

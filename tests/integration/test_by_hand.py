"""The notebooks without `luckyhit run`: by plain papermill from any directory, and cell by cell as in JupyterLab."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from executed import assert_outputs_can_be_read
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
PAPERMILL = Path(sys.executable).with_name("papermill")


@pytest.mark.slow  # `luckyhit run` goes through papermill as well
def test_plain_papermill_from_another_directory(workspace, variant) -> None:
    elsewhere = workspace.folder / "elsewhere"
    elsewhere.mkdir()
    case = variant("stale-price")
    for name in ("1-baseline", "2-change", "3-report"):
        folders = ["-p", "runs_dir", str(workspace.runs), "-p", "reports_dir", str(workspace.reports)]
        done = subprocess.run(
            [PAPERMILL, ROOT / "notebooks" / f"{name}.ipynb", f"{name}-out.ipynb", "-p", "case", case, *folders],
            capture_output=True, text=True, cwd=elsewhere, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    (run,) = workspace.run_dirs()
    assert json.loads((run / "manifest.json").read_text())["state"] == "finished"
    assert list(workspace.reports.glob("*-stale-price-*.html"))
    assert workspace.left_running() == []


def test_a_misspelt_parameter_stops_plain_papermill_too(workspace, variant) -> None:
    done = subprocess.run(
        [PAPERMILL, ROOT / "notebooks" / "1-baseline.ipynb", "out.ipynb", "-p", "csae", "placebo"],
        capture_output=True, text=True, cwd=workspace.folder, timeout=100,
    )  # fmt: skip
    assert done.returncode != 0
    assert "'csae'" in done.stderr and "'case'" in done.stderr
    assert workspace.run_dirs() == []


@pytest.mark.slow  # in JupyterLab the baseline is, and those of `luckyhit run` are looked at in the same way
def test_each_output_is_a_figure_a_table_or_a_sentence(workspace, variant) -> None:
    """As in JupyterLab: no papermill, the defaults of the cells, with the first parameters edited by hand."""
    case = variant("stale-price")
    for name in ("1-baseline", "2-change", "3-report"):
        book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        cell = next(cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
        values = {"case": case, "run": "", "environment": "", "observe": False}
        values |= {"runs_dir": str(workspace.runs), "reports_dir": str(workspace.reports)}
        cell.source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
        NotebookClient(book, timeout=120, kernel_name="python3").execute(cwd=str(workspace.folder))
        assert_outputs_can_be_read(book)
    (run,) = workspace.run_dirs()
    assert json.loads((run / "result.json").read_text())["case"] == "stale-price"

"""The notebooks in a real JupyterLab, in a real browser: run them, change a parameter, make a mistake, interrupt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyterlab import Notebook, lab_in, notebook_in_browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture
def lab(tmp_path: Path, variant: Any) -> Iterator[tuple[str, Path]]:
    """(URL, project folder) of a JupyterLab on a project with one short case, `short`."""
    folder = tmp_path / "project"
    folder.mkdir()
    with lab_in(folder) as url:
        shutil.copy(variant("stale-price"), folder / "data" / "cases" / "short.yml")
        yield url, folder


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    with notebook_in_browser() as found:
        yield found


def runs_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "data" / "runs").glob("*/*/manifest.json"))]


def test_a_mistake_a_parameter_and_a_baseline(lab, notebook) -> None:
    url, folder = lab
    notebook.open(url, "1-baseline")
    notebook.replace('"stale-price"', '"shrt"')
    notebook.run_all()
    notebook.wait()
    assert "'shrt'" in notebook.outputs and "'short'" in notebook.outputs
    assert "Traceback" not in notebook.outputs and len(notebook.errors) == 1
    assert runs_of(folder) == [], "looking at a case makes no run"

    notebook.replace('"shrt"', '"short"')
    notebook.run_all()
    notebook.see("measuring the baseline")  # the bar, while it goes on
    notebook.see(" left")
    notebook.wait()
    assert notebook.errors == [] and "requests were scheduled" in notebook.outputs
    bars = notebook.page.locator(".jp-OutputArea").get_by_role("progressbar")  # JupyterLab has one of its own
    assert bars.count() == 0, "a bar that is done is gone"
    images = notebook.page.locator(".jp-OutputArea img")
    alts = [image.get_attribute("alt") or "" for image in images.all()]
    assert len(alts) == 6 and all(len(alt) > 20 for alt in alts)
    assert all(image.evaluate("image => image.naturalWidth") > 400 for image in images.all())
    (run,) = runs_of(folder)
    assert run["case"] == "short" and [block["stage"] for block in run["blocks"]] == ["baseline"]


@pytest.mark.slow
def test_the_projects_files_are_at_hand_and_its_numbers_in_a_form(lab, notebook) -> None:
    url, folder = lab
    case_file = folder / "data" / "cases" / "short.yml"
    case_file.write_text(case_file.read_text() + "# the end\n")
    notebook.begin(url, "1-baseline")
    assert {"data", "notebooks"} <= set(notebook.listed), "the list of files begins at the root"
    notebook.replace('"stale-price"', '"short"')
    for part in ("case: str", "workflow.baseline", "book.links()", "book.form()"):
        notebook.run_cell(part)
        notebook.wait()
    page = notebook.page
    box = page.get_by_label("workload.rate")
    box.fill("fast")
    write = page.get_by_role("button", name="Write to the case file")
    write.click()
    notebook.see("Nothing was written")
    assert "rate: fast" not in case_file.read_text()
    box.fill("95/s")
    write.click()
    notebook.see("→ 95/s")
    text = case_file.read_text()
    assert "rate: 95/s" in text and text.endswith("# the end\n")
    notebook.replace('"short"', '"shrt"')
    notebook.run_cell("case: str")
    notebook.wait().run_cell("book.power()")
    notebook.wait()
    assert any("'shrt'" in error for error in notebook.errors), "the changed parameter counts at once"
    page.locator(".jp-OutputArea").get_by_role("link", name="the case file").click()
    page.wait_for_function("window.jupyterapp.shell.currentWidget?.context?.path === 'data/cases/short.yml'")
    assert runs_of(folder) == []


@pytest.mark.measures
@pytest.mark.slow
def test_from_the_baseline_to_a_question_of_ones_own(lab, notebook) -> None:
    """The case is named once; the other notebooks go on with the newest run. Measuring again is a new run."""
    url, folder = lab
    notebook.open(url, "1-baseline").replace('"stale-price"', '"short"')
    notebook.run_all()
    notebook.wait().run_cell("book.measure()")
    notebook.wait()
    assert notebook.errors == [] and len(runs_of(folder)) == 2
    for name in ("2-change", "3-report"):
        notebook.open(url, name).run_all()
        notebook.wait()
        assert notebook.errors == [], name
    notebook.page.locator(".jp-OutputArea").get_by_role("link", name="-short-").click()
    notebook.page.wait_for_function("window.jupyterapp.shell.currentWidget?.context?.path?.startsWith('reports/')")
    frame = notebook.page.frame_locator(".jp-HTMLViewer iframe")
    frame.get_by_role("heading", level=1).first.wait_for(state="attached")
    notebook.open(url, "explore").run_all()
    notebook.wait()
    assert notebook.errors == []
    first, second = runs_of(folder)
    assert first["state"] == "measuring" and second["state"] == "finished"
    assert list((folder / "reports").glob(f"*-short-{second['run']}.html"))


@pytest.mark.measures
@pytest.mark.slow
def test_an_interrupted_change_is_rolled_back_in_the_kernel(lab, notebook) -> None:
    url, folder = lab
    notebook.open(url, "1-baseline").replace('"stale-price"', '"short"')
    notebook.run_all()
    notebook.wait()
    notebook.open(url, "2-change").run_all()
    notebook.see("measuring the change")
    notebook.interrupt()
    notebook.see("Interrupted. Rollback confirmed")
    assert "Traceback" not in notebook.outputs
    (run,) = runs_of(folder)
    assert run["failure"]["error"] == "Interrupted" and run["rollback"]["confirmed"] and not run["changed"]

    notebook.replace("book.one_change()", 'book = workflow.baseline("short")')
    notebook.run_cell("workflow.baseline")
    notebook.wait().run_cell("book.measure()")
    notebook.wait()
    assert runs_of(folder)[1]["failure"] is None

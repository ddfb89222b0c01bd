"""The kernel that the notebooks of an unattended run share."""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import psutil
import pytest

from luckyhit.case_run import CaseRun
from luckyhit.cli.kernel_ahead import kernel_ahead
from luckyhit.workflow.unattended import kernel_handover
from luckyhit.workflow.unattended.interruptions import interruptions_of
from luckyhit.workflow.unattended.kernel import Kernel, Notebook
from waiting import eventually

CASE = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"
FIRST = "import os\nleft_behind = 1\nos.getpid()"
SECOND = """\
import os, sys
assert "left_behind" not in globals() and not any("left_behind" in each for each in In[:-1]), In
assert "luckyhit.workflow.workbook" in sys.modules
os.getpid()"""


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    return CaseRun.create(tmp_path / "runs", CASE, now=datetime.now(UTC), manifest={})


def executed(folder: Path, run: CaseRun, kernel: Kernel, name: str, source: str) -> Notebook:
    """A notebook of this one cell."""
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / f"{name}.ipynb"
    cells = [nbformat.v4.new_code_cell(source)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), path)
    notebook = Notebook(path, run, kernel, {}, timeout_s=60)
    with interruptions_of(None) as interruptions:
        notebook.execute(interruptions)
    return notebook


def last_output(notebook: Notebook) -> dict:
    return json.loads(notebook.output.read_text())["cells"][-1]["outputs"][-1]


def test_a_notebook_does_not_see_the_one_before_it(tmp_path: Path, run: CaseRun) -> None:
    with Kernel() as kernel:
        pids = []
        for name, source in (("1-first", FIRST), ("2-second", SECOND)):
            notebook = executed(tmp_path, run, kernel, name, source)
            assert notebook.error is None, notebook.error
            output = last_output(notebook)
            assert output["execution_count"] == 1
            pids.append(int("".join(output["data"]["text/plain"])))
        assert pids[0] == pids[1] and psutil.pid_exists(pids[0])
    assert not psutil.pid_exists(pids[0]), "the kernel ends with the run"


def test_what_is_on_disk_is_whole_after_a_cell_that_fails(tmp_path: Path, run: CaseRun) -> None:
    with Kernel() as kernel:
        notebook = executed(tmp_path, run, kernel, "1-first", "print('before')\n1 / 0")
    assert "ZeroDivisionError" in str(notebook.error)
    cells = json.loads(notebook.output.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert any("before" in "".join(output.get("text", "")) for output in outputs)
    assert any(output.get("ename") == "ZeroDivisionError" for output in outputs)


def test_a_process_that_waits_becomes_the_kernel(tmp_path: Path, run: CaseRun) -> None:
    with kernel_ahead() as ahead:
        with Kernel(ahead) as kernel:
            notebook = executed(
                tmp_path, run, kernel, "1-first", "import os, sys\nassert 'pandas' in sys.modules\nos.getpid()"
            )
            assert notebook.error is None, notebook.error
            assert int("".join(last_output(notebook)["data"]["text/plain"])) == ahead.pid
        assert ahead.poll() is not None, "it ends with the kernel"


def test_a_process_that_is_not_needed_ends() -> None:
    with kernel_ahead() as ahead:
        assert ahead.poll() is None
    assert not psutil.pid_exists(ahead.pid)


def test_a_process_that_has_ended_is_replaced(tmp_path: Path, run: CaseRun) -> None:
    with kernel_ahead() as ahead:
        ahead.kill()
        ahead.wait()
        with Kernel(ahead) as kernel:
            notebook = executed(tmp_path, run, kernel, "1-first", FIRST)
    assert notebook.error is None, notebook.error
    assert int("".join(last_output(notebook)["data"]["text/plain"])) != ahead.pid


def test_a_kernel_of_another_python_is_started_as_declared() -> None:
    assert kernel_handover._arguments(["/elsewhere/python", "-m", "ipykernel_launcher", "-f", "x"]) is None
    assert kernel_handover._arguments([sys.executable, "-m", "xeus", "-f", "x"]) is None
    assert kernel_handover._arguments([sys.executable, "-m", "ipykernel_launcher", "-f", "x"]) == ["-f", "x"]


def test_an_interrupted_kernel_stops_its_cell(tmp_path: Path, run: CaseRun) -> None:
    with kernel_ahead() as ahead, Kernel(ahead) as kernel:
        kernel.manager()
        started = tmp_path / "started"
        worker = threading.Thread(
            target=lambda: eventually(started.exists) and kernel.interrupt(kill=False), daemon=True
        )
        worker.start()
        source = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)"
        notebook = executed(tmp_path, run, kernel, "1-first", source)
        worker.join()
    assert "KeyboardInterrupt" in str(notebook.error)


def test_a_kernel_that_can_not_start_is_an_error(tmp_path: Path, run: CaseRun, monkeypatch) -> None:
    monkeypatch.setattr("luckyhit.workflow.unattended.kernel._NAME", "no-such-kernel")
    with Kernel() as kernel:
        notebook = executed(tmp_path, run, kernel, "1-first", FIRST)
    assert type(notebook.error).__name__ == "NoSuchKernel"

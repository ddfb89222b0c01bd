"""Imports that are made while a service starts, and without collecting garbage."""

from __future__ import annotations

import gc
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from luckyhit.workflow.late_imports import import_needed, uncollected

SCRIPT = """
import sys
from luckyhit.workflow import late_imports
assert "pandas" not in sys.modules
needed = (*late_imports.NEEDED, "luckyhit.no_such_module")
try:
    with late_imports.imported_meanwhile(needed):
        raise RuntimeError("port taken")
except RuntimeError:
    assert {"pandas", "luckyhit.judge.decision", "luckyhit.report.page"} <= set(sys.modules)
else:
    raise AssertionError("the error of the service is raised")
"""


@pytest.mark.slow  # imports pandas, judge and report in a new interpreter
def test_later_cells_find_their_imports_once_the_service_started() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=120)


def test_modules_are_made_without_collecting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "looks_at_collection.py").write_text("import gc\ncollects = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert gc.isenabled()
    try:
        import_needed(["looks_at_collection"])
        assert sys.modules.pop("looks_at_collection").collects is False
        assert gc.isenabled() and gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
    with pytest.raises(ModuleNotFoundError), uncollected():
        import_module("luckyhit.no_such_module")
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_who_collects_no_garbage_goes_on_without() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_notebooks_and_commands_use_has_its_place() -> None:
    from luckyhit import workflow

    for name in workflow.__all__:
        assert callable(getattr(workflow, name))
    with pytest.raises(AttributeError):
        _ = workflow.no_such_name

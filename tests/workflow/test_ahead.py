"""Imports that are made while a service starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from luckyhit.workflow import steps
assert "pandas" not in sys.modules
steps._NEEDED += ("luckyhit.no_such_module",)
try:
    with steps.imported_meanwhile():
        raise RuntimeError("port taken")
except RuntimeError:
    assert {"pandas", "luckyhit.judge.decision", "luckyhit.report.page"} <= set(sys.modules)
else:
    raise AssertionError("the error of the service is raised")
"""


@pytest.mark.slow  # imports pandas, judge and report in a new interpreter
def test_later_cells_find_their_imports_once_the_service_started() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=120)

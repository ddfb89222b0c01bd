"""What starts often, or is waited for, starts without libraries that it has no use for."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATE = {
    "luckyhit.cli": "luckyhit.case luckyhit.run pydantic numpy pandas scipy pyarrow papermill jinja2 httpx redis matplotlib",
    "luckyhit.load.engine": "luckyhit.judge luckyhit.caches luckyhit.system pandas scipy papermill jinja2 httpx redis matplotlib",
    "luckyhit.probe.block_probe": "luckyhit.judge luckyhit.system pandas scipy papermill jinja2 httpx redis matplotlib",
    "luckyhit.workflow.workbook": "luckyhit.judge pandas scipy papermill jinja2 matplotlib.pyplot",
    "luckyhit.workflow.unattended.run_case": "luckyhit.judge pandas scipy papermill jinja2 matplotlib",
    "luckyhit.workflow.checking": "papermill jinja2 matplotlib",
}
"""By module: what its import does not take along."""


@pytest.mark.parametrize("module", LATE)
def test_heavy_libraries_are_imported_late(module: str) -> None:
    script = f"import sys, {module}; print(*[name for name in {LATE[module].split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, timeout=120, capture_output=True, text=True)
    assert done.stdout.split() == []

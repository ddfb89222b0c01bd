"""Imports that are made while a service comes up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from luckyhit.workflow import steps


def test_what_later_cells_need_is_there_once_the_service_is() -> None:
    script = (
        "import sys\n"
        "from luckyhit.workflow.steps import imported_meanwhile\n"
        "assert 'pandas' not in sys.modules\n"
        "with imported_meanwhile():\n"
        "    service = 'up'\n"
        "assert {'pandas', 'luckyhit.judge.decision', 'luckyhit.report.page'} <= set(sys.modules), service\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_service_that_does_not_come_up_is_told_all_the_same() -> None:
    with pytest.raises(RuntimeError, match="port taken"), steps.imported_meanwhile():
        raise RuntimeError("port taken")


def test_what_can_not_be_imported_is_left_to_the_cell_that_needs_it(monkeypatch) -> None:
    monkeypatch.setattr(steps, "_NEEDED", ("luckyhit.no_such_module", "json"))
    with steps.imported_meanwhile():
        pass

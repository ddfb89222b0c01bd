"""Imports that are made while a service comes up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from luckyhit.investigate import ahead


def test_what_later_cells_need_is_there_once_the_service_is() -> None:
    script = (
        "import sys\n"
        "from luckyhit.investigate.ahead import imported_meanwhile\n"
        "assert 'pandas' not in sys.modules\n"
        "with imported_meanwhile():\n"
        "    service = 'up'\n"
        "assert {'pandas', 'luckyhit.judge.decision', 'luckyhit.report.page'} <= set(sys.modules), service\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_service_that_does_not_come_up_is_told_all_the_same() -> None:
    with pytest.raises(RuntimeError, match="port taken"), ahead.imported_meanwhile():
        raise RuntimeError("port taken")


def test_what_can_not_be_imported_is_left_to_the_cell_that_needs_it(monkeypatch) -> None:
    monkeypatch.setattr(ahead, "_NEEDED", ("luckyhit.no_such_module", "json"))
    with ahead.imported_meanwhile():
        pass

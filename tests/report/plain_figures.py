"""Figures that cost nothing, for tests of what stands around them; also in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from luckyhit.report.charts.chart import message_chart

PLAINLY = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import pytest
from plain_figures import draw_plainly
draw_plainly(pytest.MonkeyPatch())
"""
"""The first lines of code for a process of its own, in which figures are drawn plainly."""


def draw_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures keep their sentences, but are one picture for all."""
    plain = message_chart("A figure.")
    monkeypatch.setattr("luckyhit.report.figures.figure_rows._drawn_once", lambda *_: plain)


def run_at_once(code: str, *arguments: list[str]) -> None:
    """Run the code with each list of arguments, all at the same time."""
    words = [[sys.executable, "-c", code, *more] for more in arguments]
    for process in [subprocess.Popen(command, stderr=subprocess.PIPE) for command in words]:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()

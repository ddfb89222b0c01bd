"""Figures that cost nothing, for tests of what stands around them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

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
    from luckyhit.report.figures.figure_rows import FIGURES

    picture = "data:image/svg+xml;base64,PHN2Zy8+"
    monkeypatch.setattr("luckyhit.report.style.to_data_uri", lambda figure: picture)
    monkeypatch.setattr("luckyhit.report.style.laid_out", lambda figure: figure)
    for row in FIGURES.values():
        plain = SimpleNamespace(**{**vars(row.module), "draw": lambda *_, **__: None})
        monkeypatch.setitem(FIGURES, row.id, replace(row, module=plain))

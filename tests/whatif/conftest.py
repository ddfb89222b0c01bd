"""A project to ask in."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "1-baseline.ipynb").write_text("{}")
    (tmp_path / "data" / "cases").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path

"""A project with a repository in it, for searches."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory. The locks are its own."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "1-baseline.ipynb").write_text("{}")
    (tmp_path / "data" / "cases").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    return tmp_path

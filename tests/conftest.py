"""What tests of all folders share: `tier` can be imported from everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only tests that measure are asked for, files without one are not even imported: that takes longer than
    some of those tests."""
    asked = config.option.markexpr.split(" and ")
    if "measures" in asked and collection_path.suffix == ".py":
        return "mark.measures" not in collection_path.read_text(encoding="utf-8") or None
    return None

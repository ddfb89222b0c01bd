"""Runs that measured their baseline alone, many from one: copies of a judged run, each with its own numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from synthetic_run import START

from luckyhit.case_run import CaseRun

OBSERVED = {"state": "finished", "observe": True}


def copy_of(run: CaseRun, days: int, before: Mapping[str, float]) -> CaseRun:
    """A run `days` before START with other numbers in its result."""
    when: datetime = START - timedelta(days=days)
    path = run.path.with_name(f"{when:%Y%m%d-%H%M%S}-{days % 65536:04x}")
    shutil.copytree(run.path, path)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "run": path.name, "started": when.isoformat()}))
    result = json.loads((path / "result.json").read_text())
    for name, value in before.items():
        result["metrics"][name]["before"] = value
    (path / "result.json").write_text(json.dumps({**result, "run": path.name}))
    return CaseRun(path)


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

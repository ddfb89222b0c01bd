"""What a run notes about itself: code revision, versions, host."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("luckyhit", "httptools", "httpx", "numpy", "pandas", "papermill", "pyarrow", "redis", "uvloop")


def code_revision(folder: Path) -> str:
    """The Git revision of `folder`, and whether it was changed since; `not under Git` where there is none."""
    try:
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
        dirty = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "not under Git"
    return f"{head} ({'with uncommitted changes' if dirty else 'clean'})"


def manifest_facts(project_root: Path) -> dict[str, Any]:
    """The part of the manifest that is known before anything starts."""
    return {
        "revision": code_revision(project_root),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "host": {
            "system": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        },
    }

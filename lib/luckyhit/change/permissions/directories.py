"""Whether the directories of a run can be written to, and have room for what it writes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from luckyhit.case import Case
from luckyhit.change.permissions.permission_findings import Findings

_MB = 10**6
_AT_LEAST = 100 * _MB
"""Notebooks, logs, figures and the report, with something to spare."""
_PER_REQUEST = 30
"""A row of the requests takes 12 bytes on the disk; those of both arms, and what is written beside them."""


def look_at_directories(directories: Iterable[Path], needed_bytes: float, findings: Findings) -> None:
    """Try to write a file to each (it is gone at once), and see how much is free."""
    checked: dict[Path, None] = {}
    for directory in directories:
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        try:
            with tempfile.NamedTemporaryFile(dir=existing, prefix=".luckyhit-check-"):
                pass
        except OSError as error:
            findings.problem(
                f"{directory} can't be written to ({error.strerror})",
                f"Make {existing} writable, or choose another directory.",
            )
            continue
        checked[existing] = None
    if findings.ok:
        findings.note("The run and report directories can be written to.")
    small = sorted({(shutil.disk_usage(existing).free, existing) for existing in checked})
    if small and small[0][0] < needed_bytes:
        free, existing = small[0]
        findings.note(
            f"Only {free / _MB:,.0f} MB are free in {existing}, and the run may write about "
            f"{needed_bytes / _MB:,.0f} MB: make room, since a full disk stops it."
        )


def room_for(case: Case, backup_bytes: float = 0.0) -> float:
    """About how many bytes a run of `case` writes, a backup of cleared keys included."""
    plan = case.plan
    seconds = plan.baseline + 2 * plan.blocks * (plan.warmup + plan.block) + plan.after_rollback + 2 * plan.warmup
    return _AT_LEAST + _PER_REQUEST * (case.workload.requests_in(seconds) or 0.0) + backup_bytes

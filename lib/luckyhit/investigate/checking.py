"""`luckyhit check`: everything that can be known before a run, without changing anything."""

from __future__ import annotations

import tempfile
from pathlib import Path

from luckyhit import change as changing
from luckyhit.case import load_case
from luckyhit.errors import LuckyHitError
from luckyhit.investigate.preflight import expected_response, originals_of, probe_databases, secret_headers
from luckyhit.measure.inputs import Inputs, gather
from luckyhit.project import Project
from luckyhit.records import Guard
from luckyhit.target import Stack
from luckyhit.target.control import authorities


def check_case(project: Project, case_file: Path) -> list[Guard]:
    """The guards that a run would meet first. Raises CaseError for a case that can't be used.

    A target that can't be reached, or answers otherwise than expected, is a failed guard, not an exception.
    """
    case = load_case(case_file)
    headers = secret_headers(case)
    with tempfile.TemporaryDirectory(prefix="luckyhit-inputs-") as folder:
        notes = gather(case.workload, project.root, Path(folder))
        inputs = Inputs.load(Path(folder), len(case.workload.routes))
    authorities(case.target, project.root)
    guards = [
        Guard(name="inputs validated", ok=True, detail=" ".join([f"{case_file.name} has no problem.", *notes])),
    ]
    with tempfile.TemporaryDirectory(prefix="luckyhit-check-") as folder:
        stack = Stack(
            case,
            "check",
            Path(folder),
            project=project.root,
            settings=changing.settings_of(case.change, "before"),
        )
        try:
            with stack:
                guards.append(Guard(name="target reachable", ok=True, detail=f"{stack.base_url} is ready."))
                guards.append(
                    changing.check_permissions(case, stack.cache, [_existing(project.runs), _existing(project.reports)])
                )
                guards.append(expected_response(case, stack, headers, inputs))
                if case.freshness is not None:
                    probe_databases(case)
                    originals_of(case, stack, headers, case.plan.block)
                    told = "Each read route of the probe shows a version below the probe's; nothing was written."
                    guards.append(Guard(name="freshness probe", ok=True, detail=told))
        except LuckyHitError as error:
            log = "".join(f"\n      | {line}" for line in getattr(error, "log", ()))
            guards.append(Guard(name=type(error).__name__, ok=False, detail=error.message + log, remedy=error.hint))
    return guards


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that exists: a check makes no directories."""
    while not folder.exists():
        folder = folder.parent
    return folder

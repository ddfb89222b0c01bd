"""Whether a program can be run: it is there, and executable. It is not run."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from luckyhit.change.permissions.permission_findings import Findings


def look_at_program(program: str, cwd: Path, path: str, fields: str, findings: Findings) -> None:
    """`path`: the value of PATH that it is looked up in; `fields`: the case's fields that name it."""
    if os.sep not in program:
        if shutil.which(program, path=path) is None:
            findings.problem(
                f"the program {program!r} ({fields}) is not on PATH", "Install it, or give its path from change.cwd."
            )
        return
    file = cwd / program
    if not file.is_file():
        findings.problem(f"there is no program {file} ({fields})", "Correct its path: it is relative to change.cwd.")
    elif not os.access(file, os.X_OK):
        findings.problem(
            f"{file} ({fields}) can't be executed", f"Make it executable: `chmod u+x {shlex.quote(str(file))}`."
        )

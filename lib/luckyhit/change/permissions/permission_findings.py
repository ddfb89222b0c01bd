"""What was found about one group of permissions: what is missing, how to get it, and what else to know."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from luckyhit.records import Guard, GuardId


class Findings:
    """Collects findings for one guard. Commands to copy stand in backticks, so that they are shown whole."""

    def __init__(self, id: GuardId) -> None:
        self.id = id
        self._problems: list[str] = []
        self._remedies: list[str] = []
        self._notes: list[str] = []

    @property
    def ok(self) -> bool:
        return not self._problems

    def problem(self, fault: str, remedy: str) -> None:
        """Something is missing: the guard fails. `fault` has no full stop; `remedy` is a sentence."""
        self._problems.append(fault)
        if remedy not in self._remedies:
            self._remedies.append(remedy)

    def note(self, sentence: str) -> None:
        """A fact that is no fault."""
        self._notes.append(sentence)

    def guard(self) -> Guard:
        missing = [f"{'; '.join(self._problems)}."] if self._problems else []
        detail = " ".join([*missing, *self._notes])
        return Guard(id=self.id, ok=self.ok, detail=detail, remedy=" ".join(self._remedies))


def check_program(program: str, cwd: Path, path: str, fields: str, findings: Findings) -> None:
    """Whether a program exists and is executable. It is not run. `path`: the value of PATH; `fields`: the fields of the
    case that name it."""
    if os.sep not in program:
        if shutil.which(program, path=path) is None:
            findings.problem(
                f"the program {program!r} ({fields}) is not on PATH", "Install it, or give its path from change.cwd."
            )
        return
    file = cwd / program
    if not file.is_file():
        findings.problem(f"the program {file} ({fields}) does not exist", "Correct its path (relative to change.cwd).")
    elif not os.access(file, os.X_OK):
        findings.problem(
            f"{file} ({fields}) is not executable", f"Make it executable: `chmod u+x {shlex.quote(str(file))}`."
        )

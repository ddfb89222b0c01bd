"""An argument of the start command: a restart with another one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from luckyhit.case.changes.argument import ArgumentChange
from luckyhit.change.fingerprints.normalize import as_declared, shown_env
from luckyhit.change.kinds.kind import Fingerprint, RestartKind, Sides
from luckyhit.change.permissions.permission_findings import Findings, check_program
from luckyhit.change.waiting import shown
from luckyhit.records import Arm
from luckyhit.system import Settings
from luckyhit.system.start_settings import filled


class ArgumentKind(RestartKind[ArgumentChange]):
    """One argument of the command of a service that the run starts."""

    def settings(self, arm: Arm) -> Settings:
        return Settings(replace={self._change.before: self._change.after}) if arm == "after" else Settings()

    def check(self, findings: Findings) -> None:
        stack, change = self._stack, self._change
        start = stack.case.target.start
        if start is not None and start.command[0] == change.before:
            program = filled(change.after, stack.start_values, stack.environ)
            check_program(program, Path(stack.cwd), stack.env.get("PATH", os.defpath), "change.after", findings)
        if findings.ok:
            findings.note(f"{shown(change.before)} before, {shown(change.after)} after a restart.")

    @classmethod
    def declared(
        cls, change: ArgumentChange, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        command = shlex.split(before.get("command", ""))
        old, new = (shown_env("", as_declared(value)) for value in (change.before, change.after))
        replaced = [new if argument == old else argument for argument in command]
        return {"command": (shlex.join(command), shlex.join(replaced))}

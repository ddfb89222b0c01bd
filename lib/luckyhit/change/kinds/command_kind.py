"""A change by a command and its inverse, and a third command that shows the state. All end with this process."""

from __future__ import annotations

import os
import shlex
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from luckyhit.caches import placeholders
from luckyhit.caches.cache_urls import url_secrets
from luckyhit.case.changes.command import COMMAND, CommandChange
from luckyhit.case.values.placeholders import fill_text, placeholder_names
from luckyhit.change.journal import Step
from luckyhit.change.kinds.kind import StatedKind, UndoContext, undo_stated
from luckyhit.change.permissions.permission_findings import Findings, check_program
from luckyhit.errors import ArgumentError, TargetError
from luckyhit.scrub.redactor import Redactor
from luckyhit.system import Stack
from luckyhit.system.process import SupervisedProcess, tail
from luckyhit.system.start_settings import INHERITED
from luckyhit.text.numbers import listed

_LONGEST_STATE = 65_536


class CommandKind(StatedKind[CommandChange]):
    """The commands of a case for one stack."""

    inverse_kind = COMMAND

    @property
    def restarts(self) -> bool:
        return self._change.restart

    @property
    def where(self) -> str:
        return f"`{shlex.join(self._change.verify)}`"

    def check(self, findings: Findings) -> None:
        """Whether the programs exist; then the state. Neither apply nor revert is run."""
        stack, change = self._stack, self._change
        cwd = stack.project / change.cwd
        if not cwd.is_dir():
            findings.problem(
                f"the working directory {cwd} does not exist (change.cwd is {change.cwd!r})",
                "Name an existing directory, relative to the project.",
            )
            return
        values = _values(stack, stack.environ)
        programs = {
            field: fill_text(command[0], values)
            for field, command in (("apply", change.apply), ("revert", change.revert), ("verify", change.verify))
        }
        for program in dict.fromkeys(programs.values()):
            fields = ", ".join(f"change.{field}" for field, named in programs.items() if named == program)
            check_program(program, cwd, stack.environ.get("PATH", os.defpath), fields, findings)
        if findings.ok:
            named = {"python" if program == stack.python else program for program in programs.values()}
            findings.note(f"{listed(sorted(named))} can be run; neither apply nor revert was run.")
            super().check(findings)

    def inverse(self) -> dict[str, Any]:
        change, stack = self._change, self._stack
        names = {name for text in (*change.revert, *change.verify) for name in placeholder_names(text)}
        owns_cache = stack.cache is not None and stack.cache.owned
        return {
            "kind": COMMAND,
            "command": list(change.revert),
            "verify": list(change.verify),
            "shows": change.before,
            "cwd": str((stack.project / change.cwd).resolve()),
            "pass_env": list(change.pass_env),
            "within_s": change.within,
            "restarts": change.restart,
            # What the commands change in the run's own stack ends with it.
            "needs": sorted(names & {"base_url", "port"} if stack.owned else set()),
            "gone_with_it": stack.owned
            and any(name == "workdir" or (owns_cache and name.startswith("cache_")) for name in names),
            "by_hand": shlex.join(change.revert),
        }

    def apply(self) -> dict[str, Any]:
        self._commander().run(self._change.apply)
        return {"command": shlex.join(self._change.apply)}

    def state(self) -> str:
        return self._commander().output(self._change.verify)

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        inverse = step.inverse
        if inverse.get("gone_with_it") and context.stack is None:
            return "the change ended with the run's own service"
        revert, verify = list(inverse["command"]), list(inverse["verify"])
        with context.service(needed=bool(inverse.get("needs"))) as stack:
            pass_env = inverse.get("pass_env", [name for name, _ in context.case.change.variables()])
            cwd, within_s = Path(str(inverse["cwd"])), float(inverse["within_s"])
            commander = _Commander(stack, context.environ, pass_env, cwd, within_s)

            def do() -> None:
                commander.run(revert)
                if inverse.get("restarts"):
                    context.restarted(stack)

            done, where = f"`{shlex.join(revert)}` ended with 0", f"`{shlex.join(verify)}`"
            return undo_stated(step, context, do, lambda: commander.output(verify), done=done, where=where)

    def _commander(self) -> _Commander:
        stack, change = self._stack, self._change
        return _Commander(stack, stack.environ, change.pass_env, stack.project / change.cwd, change.within)


def _values(stack: Stack, environ: Mapping[str, str]) -> dict[str, object]:
    """Values for the placeholders of the commands. A service of the run's own that does not run has no address."""
    address = {} if stack.owned and not stack.start_values else {"base_url": stack.base_url}
    url_env = stack.case.cache.url_env
    cache_url = stack.cache.url if stack.cache is not None else environ.get(url_env or "", "")
    return {**placeholders(cache_url), **address, "python": stack.python, **stack.start_values}


class _Commander:
    """Fills commands in and runs them, one at a time."""

    def __init__(
        self, stack: Stack, environ: Mapping[str, str], pass_env: Sequence[str], cwd: Path, within_s: float
    ) -> None:
        missing = [name for name in pass_env if name not in environ]
        if missing:
            raise ArgumentError(
                f"not set in the environment: {', '.join(missing)} (named in change.pass_env)",
                hint="Export them, then start again.",
            )
        self._cwd, self._within_s, self._values = cwd, within_s, _values(stack, environ)
        self._env = {name: environ[name] for name in (*INHERITED, *pass_env) if name in environ}
        url = url_secrets(stack.cache.url) if stack.cache is not None else []
        self._redactor = Redactor([*(environ[name] for name in pass_env), *url])
        # `luckyhit revert` finds commands that outlive this process by a folder below the run's directory.
        self._folder = stack.workdir if stack.workdir.is_dir() else None

    def run(self, command: Sequence[str]) -> str:
        """Its standard output. Raises TargetError unless it ends with 0 in time; one that is late is ended, with all
        its children."""
        name, pause = f"`{shlex.join(command)}`", threading.Event()
        with tempfile.TemporaryDirectory(prefix="luckyhit-command-", dir=self._folder) as folder:
            output, log = Path(folder) / "output", Path(folder) / "command.log"
            filled = [fill_text(text, self._values) for text in command]
            try:
                process = SupervisedProcess(filled, cwd=self._cwd, env=self._env, log=log, output=output, grace_s=2.0)
            except (OSError, ValueError) as error:
                raise TargetError(
                    f"{name} could not be started: {error}", hint="Check the command in the case."
                ) from None
            try:
                deadline, pause_s = time.monotonic() + self._within_s, 0.005
                while process.alive and time.monotonic() < deadline:
                    pause.wait(pause_s)
                    pause_s = min(1.5 * pause_s, 0.1)
                in_time, ending, code = not process.alive, process.ending, process.returncode
            finally:
                process.stop()
            lines = tail(log, 20, redactor=self._redactor)
            if not in_time:
                raise TargetError(
                    f"{name} did not end within {self._within_s:g}s, and was killed",
                    hint="Find out why it hangs, or allow more time (change.within).",
                    log=lines,
                )
            if code != 0:
                raise TargetError(f"{name} {ending}", hint="Its last lines should say why.", log=lines)
            with output.open("rb") as file:
                return file.read(_LONGEST_STATE).decode(errors="replace")

    def output(self, command: Sequence[str]) -> str:
        """Its standard output, stripped."""
        return self.run(command).strip()

"""A change by a pair of commands, and a third one that shows the state. Each ends when this process does."""

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
from luckyhit.change.kinds.kind import StatedKind, UndoContext
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.permissions.programs import look_at_program
from luckyhit.change.waiting import await_state, repeatedly, shown
from luckyhit.errors import ArgumentError, TargetError
from luckyhit.scrub.redactor import Redactor
from luckyhit.system import Stack
from luckyhit.system.logs import tail
from luckyhit.system.process import SupervisedProcess
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

    def look(self, findings: Findings) -> None:
        """Whether the programs are there; then what the state shows. Neither apply nor revert is run."""
        stack, change = self._stack, self._change
        cwd = stack.project / change.cwd
        if not cwd.is_dir():
            findings.problem(
                f"the working directory {cwd} does not exist (change.cwd is {change.cwd!r})",
                "Name a directory that exists, relative to the project.",
            )
            return
        values = _values(stack, stack.environ)
        programs = {
            field: fill_text(command[0], values)
            for field, command in (("apply", change.apply), ("revert", change.revert), ("verify", change.verify))
        }
        for program in dict.fromkeys(programs.values()):
            fields = ", ".join(f"change.{field}" for field, named in programs.items() if named == program)
            look_at_program(program, cwd, stack.environ.get("PATH", os.defpath), fields, findings)
        if findings.ok:
            named = {"python" if program == stack.python else program for program in programs.values()}
            findings.note(f"{listed(sorted(named))} can be run; neither apply nor revert was.")
            super().look(findings)

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
            # Of the run's own stack nothing is left once it is stopped, so that what the commands did there is gone.
            "needs": sorted(names & {"base_url", "port"} if stack.owned else set()),
            "gone_with_it": bool(stack.owned and names & ({"workdir"} | ({"cache_url"} if owns_cache else set()))),
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
            return "what the commands changed is gone with the run's own service"
        revert, verify, wanted = list(inverse["command"]), list(inverse["verify"]), str(inverse["shows"])
        within_s = float(inverse["within_s"])
        with context.service(needed=bool(inverse.get("needs"))) as stack:
            pass_env = inverse.get("pass_env", [name for name, _ in context.case.change.variables()])
            commander = _commander(stack, context.environ, pass_env, Path(str(inverse["cwd"])), within_s)

            def do() -> str:
                commander.run(revert)
                if inverse.get("restarts"):
                    context.restarted(stack)
                return await_state(lambda: commander.output(verify), wanted, within_s, context.sleep)

            try:
                state = repeatedly(do, context.sleep)
            except TargetError as error:
                by_hand = f"{error.hint} By hand: {shlex.join(revert)}"
                raise TargetError(error.message, hint=by_hand, log=error.log) from None
        if state != wanted:
            raise TargetError(
                f"`{shlex.join(revert)}` ended with 0, but `{shlex.join(verify)}` prints {shown(state)}, not "
                f"{shown(wanted)}",
                hint=f"Take it back by hand: {shlex.join(revert)}",
            )
        return f"`{shlex.join(revert)}` ended with 0; `{shlex.join(verify)}` prints {shown(state)}"

    def _commander(self) -> _Commander:
        stack, change = self._stack, self._change
        return _commander(stack, stack.environ, change.pass_env, stack.project / change.cwd, change.within)


def _values(stack: Stack, environ: Mapping[str, str]) -> dict[str, object]:
    """What the commands are filled in with. A service of the run's own that doesn't run has no address."""
    address = {} if stack.owned and not stack.start_values else {"base_url": stack.base_url}
    url_env = stack.case.cache.url_env
    cache_url = stack.cache.url if stack.cache is not None else environ.get(url_env or "", "")
    return {**placeholders(cache_url), **address, "python": stack.python, **stack.start_values}


def _commander(
    stack: Stack, environ: Mapping[str, str], pass_env: Sequence[str], cwd: Path, within_s: float
) -> _Commander:
    url = url_secrets(stack.cache.url) if stack.cache is not None else []
    redactor = Redactor([*(environ[name] for name in pass_env if name in environ), *url])
    # Below the run's own directory `luckyhit revert` finds what goes on after this process died.
    folder = stack.workdir if stack.workdir.is_dir() else None
    return _Commander(cwd, within_s, pass_env, _values(stack, environ), environ, redactor, folder)


class _Commander:
    """Runs commands, filled in, one at a time."""

    def __init__(
        self,
        cwd: Path,
        within_s: float,
        pass_env: Sequence[str],
        values: Mapping[str, object],
        environ: Mapping[str, str],
        redactor: Redactor,
        folder: Path | None = None,
    ) -> None:
        self._folder = folder
        missing = [name for name in pass_env if name not in environ]
        if missing:
            raise ArgumentError(
                f"not set in the environment: {', '.join(missing)} (named in change.pass_env)",
                hint="Export what is missing, then start again.",
            )
        self._cwd, self._within_s, self._values, self._redactor = cwd, within_s, values, redactor
        self._env = {name: environ[name] for name in (*INHERITED, *pass_env) if name in environ}

    def run(self, command: Sequence[str]) -> str:
        """What it printed on standard output. Raises TargetError unless it ends with 0 in time; it is ended then, with
        all that it started."""
        name, pause = f"`{shlex.join(command)}`", threading.Event()
        with tempfile.TemporaryDirectory(prefix="luckyhit-command-", dir=self._folder) as folder:
            output, log = Path(folder) / "output", Path(folder) / "command.log"
            filled = [fill_text(text, self._values) for text in command]
            try:
                process = SupervisedProcess(filled, cwd=self._cwd, env=self._env, log=log, output=output, grace_s=2.0)
            except (OSError, ValueError) as error:
                raise TargetError(f"{name} could not be started: {error}", hint="Look at change in the case.") from None
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
                    f"{name} did not end within {self._within_s:g}s, and was ended",
                    hint="Look at why it hangs; or allow it more time (change.within).",
                    log=lines,
                )
            if code != 0:
                raise TargetError(f"{name} {ending}", hint="Its last lines should say why.", log=lines)
            with output.open("rb") as file:
                return file.read(_LONGEST_STATE).decode(errors="replace")

    def output(self, command: Sequence[str]) -> str:
        """What it printed, without the spaces around it."""
        return self.run(command).strip()

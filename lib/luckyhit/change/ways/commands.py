"""A change by a pair of commands, and a third one that shows the state. Each ends when this process does."""

from __future__ import annotations

import shlex
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luckyhit.case.changes import CommandChange
from luckyhit.case.placeholders import fill_text, placeholder_names
from luckyhit.change.ways.way import Again, Sleep, await_state, expect, repeatedly, shown
from luckyhit.errors import ArgumentError, TargetError
from luckyhit.scrub.redactor import Redactor
from luckyhit.target.cache_url import placeholders
from luckyhit.target.logs import tail, url_secrets
from luckyhit.target.own_python import own_python
from luckyhit.target.process import SupervisedProcess
from luckyhit.target.settings import INHERITED

if TYPE_CHECKING:
    from luckyhit.change.journal import Step
    from luckyhit.target import Stack

COMMAND = "command"
_LONGEST_STATE = 65_536


class Commands:
    """The commands of a case for one stack."""

    def __init__(self, stack: Stack, change: CommandChange, sleep: Sleep) -> None:
        self.restarts = change.restart
        self._stack, self._change, self._sleep = stack, change, sleep

    def prepare(self) -> None:
        expect(self.state(), self._change.before, f"`{shlex.join(self._change.verify)}`")

    def inverse(self) -> dict[str, Any]:
        change, stack = self._change, self._stack
        names = {name for text in (*change.revert, *change.verify) for name in placeholder_names(text)}
        return {
            "kind": COMMAND,
            "command": list(change.revert),
            "verify": list(change.verify),
            "shows": change.before,
            "cwd": str((stack.project / change.cwd).resolve()),
            "within_s": change.within,
            # Of the run's own stack nothing is left once it is stopped, so that what the commands did there is gone.
            "needs": sorted(names & {"base_url", "port"} if stack.owned else set()),
            "gone_with_it": bool(
                stack.owned and names & ({"workdir"} | ({"cache_url"} if _owns_cache(stack) else set()))
            ),
            "by_hand": shlex.join(change.revert),
        }

    def apply(self) -> dict[str, Any]:
        self._commander().run(self._change.apply)
        return {"command": shlex.join(self._change.apply)}

    def revert(self, step: Step) -> str:
        change, commander = self._change, self._commander()
        _by_hand_too(lambda: commander.run(change.revert), change.revert, self._sleep)
        return f"`{shlex.join(change.revert)}` ended with 0"

    def state(self) -> str:
        return self._commander().output(self._change.verify)

    def _commander(self) -> _Commander:
        stack = self._stack
        values = {"base_url": stack.base_url, "python": stack.python, **stack.start_values}
        if stack.cache is not None:
            values |= placeholders(stack.cache.url)
        cwd, redactor = stack.project / self._change.cwd, _redactor(self._change.pass_env, stack)
        # Below the run's own directory `luckyhit revert` finds what goes on after this process died.
        folder = stack.workdir if stack.workdir.is_dir() else None
        return _Commander(cwd, self._change.within, self._change.pass_env, values, stack.environ, redactor, folder)


def undo(step: Step, again: Again, values: Mapping[str, object]) -> str:
    """Run the inverse that a step's journal holds, filled in with `values`; says what was done.

    Raises TargetError (with the command to run by hand) where it does not work, ArgumentError where a variable that it
    needs is not set.
    """
    inverse, change = step.inverse, again.run.case.change
    passed = change.pass_env if isinstance(change, CommandChange) else []
    known = {"python": own_python(again.run.case.target.start, again.project, again.environ), **values}
    url_env = again.run.case.cache.url_env
    if url_env is not None and again.environ.get(url_env):
        known |= placeholders(again.environ[url_env])
    redactor = Redactor([again.environ[name] for name in passed if name in again.environ])
    commander = _Commander(
        Path(str(inverse["cwd"])), float(inverse["within_s"]), passed, known, again.environ, redactor
    )
    revert, verify, wanted = list(inverse["command"]), list(inverse["verify"]), str(inverse["shows"])

    def do() -> str:
        commander.run(revert)
        return await_state(lambda: commander.output(verify), wanted, float(inverse["within_s"]), again.sleep)

    seen = _by_hand_too(do, revert, again.sleep)
    if seen != wanted:
        raise TargetError(
            f"`{shlex.join(revert)}` ended with 0, but `{shlex.join(verify)}` prints {shown(seen)}, not "
            f"{shown(wanted)}",
            hint=f"Take it back by hand: {shlex.join(revert)}",
        )
    return f"`{shlex.join(revert)}` ended with 0; `{shlex.join(verify)}` prints {shown(seen)}"


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


def _by_hand_too(do: Any, command: Sequence[str], sleep: Sleep) -> str:
    try:
        return str(repeatedly(do, sleep))
    except TargetError as error:
        raise error.with_hint(f"{error.hint} By hand: {shlex.join(command)}") from None


def _redactor(pass_env: Sequence[str], stack: Stack) -> Redactor:
    url = url_secrets(stack.cache.url) if stack.cache is not None else []
    return Redactor([*(stack.environ[name] for name in pass_env if name in stack.environ), *url])


def _owns_cache(stack: Stack) -> bool:
    return stack.cache is not None and stack.cache.owned

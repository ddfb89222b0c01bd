"""Whether the change can be made on this stack: its programs are there, and what shows the state shows `before`."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from luckyhit.case import changes
from luckyhit.case.placeholders import fill_text
from luckyhit.change.rights.findings import Findings
from luckyhit.change.rights.revision import look_at_revisions
from luckyhit.change.rights.routes import look_at_admin_routes
from luckyhit.change.ways import way_of
from luckyhit.change.ways.way import shown
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.records import Guard
from luckyhit.target import Stack
from luckyhit.target.cache_url import placeholders
from luckyhit.target.settings import filled
from luckyhit.text.numbers import listed


def change_guard(stack: Stack) -> Guard:
    """What the change of the case needs on `stack`, which runs. A cache's setting is looked at with the cache."""
    change = stack.case.change
    found = Findings("change")
    if isinstance(change, changes.NoChange):
        found.note("Nothing will be changed: the service is compared with itself.")
    elif isinstance(change, changes.EnvChange):
        found.note(f"{change.name}: {_or_unset(change.before)} before, {_or_unset(change.after)} after a restart.")
    elif isinstance(change, changes.ArgumentChange):
        _look_at_argument(stack, change, found)
    elif isinstance(change, changes.RevisionChange):
        look_at_revisions(stack.case, stack.project, found)
    elif isinstance(change, changes.AdminChange):
        where = f"GET {change.verify.path} at {change.verify.value}"
        _look_at_state(stack, where, change.before, change.after, found)
        look_at_admin_routes(stack, change, found)
    elif isinstance(change, changes.CommandChange):
        _look_at_commands(stack, change, found)
    return found.guard()


def _or_unset(value: str | None) -> str:
    return "not set" if value is None else shown(value)


def _look_at_argument(stack: Stack, change: changes.ArgumentChange, found: Findings) -> None:
    start = stack.case.target.start
    if start is not None and start.command[0] == change.before:
        program = filled(change.after, stack.start_values, stack.environ)
        _look_at_program(program, Path(stack.cwd), stack.env.get("PATH", os.defpath), "change.after", found)
    if found.ok:
        found.note(f"{shown(change.before)} before, {shown(change.after)} after a restart.")


def _look_at_commands(stack: Stack, change: changes.CommandChange, found: Findings) -> None:
    cwd = stack.project / change.cwd
    if not cwd.is_dir():
        found.problem(
            f"the working directory {cwd} does not exist (change.cwd is {change.cwd!r})",
            "Name a directory that exists, relative to the project.",
        )
        return
    path = stack.environ.get("PATH", os.defpath)
    values = {"base_url": stack.base_url, "python": stack.python, **stack.start_values}
    values |= placeholders(stack.cache.url if stack.cache is not None else "")
    programs = {
        field: fill_text(command[0], values)
        for field, command in (("apply", change.apply), ("revert", change.revert), ("verify", change.verify))
    }
    for program in dict.fromkeys(programs.values()):
        fields = ", ".join(f"change.{field}" for field, named in programs.items() if named == program)
        _look_at_program(program, cwd, path, fields, found)
    if found.ok:
        named = {"python" if program == stack.python else program for program in programs.values()}
        found.note(f"{listed(sorted(named))} can be run; neither apply nor revert was.")
        _look_at_state(stack, f"`{shlex.join(change.verify)}`", change.before, change.after, found)


def _look_at_program(program: str, cwd: Path, path: str, fields: str, found: Findings) -> None:
    if os.sep not in program:
        if shutil.which(program, path=path) is None:
            found.problem(
                f"the program {program!r} ({fields}) is not on PATH", "Install it, or give its path from change.cwd."
            )
        return
    file = cwd / program
    if not file.is_file():
        found.problem(f"there is no program {file} ({fields})", "Correct its path: it is relative to change.cwd.")
    elif not os.access(file, os.X_OK):
        found.problem(
            f"{file} ({fields}) can't be executed", f"Make it executable: `chmod u+x {shlex.quote(str(file))}`."
        )


def _look_at_state(stack: Stack, where: str, before: str, after: str, found: Findings) -> None:
    """A change that is in place already, or can't be seen, would be found out in the middle of the run."""
    way = way_of(stack)
    try:
        state = way.state() if way is not None else None
    except ArgumentError:
        raise
    except LuckyHitError as error:
        log = "".join(f"; it said: {line}" for line in list(getattr(error, "log", ()))[-2:])
        found.problem(f"{error.message}{log}", error.hint)
        return
    if state == before:
        found.note(f"{where} shows {shown(before)}, as before the change.")
    elif state == after:
        found.problem(
            f"{where} shows {shown(after)}: the change is in place already",
            "Take it back first (change.revert), or correct change.before and change.after.",
        )
    else:
        found.problem(
            f"{where} shows {shown(str(state))}, and the case says {shown(before)} (change.before)",
            "Correct change.before, or where change.verify looks.",
        )

"""The interpreter that `{python}` stands for: the service's own (`target.start.python`), or the one that runs us.

What a service is given: its command and its environment, filled in from the case and the settings of one arm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from luckyhit.case.target import Start
from luckyhit.case.values.path_variables import fill_variables
from luckyhit.case.values.placeholders import PlaceholderError, fill_text
from luckyhit.errors import ArgumentError, TargetError

_WITHIN_S = 20.0
_SAYS = "luckyhit-python"
_WHERE = (
    "Name the interpreter of the service's environment: venv/bin/python, relative to the project, an absolute path, "
)
_WHERE += "or a name on PATH (target.start.python)."


def own_python(start: Start | None, project: Path, environ: Mapping[str, str]) -> str:
    """Path of the interpreter; it is not looked at. A link stays a link: it says which environment is meant. A name
    that is not on PATH stays a name."""
    if start is None or start.python is None:
        return sys.executable
    named = fill_text(fill_variables(start.python, environ), {})
    if os.sep in named:
        return os.path.normpath(project / Path(named).expanduser())
    return shutil.which(named, path=environ.get("PATH", os.defpath)) or named


def check_python(start: Start, python: str, project: Path, env: Mapping[str, str]) -> None:
    """Raise TargetError where the service's own interpreter is missing, can't be executed, or is no Python. `env` is
    what the service is given."""
    if start.python is None:
        return
    where = f"{start.python!r} (target.start.python)"
    if os.sep not in python:
        raise TargetError(f"there is no {where} on PATH", hint=_WHERE)
    if not Path(python).is_file():
        raise TargetError(f"there is no interpreter {where}: no file {python}", hint=_WHERE)
    if not os.access(python, os.X_OK):
        raise TargetError(f"{where} can't be executed: {python}", hint=_WHERE)
    try:
        output = subprocess.run(
            [python, "-I", "-S", "-c", f"print({_SAYS!r})"],
            cwd=project, env=dict(env), capture_output=True, timeout=_WITHIN_S, check=False, stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{where} can't be executed: {error}", hint=_WHERE) from None
    if output.decode(errors="replace").strip() != _SAYS:
        raise TargetError(f"{where} is no Python: {python}", hint=_WHERE)


SOURCE = "source"
"""Name of the link in a stack's working directory that leads to `Settings.source`: the same name in both arms, so that
nothing but what stands behind it differs."""
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUTF8",
    "PYTHONPYCACHEPREFIX",
    "PYTHONDONTWRITEBYTECODE",
)
"""All that a service inherits from our environment. Anything else has to stand in the case (`env`, `pass_env`)."""


@dataclass(frozen=True)
class Settings:
    """What one arm changes against the case's start section."""

    env: Mapping[str, str | None] = field(default_factory=dict)
    """Environment variables, filled in like `target.start.env`; None: not set."""
    replace: Mapping[str, str] = field(default_factory=dict)
    """Arguments as they stand in `target.start.command`, and what stands in their place."""
    source: str | None = None
    """A directory with the service's source, in place of the one that its working directory lies in."""
    cwd: str = "."
    """With a `source`: the working directory, relative to it."""
    python_path: tuple[str, ...] = ()
    """With a `source`: directories of it, relative, where Python has to look first."""


def filled_command(
    start: Start, settings: Settings, values: Mapping[str, object], environ: Mapping[str, str]
) -> list[str]:
    """The command of `start` with the arguments that `settings` replaces, filled in with `values`, and with the
    variables of `environ` that it names.

    Raises ArgumentError for an argument that doesn't stand in the command exactly once.
    """
    command = list(start.command)
    for before, after in settings.replace.items():
        count = start.command.count(before)
        if count != 1:
            raise ArgumentError(
                f"the argument {before!r}, which the change replaces, stands in target.start.command {count} times",
                hint="Name an argument that stands there exactly once, as it is written there.",
            )
        command[start.command.index(before)] = after
    return [filled(argument, values, environ) for argument in command]


def filled_env(
    start: Start, settings: Settings, values: Mapping[str, object], environ: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of the service: the basics of ours (`INHERITED`), the variables passed on, those of
    the case, then those of `settings`. Raises ArgumentError for variables to pass on that are not set."""
    missing = [name for name in start.pass_env if name not in environ]
    if missing:
        raise ArgumentError(
            f"not set in the environment: {', '.join(missing)} (named in target.start.pass_env)",
            hint="Export what is missing, then start again.",
        )
    env = {name: environ[name] for name in INHERITED if name in environ}
    env.setdefault("PATH", os.defpath)
    env["PYTHONUNBUFFERED"] = "1"  # else the last log lines of a service that is killed are lost
    env |= {name: environ[name] for name in start.pass_env}
    env |= {name: filled(value, values, environ) for name, value in start.env.items()}
    for name, changed in settings.env.items():
        if changed is None:
            env.pop(name, None)
        else:
            env[name] = filled(changed, values, environ)
    if settings.source is not None and settings.python_path:
        first = [str(Path(str(values["workdir"]), SOURCE, directory)) for directory in settings.python_path]
        env["PYTHONPATH"] = os.pathsep.join([*first, *filter(None, [env.get("PYTHONPATH")])])
    return env


def source_directory(start: Start | None, project: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The directory that the service's source lies in, as far as the case tells: its working directory, unless that
    is one of its own, or the service is not started at all (the project's then)."""
    if start is None or start.in_workdir:
        return project
    return project / filled(start.cwd, {}, environ)


def filled(template: str, values: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """A text of `target.start` filled in: `{name}` from `values`, `${NAME}` from `environ`. Raises ArgumentError."""
    try:
        return fill_text(fill_variables(template, environ), values)
    except PlaceholderError as error:
        raise ArgumentError(f"{template!r} can't be filled in: expected {error}") from None

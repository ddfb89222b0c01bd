"""What a service is started with: interpreter, command and environment, from the case and the settings of one arm."""

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
from luckyhit.system.running_command import RunningCommand

_WITHIN_S = 20.0
_MARK = "luckyhit-python"
_HINT = (
    "Name the interpreter of the service's environment (target.start.python): a path relative to the project such as "
    "venv/bin/python, an absolute path, or a name on PATH."
)


def own_python(start: Start | None, project: Path, environ: Mapping[str, str]) -> str:
    """What `{python}` stands for: the path of the service's own interpreter (not checked), or of the one that runs us.
    A link stays a link, since its path names the environment. A name that is not on PATH stays a name."""
    if start is None or start.python is None:
        return sys.executable
    named = fill_text(fill_variables(start.python, environ), {})
    if os.sep in named:
        return os.path.normpath(project / Path(named).expanduser())
    return shutil.which(named, path=environ.get("PATH", os.defpath)) or named


def check_python(start: Start, python: str, project: Path, env: Mapping[str, str]) -> None:
    """Raise TargetError where the service's own interpreter is missing, can't be executed, or is not Python. `env`: the
    service's."""
    if start.python is None:
        return
    where = f"{start.python!r} (target.start.python)"
    if os.sep not in python:
        raise TargetError(f"{where} is not on PATH", hint=_HINT)
    if not Path(python).is_file():
        raise TargetError(f"no interpreter {where}: no file {python}", hint=_HINT)
    if not os.access(python, os.X_OK):
        raise TargetError(f"{where} can't be executed: {python}", hint=_HINT)
    try:
        output = subprocess.run(
            [python, "-I", "-S", "-c", f"print({_MARK!r})"],
            cwd=project, env=dict(env), capture_output=True, timeout=_WITHIN_S, check=False, stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{where} can't be executed: {error}", hint=_HINT) from None
    if output.decode(errors="replace").strip() != _MARK:
        raise TargetError(f"{where} is not Python: {python}", hint=_HINT)


SOURCE = "source"
"""Name of the link in a stack's working directory to `Settings.source`: the same in both arms, so that only its target
differs."""
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
"""All that a service inherits from our environment; the case adds others (`env`, `pass_env`)."""


@dataclass(frozen=True)
class Settings:
    """What one arm changes against the case's start section."""

    env: Mapping[str, str | None] = field(default_factory=dict)
    """Environment variables, filled in like `target.start.env`; None removes one."""
    replace: Mapping[str, str] = field(default_factory=dict)
    """Replacements of arguments of `target.start.command`."""
    source: str | None = None
    """A directory with the service's source, instead of the one with its working directory."""
    cwd: str = "."
    """With a `source`: the working directory, relative to it."""
    python_path: tuple[str, ...] = ()
    """With a `source`: its directories, relative, that Python searches first."""
    hooks: str | None = None
    """A directory that Python searches before all others, for what has to be imported before the service."""
    in_place: RunningCommand | None = None
    """What is started in place of the case's command: what that command came to."""


def filled_command(
    start: Start, settings: Settings, values: Mapping[str, object], environ: Mapping[str, str]
) -> list[str]:
    """The command of `start` with the replacements of `settings`, filled in with `values` and with variables of
    `environ`. Raises ArgumentError for an argument that is not exactly once in the command."""
    command = list(start.command)
    for before, after in settings.replace.items():
        count = start.command.count(before)
        if count != 1:
            raise ArgumentError(
                f"the argument {before!r}, which the change replaces, occurs {count} times in target.start.command "
                "(expected: once)",
                hint="Copy one argument of target.start.command exactly into change.before.",
            )
        command[start.command.index(before)] = after
    return [filled(argument, values, environ) for argument in command]


def filled_env(
    start: Start, settings: Settings, values: Mapping[str, object], environ: Mapping[str, str]
) -> dict[str, str]:
    """The service's environment: `INHERITED` and `pass_env` from ours, then `env` of the case, then that of `settings`.
    Raises ArgumentError where a variable of `pass_env` is not set."""
    missing = [name for name in start.pass_env if name not in environ]
    if missing:
        raise ArgumentError(
            f"not set in the environment: {', '.join(missing)} (named in target.start.pass_env)",
            hint="Export them, then start again.",
        )
    env = {name: environ[name] for name in INHERITED if name in environ}
    env.setdefault("PATH", os.defpath)
    env["PYTHONUNBUFFERED"] = "1"  # or a killed service loses its last log lines
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
    return env | hooked(settings, env)


def hooked(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes Python search `settings.hooks` first; empty without hooks."""
    if settings.hooks is None:
        return {}
    return {"PYTHONPATH": os.pathsep.join([settings.hooks, *filter(None, [env.get("PYTHONPATH")])])}


def source_directory(start: Start | None, project: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The directory with the service's source, as far as the case tells: its working directory; the project where that
    is the run's own, or the service is not started."""
    if start is None or start.in_workdir:
        return project
    return project / filled(start.cwd, {}, environ)


def filled(template: str, values: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """A text of `target.start` filled in: `{name}` from `values`, `${NAME}` from `environ`. Raises ArgumentError."""
    try:
        return fill_text(fill_variables(template, environ), values)
    except PlaceholderError as error:
        raise ArgumentError(
            f"{template!r} can't be filled in: expected {error}",
            hint="Correct the placeholder; where ${NAME} stands for an environment variable, export it.",
        ) from None

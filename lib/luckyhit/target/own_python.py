"""The interpreter that `{python}` stands for: the service's own (`target.start.python`), or the one that runs us."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from luckyhit.case.path_variables import fill_variables
from luckyhit.case.placeholders import fill_text
from luckyhit.case.target import Start
from luckyhit.errors import TargetError

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


def refuse_no_python(start: Start, python: str, project: Path, env: Mapping[str, str]) -> None:
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

"""The Python that runs a service, and the packages that it imports: of a package that is twice on the path, the
first."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_WITHIN_S = 20.0
_PYTHON = re.compile(r"(python|pypy)[\d.]*[a-z]?")
# `#!/venv/bin/python -I`, `#!/usr/bin/env -S python3 -u`; and where the path is too long for such a line, as installers
# write it, `#!/bin/sh` with `'''exec' "/a/long/path/bin/python" "$0" "$@"` below it.
_FIRST_LINES = re.compile(
    r"#!\s*(?:\S*/sh\s*\n'''exec'\s+|\S*/env\s+(?:(?:-\S+|\w+=\S*)\s+)*)?(?:\"(?P<quoted>[^\"\n]+)\"|(?P<plain>\S+))"
)
_LISTED = """
import hashlib, importlib.metadata, json, os, platform, sys
packages = []
for one in importlib.metadata.distributions():
    try:
        name, release = one.metadata["Name"], one.version
        if one.read_text("direct_url.json"):
            # From a file, a folder or a repository: the version does not say what is in it.
            files = (one.read_text("RECORD") or "") + one.read_text("direct_url.json")
            release += " (files " + hashlib.sha256(files.encode()).hexdigest()[:8] + ")"
    except Exception:
        continue
    if name:
        packages.append([name, release])
paths = [os.path.abspath(path) for path in sys.path]
print()
print(json.dumps({"version": platform.python_version(), "packages": packages, "paths": paths,
                  "prefixes": [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]}))
"""
_Stamp = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True)
class PythonEnvironment:
    """An interpreter: its version, the packages that it imports, its `sys.path`, and where it is installed itself."""

    version: str
    packages: Mapping[str, str]
    paths: tuple[Path, ...]
    prefixes: tuple[Path, ...]

    @property
    def module_directories(self) -> list[Path]:
        """Directories with modules that no package describes: of PYTHONPATH, of editable installations."""
        return [
            path
            for path in self.paths
            if path.is_dir()
            and not {"site-packages", "dist-packages"} & set(path.parts)
            and not any(path.is_relative_to(prefix) for prefix in self.prefixes)
        ]


_KNOWN: dict[tuple[str, str, tuple[tuple[str, str], ...]], tuple[_Stamp, PythonEnvironment]] = {}
"""By interpreter, directory and environment; valid as long as nothing changed in its directories."""


def python_environment(interpreter: str, cwd: Path, env: Mapping[str, str]) -> PythonEnvironment:
    """`interpreter` as the service has it, with `cwd` and `env`. It is started again only after a change in one of the
    directories that hold its packages. Raises OSError, subprocess.SubprocessError or ValueError where it fails."""
    cwd = cwd.resolve()  # the same link may lead to another worktree later
    key = (interpreter, str(cwd), tuple(sorted(env.items())))
    known = _KNOWN.get(key)
    if known is not None and known[0] == _stamp(interpreter, known[1].paths):
        return known[1]
    # The last line: a sitecustomize may print before it.
    listing = json.loads(run_quietly([interpreter, "-B", "-c", _LISTED], cwd, env).splitlines()[-1])
    packages: dict[str, str] = {}
    for name, release in listing["packages"]:
        packages.setdefault(re.sub(r"[-_.]+", "-", name).lower(), str(release))
    prefixes = tuple(dict.fromkeys(Path(path) for path in listing["prefixes"]))
    python = PythonEnvironment(str(listing["version"]), packages, tuple(map(Path, listing["paths"])), prefixes)
    if len(_KNOWN) >= 64:  # a long test run, not a run
        _KNOWN.clear()
    _KNOWN[key] = (_stamp(interpreter, python.paths), python)
    return python


def interpreter_of(program: str, cwd: Path, env: Mapping[str, str], pid: int | None = None) -> str | None:
    """The Python that runs `program`: itself, or the one that its first lines name. For anything else (a shell, a
    launcher), the first Python among the descendants of the process `pid`; None where there is none."""
    path = str(cwd / program) if os.sep in program else shutil.which(program, path=env.get("PATH", os.defpath))
    if path is not None and (named := path if _is_python(path) else _named_by(Path(path), env)):
        return named
    running = running_below(pid) if pid is not None else None
    return running.program if running is not None else None


def run_quietly(command: Sequence[str], cwd: Path, env: Mapping[str, str], *, within_s: float = _WITHIN_S) -> bytes:
    """What a command prints. Raises OSError or subprocess.SubprocessError."""
    return subprocess.run(
        command, cwd=cwd, env=dict(env), capture_output=True, timeout=within_s, check=True, stdin=subprocess.DEVNULL
    ).stdout


def _is_python(path: str) -> bool:
    return _PYTHON.fullmatch(Path(path).name) is not None


def _named_by(script: Path, env: Mapping[str, str]) -> str | None:
    try:
        with script.open("rb") as file:
            match = _FIRST_LINES.match(file.read(4096).decode(errors="replace"))
    except OSError:
        return None
    program = (match["quoted"] or match["plain"]) if match is not None else ""
    if not _is_python(program):
        return None
    return program if os.sep in program else shutil.which(program, path=env.get("PATH", os.defpath))


@dataclass(frozen=True)
class RunningPython:
    """A Python process: interpreter, arguments, working directory, and the directories of its PYTHONPATH."""

    program: str | None
    arguments: Sequence[str]
    cwd: Path
    python_path: Sequence[Path]


def running_below(pid: int) -> RunningPython | None:
    """The first Python among the descendants of the process `pid`; None where there is none, or it can't be read."""
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if command and _is_python(command[0]):
                    return _running(command, Path(process.cwd()), process.environ())
    return None


def _running(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> RunningPython:
    named = command[0]
    program = str(cwd / named) if os.sep in named else shutil.which(named, path=env.get("PATH", os.defpath))
    path = env.get("PYTHONPATH", "").split(os.pathsep)
    return RunningPython(program, command[1:], cwd, [cwd / folder for folder in path if folder])


def _stamp(interpreter: str, paths: Sequence[Path]) -> _Stamp:
    """It differs once a package was added, removed or replaced, or the path itself altered (`.pth` files)."""
    stats = [_file_stat(str(Path(interpreter).resolve()))]
    for path in map(str, paths):
        stats.append(_file_stat(path))
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(path)):  # noqa: PTH208
                child = f"{path}{os.sep}{name}"
                if name.endswith((".dist-info", ".egg-info")):
                    stats += [_file_stat(f"{child}{file}") for file in ("", f"{os.sep}METADATA", f"{os.sep}RECORD")]
                elif name.endswith((".pth", ".egg-link")):
                    stats.append(_file_stat(child))
    return tuple(stats)


def _file_stat(path: str) -> tuple[str, int, int, int, int]:
    """Of what a path leads to. Before and after each block there are hundreds of them, and a Path costs ten times what
    the call costs."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return (path, 0, 0, 0, 0)
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return (path, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, size)

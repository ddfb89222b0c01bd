"""The Python that really runs a service, and the packages that it finds.

A package is what `import` would find first: one that stands twice on the path counts once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_WITHIN_S = 20.0
_PYTHON = re.compile(r"(python|pypy)[\d.]*[a-z]?")
_LISTED = """
import hashlib, importlib.metadata, json, os, platform, sys
found = []
for one in importlib.metadata.distributions():
    try:
        name, release = one.metadata["Name"], one.version
        if one.read_text("direct_url.json"):
            # From a file, a folder or a repository: its version does not tell what is in it.
            files = (one.read_text("RECORD") or "") + one.read_text("direct_url.json")
            release += " (files " + hashlib.sha256(files.encode()).hexdigest()[:8] + ")"
    except Exception:
        continue
    if name:
        found.append([name, release])
places = [os.path.abspath(path) for path in sys.path]
print()
print(json.dumps({"version": platform.python_version(), "packages": found, "places": places,
                  "prefixes": [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]}))
"""
_Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Found:
    """What an interpreter finds: its version, its packages, and the directories that it looks into, in this order.
    `prefixes`: where it is installed itself."""

    version: str
    packages: Mapping[str, str]
    places: tuple[Path, ...]
    prefixes: tuple[Path, ...]

    @property
    def loose(self) -> list[Path]:
        """Directories with modules that no package describes: of PYTHONPATH, of editable installations."""
        return [
            place
            for place in self.places
            if place.is_dir()
            and not {"site-packages", "dist-packages"} & set(place.parts)
            and not any(place.is_relative_to(prefix) for prefix in self.prefixes)
        ]


_ASKED: dict[tuple[str, str, tuple[tuple[str, str], ...]], tuple[_Stamp, Found]] = {}
"""Answers by interpreter, directory and environment; good as long as nothing was changed where it looks."""


def found_by(interpreter: str, cwd: Path, env: Mapping[str, str]) -> Found:
    """What `interpreter` finds, started in `cwd` with `env` as the service is. It is asked again only where one of the
    directories that hold its packages was changed.

    Raises OSError, subprocess.SubprocessError or ValueError where it does not say.
    """
    cwd = cwd.resolve()  # the same link may lead to another worktree later
    key = (interpreter, str(cwd), tuple(sorted(env.items())))
    known = _ASKED.get(key)
    if known is not None and known[0] == _stamp(interpreter, known[1].places):
        return known[1]
    # What a sitecustomize prints stands before it.
    listing = json.loads(run_quietly([interpreter, "-B", "-c", _LISTED], cwd, env).splitlines()[-1])
    packages: dict[str, str] = {}
    for name, release in listing["packages"]:
        packages.setdefault(re.sub(r"[-_.]+", "-", name).lower(), str(release))
    prefixes = tuple(dict.fromkeys(Path(path) for path in listing["prefixes"]))
    python = Found(str(listing["version"]), packages, tuple(map(Path, listing["places"])), prefixes)
    if len(_ASKED) >= 64:  # a long test run, not a run
        _ASKED.clear()
    _ASKED[key] = (_stamp(interpreter, python.places), python)
    return python


def interpreter_of(program: str, cwd: Path, env: Mapping[str, str], pid: int | None = None) -> str | None:
    """The Python that runs `program`: itself, or the one that its first lines name. Where that is something else (a
    shell, a launcher), the first Python among the descendants of the process `pid`; None where there is none."""
    path = str(cwd / program) if os.sep in program else shutil.which(program, path=env.get("PATH", os.defpath))
    if path is not None:
        if _is_python(path):
            return path
        named = _named_by(Path(path), env)
        if named is not None:
            return named
    return _running(pid) if pid is not None else None


def run_quietly(command: Sequence[str], cwd: Path, env: Mapping[str, str], *, within_s: float = _WITHIN_S) -> bytes:
    """What a command prints. Raises OSError or subprocess.SubprocessError."""
    return subprocess.run(
        command, cwd=cwd, env=dict(env), capture_output=True, timeout=within_s, check=True, stdin=subprocess.DEVNULL
    ).stdout


def _is_python(path: str) -> bool:
    return _PYTHON.fullmatch(Path(path).name) is not None


def _named_by(script: Path, env: Mapping[str, str]) -> str | None:
    """`#!/venv/bin/python -I`, `#!/usr/bin/env -S python3 -u`; and where the path is too long for such a line,
    `#!/bin/sh` with `'''exec' "/a/long/path/bin/python" "$0" "$@"` below it, as installers write it."""
    try:
        with script.open("rb") as file:
            lines = [file.readline(4096).decode(errors="replace") for _ in range(2)]
    except OSError:
        return None
    if not lines[0].startswith("#!"):
        return None
    line = lines[0][2:].split()
    if line and Path(line[0]).name == "env":
        line = [word for word in line[1:] if not word.startswith("-") and "=" not in word]
    elif line and Path(line[0]).name == "sh" and (handed := re.match(r"'''exec' (\"[^\"]+\"|\S+)", lines[1])):
        line = [handed[1].strip('"')]
    if not line or not _is_python(line[0]):
        return None
    return line[0] if os.sep in line[0] else shutil.which(line[0], path=env.get("PATH", os.defpath))


@dataclass(frozen=True)
class Running:
    """A Python process: its command, where it runs, and where else it looks for modules (`PYTHONPATH`)."""

    arguments: Sequence[str]
    cwd: Path
    python_path: Sequence[Path]


def running_below(pid: int) -> Running | None:
    """The first Python among the descendants of the process `pid`; None where there is none, or it does not tell."""
    process = _first_python(pid)
    if process is None:
        return None
    try:
        cwd = Path(process.cwd())
        path = process.environ().get("PYTHONPATH", "").split(os.pathsep)
        return Running(process.cmdline()[1:], cwd, [cwd / place for place in path if place])
    except psutil.Error:
        return None


def _running(pid: int) -> str | None:
    process = _first_python(pid)
    if process is None:
        return None
    with contextlib.suppress(psutil.Error, IndexError):
        program = process.cmdline()[0]
        return program if Path(program).is_absolute() else _resolved(program, process)
    return None


def _first_python(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        level = psutil.Process(pid).children()
        while level:
            for process in level:
                with contextlib.suppress(psutil.Error):
                    if _is_python((process.cmdline() or [""])[0]):
                        return process
            below = level
            level = []
            for process in below:
                with contextlib.suppress(psutil.Error):
                    level += process.children()
    return None


def _resolved(program: str, process: psutil.Process) -> str | None:
    if os.sep in program:
        return str(Path(process.cwd(), program))
    return shutil.which(program, path=process.environ().get("PATH", os.defpath))


def _stamp(interpreter: str, places: Sequence[Path]) -> _Stamp:
    """What shows that a package was added, removed or replaced there, or the path itself altered (`.pth` files)."""
    entries = [_entry(Path(interpreter).resolve())]
    for place in places:
        entries.append(_entry(place))
        with contextlib.suppress(OSError):
            for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
                if entry.name.endswith((".dist-info", ".egg-info")):
                    described = Path(entry.path)
                    entries += [_entry(described), _entry(described / "METADATA"), _entry(described / "RECORD")]
                elif entry.name.endswith((".pth", ".egg-link")):
                    entries.append(_entry(Path(entry.path)))
    return tuple(entries)


def _entry(path: Path) -> tuple[str, int, int, int]:
    path = path.resolve()
    try:
        status = path.stat()
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), status.st_mtime_ns, status.st_ctime_ns, 0 if path.is_dir() else status.st_size)

"""What a service is made of on disk: its Git revision, what was changed since, and the packages of its interpreter."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

_WITHIN_S = 20.0
_LARGEST_FILE = 20_000_000
_LISTED = """
import importlib.metadata, json, platform
found = sorted({(d.name.lower().replace("_", "-"), d.version) for d in importlib.metadata.distributions() if d.name})
print(json.dumps([platform.python_version(), found]))
"""
_SEARCHED = "import json, sys; print(json.dumps([path for path in sys.path if path]))"
# Saved while one works, and run by no service.
_NOT_RUN = ("ipynb", "md")
# Of files that are not under Git: what a service loads, and not what it writes (databases, logs, uploads).
_LOADED = frozenset(
    (".py", ".pyi", ".pyx", ".so", ".pyd", ".toml", ".ini", ".cfg", ".conf", ".yaml", ".yml", ".sql", ".j2", ".jinja")
)


def source_of(cwd: Path) -> dict[str, str]:
    """Git revision of a working directory, and what is otherwise in it: tracked files that were changed, files that are
    not under Git, and `.env` files (which a service may read though Git ignores them). {} where there is no Git."""
    exclude = [f":(exclude,glob)**/*.{end}" for end in _NOT_RUN]
    try:
        head = _git(cwd, "rev-parse", "--short=12", "HEAD").decode().strip()
        changed = _git(cwd, "diff", "HEAD", "--no-ext-diff", "--", ".", *exclude)
        new = _git(cwd, "ls-files", "--others", "--exclude-standard", "-z", "--", ".", *exclude)
    except (OSError, subprocess.SubprocessError):
        return _settings_files(cwd)
    names = [name.decode(errors="surrogateescape") for name in new.split(b"\0") if name]
    untracked = [cwd / name for name in names if Path(name).suffix in _LOADED]
    return {
        "git.revision": head,
        "git.changes": _digest(changed) if changed else "none",
        "git.untracked": _of_files(cwd, untracked),
        **_settings_files(cwd),
    }


def _settings_files(cwd: Path) -> dict[str, str]:
    found = [path for path in (*cwd.glob(".env"), *cwd.glob(".env.*")) if path.is_file()]
    return {f"file.{path.name}": _of_files(cwd, [path]) for path in sorted(found)}


def _of_files(cwd: Path, paths: Iterable[Path]) -> str:
    """How many there are, and a digest of their names and contents; of a very large one, of its size and time."""
    whole, count = hashlib.sha256(), 0
    for path in sorted(paths):
        try:
            status = path.lstat()
            whole.update(os.fsencode(path.relative_to(cwd)) + b"\0")
            if path.is_symlink():
                whole.update(os.fsencode(path.readlink()))
            elif status.st_size > _LARGEST_FILE:
                whole.update(f"{status.st_size} {status.st_mtime_ns}".encode())
            else:
                whole.update(path.read_bytes())
        except OSError:
            whole.update(b"unreadable")
        count += 1
    return f"{count} files, sha256:{whole.hexdigest()[:12]}" if count else "none"


def packages_of(program: str, cwd: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Version and packages of the Python that runs `program` (a Python, or a script whose first line names one), as a
    service with this environment finds them; {} where it is none."""
    interpreter = interpreter_of(program, cwd, env)
    if interpreter is None:
        return {}
    given = tuple(sorted((name, value) for name, value in env.items() if name.startswith(("PYTHON", "VIRTUAL_ENV"))))
    try:
        places = _searched(interpreter, given, str(cwd))
        times = tuple((place, _changed_ns(place)) for place in places)
        version, found = _listed(interpreter, given, str(cwd), times)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {"python": f"not visible: {Path(interpreter).name} does not list its packages"}
    return {"python": version, **{f"package.{name}": release for name, release in found}}


def interpreter_of(program: str, cwd: Path, env: Mapping[str, str]) -> str | None:
    """The Python that runs `program`; None where it is something else."""
    path = str(cwd / program) if os.sep in program else shutil.which(program, path=env.get("PATH", os.defpath))
    if path is None:
        return None
    if Path(path).name.startswith(("python", "pypy")):
        return path
    try:
        with Path(path).open("rb") as file:
            line = file.readline(500)
    except OSError:
        return None
    words = line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []
    named = words[1] if words and Path(words[0]).name == "env" and len(words) > 1 else (words or [""])[0]
    if not Path(named).name.startswith(("python", "pypy")):
        return None
    return named if os.sep in named else shutil.which(named, path=env.get("PATH", os.defpath))


def run_quietly(command: Sequence[str], cwd: Path, env: Mapping[str, str], *, within_s: float = _WITHIN_S) -> bytes:
    """What a command prints. Raises OSError or subprocess.SubprocessError."""
    return subprocess.run(
        command, cwd=cwd, env=dict(env), capture_output=True, timeout=within_s, check=True, stdin=subprocess.DEVNULL
    ).stdout


@lru_cache(maxsize=32)
def _searched(interpreter: str, given: tuple[tuple[str, str], ...], cwd: str) -> list[str]:
    env = {**dict(given), "PATH": os.environ.get("PATH", os.defpath)}
    found: list[str] = json.loads(run_quietly([interpreter, "-c", _SEARCHED], Path(cwd), env))
    return found


@lru_cache(maxsize=64)
def _listed(
    interpreter: str, given: tuple[tuple[str, str], ...], cwd: str, times: tuple[tuple[str, int], ...]
) -> tuple[str, list[tuple[str, str]]]:
    """Asked again only where a directory that holds packages was changed (`times`)."""
    env = {**dict(given), "PATH": os.environ.get("PATH", os.defpath)}
    version, found = json.loads(run_quietly([interpreter, "-c", _LISTED], Path(cwd), env))
    return str(version), [(str(name), str(release)) for name, release in found]


def _changed_ns(place: str) -> int:
    """When a directory of packages was last changed: one was added, removed, or its description replaced."""
    path = Path(place)
    if not path.is_dir():
        return 0
    newest = path.stat().st_mtime_ns
    for described in (*path.glob("*.dist-info"), *path.glob("*.egg-info")):
        newest = max(newest, described.stat().st_mtime_ns)
        if (metadata := described / "METADATA").is_file():
            newest = max(newest, metadata.stat().st_mtime_ns)
    return newest


def _git(cwd: Path, *arguments: str) -> bytes:
    return run_quietly(["git", "-C", str(cwd), *arguments], cwd, os.environ)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()[:12]}"

"""A service's files on disk: Git revision, uncommitted changes, and files that are not under Git."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from luckyhit.change.fingerprints.interpreter import run_quietly

LISTS = frozenset({"git.changes", "git.untracked", "git.ignored"})
"""Entries that list files, each with a digest of its contents."""
_NONE = "none"
_LARGEST_FILE = 20_000_000
_MOST_READ, _MOST_NAMED, _MOST_WALKED = 2000, 20, 5000
# Saved during work, and run by no service.
_NOT_RUN = ("ipynb", "md")
# Of files that are not under Git: those a service loads, not those it writes (databases, logs, uploads).
_CODE = frozenset((".py", ".pyx", ".so", ".pyd", ".pth"))
_LOADED = _CODE.union(
    (".toml", ".ini", ".cfg", ".conf", ".yaml", ".yml", ".json", ".env", ".properties"),
    (".sql", ".lua", ".sh", ".j2", ".jinja", ".jinja2", ".mako"),
)
# Ignored directories in which a service keeps settings of this machine.
_OF_SETTINGS = frozenset({"instance", "config", "conf", "settings"})
_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
_KNOWN: dict[Path, tuple[tuple[int | bool, ...], str]] = {}
"""Digests, by file, with what was true of it then."""
_MOST_KNOWN = 20_000
_SETTLED_NS = 2_000_000_000
"""A file that was written less than that before it was read may be written again without another time."""
_NOT_WALKED = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


def source_of(cwd: Path, directories: Sequence[Path] = (), *, runs_dir: Path | None = None) -> dict[str, str]:
    """Git revision of a working directory, its changed tracked files, files that are not under Git, ignored files that
    a service loads (`local_settings.py`), and `.env` files.

    `directories`: others with modules; those of the same repository are included, of the rest the modules are listed
    (`path.*`). `runs_dir`: in which runs leave their files. Without Git: the modules.
    """
    cwd = cwd.resolve()
    others = dict.fromkeys(path.resolve() for path in directories)
    loose = {f"path.{path}": path for path in others if not path.is_relative_to(cwd)}
    try:
        words = ("--show-toplevel", "--git-path", "index", "--short=12", "HEAD")
        root, index, head = (line.strip() for line in _git(cwd, "rev-parse", *words))
    except (OSError, subprocess.SubprocessError, ValueError):
        top, values, loose = cwd, {}, {"path..": cwd, **loose}
    else:
        top = Path(root).resolve()
        inside = {name: path for name, path in loose.items() if path.is_relative_to(top)}
        loose = {name: path for name, path in loose.items() if name not in inside}
        try:
            values = {"git.revision": head, **_changes(cwd, top, cwd / index, list(inside.values()), runs_dir)}
        except (OSError, subprocess.SubprocessError) as error:
            values = {"git.revision": head, "git.changes": f"not visible: {type(error).__name__}"}
    modules = {name: _of_modules(path, runs_dir) for name, path in loose.items()}
    return {**values, **modules, **_settings_files(cwd, top)}


class SourcesOnce:
    """Reads the files of a service once for several stacks, in several threads: most arms have the same directories,
    and a look starts four processes of Git."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, tuple[Path, ...], Path | None], Mapping[str, str]] = {}

    def read(self, cwd: Path, directories: Sequence[Path], runs_dir: Path | None) -> Mapping[str, str]:
        """As `source_of`."""
        asked = cwd.resolve(), tuple(directories), runs_dir
        with self._lock:
            if asked not in self._known:
                self._known[asked] = source_of(cwd, directories, runs_dir=runs_dir)
            return self._known[asked]


def outside_hooks(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for Git without the variables of a hook that we may run in, which name another repository."""
    return {name: value for name, value in environ.items() if name not in _OF_A_HOOK}


def repository_of(path: Path) -> Path | None:
    """Root of the repository (or worktree) that a directory lies in."""
    path = path.resolve()
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def only_differing(before: str, after: str) -> tuple[str, str]:
    """Two values of an entry of `LISTS`, without the files that are equal in both."""
    first, second = before.split(", "), after.split(", ")
    return (
        ", ".join(part for part in first if part not in second) or _NONE,
        ", ".join(part for part in second if part not in first) or _NONE,
    )


def _changes(cwd: Path, top: Path, index: Path, directories: Sequence[Path], runs_dir: Path | None) -> dict[str, str]:
    asked = ["--", ".", *(os.path.relpath(directory, cwd) for directory in directories)]
    asked += [f":(exclude,glob)**/*.{end}" for end in _NOT_RUN]
    others = ("ls-files", "--others", "--exclude-standard", "-z")
    with ThreadPoolExecutor(3, thread_name_prefix="git") as pool:  # each mostly waits for a process
        listings = [
            pool.submit(_changed, cwd, index, asked),
            pool.submit(_names, cwd, *others, *asked),
            pool.submit(_names, cwd, *others, "--ignored", "--directory", *asked),
        ]
    changed, new, ignored = (listing.result() for listing in listings)
    return {
        "git.changes": _listed([(name, path) for name in changed if not _of_a_case(path := top / name)]),
        "git.untracked": _listed(_loaded(cwd, new, _LOADED, runs_dir)),
        "git.ignored": _listed(_loaded(cwd, _expanded(cwd, ignored), _LOADED - {".json"}, runs_dir)),
    }


def _changed(cwd: Path, index: Path, asked: Sequence[str]) -> list[str]:
    """Tracked files that are not as committed. Git would refresh its index, so it gets a copy, of the same time: from
    that it knows which files may have been written in the second of a commit, and have to be read."""
    with tempfile.TemporaryDirectory(prefix="luckyhit-index-") as folder:
        copy = Path(folder) / "index"
        shutil.copy2(index, copy)
        words = ("diff", "HEAD", "--name-only", "--no-ext-diff", "--no-textconv", "-z", *asked)
        return _names(cwd, *words, index=copy)


def _loaded(cwd: Path, names: Iterable[str], ends: frozenset[str], runs_dir: Path | None) -> list[tuple[str, Path]]:
    """Those that a service may load; `.env` files have entries of their own."""
    paths = [(name, cwd / name) for name in names]
    return [
        (name, path)
        for name, path in paths
        if path.suffix in ends
        and not path.name.startswith(".env")
        and not (runs_dir and path.is_relative_to(runs_dir))
        and not _of_a_case(path)
    ]


def _of_a_case(path: Path) -> bool:
    """Whether it is a case file of a project with our notebooks. No service reads it, a run has its own copy, and the
    next case is written while one is measured."""
    cases = path.parent
    return (
        path.suffix in (".yml", ".yaml")
        and (cases.parent.name, cases.name) == ("data", "cases")
        and (cases.parents[1] / "notebooks" / "1-baseline.ipynb").is_file()
    )


def _expanded(cwd: Path, names: Iterable[str]) -> Iterator[str]:
    """The files of ignored directories (with a slash at the end) that keep settings; other directories are left out."""
    for name in names:
        if not name.endswith("/"):
            yield name
        elif Path(name).name in _OF_SETTINGS and (cwd / name).is_dir():
            yield from (f"{name}{path.name}" for path in (cwd / name).iterdir() if path.is_file())


def _settings_files(cwd: Path, top: Path) -> dict[str, str]:
    """`.env` files from the working directory up to the root of the repository: a service may read them although Git
    ignores them. Their contents are not shown."""
    digests: dict[str, str] = {}
    for folder in (cwd, *cwd.parents):
        if not folder.is_relative_to(top):
            break
        for path in sorted((*folder.glob(".env"), *folder.glob(".env.*"), *folder.glob(".flaskenv"))):
            if path.is_file():
                digests[f"file.{os.path.relpath(path, cwd)}"] = f"sha256:{_digest(path)}"
    return digests


def _of_modules(directory: Path, runs_dir: Path | None) -> str:
    """How many modules there are below a directory, and a digest of all of them."""
    paths: list[Path] = []
    walked = 0
    runs = str(runs_dir)
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _NOT_WALKED and f"{folder}{os.sep}{name}" != runs
            and not os.path.isfile(f"{folder}{os.sep}{name}{os.sep}pyvenv.cfg")  # noqa: PTH113 - many, at each look
        )  # fmt: skip
        walked += len(files)
        if walked > _MOST_WALKED:
            return f"not read: more than {_MOST_WALKED:,} files"
        paths += [Path(folder, name) for name in files if os.path.splitext(name)[1] in _CODE]  # noqa: PTH122
    if not paths:
        return _NONE
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(f"{path.relative_to(directory)}\0{_digest(path)}\n".encode(errors="surrogateescape"))
    return f"{len(paths)} modules, sha256:{whole.hexdigest()[:12]}"


def _listed(files: Sequence[tuple[str, Path]]) -> str:
    """`service.py 1a2b3c4d5e6f, prices.py 6f5e4d3c2b1a`; beyond the first few, one digest of the rest."""
    lines = [f"{name} {_digest(path, read=number < _MOST_READ)}" for number, (name, path) in enumerate(sorted(files))]
    if len(lines) > _MOST_NAMED:
        rest = lines[_MOST_NAMED:]
        whole = hashlib.sha256("\n".join(rest).encode(errors="surrogateescape")).hexdigest()[:12]
        lines = [*lines[:_MOST_NAMED], f"and {len(rest)} more {whole}"]
    return ", ".join(text.encode(errors="replace").decode() for text in lines) or _NONE


def _digest(path: Path, *, read: bool = True) -> str:
    """Of a file's contents; of its size and time where it is very large, or not `read`. A file that has not changed
    since an earlier look is not read again."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return "deleted"
    except OSError:
        return "unreadable"
    stamp = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_mode, read)
    known = _KNOWN.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    looked_ns = time.time_ns()
    digest = _digest_of(path, status, read=read)
    if stat.S_ISREG(status.st_mode) and looked_ns - status.st_ctime_ns > _SETTLED_NS:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[path] = stamp, digest
    return digest


def _digest_of(path: Path, status: os.stat_result, *, read: bool) -> str:
    whole = hashlib.sha256()
    try:
        whole.update(f"{status.st_mode & 0o111}\0".encode())
        if path.is_symlink():
            whole.update(os.fsencode(path.readlink()))
        elif path.is_dir():  # a submodule
            whole.update(b"".join(_raw(path, *words) for words in (("rev-parse", "HEAD"), ("diff", "HEAD"))))
        elif status.st_size > _LARGEST_FILE or not read:
            whole.update(f"{status.st_size} {status.st_mtime_ns}".encode())
        else:
            whole.update(path.read_bytes())
    except FileNotFoundError:
        return "deleted"
    except (OSError, subprocess.SubprocessError):
        return "unreadable"
    return whole.hexdigest()[:12]


def _names(cwd: Path, *arguments: str, index: Path | None = None) -> list[str]:
    return [name.decode(errors="surrogateescape") for name in _raw(cwd, *arguments, index=index).split(b"\0") if name]


def _git(cwd: Path, *arguments: str) -> list[str]:
    return _raw(cwd, *arguments).decode(errors="surrogateescape").splitlines()


def _raw(cwd: Path, *arguments: str, index: Path | None = None) -> bytes:
    env = outside_hooks(os.environ)
    env |= {"GIT_OPTIONAL_LOCKS": "0"} | ({"GIT_INDEX_FILE": str(index)} if index is not None else {})
    return run_quietly(["git", "-C", str(cwd), *arguments], cwd, env)

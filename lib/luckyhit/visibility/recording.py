"""Every call of a watched library as a line of JSON in a file: for a service that is started to be traced."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from luckyhit.visibility.cache_writes import SCRIPTS, watch_writes, written_by
from luckyhit.visibility.counts import OWN, Command, Counts, Lookups, elsewhere
from luckyhit.visibility.libraries import (
    CACHES,
    FAILED,
    HOOKS,
    UNWATCHED_CACHES,
    UNWATCHED_DATABASES,
    UNWATCHED_DRIVERS,
    watch_library,
)
from luckyhit.visibility.statements import shape_of

_PACKAGES = {"django.core.cache": "django", "django.db": "django"}
"""Libraries whose package has another name."""
_LONGEST_KEY = 500


class CallRecorder(Counts):
    """Writes a line for each call, from all threads and processes. One request at a time makes them that request's."""

    __slots__ = ("_file",)
    keeps_commands = True

    def __init__(self, path: str) -> None:
        super().__init__(())
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def line(self, event: str, **fields: object) -> None:
        """One line, in one piece."""
        os.write(self._file, (json.dumps({"event": event, "pid": os.getpid(), **fields}) + "\n").encode())

    def lookup(self, key: object, hit: bool) -> None:
        if not _shown(key).endswith(OWN):
            self.line("lookup", key=_shown(key), hit=hit)

    def operation(self, lookups: Lookups, beneath: Sequence[Command]) -> None:
        """Keys as they are in the server, where a server was asked: a library may put a prefix before its own."""
        if any(inner for _, inner in beneath):
            lookups = ()
        for key, hit in lookups:
            self.lookup(key, hit)
        for words, inner in beneath:
            self.command(words, inner)

    def command(self, words: Sequence[Any], lookups: Lookups) -> None:
        for key, hit in lookups:
            self.lookup(key, hit)
        for verb, key in written_by(words):
            self.line("write", verb=verb, key=_shown(key))
        if str(words[0]).upper() in SCRIPTS:
            self.line("script")

    def write(self, verb: str, keys: Sequence[object], beneath: Sequence[Command]) -> None:
        """A write through a cache library."""
        if beneath:
            for words, inner in beneath:
                self.command(words, inner)
            return
        for key in keys:
            self.line("write", verb=verb, key=_shown(key))

    def statement(self, text: object) -> None:
        self.line("statement", shape=shape_of(text))


class _Finder:
    """Stands before all others on `sys.meta_path`, and watches a library as soon as its module is there."""

    def __init__(self, recorded: CallRecorder) -> None:
        self._recorded = recorded
        self._names: dict[str, list[str]] = {}
        for name, (module, _) in HOOKS.items():
            self._names.setdefault(module, []).append(name)
        self._unwatched = dict.fromkeys((*UNWATCHED_DATABASES, *UNWATCHED_DRIVERS), "database")
        self._unwatched.update(dict.fromkeys(UNWATCHED_CACHES, "cache"))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self._names and name not in self._unwatched:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None or (spec := find(name, path, target)) is None:
                continue
            if spec.loader is None:
                self._recorded.line("failed", name=name, why="no loader")
                return spec
            execute = spec.loader.exec_module

            def exec_module(module: Any, execute: Any = execute) -> None:
                execute(module)
                self.imported(name)

            try:
                spec.loader.exec_module = exec_module
            except AttributeError:  # a loader that can't be changed
                self._recorded.line("failed", name=name, why="AttributeError")
            return spec
        return None

    def imported(self, module: str) -> None:
        """Watch what a module belongs to, now that it is imported, or say that nobody watches it."""
        if module in self._unwatched:
            self._recorded.line("unwatched", name=module, what=self._unwatched[module])
        for library in self._names.get(module, ()):
            self._watch(library)

    def modules(self) -> list[str]:
        """All modules that are waited for."""
        return [*self._names, *self._unwatched]

    def _watch(self, library: str) -> None:
        """Say that a library is watched, or why it could not be."""
        watch_library(library)
        try:
            if library not in FAILED and library in CACHES:
                watch_writes(library, self._recorded.write)
        except Exception as error:  # whatever it is, the service goes first
            FAILED[library] = type(error).__name__
        if library in FAILED:
            self._recorded.line("failed", name=library, why=FAILED[library].partition(":")[0])
        else:
            self._recorded.line("library", name=library, version=_version(library))


def record(path: str) -> None:
    """Record all that this process, and each process that it starts, asks of watched libraries."""
    recorded = CallRecorder(path)
    elsewhere[0] = recorded
    recorded.line("process")
    finder = _Finder(recorded)
    for module in finder.modules():
        if module in sys.modules:
            finder.imported(module)
    sys.meta_path.insert(0, finder)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: recorded.line("process"))


def also_import(folder: str) -> None:
    """Import the `sitecustomize` that this file, which has its name and lies in `folder`, stands before."""
    sys.path[:] = [place for place in sys.path if place != folder]
    this = sys.modules.pop("sitecustomize")
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", this)


def _shown(key: object) -> str:
    text = bytes(key).decode("utf-8", "replace") if isinstance(key, (bytes, bytearray, memoryview)) else str(key)
    return text[:_LONGEST_KEY]


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(_PACKAGES.get(library, library))
    except Exception:  # of the standard library, or not installed as a package
        return str(getattr(sys.modules.get(library), "sqlite_version", ""))

"""The file into which the libraries of a traced service write their calls (`luckyhit.visibility.recording`)."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from luckyhit.text.json_values import is_object

QUIET_S = 0.01
"""Without a new line for so long, a request is over, if nothing came later after earlier ones."""
LONGEST_S = 2.0
"""A service that is never quiet is not waited for longer."""


@dataclass
class ServiceFacts:
    """What the lines say of the service itself. `libraries`: with versions; `failed`, `unwatched`: names of libraries,
    the latter with `cache` or `database`; `processes`: pids that write lines."""

    libraries: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    unwatched: dict[str, str] = field(default_factory=dict)
    processes: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class ServiceCall:
    """One call of a library. `event`: lookup (`key`, `hit`), write (`key`, `verb`), statement (`shape`) or script."""

    event: str
    key: str = ""
    hit: bool = False
    verb: str = ""
    shape: str = ""


class CallLines:
    """Reads the calls as they come. What can't be read is passed over: the service writes the file."""

    def __init__(self, path: Path) -> None:
        self.path, self.facts = path, ServiceFacts()
        self.late_s = 0.0
        """At the last wait: when the last line came, from its beginning."""
        self._offset = 0
        self._pause = threading.Event()

    def new(self) -> list[ServiceCall]:
        """The calls since the last look."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:  # no process wrote anything
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        calls = []
        for line in whole.splitlines():
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if is_object(fields) and (call := self._taken(fields)) is not None:
                calls.append(call)
        return calls

    def when_quiet(self, quiet_s: float = QUIET_S) -> list[ServiceCall]:
        """The calls since the last look, once no more come for `quiet_s`."""
        calls, began_s = self.new(), monotonic()
        now_s = last_s = began_s
        while now_s - last_s < quiet_s and now_s - began_s < LONGEST_S:
            self._pause.wait(QUIET_S)
            now_s = monotonic()
            if more := self.new():
                calls += more
                last_s = now_s
        self.late_s = last_s - began_s
        return calls

    def _taken(self, fields: dict[str, Any]) -> ServiceCall | None:
        """The call of a line; None for one about the service itself."""
        match fields:
            case {"event": "lookup", "key": str(key), "hit": bool(hit)}:
                return ServiceCall("lookup", key=key, hit=hit)
            case {"event": "write", "key": str(key), "verb": "stored" | "deleted" as verb}:
                return ServiceCall("write", key=key, verb=verb)
            case {"event": "statement", "shape": str(shape)}:
                return ServiceCall("statement", shape=shape)
            case {"event": "script"}:
                return ServiceCall("script")
            case {"event": "library", "name": str(name), "version": str(version)}:
                self.facts.libraries[name] = version
            case {"event": "failed", "name": str(name)}:
                self.facts.failed.add(name)
            case {"event": "unwatched", "name": str(name), "what": "cache" | "database" as what}:
                self.facts.unwatched[name] = what
            case {"event": "process", "pid": int(pid)}:
                self.facts.processes.add(pid)
        return None

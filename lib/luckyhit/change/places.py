"""Paths in a journal, written so that they tell nothing of the machine, and lead to the same place again.

An inverse has to be done as it was meant, by another process on another day. So its paths are not scrubbed but written
another way: `⟦run/../../../..⟧/shop` is a way from the run's directory, `⟦home⟧`, `⟦tmp⟧` and `⟦python⟧` are folders
that the process which reads it has too. A `⟦` that was there before is written `⟦⟧`.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LEAST_PARTS = 2
"""A folder such as `/srv` tells nothing, and half of all paths begin with it."""
_WRITTEN = re.compile(r"⟦(?:run(?P<up>(?:/\.\.)*)⟧|(?P<name>\w+)⟧|⟧)")


class Places:
    """The folders that paths are told from: that of a run, and those of this process."""

    def __init__(self, run: Path) -> None:
        self._run = run.resolve()
        self._named = {"tmp": Path(tempfile.gettempdir()), "python": Path(sys.prefix)}
        with contextlib.suppress(RuntimeError):
            self._named["home"] = Path.home()
        ways = {str(place): f"⟦{name}⟧" for name, place in self._named.items() if len(place.parts) > 1}
        for up, place in enumerate((self._run, *self._run.parents)):
            if len(place.parts) > _LEAST_PARTS:
                ways[str(place)] = f"⟦run{up * '/..'}⟧"
        self._ways = {path: way for path, way in ways.items() if path not in ("/usr", "/usr/local")}
        longest_first = sorted(self._ways, key=len, reverse=True)
        # `/var/tmp` isn't below `/tmp`; `-I/tmp` is an option with its path.
        begins = r"(?:(?<![\w.-])|(?<=[\s\"'=]-[A-Za-z]))"
        self._paths = re.compile(rf"⟦|{begins}(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])")

    def written(self, value: Any) -> Any:
        """A JSON value as the journal has it."""
        return _each_text(value, lambda text: self._paths.sub(lambda match: self._ways.get(match[0], "⟦⟧"), text))

    def read(self, value: Any) -> Any:
        """The value that was written."""
        return _each_text(value, lambda text: _WRITTEN.sub(self._place, text))

    def _place(self, match: re.Match[str]) -> str:
        if match["up"] is not None:
            steps = len(match["up"]) // len("/..")
            # In a folder nearer to the root, a way that leaves the tree leads nowhere: it stays as it is written.
            return str((self._run, *self._run.parents)[steps]) if steps <= len(self._run.parents) else match[0]
        if match["name"]:
            return str(self._named[match["name"]]) if match["name"] in self._named else match[0]
        return "⟦"


def _each_text(value: Any, do: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return do(value)
    if isinstance(value, Mapping):
        return {name: _each_text(inner, do) for name, inner in value.items()}
    return [_each_text(inner, do) for inner in value] if isinstance(value, (list, tuple)) else value

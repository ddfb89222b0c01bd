"""What the probe's keys held, written to disk before each is written to: a probe that dies can't put them back itself.

One JSON line per key: `{"key": "7", "value": 1999}`; `value` is null for a cold key, which nobody may read before.
`{"key": "7", "created": true}` stands for a key that the probe created.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

FOLDER = "probe"
"""In the run directory."""


def undo_log_path(block: int, arm: str) -> str:
    """The undo log of one block and arm, relative to the run directory."""
    return f"{FOLDER}/block-{block:03d}-{arm}.jsonl"


class UndoLog:
    """Appends to a file. Its lines survive this process, but not a power cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def held(self, key: str, value: int | None) -> None:
        self._append({"key": key, "value": value})

    def created(self, key: str) -> None:
        self._append({"key": key, "created": True})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _append(self, entry: dict[str, object]) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def read_undo_log(path: Path) -> Iterator[tuple[str, int | None, bool]]:
    """(key, value, created) of each line. A torn last line is skipped; a missing file counts as empty."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return
    for line in lines:
        entry = json.loads(line)
        yield str(entry["key"]), entry.get("value"), bool(entry.get("created"))

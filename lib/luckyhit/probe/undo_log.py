"""What the probe's keys held before it wrote them, on the disk before it does: a probe that dies can't put them back.

One JSON line a key: `{"key": "7", "value": 1999}`; `value` is null where it was not read before (nobody may, for a cold
key), and `{"key": "7", "created": true}` stands for one that the probe made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

FOLDER = "probe"
"""Where a run directory has its ledgers."""


def ledger_of(block: int, arm: str) -> str:
    """The ledger of one block and arm, relative to the run directory."""
    return f"{FOLDER}/block-{block:03d}-{arm}.jsonl"


class Ledger:
    """Appends to a file; what was written survives this process (not the machine: a power cut may lose the end)."""

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


def read_ledger(path: Path) -> Iterator[tuple[str, int | None, bool]]:
    """(key, value, created) of each line; a torn last one is passed over, and no file is an empty one."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return
    for line in lines:
        entry = json.loads(line)
        yield str(entry["key"]), entry.get("value"), bool(entry.get("created"))

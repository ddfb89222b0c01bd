"""Files that are there as a whole or not at all, also after a crash."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A temporary name beside `path`: what the block writes there takes the place of `path` when the block has ended,
    and is removed where it failed. `sync`: it is on the disk before it has its name."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if sync:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write `text`, flushed to the disk, as a whole or not at all. Folders that are missing are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, sync=True) as temporary:
        temporary.write_text(text, encoding="utf-8")

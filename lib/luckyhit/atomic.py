"""Write files atomically: complete or not at all, also after a crash."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A temporary path that replaces `path` at the end of the context, or is removed if it fails. `sync`: flush the
    file to the disk before it is renamed."""
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
    """Write `text` atomically and flushed to the disk. Missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, sync=True) as temporary:
        temporary.write_text(text, encoding="utf-8")

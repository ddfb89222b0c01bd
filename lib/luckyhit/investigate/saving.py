"""Executed notebooks are saved as a whole or not at all.

papermill saves after each cell, into the file itself: a full disk, or a death in that moment, would leave half of one.
"""

from __future__ import annotations

import os
from pathlib import Path

from luckyhit.atomic import write_atomically


def save_whole(folder: Path) -> None:
    """From now on papermill saves notebooks in `folder` as a whole. May be repeated. Imports papermill."""
    from papermill.iorw import LocalHandler, papermill_io

    class Whole(LocalHandler):
        def write(self, buf: str, path: str) -> None:
            write_atomically(Path(path), buf.encode("utf-8", "replace").decode("utf-8"))

    papermill_io.register(f"{folder}{os.sep}", Whole())


__all__ = ["save_whole"]

"""The log of a service, as it may be shown: secrets scrubbed, control characters visible, no line too long."""

from __future__ import annotations

import os
from pathlib import Path

from luckyhit.scrub.characters import visible
from luckyhit.scrub.redactor import Redactor

_WINDOW_BYTES = 64 * 1024
_LONGEST_LINE = 500


def tail(path: Path, count: int, *, offset: int = 0, redactor: Redactor | None = None) -> list[str]:
    """The last `count` lines of a log, from byte `offset` on; none where there is no log."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            start = max(offset, end - _WINDOW_BYTES)
            file.seek(start)
            data = file.read(end - start)
    except OSError:
        return []
    text = (redactor or Redactor()).secrets(data.decode("utf-8", errors="backslashreplace"))
    lines = text.replace("\r\n", "\n").split("\n")
    if start > offset and len(lines) > 1:
        del lines[0]  # cut off somewhere in the middle
    lines = [printable(line) for line in lines if line.strip()]
    return lines[-count:] if count > 0 else []


def printable(line: str) -> str:
    """A line whose control and direction characters can't play tricks on a terminal; of a long one the end."""
    cut = "…" if len(line) > _LONGEST_LINE else ""
    return cut + visible(line[-_LONGEST_LINE:].rstrip().replace("\t", "    ")).replace("\r", "␍")

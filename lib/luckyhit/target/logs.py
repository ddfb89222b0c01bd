"""The log of a service, as it may be shown: secrets scrubbed, control characters visible, no line too long."""

from __future__ import annotations

import json
import os
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

_WINDOW_BYTES = 64 * 1024
_LONGEST_LINE = 500
_SHORTEST_SECRET = 4
SCRUBBED = "***"


class Secrets:
    """Values that must not be shown. Shorter than four characters, a value is no secret: it is `1` or `yes`."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._spellings: list[str] = []
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Scrub these too from now on: what came to be after the first line was written."""
        spellings = set(self._spellings)
        for value in values:
            for part in (value, *value.splitlines()):
                part = part.strip()
                spellings |= {part, quote(part), quote(part, safe=""), unquote(part), json.dumps(part)[1:-1]}
        # The longest first: one may be a part of another.
        self._spellings = sorted((text for text in spellings if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)

    def scrub(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, SCRUBBED)
        return text

    def scrub_file(self, path: Path) -> None:
        """Scrub a log that nobody writes to any more, line by line; it is left alone where there's nothing to do."""
        needles = [spelling.encode() for spelling in self._spellings]
        if not needles or not path.is_file() or not _contains(path, needles):
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as clean, path.open("rb") as lines:
                for line in lines:
                    for needle in needles:
                        line = line.replace(needle, SCRUBBED.encode())
                    clean.write(line)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)


_SECRET_PARTS = ("password=", "username=", "sentinel_password=", "sentinel_username=")


def url_secrets(url: str) -> list[str]:
    """What must not be shown of a URL: its password, its user where that stands alone, and with either, all of it."""
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        return [url]
    query = [pair.partition("=")[2] for pair in parts.query.split("&") if pair.startswith(_SECRET_PARTS)]
    found = [value for value in (password or user, *query) if value]
    return [url, *found, *map(unquote, found)] if found else []


def tail(path: Path, count: int, *, offset: int = 0, secrets: Secrets | None = None) -> list[str]:
    """The last `count` lines of a log, from byte `offset` on; none where there is no log."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            start = max(offset, end - _WINDOW_BYTES)
            file.seek(start)
            data = file.read(end - start)
    except OSError:
        return []
    text = (secrets or Secrets()).scrub(data.decode("utf-8", errors="backslashreplace"))
    lines = text.replace("\r\n", "\n").split("\n")
    if start > offset and len(lines) > 1:
        del lines[0]  # cut off somewhere in the middle
    lines = [visible(line) for line in lines if line.strip()]
    return lines[-count:] if count > 0 else []


def visible(line: str) -> str:
    """A line with its control and direction characters written out, so that it can't play tricks on a terminal."""
    if len(line) > _LONGEST_LINE:
        line = "…" + line[-_LONGEST_LINE:]
    shown = (
        character.encode("unicode_escape").decode() if unicodedata.category(character) in ("Cc", "Cf") else character
        for character in line.rstrip().replace("\t", "    ")
    )
    return "".join(shown)


def _contains(path: Path, needles: list[bytes]) -> bool:
    with path.open("rb") as lines:
        return any(needle in line for line in lines for needle in needles)

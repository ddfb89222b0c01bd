"""`target.log`: cache status and database calls from the service's own log, joined to requests by their id.

Each request gets an id in a header (`X-Request-Id`). A line of the log that has it as JSON (also behind a prefix, as
loggers write it) or as `name=value` completes the request's row. A row without a line stays unknown: it is never 0.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from luckyhit.case.target import LogLines
from luckyhit.load.signals.signal_table import WORDS
from luckyhit.load.signals.statuses import event_of
from luckyhit.records import CACHE_STATUSES, Arm
from luckyhit.text.json_values import is_object

LAST_LINES_S = 3.0
"""How long the last lines are waited for after the last response."""
QUIET_S = 0.5
"""Without a new line for so long, no more are expected."""
_POLL_S = 0.02
_CHUNK = 1 << 20
LONGEST_LINE = 1 << 20
_PAIR = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S+)')
UNKNOWN = CACHE_STATUSES.index("unknown")


class LogSource:
    """A `LaterSource` for one block. `files`: by arm, its log. Only lines that are written from now on count."""

    def __init__(self, declared: LogLines, files: Mapping[Arm, Path]) -> None:
        self._arms = tuple(files)
        self._declared = declared
        self._token = f"lh{secrets.token_hex(6)}"
        self._prefix = declared.header.encode("ascii")
        self._tails = [_Tail(path) for path in dict.fromkeys(files.values())]
        self._sent = 0
        self._rows: dict[tuple[int, int], tuple[int, int | None]] = {}
        self._finished = False

    def header(self, slot: int, arm: int) -> bytes:
        self._sent += 1
        return b"%b: %b-%d-%d" % (self._prefix, self._token.encode("ascii"), slot, arm)

    def waits(self, now_ns: int) -> bool:
        return not self._finished

    @property
    def unlogged(self) -> int:
        """Requests without a line so far."""
        return max(0, self._sent - len(self._rows))

    async def finish(self) -> None:
        """Wait until every request has its line, or none comes any more."""
        loop = asyncio.get_running_loop()
        deadline, quiet = loop.time() + LAST_LINES_S, loop.time() + QUIET_S
        while True:
            before = len(self._rows)
            self._read()
            if len(self._rows) > before:
                quiet = loop.time() + QUIET_S
            if not self.unlogged or loop.time() >= min(deadline, quiet):
                break
            await asyncio.sleep(_POLL_S)
        self._finished = True

    def complete(self, rows: pa.Table) -> pa.Table:
        """`cache` where no header showed it, and `db_calls`: the log's number is the service's own count."""
        if not rows.num_rows:
            return rows
        arm_of = {name: number for number, name in enumerate(self._arms)}
        keys = zip(rows["slot"].to_pylist(), (arm_of.get(name, -1) for name in rows["arm"].to_pylist()), strict=True)
        lines = [self._rows.get(key) for key in keys]
        statuses = rows["cache"].to_pylist()
        cache = [
            CACHE_STATUSES[line[0]] if line is not None and known in (None, "unknown") else known
            for line, known in zip(lines, statuses, strict=True)
        ]
        calls = [
            line[1] if line is not None and line[1] is not None else known
            for line, known in zip(lines, rows["db_calls"].to_pylist(), strict=True)
        ]
        for name, values in (("cache", cache), ("db_calls", calls)):
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))
        return rows

    def _read(self) -> None:
        for tail in self._tails:
            for line in tail.lines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        if self._token.encode("ascii") not in line:
            return
        fields = fields_of(line.decode("utf-8", "replace"))
        shown = str(_at(fields, self._declared.id) or "")
        match = re.fullmatch(rf"{self._token}-(\d+)-(\d+)", shown)
        if match is not None:
            row = status_of(fields, self._declared), calls_of(fields, self._declared)
            self._rows[int(match[1]), int(match[2])] = row


def fields_of(line: str) -> dict[str, Any]:
    """The fields of a structured line: a JSON object, also behind other text, or `name=value` pairs."""
    start = line.find("{")
    while start >= 0:
        try:
            value, _ = json.JSONDecoder().raw_decode(line, start)
        except (ValueError, RecursionError):
            start = line.find("{", start + 1)
            continue
        if is_object(value):
            return value
        break
    return {name: _unquoted(value) for name, value in _PAIR.findall(line)}


def status_of(fields: Mapping[str, Any], declared: LogLines) -> int:
    """The cache status as its number in CACHE_STATUSES: by its word, a truth value, or the counts of lookups."""
    shown = _at(fields, declared.cache)
    if isinstance(shown, bool):
        return CACHE_STATUSES.index("hit" if shown else "miss")
    if isinstance(shown, str) and shown:
        event = declared.values.get(shown) or event_of(shown.lower(), WORDS)
        return CACHE_STATUSES.index("hit" if event == "confirmed" else event) if event is not None else UNKNOWN
    hits, misses = (_whole(_at(fields, name)) for name in (declared.cache_hits, declared.cache_misses))
    if misses:
        return CACHE_STATUSES.index("miss")
    return CACHE_STATUSES.index("hit") if hits else UNKNOWN


def calls_of(fields: Mapping[str, Any], declared: LogLines) -> int | None:
    """The number of database calls; None where the line has none."""
    return _whole(_at(fields, declared.db_calls))


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if np.isfinite(number) and number >= 0 and number == int(number) and number < 2**31 else None


def _at(fields: Mapping[str, Any], name: str) -> Any:
    """A field by its name, or by a path with dots through nested objects."""
    if name in fields:
        return fields[name]
    value: Any = fields
    for part in name.split("."):
        if not is_object(value) or part not in value:
            return None
        value = value[part]
    return value


def _unquoted(value: str) -> str:
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value.strip('"')


class _Tail:
    """New whole lines of a file, also where it is replaced (rotated) or cut while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._offset = self._identity()
        self._rest = b""

    def lines(self) -> list[bytes]:
        inode, size = self._identity()
        if inode is None:
            return []
        if inode != self._inode or size < self._offset:
            self._inode, self._offset, self._rest = inode, 0, b""
        lines: list[bytes] = []
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while chunk := file.read(_CHUNK):
                    self._offset += len(chunk)
                    *whole, self._rest = (self._rest + chunk).split(b"\n")
                    lines += whole
                    if len(self._rest) > LONGEST_LINE:
                        self._rest = b""
        except OSError:
            return lines
        return lines

    def _identity(self) -> tuple[int | None, int]:
        try:
            status = self._path.stat()
        except OSError:
            return None, 0
        return status.st_ino, status.st_size

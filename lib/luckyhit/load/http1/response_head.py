"""Heads of plain answers, read at a glance: the greatest part of what services send needs no parser.

An answer is plain where it is HTTP/1.1, its lines are well-formed ASCII, exactly one Content-Length tells where the
body ends, and nothing in it speaks of chunks, upgrades or the connection. Everything else goes to httptools, which
comes to the same result for plain ones (a test holds both against each other). Services send the same few heads again
and again, so what was read is remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from luckyhit.load.signals import NO_MARK, Mark, Seen

END = b"\r\n\r\n"
_LARGEST = 16 << 10
_MOST_KNOWN = 4096
_HEAD = re.compile(rb"HTTP/1\.1 ([2-9][0-9]{2}) [\t -~]*(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:(?:[\t -~]*[!-~])?)+")
_LINE = re.compile(rb"\r\n([^:]+):[\t ]*([^\r]*)")
_NOT_PLAIN = frozenset({b"connection", b"proxy-connection", b"transfer-encoding", b"upgrade", b"keep-alive"})
_BODILESS = frozenset({204, 205, 304})


@dataclass(slots=True)
class Head:
    """Status, length of the body, headers (lower-case names). `seen` and `coding`: what the headers show of the cache,
    and of the body's coding (empty: none), once somebody looked; `mark` what tells them apart from others; until
    `until_ns` answers with this head show no more than that."""

    status: int
    length: int
    headers: list[tuple[bytes, bytes]]
    seen: Seen | None = field(default=None, compare=False)
    mark: Mark = field(default=NO_MARK, compare=False)
    until_ns: int = field(default=0, compare=False)
    coding: bytes | None = field(default=None, compare=False)


class Heads:
    """Reads heads and remembers them."""

    def __init__(self) -> None:
        self.known: dict[bytes, Head] = {}

    def read(self, raw: bytes) -> Head | None:
        """The head `raw` (without the empty line at its end); None where it isn't plain."""
        if len(raw) > _LARGEST or (match := _HEAD.fullmatch(raw)) is None:
            return None
        status = int(match[1])
        headers = [(name.lower(), value) for name, value in _LINE.findall(raw)]
        length = b""
        for name, value in headers:
            if name in _NOT_PLAIN:
                return None
            if name == b"content-length":
                if length or not value.isdigit() or len(value) > 15:
                    return None
                length = value
        if not length or status in _BODILESS:
            return None
        if len(self.known) >= _MOST_KNOWN:
            self.known.clear()
        head = self.known[raw] = Head(status, int(length), headers)
        return head

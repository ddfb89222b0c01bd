"""HTTP/2 frames, cut out of what a connection brings, each with the instant of its first byte.

Three things need them before the h2 library sees them: the time to the first byte (h2 reports headers once they are
whole), GOAWAY (h2 closes its state on it, though responses under way may still come), and overlong frames (h2 waits for
their end, which never comes of something that isn't HTTP/2).

Also the headers of a request, from its bytes in HTTP/1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

HEADERS, GOAWAY = 1, 7
LARGEST_FRAME_BYTES = 1 << 14
"""The payload that a peer may send unless told otherwise."""
_HEAD_BYTES = 9


class OverlongFrame(Exception):
    """The peer sent a frame that it must not send, or no HTTP/2 at all."""


class Frame(NamedTuple):
    """`whole`: its bytes, head included; empty if only its beginning has come (it is reported again)."""

    kind: int
    stream_id: int
    began_ns: int
    whole: bytes


class Frames:
    """Cuts frames. Keeps the beginning of one frame at most."""

    def __init__(self) -> None:
        self._held = b""
        self._held_ns = 0

    def feed(self, data: bytes, now_ns: int) -> Iterator[Frame]:
        """The frames that `data` completes, then the one that it begins. Raises OverlongFrame."""
        began_ns, at = now_ns, 0
        if self._held:
            began_ns, data = self._held_ns, self._held + data
        end = len(data)
        while end - at >= _HEAD_BYTES:
            size = int.from_bytes(data[at : at + 3])
            if size > LARGEST_FRAME_BYTES:
                raise OverlongFrame(f"a frame of {size} bytes")
            kind, stream_id = data[at + 3], int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
            after = at + _HEAD_BYTES + size
            if after > end:
                yield Frame(kind, stream_id, began_ns, b"")
                break
            yield Frame(kind, stream_id, began_ns, data[at:after])
            at, began_ns = after, now_ns
        self._held, self._held_ns = data[at:], began_ns


def last_stream(goaway: bytes) -> int | None:
    """The last stream that the peer will answer, from a whole GOAWAY frame; None if the frame is malformed."""
    if len(goaway) < _HEAD_BYTES + 8 or goaway[5:9] != b"\0\0\0\0":
        return None
    return int.from_bytes(goaway[9:13]) & 0x7FFFFFFF


_LEFT_OUT = frozenset(
    {b"connection", b"host", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)


def http2_from_http1(payload: bytes, scheme: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers (the pseudo headers first) and body of a request that luckyhit.load.http1.request_head has made.

    Headers about the connection are left out, as RFC 9113 (8.2.2) demands.
    """
    head, _, body = payload.partition(b"\r\n\r\n")
    line, _, lines = head.partition(b"\r\n")
    method, target, _ = line.split(b" ")
    authority, headers = _headers(lines)
    pseudo = [(b":method", method), (b":scheme", scheme.encode()), (b":authority", authority), (b":path", target)]
    return [*pseudo, *headers], body


@lru_cache(maxsize=256)  # the same for nearly all requests of a route
def _headers(lines: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    pairs = []
    authority = b""
    for line in lines.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        name = name.lower()
        if name == b"host":
            authority = value
        elif name not in _LEFT_OUT:
            pairs.append((name, value))
    return authority, tuple(pairs)

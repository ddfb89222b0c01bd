"""HTTP/2 frames, cut out of what a connection brings, each with the instant of its first byte.

Three things need them before the h2 library sees them: the time to the first byte (h2 tells of headers once they are
whole), GOAWAY (h2 closes its state on it, though the answers under way may still come), and overlong frames (h2 waits
for their end, which of something that isn't HTTP/2 never comes).

Also the headers and body of a request, with the checks of luckyhit.load.http1.request_head: nothing can be smuggled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from luckyhit.errors import ArgumentError
from luckyhit.load.http1.request_head import Origin, checked_target, head_lines, request_bytes

HEADERS, GOAWAY = 1, 7
LARGEST_FRAME_BYTES = 1 << 14
"""The payload that a peer may send unless told otherwise."""
_HEAD_BYTES = 9


class OverlongFrame(Exception):
    """The peer sent a frame that it must not send, or no HTTP/2 at all."""


class Frame(NamedTuple):
    """`whole`: its bytes, head included; empty where so far only its beginning came (it will be told of again)."""

    kind: int
    stream_id: int
    began_ns: int
    whole: bytes


class Frames:
    """Cuts frames. Keeps one frame's beginning at most."""

    def __init__(self) -> None:
        self._held = b""
        self._held_ns = 0

    def feed(self, data: bytes, now_ns: int) -> Iterator[Frame]:
        """The frames that `data` completes, then the one that it begins. Raises OverlongFrame where one is."""
        began_ns, at = now_ns, 0
        if self._held:
            began_ns, data = self._held_ns, self._held + data
        end = len(data)
        while end - at >= _HEAD_BYTES:
            size = int.from_bytes(data[at : at + 3])
            if size > LARGEST_FRAME_BYTES:
                raise OverlongFrame(f"a frame of {size} bytes")
            kind, stream_id = data[at + 3], int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
            behind = at + _HEAD_BYTES + size
            if behind > end:
                yield Frame(kind, stream_id, began_ns, b"")
                break
            yield Frame(kind, stream_id, began_ns, data[at:behind])
            at, began_ns = behind, now_ns
        self._held, self._held_ns = data[at:], began_ns


def last_stream(goaway: bytes) -> int | None:
    """The last stream that the peer will answer, from a whole GOAWAY frame; None where the frame is malformed."""
    if len(goaway) < _HEAD_BYTES + 8 or goaway[5:9] != b"\0\0\0\0":
        return None
    return int.from_bytes(goaway[9:13]) & 0x7FFFFFFF


_CONNECTION_SPECIFIC = frozenset({"keep-alive", "proxy-connection", "te", "upgrade"})
_LEFT_OUT = frozenset(name.encode() for name in _CONNECTION_SPECIFIC | {"connection", "host", "transfer-encoding"})


@dataclass(slots=True)
class Http2Request:
    """`headers`: pairs of name and value, the pseudo headers first."""

    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None


def http2_request(
    method: str, target: str, origin: Origin, headers: Mapping[str, str], body: bytes | None = None
) -> Http2Request:
    """A whole request; `target` is the path as it is sent, the origin's prefix included.

    Raises ArgumentError for what can't be sent, and for headers that speak of the connection.
    """
    for name in headers:
        if name.lower() in _CONNECTION_SPECIFIC:
            raise ArgumentError(f"HTTP/2 has no header {name!r}", hint="Leave it out, or ask for target.http 1.1.")
    if not (method.isascii() and method.isalpha()):
        raise ArgumentError(f"{method[:60]!r} is no HTTP method", hint="Such as GET or POST.")
    return http2_from_http1(
        request_bytes(method, checked_target(target), head_lines(origin, headers), body), origin.scheme
    )


def http2_from_http1(payload: bytes, scheme: str) -> Http2Request:
    """The same request as these bytes of HTTP/1.1, which luckyhit.load.http1.request_head has made.

    Headers that speak of the connection are left out, as RFC 9113 (8.2.2) wants it.
    """
    head, _, body = payload.partition(b"\r\n\r\n")
    line, _, lines = head.partition(b"\r\n")
    method, target, _ = line.split(b" ")
    authority, headers = _headers(lines)
    pseudo = [(b":method", method), (b":scheme", scheme.encode()), (b":authority", authority), (b":path", target)]
    return Http2Request([*pseudo, *headers], body or None)


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

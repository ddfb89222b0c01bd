"""The headers and body of an HTTP/2 request, with the checks of luckyhit.measure.head: nothing can be smuggled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from luckyhit.errors import ArgumentError
from luckyhit.measure.head import Origin, checked_target, head_lines, request_bytes

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
    """The same request as these bytes of HTTP/1.1, which luckyhit.measure.head has made.

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

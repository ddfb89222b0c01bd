"""Bodies without their content codings, up to a bound (a small response may unpack to anything), and their hashes.

A hash is XXH3, 64 bits, of the decoded bytes without the service's own address. Coded bytes can't be compared: gzip
writes the time into its head, and two services may compress differently. Nor can links that name host and port, which
differ between the arms.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import brotli
from xxhash import xxh3_64_intdigest

from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY
from luckyhit.load.http1.response import Head, HttpResponse

LARGEST_KEPT_BODY = 10 << 20
NO_HASH = -(2**63)
"""Instead of a hash; every other signed number of 64 bits may be one."""
_MOST_CODINGS = 4
_PLAIN = frozenset({b"", b"identity"})


class _Damaged(Exception):
    """Not gzip, deflate or brotli, or it ends early."""


def decoded_body(response: HttpResponse, most: int = LARGEST_KEPT_BODY) -> bytes:
    """At most `most` bytes of the body without its gzip, deflate or brotli codings. As it came if it isn't coded, or
    can't be decoded: an unknown coding, or a damaged body."""
    body = response.body
    if not body:
        return body
    declared = [value for name, value in response.headers if name == b"content-encoding"]
    if not declared:
        return body
    codings = [word for text in declared for word in (part.strip().lower() for part in text.split(b","))]
    codings = [coding for coding in codings if coding not in _PLAIN]
    if len(codings) > _MOST_CODINGS:
        return body
    cut = response.truncated  # only then may a coded body end early
    try:
        for place in reversed(range(len(codings))):
            bound = max(most, LARGEST_KEPT_BODY) if place else most
            body, cut = _decoded(body, codings[place], bound, cut)
    except _Damaged:
        return response.body
    return body


def _decoded(body: bytes, coding: bytes, most: int, cut: bool) -> tuple[bytes, bool]:
    """One coding less: `most` bytes, and whether there is more. `cut`: `body` is only the beginning."""
    if coding == b"br":
        return _unbrotlied(body, most, cut)
    if coding in (b"gzip", b"x-gzip"):
        return _inflated(body, most, cut, 31)
    if coding != b"deflate":
        raise _Damaged
    try:
        return _inflated(body, most, cut, 15)
    except _Damaged:
        return _inflated(body, most, cut, -15)  # raw, as some send it under that name


def _inflated(body: bytes, most: int, cut: bool, bits: int) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    left = most
    while True:
        unpacker = zlib.decompressobj(wbits=bits)
        try:
            part = unpacker.decompress(body, left)
        except zlib.error:
            if parts:  # after the last whole part comes padding, or noise
                return b"".join(parts), False
            raise _Damaged from None
        parts.append(part)
        left -= len(part)
        if not unpacker.eof:
            if left and not cut:
                raise _Damaged
            return b"".join(parts), True
        body = unpacker.unused_data
        if not body or not left or bits != 31:  # gzip may have several parts
            return b"".join(parts), bool(body)


def _unbrotlied(body: bytes, most: int, cut: bool) -> tuple[bytes, bool]:
    unpacker = brotli.Decompressor()
    parts: list[bytes] = []
    size = 0
    try:
        part = unpacker.process(body, output_buffer_limit=most)
        while part:  # at the limit it stops to grow: it may be less, or a little more
            parts.append(part)
            size += len(part)
            if size >= most or unpacker.is_finished():
                break
            part = unpacker.process(b"", output_buffer_limit=most - size)
    except brotli.error:
        raise _Damaged from None
    if size < most and not unpacker.is_finished() and not (cut and parts):
        raise _Damaged
    return b"".join(parts)[:most], size > most or not unpacker.is_finished()


_MOST_KNOWN_HASHES = 4096
_BODILESS = frozenset({204, 205, 304})
_SIGN, _TURN = 1 << 63, 1 << 64


def hash_of(body: bytes, address: bytes) -> int:
    """XXH3 of a decoded body, as a signed number of 64 bits that is never NO_HASH. In a body above LARGEST_CHECKED_BODY
    the address is not searched: that takes as long as parsing."""
    # `rfind`: searching bytes backwards is some four times as fast.
    if address and len(body) <= LARGEST_CHECKED_BODY and body.rfind(address) >= 0:
        body = body.replace(address, b"")
    value = xxh3_64_intdigest(body)
    if value < _SIGN:
        return value
    return value - _TURN if value != _SIGN else NO_HASH + 1


class BodyHashes:
    """Hashes bodies between requests. Services send the same bodies again and again, so the hash of a coded one is
    remembered by the XXH3 of its bytes as they came. `addresses`: host and port, by arm."""

    def __init__(self, addresses: Sequence[bytes]) -> None:
        self._addresses = addresses
        self._coded: list[dict[tuple[int, bytes], int | None]] = [{} for _ in addresses]

    def of(self, arm: int, response: HttpResponse) -> int | None:
        """NO_HASH if the body was not kept whole, or the response has none (204, 304). None if it takes too long to
        decode between requests."""
        body, head = response.body, response.head
        if len(body) < response.size or (not body and response.status in _BODILESS):
            return NO_HASH
        coding = _coding(response.headers) if head is None else coding_of(head)
        return self.of_decoded(arm, body) if not coding else self._of_coded(arm, response, coding)

    def of_decoded(self, arm: int, body: bytes) -> int:
        """The hash of a body that has no coding."""
        return hash_of(body, self._addresses[arm])

    def _of_coded(self, arm: int, response: HttpResponse, coding: bytes) -> int | None:
        raw, known = (xxh3_64_intdigest(response.body), coding), self._coded[arm]
        if raw in known:
            return known[raw]
        body = decoded_body(response, LARGEST_CHECKED_BODY + 1)
        value = hash_of(body, self._addresses[arm]) if len(body) <= LARGEST_CHECKED_BODY else None
        if len(known) >= _MOST_KNOWN_HASHES:
            known.clear()
        known[raw] = value
        return value


def coding_of(head: Head) -> bytes:
    """The Content-Encoding of a plain response, searched once."""
    if head.coding is None:
        head.coding = _coding(head.headers)
    return head.coding


def _coding(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Content-Encoding; empty if there is none."""
    return b",".join([value for name, value in headers if name == b"content-encoding"])

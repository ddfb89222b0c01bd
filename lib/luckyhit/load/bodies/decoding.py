"""Bodies without their content codings, as far as a bound: a small answer may unpack to anything."""

from __future__ import annotations

import zlib

import brotli

from luckyhit.load.http1.response import HttpResponse

LARGEST_KEPT_BODY = 10 << 20
_MOST_CODINGS = 4
_PLAIN = frozenset({b"", b"identity"})


class _Damaged(Exception):
    """What should be gzip, deflate or brotli is not, or ends early."""


def decoded_body(answer: HttpResponse, most: int = LARGEST_KEPT_BODY) -> bytes:
    """The body without its gzip, deflate or brotli coding (or several of them, one around the other), `most` bytes of
    it. As it came where it isn't coded, or can't be decoded: an unknown coding, or a damaged body."""
    body = answer.body
    if not body:
        return body
    declared = [value for name, value in answer.headers if name == b"content-encoding"]
    if not declared:
        return body
    codings = [word for text in declared for word in (part.strip().lower() for part in text.split(b","))]
    codings = [coding for coding in codings if coding not in _PLAIN]
    if len(codings) > _MOST_CODINGS:
        return body
    cut = answer.truncated  # only then may a coded body end early
    try:
        for place in reversed(range(len(codings))):
            bound = max(most, LARGEST_KEPT_BODY) if place else most
            body, cut = _decoded(body, codings[place], bound, cut)
    except _Damaged:
        return answer.body
    return body


def _decoded(body: bytes, coding: bytes, most: int, cut: bool) -> tuple[bytes, bool]:
    """One coding less: `most` bytes, and whether there would be more. `cut`: `body` is only the beginning."""
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
            if parts:  # what stands behind the last whole part is padding, or noise
                return b"".join(parts), False
            raise _Damaged from None
        parts.append(part)
        left -= len(part)
        if not unpacker.eof:
            if left and not cut:
                raise _Damaged
            return b"".join(parts), True
        body = unpacker.unused_data
        if not body or not left or bits != 31:  # gzip may have several parts, one behind the other
            return b"".join(parts), bool(body)


def _unbrotlied(body: bytes, most: int, cut: bool) -> tuple[bytes, bool]:
    unpacker = brotli.Decompressor()
    parts: list[bytes] = []
    size = 0
    try:
        part = unpacker.process(body, output_buffer_limit=most)
        while part:  # a limit is where it stops to grow, so it may be less, or a little more
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

"""Bodies without their content codings, as far as a bound: a small answer may unpack to anything."""

from __future__ import annotations

import zlib

import brotli

from luckyhit.measure.connection import Answer

LARGEST_KEPT_BODY = 10 << 20
_MOST_CODINGS = 4


def decoded_body(answer: Answer, most: int = LARGEST_KEPT_BODY) -> bytes:
    """The body without its gzip, deflate or brotli coding (or several of them, one in the other), `most` bytes of it.
    As it came where it can't be decoded."""
    codings = [
        coding.strip().lower()
        for name, value in answer.headers
        if name == b"content-encoding"
        for coding in value.split(b",")
    ]
    codings = [coding for coding in codings if coding not in (b"", b"identity")]
    if not codings or not answer.body or len(codings) > _MOST_CODINGS:
        return answer.body
    body = answer.body
    for coding in reversed(codings):
        decoded = _decoded(body, coding, most)
        if decoded is None:
            return answer.body
        body = decoded
    return body


def _decoded(body: bytes, coding: bytes, most: int) -> bytes | None:
    """None where it can't be decoded."""
    if coding == b"br":
        return _unbrotlied(body, most)
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        return None
    for bits in (47, -15):  # gzip or zlib by its header; raw deflate, which some send as "deflate"
        try:
            return zlib.decompressobj(wbits=bits).decompress(body, most)
        except zlib.error:
            continue
    return None


def _unbrotlied(body: bytes, most: int) -> bytes | None:
    unpacker, parts, size = brotli.Decompressor(), [], 0
    try:
        part = unpacker.process(body, output_buffer_limit=most)
        while part:
            parts.append(part)
            size += len(part)
            if size >= most or unpacker.is_finished():
                break
            part = unpacker.process(b"", output_buffer_limit=most - size)
    except brotli.error:
        return None
    if not parts and not unpacker.is_finished():
        return None  # nothing came out, and more was to come: it was no brotli
    return b"".join(parts)[:most]

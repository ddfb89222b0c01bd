"""Content codings: what was sent comes out, whatever it is; and never more of it than was asked for."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.load.bodies.decoding import decoded_body
from luckyhit.load.http1.response import HttpResponse


def gzipped(body: bytes) -> bytes:
    # Without the time in its header: test names are made of these bytes, and have to be the same in every process.
    return gzip.compress(body, mtime=0)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


TEXT = b'{"id": 1, "name": "a product"}' * 50
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzipped,
    "x-gzip": gzipped,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "identity": bytes,
}


def answer(body: bytes, *codings: str) -> HttpResponse:
    return HttpResponse(
        status=200, body=body, size=len(body), headers=[(b"content-encoding", coding.encode()) for coding in codings]
    )


@given(st.binary(max_size=3000), st.lists(st.sampled_from(sorted(CODINGS)), max_size=3), st.booleans())
def test_what_was_packed_comes_out(body: bytes, codings: list[str], one_header: bool) -> None:
    packed = body
    for coding in codings:
        packed = CODINGS[coding](packed)
    headers = [", ".join(codings)] if one_header and codings else codings
    assert decoded_body(answer(packed, *headers)) == body


@given(st.binary(max_size=300), st.sampled_from([*sorted(CODINGS), "zstd", "", "gzip, br", "gzip," * 90]))
def test_what_can_not_be_unpacked_stays_as_it_came_or_is_bounded(body: bytes, coding: str) -> None:
    assert len(decoded_body(answer(body, coding), 1000)) <= 1000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_bomb_stays_within_the_bound(coding: str) -> None:
    bomb = answer(CODINGS[coding](bytes(50_000_000)), coding)
    tracemalloc.start()
    try:
        assert decoded_body(bomb, 100_000) == bytes(100_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_damaged_body_is_shown_as_it_came() -> None:
    assert decoded_body(answer(b"plain", "gzip")) == decoded_body(answer(b"plain", "br")) == b"plain"


@pytest.mark.parametrize(
    ("body", "codings"),
    [
        (gzipped(TEXT), ["gzip"]),
        (gzipped(TEXT), [" GZip "]),
        (gzipped(TEXT), ["x-gzip"]),
        (zlib.compress(TEXT), ["deflate"]),
        (raw_deflate(TEXT), ["deflate"]),
        (brotli.compress(TEXT), ["br"]),
        (brotli.compress(gzipped(TEXT)), ["gzip, br"]),
        (brotli.compress(gzipped(TEXT)), ["gzip", "br"]),
        (gzipped(brotli.compress(TEXT)), ["identity, br,, gzip"]),
        (gzipped(TEXT[:100]) + gzipped(TEXT[100:]), ["gzip"]),
        (gzipped(TEXT) + b"\0\0\0", ["gzip"]),
        (TEXT, []),
        (TEXT, ["identity"]),
    ],
)
def test_what_was_sent_comes_out(body: bytes, codings: list[str]) -> None:
    assert decoded_body(answer(body, *codings)) == TEXT
    assert decoded_body(answer(body, *codings), 100) == (TEXT[:100] if body != TEXT else TEXT)


@pytest.mark.parametrize(
    ("body", "codings"),
    [
        (TEXT, ["gzip"]),
        (TEXT, ["deflate"]),
        (b"\xff" + TEXT, ["br"]),
        (gzipped(TEXT)[:-20], ["gzip"]),
        (zlib.compress(TEXT)[:-5], ["deflate"]),
        (brotli.compress(TEXT)[:-3], ["br"]),
        (gzipped(TEXT)[:20] + b"\0\0\0\0" + gzipped(TEXT)[24:], ["gzip"]),
        (brotli.compress(TEXT), ["gzip, br"]),
        (gzipped(TEXT), ["zstd"]),
        (gzipped(TEXT), ["gzip", "no-such"]),
        (gzipped(TEXT), ["gzip, gzip, gzip, gzip, gzip"]),
    ],
)
def test_what_cannot_be_decoded_stays_as_it_came(body: bytes, codings: list[str]) -> None:
    assert decoded_body(answer(body, *codings)) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_of_a_body_kept_in_part_the_beginning_is_told(coding: str) -> None:
    noise = bytes(number * number % 251 for number in range(200_000))
    whole = CODINGS[coding](noise)
    kept = answer(whole[: len(whole) // 2], coding)
    kept.size = len(whole)
    shown = decoded_body(kept)
    assert shown and noise.startswith(shown) and shown != kept.body


def test_what_lies_between_two_codings_may_be_larger_than_the_bound() -> None:
    noise = bytes(number * number % 251 for number in range(20_000))
    assert decoded_body(answer(gzipped(brotli.compress(noise)), "br, gzip"), 5) == noise[:5]


def test_a_bomb_inside_a_bomb_stays_within_the_bound() -> None:
    bomb = answer(gzipped(brotli.compress(bytes(50_000_000), quality=4)), "br", "gzip")
    tracemalloc.start()
    try:
        assert decoded_body(bomb, 100_000) == bytes(100_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()

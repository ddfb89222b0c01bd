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

from luckyhit.measure.bodies import decoded_body
from luckyhit.measure.connection import Answer


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "identity": bytes,
}


def answer(body: bytes, *codings: str) -> Answer:
    return Answer(status=200, body=body, headers=[(b"content-encoding", coding.encode()) for coding in codings])


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

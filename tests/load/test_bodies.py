"""Bodies: decoded up to a bound, and hashed, equal for equal bytes in whatever coding they came."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import numpy as np
import pytest
from handled import ADDRESSES, ARMS, handle, response
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from luckyhit.case.workload import Response, Route
from luckyhit.load.bodies.decoding import decoded_body, hash_of
from luckyhit.load.bodies.examples import MOST_OF_A_ROUTE, merged_examples
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.responses import KEPT_FOR_LATER
from tier import examples


def gzipped(body: bytes) -> bytes:
    # Without the time in its header: test names are made of these bytes, and must be the same in every process.
    return gzip.compress(body, mtime=0)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


TEXT = b'{"id": 1, "name": "a product"}' * 50
NOISE = bytes(number * number % 251 for number in range(200_000))
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzipped,
    "x-gzip": gzipped,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "identity": bytes,
}


def coded(body: bytes, *codings: str, **other: Any) -> HttpResponse:
    return response(body, *(f"content-encoding: {coding}" for coding in codings), **other)


@given(st.binary(max_size=3000), st.lists(st.sampled_from(sorted(CODINGS)), max_size=3), st.booleans())
def test_what_was_coded_is_decoded(body: bytes, codings: list[str], one_header: bool) -> None:
    packed = body
    for coding in codings:
        packed = CODINGS[coding](packed)
    assert decoded_body(coded(packed, *([", ".join(codings)] if one_header and codings else codings))) == body


@pytest.mark.parametrize(
    ("body", "codings"),
    [
        (gzipped(TEXT), [" GZip "]),
        (brotli.compress(gzipped(TEXT)), ["gzip, br"]),
        (brotli.compress(gzipped(TEXT)), ["gzip", "br"]),
        (gzipped(brotli.compress(TEXT)), ["identity, br,, gzip"]),
        (gzipped(TEXT[:100]) + gzipped(TEXT[100:]), ["gzip"]),
        (gzipped(TEXT) + b"\0\0\0", ["gzip"]),
        (TEXT, []),
        (TEXT, ["identity"]),
    ],
)
def test_unusual_codings_are_decoded(body: bytes, codings: list[str]) -> None:
    assert decoded_body(coded(body, *codings)) == TEXT
    assert decoded_body(coded(body, *codings), 100) == (TEXT[:100] if body != TEXT else TEXT)


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
    assert decoded_body(coded(body, *codings)) == body


@given(st.binary(max_size=300), st.sampled_from([*sorted(CODINGS), "zstd", "", "gzip, br", "gzip," * 90]))
def test_any_bytes_are_decoded_within_the_bound(body: bytes, coding: str) -> None:
    assert len(decoded_body(coded(body, coding), 1000)) <= 1000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_the_beginning_of_a_body_is_decoded(coding: str) -> None:
    whole = CODINGS[coding](NOISE)
    kept = coded(whole[: len(whole) // 2], coding, size=len(whole))
    shown = decoded_body(kept)
    assert shown and NOISE.startswith(shown) and shown != kept.body


def test_between_two_codings_a_body_may_exceed_the_bound() -> None:
    assert decoded_body(coded(gzipped(brotli.compress(NOISE[:20_000])), "br, gzip"), 5) == NOISE[:5]


@pytest.mark.parametrize("codings", [["gzip"], ["deflate"], ["br"], ["br", "gzip"]], ids=" ".join)
def test_a_bomb_stays_within_the_bound(codings: list[str]) -> None:
    packed = bytes(50_000_000)
    for coding in codings:
        packed = brotli.compress(packed, quality=4) if coding == "br" else CODINGS[coding](packed)
    bomb = coded(packed, *codings)
    tracemalloc.start()
    try:
        assert decoded_body(bomb, 100_000) == bytes(100_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


# Hashes


def hashes(*responses: HttpResponse | tuple[int, HttpResponse], **settings: Any) -> list[int | None]:
    return handle(responses, slots=2, later_bytes=KEPT_FOR_LATER, **settings).column("body_hash")


@given(st.binary(max_size=3000), st.sampled_from([None, Response(), Response(fields=["$.a"])]))
@settings(max_examples=examples(60), deadline=None)
def test_a_body_has_one_hash_in_any_coding(body: bytes, expected: Response | None) -> None:
    packed = [
        (0, coded(body)),
        (1, coded(gzip.compress(body, mtime=1), "gzip")),
        (0, coded(gzip.compress(body, 1, mtime=2), "gzip")),
        (1, coded(brotli.compress(body), "br")),
        (0, coded(body)),
    ]
    value = xxh3_64_intdigest(body)
    assert hashes(*packed, expected=expected) == [value - (value >> 63 << 64)] * 5


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=40))
@settings(max_examples=examples(60), deadline=None)
def test_links_to_the_service_itself_do_not_count(start: bytes, end: bytes) -> None:
    before, after = hashes(*((arm, response(start + ADDRESSES[arm][7:].encode() + end)) for arm in (0, 1)))
    assert before == after
    own, other = hashes(*(response(b"a " + address[7:].encode()) for address in ADDRESSES))
    assert own != other


@pytest.mark.parametrize(
    ("one", "route"),
    [
        (response(b"", status=204), {}),
        (response(b"", status=304), {}),
        (response(b""), {"method": "HEAD"}),
        (response(b"half", size=9), {}),
        (HttpResponse(error="timeout"), {}),
    ],
)
@pytest.mark.parametrize("expected", [None, Response()])
def test_without_a_whole_body_there_is_no_hash(
    one: HttpResponse, route: dict[str, Any], expected: Response | None
) -> None:
    assert handle([one], Route(name="r", path="/r", **route), expected=expected).column("body_hash") == [None]


@pytest.mark.parametrize("expected", [None, Response(), Response(fields=["$.a"]), Response(status=500)])
def test_a_large_coded_body_is_hashed_after_the_block(expected: Response | None) -> None:
    body = np.random.default_rng(1).bytes(2 * LARGEST_CHECKED_BODY)
    large, packed, small = hashes(
        response(body), (1, coded(gzip.compress(body), "gzip")), response(b"small"), expected=expected
    )
    assert large == packed == hash_of(body, b"") != small is not None


def test_an_unexpected_response_keeps_its_hash() -> None:
    wrong = handle(
        [response(b'{"id": 2}', status=status) for status in (200, 503)], expected=Response(values={"$.id": 1})
    )
    assert wrong.column("body_hash") == [hash_of(b'{"id": 2}', b"")] * 2
    assert wrong.failed == 2


def test_of_many_kinds_only_some_are_examples() -> None:
    responses = [response(b"", status=status) for status in range(400, 420)]
    handled = handle(responses, expected=Response(), slots=20)
    assert len(handled.responses.examples) == MOST_OF_A_ROUTE and handled.failed == 20


kinds = st.tuples(st.sampled_from([200, 404, 503]), st.sampled_from(["HIT", "MISS"]), st.sampled_from(["{}", "<", "1"]))


@given(st.lists(st.tuples(st.integers(0, 1), kinds), max_size=60), st.integers(0, 60))
@settings(max_examples=examples(60), deadline=None)
def test_each_unexpected_response_is_of_one_kind(sent: list[Any], cut: int) -> None:
    responses = [
        (arm, response(body.encode(), f"X-Cache: {cache}", status=status)) for arm, (status, cache, body) in sent
    ]
    workers = [handle(part, expected=Response(fields=["$.a"])).responses for part in (responses[:cut], responses[cut:])]
    rows = merged_examples(*(worker.examples for worker in workers))
    counts = {(row["arm"], row["reason"], row["status"], row["cache"]): row["count"] for row in rows}
    assert len(counts) == len(rows)
    assert max((sum(kind[0] == arm for kind in counts) for arm in ARMS), default=0) <= MOST_OF_A_ROUTE
    reasons = {200: {"{}": "missing-field", "1": "missing-field", "<": "not-json"}}
    expected: dict[Any, int] = {}
    for arm, (status, cache, body) in sent:
        kind = (ARMS[arm], reasons.get(status, {}).get(body, "status"), status, cache.lower())
        expected[kind] = expected.get(kind, 0) + 1
    assert counts == expected

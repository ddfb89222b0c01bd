"""A hash of each answer's body: XXH3, 64 bits, of the bytes without their content coding.

The coded bytes can't be compared: gzip writes the time into its head, and two services may compress differently.
"""

from __future__ import annotations

from xxhash import xxh3_64_intdigest

from luckyhit.measure.bodies import decoded_body
from luckyhit.measure.connection import Answer
from luckyhit.measure.expect import LARGEST_CHECKED_BODY
from luckyhit.measure.rows import NO_HASH

_MOST_KNOWN = 4096
_BODILESS = frozenset({204, 205, 304})
_SIGN, _TURN = 1 << 63, 1 << 64


def hash_of(body: bytes) -> int:
    """XXH3 of a body, as a signed number of 64 bits that is never NO_HASH."""
    value = xxh3_64_intdigest(body)
    if value < _SIGN:
        return value
    return value - _TURN if value != _SIGN else NO_HASH + 1


class BodyHashes:
    """Hashes bodies between requests. A coded body is unpacked once: its hash is remembered by those of its bytes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], int | None] = {}

    def of(self, answer: Answer) -> int | None:
        """NO_HASH where the body was not kept whole, or where an answer has none (204, 304). None where it takes too
        long to unpack between requests."""
        body = answer.body
        if len(body) < answer.size or (not body and answer.status in _BODILESS):
            return NO_HASH
        head = answer.head
        if head is None:
            coding = _coding(answer.headers)
        elif (known := head.coding) is not None:
            coding = known
        else:
            coding = head.coding = _coding(head.headers)
        return self._of_coded(answer, coding) if coding and body else hash_of(body)

    def _of_coded(self, answer: Answer, coding: bytes) -> int | None:
        raw = xxh3_64_intdigest(answer.body), coding
        if raw in self._known:
            return self._known[raw]
        body = decoded_body(answer, LARGEST_CHECKED_BODY + 1)
        value = hash_of(body) if len(body) <= LARGEST_CHECKED_BODY else None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[raw] = value
        return value


def _coding(headers: list[tuple[bytes, bytes]]) -> bytes:
    """What Content-Encoding says; empty where it says nothing."""
    return b",".join([value for name, value in headers if name == b"content-encoding"])

"""A hash of each answer's body: XXH3, 64 bits, of the bytes without their content coding and without the service's own
address.

The coded bytes can't be compared: gzip writes the time into its head, and two services may compress differently. Nor
can links that name host and port, which the arms do not share.
"""

from __future__ import annotations

from collections.abc import Sequence

from xxhash import xxh3_64_intdigest

from luckyhit.load.bodies.decoding import decoded_body
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.http1.response_head import Head
from luckyhit.load.recorder import NO_HASH

_MOST_KNOWN = 4096
_BODILESS = frozenset({204, 205, 304})
_SIGN, _TURN = 1 << 63, 1 << 64


def hash_of(body: bytes, address: bytes) -> int:
    """XXH3 of a decoded body, as a signed number of 64 bits that is never NO_HASH. In a body above LARGEST_CHECKED_BODY
    the address is not looked for: that takes as long as parsing."""
    # Looked for from behind: bytes are searched some four times as fast that way.
    if address and len(body) <= LARGEST_CHECKED_BODY and body.rfind(address) >= 0:
        body = body.replace(address, b"")
    value = xxh3_64_intdigest(body)
    if value < _SIGN:
        return value
    return value - _TURN if value != _SIGN else NO_HASH + 1


class BodyHashes:
    """Hashes bodies between requests; what has a coding is unpacked once, since services send the same bodies again and
    again: what one came to is remembered by XXH3 of its bytes as they came. `addresses`: host and port, by arm."""

    def __init__(self, addresses: Sequence[bytes]) -> None:
        self._addresses = addresses
        self._coded: list[dict[tuple[int, bytes], int | None]] = [{} for _ in addresses]

    def of(self, arm: int, answer: HttpResponse) -> int | None:
        """NO_HASH where the body was not kept whole, or where an answer has none (204, 304). None where it takes too
        long to unpack between requests."""
        body, head = answer.body, answer.head
        if len(body) < answer.size or (not body and answer.status in _BODILESS):
            return NO_HASH
        coding = _coding(answer.headers) if head is None else coding_of(head)
        return self.of_decoded(arm, body) if not coding else self._of_coded(arm, answer, coding)

    def of_decoded(self, arm: int, body: bytes) -> int:
        """The hash of a body that has no coding."""
        return hash_of(body, self._addresses[arm])

    def _of_coded(self, arm: int, answer: HttpResponse, coding: bytes) -> int | None:
        raw, known = (xxh3_64_intdigest(answer.body), coding), self._coded[arm]
        if raw in known:
            return known[raw]
        body = decoded_body(answer, LARGEST_CHECKED_BODY + 1)
        value = hash_of(body, self._addresses[arm]) if len(body) <= LARGEST_CHECKED_BODY else None
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[raw] = value
        return value


def coding_of(head: Head) -> bytes:
    """What the Content-Encoding of a plain answer says, looked for once."""
    if head.coding is None:
        head.coding = _coding(head.headers)
    return head.coding


def _coding(headers: list[tuple[bytes, bytes]]) -> bytes:
    """What Content-Encoding says; empty where it says nothing."""
    return b",".join([value for name, value in headers if name == b"content-encoding"])

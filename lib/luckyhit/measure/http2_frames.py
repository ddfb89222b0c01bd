"""HTTP/2 frames, cut out of what a connection brings, each with the instant of its first byte.

Three things need them before the h2 library sees them: the time to the first byte (h2 tells of headers once they are
whole), GOAWAY (h2 closes its state on it, though the answers under way may still come), and overlong frames (h2 waits
for their end, which of something that isn't HTTP/2 never comes).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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

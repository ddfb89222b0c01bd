"""Answers that came before, byte for byte: what they show is known, and need not be found out again.

Services send the same few answers again and again. Of one that is known, only the instants, the connection and the slot
are new; all the rest of its row is kept ready, packed. An answer is known if nothing but its own bytes, its arm and its
route decides its row: it was plain and whole, as expected, and earlier answers of its URL have no say in it.
"""

from __future__ import annotations

from luckyhit.load.http1.response import KnownAnswer

LARGEST_KNOWN = 2 << 10
"""Bytes of head and body. To find a longer one again takes as long as to read it."""
MOST_KNOWN = 2048
"""Of one arm and route; after that it begins again."""
FEWEST_AGAIN = MOST_KNOWN // 8
FOREVER_NS = 2**63 - 1


class KnownAnswers:
    """Those of one arm and route, by their bytes. If few of them come again, none is remembered any more (`learns`):
    that takes time as well."""

    def __init__(self) -> None:
        self.by_bytes: dict[bytes, KnownAnswer] = {}
        self.learns = True

    def add(self, raw: bytes, answer: KnownAnswer) -> None:
        """Remember one."""
        if len(self.by_bytes) >= MOST_KNOWN:
            self.learns = sum(known.again for known in self.by_bytes.values()) >= FEWEST_AGAIN
            self.by_bytes.clear()  # requests under way have this very dictionary
            if not self.learns:
                return
        self.by_bytes[raw] = answer

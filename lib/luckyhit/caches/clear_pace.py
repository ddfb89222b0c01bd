"""How fast a cache is cleared that others use: batches that its server is done with in a few milliseconds, and rests.

A Redis or Valkey server does one thing at a time: what it does for us, the others wait for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST, _MOST = 16, 128
_LONG_S, _VERY_LONG_S = 0.015, 0.060
_RESTS, _LONGEST_REST_S = 1.0, 0.02


class ClearPace:
    """The size of the next batch, and the rest before it.

    `rate` is the most keys in a second, None for no limit; `resting` says whether to leave the server to the others
    for as long as each batch took.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        resting: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._resting, self._clock, self._sleep = rate, resting, clock, sleep
        self._size = _FIRST
        self._next_s = clock()

    @property
    def size(self) -> int:
        """The most keys that the next batch may have."""
        return self._size if self._rate is None else max(1, min(self._size, int(self._rate / 10)))

    def took(self, keys: int, seconds: float) -> None:
        """A batch of `keys` took the server `seconds`: rest, and make the next one smaller or larger."""
        if seconds > _LONG_S:
            # A few keys take long only where they are large; else something else keeps the server, or us.
            least = 1 if seconds > _VERY_LONG_S else min(_FIRST, self._size)
            self._size = max(least, min(self._size, keys) // 2)
        elif keys >= self._size:
            self._size = min(_MOST, self._size * 2)
        rest_s = min(seconds * _RESTS, _LONGEST_REST_S) if self._resting else 0.0
        if self._rate is not None:
            now_s = self._clock()
            self._next_s = max(self._next_s, now_s - seconds) + keys / self._rate  # what was not used is not saved up
            rest_s = max(rest_s, self._next_s - now_s)
        if rest_s > 0:
            self._sleep(rest_s)

"""What one response shows, and what distinguishes it from others of its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache

from luckyhit.records import CACHE_STATUSES, CacheStatus

Mark = tuple[bytes, tuple[bytes, ...], int]
"""When a response was made (its Date, or the Expires derived from it; empty: neither); values that only its request
has, those of the nearest writer last; and which of the two times it is: DATED, or for Expires EXPIRING (of a response
that was made just now) or EXPIRES (of an older one)."""
DATED, EXPIRING, EXPIRES = range(3)
NO_MARK: Mark = (b"", (), DATED)

VARNISH, TIMING, COUNTED = b"v", b"t", b"c"
"""Prefixes of such values: Varnish's number; exact times; COUNTED for times that vouch only for the counts beside them,
and for no nearer layer."""

STORED = ("hit", "stale")

_MAX_AGE = re.compile(rb"(?:^|[\s,])max-age=(\d{1,9})")
_CLOCK_S = 2


@dataclass(frozen=True)
class ResponseSignals:
    """What one response shows; None, or `unknown`, for what it doesn't.

    `layers`: what each cache on the way did, nearest first: `x-varnish=hit x-cache=miss`. `lone_age_s`: an Age of a
    layer that shows nothing else. `settled`: no other response can show more of the nearest layer. `replayed`: its
    counts and times are those of an earlier response. `chosen`: the header that the case names, which alone decides the
    status. `explains_ids`, `explains_date`: the nearest layer reports what it did, so that a repeated id or Date shows
    no nearer layer. `only_hits`: its layer writes a header with hits alone. `late`: past its lifetime, if a layer that
    shows nothing else stored it. `calls_behind_age`, `calls_behind_control`: the count comes after the Age, or
    Cache-Control, and may be of this request.
    """

    cache: CacheStatus = "unknown"
    db_calls: int | None = None
    age_s: float | None = None
    layers: str | None = None
    lone_age_s: float | None = None
    settled: bool = True
    replayed: bool = False
    chosen: str | None = None
    explains_ids: bool = False
    explains_date: bool = False
    only_hits: bool = False
    late: bool = False
    calls_behind_age: bool = False
    calls_behind_control: bool = False
    _behind: dict[tuple[str, CacheStatus], ResponseSignals] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def row(self) -> tuple[float, int, int]:
        """As a row keeps it: age, calls, number of the status; -1 if missing."""
        age_s = -1.0 if self.age_s is None else self.age_s
        return age_s, -1 if self.db_calls is None else self.db_calls, CACHE_STATUSES.index(self.cache)

    def behind(self, name: str, status: CacheStatus) -> ResponseSignals:
        """The same response, if a nearer cache did this with it."""
        if status == "hit" and self.late:
            status = "stale"
        known = self._behind.get((name, status))
        if known is None:
            lives = (self.calls_behind_age and name == "age") or (self.calls_behind_control and name == "expires")
            stored = status in STORED
            # A layer that reports a hit may be the one that stored the response.
            same = stored and (self.layers or "").partition(" ")[0].endswith(("=hit", "=stale"))
            known = self._behind[name, status] = replace(
                self,
                cache=self.cache if same or self.chosen not in (None, name) else status,
                db_calls=0 if stored and self.db_calls is not None and not lives else self.db_calls,
                layers=self.layers if same else f"{name}={status} {self.layers or ''}".strip(),
                replayed=self.replayed or stored,
                _behind={},
            )
        return known

    def counting(self, db_calls: int) -> ResponseSignals:
        """The same response with another number of calls. Made by hand: this happens for each response with a count of
        its own, and `replace` takes five times as long."""
        other = object.__new__(ResponseSignals)
        vars(other).update(vars(self), db_calls=db_calls, _behind={})
        vars(other).pop("row", None)
        return other

    def uncounted(self) -> ResponseSignals:
        """The same response, if its count is that of an earlier one."""
        if not self.db_calls:
            return self
        known = self._behind.get(("", self.cache))
        if known is None:
            known = self._behind["", self.cache] = replace(self, db_calls=0, replayed=True, _behind={})
        return known


@lru_cache(maxsize=1024)
def expiring(date: bytes, expires: bytes, control: bytes) -> int:
    """Whether an Expires is the Date at which a response was made plus its max-age."""
    lifetime, made, ends = _MAX_AGE.search(control), _seconds(date), _seconds(expires)
    if lifetime is None or made is None or ends is None:
        return DATED
    left = int(lifetime[1]) - (ends - made)
    if abs(left) <= _CLOCK_S:
        return EXPIRING
    return EXPIRES if 0 < left <= int(lifetime[1]) else DATED


def _seconds(text: bytes) -> float | None:
    """An HTTP date, in seconds since 1970."""
    try:
        return parsedate_to_datetime(text.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None

"""What one answer shows, and what tells it apart from others of its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache

from luckyhit.records import CACHE_STATUSES, CacheStatus

Mark = tuple[bytes, tuple[bytes, ...], int]
"""When an answer was made (its Date, or the Expires that was made of it; empty: neither), what its request had for
itself alone, the nearest writer's last, and which of both it is: DATED; of Expires EXPIRING (as it is where an answer
was made just now) or EXPIRES (as it is later)."""
DATED, EXPIRING, EXPIRES = range(3)
NO_MARK: Mark = (b"", (), DATED)

VARNISH, TIMING, COUNTED = b"v", b"t", b"c"
"""In front of what they wrote: a number that nobody else writes, and times, which are a request's own where they are
exact; COUNTED where such times tell of the counts beside them alone, and of no nearer layer."""

STORED = ("hit", "stale")

_MAX_AGE = re.compile(rb"(?:^|[\s,])max-age=(\d{1,9})")
_CLOCK_S = 2


@dataclass(frozen=True)
class Seen:
    """What one answer shows: None, or `unknown`, where it shows nothing.

    `layers`: what each cache on the way did, nearest first: `x-varnish=hit x-cache=miss`. `lone_age_s`: an Age that
    stands for a layer which tells nothing else. `settled`: no other answer can tell more of the nearest layer.
    `replayed`: the counts and times in it are those of an earlier answer. `chosen`: the header that the case names,
    which alone tells the status. `explains_ids`, `explains_date`: the nearest layer tells itself what it did, so that
    an id or a Date which comes again shows nobody nearer. `only_hits`: its layer says something with hits alone.
    `late`: if a layer that tells nothing else has stored it, it is past its lifetime. `calls_behind_age`,
    `calls_behind_control`: the count stands behind the Age, or Cache-Control, and may be of this request.
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
    _behind: dict[tuple[str, CacheStatus], Seen] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def row(self) -> tuple[float, int, int]:
        """As a row keeps it: age, calls, number of the status; -1 where it is not there."""
        age_s = -1.0 if self.age_s is None else self.age_s
        return age_s, -1 if self.db_calls is None else self.db_calls, CACHE_STATUSES.index(self.cache)

    def behind(self, name: str, status: CacheStatus) -> Seen:
        """The same answer, where a nearer cache did this with it."""
        if status == "hit" and self.late:
            status = "stale"
        known = self._behind.get((name, status))
        if known is None:
            lives = (self.calls_behind_age and name == "age") or (self.calls_behind_control and name == "expires")
            stored = status in STORED
            # Who has told a hit itself may be the one that stored the answer.
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

    def counting(self, db_calls: int) -> Seen:
        """The same answer with another number of calls. Made by hand: this happens for each answer whose count is its
        own, and `replace` takes five times as long."""
        other = object.__new__(Seen)
        vars(other).update(vars(self), db_calls=db_calls, _behind={})
        vars(other).pop("row", None)
        return other

    def uncounted(self) -> Seen:
        """The same answer, where its count is that of an earlier one."""
        if not self.db_calls:
            return self
        known = self._behind.get(("", self.cache))
        if known is None:
            known = self._behind["", self.cache] = replace(self, db_calls=0, replayed=True, _behind={})
        return known


@lru_cache(maxsize=1024)
def expiring(date: bytes, expires: bytes, control: bytes) -> int:
    """Whether an Expires is the Date at which an answer was made, and its max-age."""
    lifetime, made, ends = _MAX_AGE.search(control), _seconds(date), _seconds(expires)
    if lifetime is None or made is None or ends is None:
        return DATED
    left = int(lifetime[1]) - (ends - made)
    if abs(left) <= _CLOCK_S:
        return EXPIRING
    return EXPIRES if 0 < left <= int(lifetime[1]) else DATED


def _seconds(text: bytes) -> float | None:
    """A time of HTTP, in seconds."""
    try:
        return parsedate_to_datetime(text.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None

"""What only several answers of one URL show together: layers that write no header of their own for what they do.

    replay   what a request has for itself alone (Varnish's number, a request's id, an exact time) comes again: the
             answer was stored by somebody nearer than whoever wrote it
    date     the same Date again, LONGER_S later by this machine's clock, though the arm has shown a later one: it was
             stored. A service that runs writes another one each second; one that is overloaded may be behind with all
             that it answers, so that without a later Date it takes SURELY_S. Clocks of two machines are never compared
    expires  the same with an Expires that is the Date and max-age: nginx does not pass the Date on
    age      HAProxy, Django, Squid and Apache send an Age with hits alone, Traffic Server with all that it stores: on a
             route where some answers have one and others don't, it tells the hits; where all have one, an Age of 0 is a
             hit if its Date is one that this URL has shown before

Once a layer has shown on a route that it stores, its misses are told as well: another number, another Date, no Age.
The first answers wait for that (LEARNS_S of them, MOST_WAITING at most): else it would be the misses, which come first,
that are left out. All of it is bounded: `MOST_URLS` are remembered, then it begins again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from typing import NamedTuple

from luckyhit.load.signals.seen import COUNTED, DATED, EXPIRES, STORED, TIMING, VARNISH, Mark, Seen

LONGER_S = 3.0
"""More than the clocks of machines that share a service are apart, as a rule."""
SURELY_S = 15.0
_BEHIND_S = 2
"""So much older than the newest Date of its arm a stored one is, at least."""
MOST_URLS = 32_768
_LONGER_NS, _SURELY_NS = round(LONGER_S * 1e9), round(SURELY_S * 1e9)
LEARNS_S = 10.0
MOST_WAITING = 4096
_LEARNS_NS = round(LEARNS_S * 1e9)
_NEVER_NS = 2**63
_SURE = (VARNISH, TIMING, COUNTED)
_COUNTS = (TIMING, COUNTED)
_CLOCK_S = 2
Place = tuple[memoryview, int]
"""Where a row stands that was not written yet (luckyhit.load.recorder)."""
_Url = tuple[bytes, tuple[bytes, ...], int]
"""Date (or Expires), marks, and when this Date came first."""


@dataclass(slots=True)
class _Route:
    """What was seen of one route in one arm. `with_age`, `without_age`: answers with a lone Age, and with none at all;
    `aged`: one above 0; `dated`, `replays`, `flagged`: a layer has shown that it stores, in that way. `waiting`: rows
    that more of this would tell."""

    with_age: bool = False
    without_age: bool = False
    aged: bool = False
    dated: bool = False
    replays: bool = False
    flagged: bool = False
    waiting: list[tuple[Clue, Place]] = field(default_factory=list)

    @property
    def signs(self) -> tuple[bool, ...]:
        return self.with_age, self.without_age, self.aged, self.dated, self.replays, self.flagged


class Clue(NamedTuple):
    """What one answer shows by itself (`reading`) and beside those before it of its URL: `asked`, there was one;
    `again`, something of a request's own came again; `same_date`, its Date did, and `longer`: LONGER_S later; `dated`:
    what it has of it (`date` or `expires`; empty: nothing); `owned`: it has something of its own; `counted`: what
    counts and times it tells, an answer before it told."""

    reading: Seen
    asked: bool
    again: bool
    same_date: bool
    longer: bool
    dated: str
    owned: bool
    counted: bool

    @property
    def stored(self) -> bool:
        """Of an answer with a lone Age: whether it is surely no new one."""
        least = _CLOCK_S if self.dated else 1
        return self.again or self.same_date or (self.reading.lone_age_s or 0) >= least


class Memory:
    """By arm, route and URL (any number that tells the URLs of a route apart). `watching`: a layer has shown itself;
    until then, once the first answers came (`learns`), there is nothing to learn of an answer before its
    `silent_until_ns`. What more answers may still tell of the last one is `clue`: its row can be left to `wait`, and
    of those that are `unsettled` by what came since, `revised` tells more."""

    def __init__(self) -> None:
        self.watching, self.learns = False, True
        self.clue: Clue | None = None
        self.unsettled: deque[tuple[_Route, Clue, Place]] = deque()
        self._waiting = 0
        self._last = _Route()
        self._learns_until_ns: int | None = None
        self._routes: dict[int, _Route] = {}
        self._urls: dict[int, _Url] = {}
        self._newest_s: dict[int, int] = {}
        self._owners: dict[tuple[int, bytes], int] = {}
        self._shared: set[int] = set()  # arms in which two URLs had the same: it is no request's own

    def silent_until_ns(self, arm: int, reading: Seen, mark: Mark, now_ns: int) -> int:
        """Until when answers like this one, first seen now, show no more than by themselves: where their Date alone
        can tell, until it has stood still for a while."""
        if mark[0]:
            self._behind_s(arm, mark)
        if reading.settled:
            return _NEVER_NS
        return (
            0
            if reading.lone_age_s is not None or reading.only_hits or mark[1] or mark[2] != DATED
            else now_ns + _LONGER_NS
        )

    def look(self, arm: int, route: int, url: int, reading: Seen, mark: Mark, now_ns: int) -> Seen:
        """What an answer (a 200 to a read) shows in the light of those before it. `now_ns`: of a monotonic clock."""
        self.clue = None
        if reading.settled:
            return reading
        date, own, kind = mark
        behind_s = self._behind_s(arm, mark)
        # An Expires that was not made just now may be one that never changes: it proves nothing.
        first_ns = _NEVER_NS if kind == EXPIRES else now_ns
        place = ((url << 16) + route << 4) + arm
        before = self._urls.get(place)
        if before is None:
            if len(self._urls) >= MOST_URLS:
                self._urls.clear()
            since_ns, again, counted = None, False, False
            self._urls[place] = (date, own, first_ns)
        else:
            since_ns = before[2] if date and before[0] == date else None
            same = own if own == before[1] else [mark for mark in own if mark in before[1]]
            counted = any(mark.startswith(_COUNTS) for mark in same)
            again = any(not mark.startswith(COUNTED) for mark in same)
            if since_ns is None or before[1] != own:
                self._urls[place] = (date, own, first_ns if since_ns is None else since_ns)
        if own and (reading.explains_ids or not self._is_own(arm, place, own)):
            again = False
        state = self._routes.get((route << 4) + arm)
        if state is None:
            state = self._routes[(route << 4) + arm] = _Route()
        self._last = state
        clue = Clue(
            reading,
            asked=before is not None,
            again=again,
            same_date=since_ns is not None,
            longer=since_ns is not None
            and now_ns - since_ns >= (_LONGER_NS if behind_s >= _BEHIND_S or kind != DATED else _SURELY_NS),
            dated="" if not date else "date" if kind == DATED else "expires",
            owned=bool(own),
            counted=counted,
        )
        before_it = state.signs if state.waiting else None
        self.watching |= _learn(state, clue)
        if before_it is not None and state.signs != before_it:
            self.unsettled.extend((state, *waiting) for waiting in state.waiting)
            state.waiting.clear()
        more = _decided(state, clue)
        if self.learns and more is reading:
            self._consider(clue, now_ns)
        return more.uncounted() if counted else more

    def _behind_s(self, arm: int, mark: Mark) -> int:
        """How much older a Date is than the newest of its arm; 0 where there is none."""
        date, _, kind = mark
        if not date or kind != DATED:
            return 0
        second = _second(date)
        newest = self._newest_s.get(arm, 0)
        if second > newest:
            self._newest_s[arm] = newest = second
        return newest - second if second else 0

    def wait(self, clue: Clue, place: Place) -> None:
        """Leave the row at `place`, of the answer that was looked at last, until its route shows more."""
        self._last.waiting.append((clue, place))
        self._waiting += 1

    def holds(self, now_ns: int) -> bool:
        """Whether rows wait for more: they are not to be written yet."""
        if self._learns_until_ns is not None and now_ns >= self._learns_until_ns:
            self.stop_learning()
        return self.learns and self._waiting > 0

    def stop_learning(self) -> None:
        """What was not told by now stays as it is."""
        self.learns = False
        for state in self._routes.values():
            state.waiting.clear()

    def _consider(self, clue: Clue, now_ns: int) -> None:
        if self._learns_until_ns is None:
            self._learns_until_ns = now_ns + _LEARNS_NS
        if now_ns >= self._learns_until_ns or self._waiting >= MOST_WAITING:
            self.stop_learning()
        else:
            self.clue = clue

    def revised(self) -> tuple[Place, Seen] | None:
        """Of the next row that may be told more of, where it stands and what it shows by now; None: there is no more.
        One at a time, since others are due meanwhile."""
        while self.unsettled:
            state, clue, place = self.unsettled.popleft()
            reading = _decided(state, clue)
            if reading is not clue.reading:
                self._waiting -= 1
                return place, reading.uncounted() if clue.counted else reading
            if self.learns:
                state.waiting.append((clue, place))
        return None

    def _is_own(self, arm: int, place: int, own: tuple[bytes, ...]) -> bool:
        """Whether it belongs to a request alone: numbers and exact times do, ids where they differ between URLs."""
        if own[0].startswith(_SURE) and len(own) == 1:
            return True
        if arm in self._shared:
            return False
        if len(self._owners) >= MOST_URLS:
            self._owners.clear()
        for mark in own:
            if not mark.startswith(_SURE) and self._owners.setdefault((arm, mark), place) != place:
                self._shared.add(arm)
                return False
        return own[0].startswith(_SURE) or len(self._owners) > 1


@lru_cache(maxsize=4096)
def _second(date: bytes) -> int:
    """A Date in seconds since 1970; 0 where it is none."""
    parsed = parsedate_tz(date.decode("latin-1"))
    try:
        return max(0, int(mktime_tz(parsed))) if parsed is not None else 0
    except (ValueError, OverflowError):
        return 0


def _learn(state: _Route, clue: Clue) -> bool:
    """Take in what one answer shows of its route; whether it shows a layer that stores."""
    reading = clue.reading
    answered = reading.cache in STORED
    if reading.lone_age_s is not None:
        if answered:  # it may as well be the Age of whoever says so
            return False
        state.with_age = True
        state.aged |= clue.stored and reading.lone_age_s > 0
        return True
    if clue.again:
        state.replays |= not answered
        return not answered
    state.without_age |= reading.age_s is None
    if reading.only_hits:
        state.flagged = True
        return True
    if clue.longer and not answered and not reading.explains_date and _decided(state, clue) is reading:
        state.dated = True
        return True
    return False


def _decided(state: _Route, clue: Clue) -> Seen:
    """What an answer shows by all that is known of its route; its `reading` itself where that is no more."""
    reading = clue.reading
    if reading.lone_age_s is not None:
        if reading.cache in STORED:
            return reading.behind("age", "hit") if reading.lone_age_s else reading
        return _by_age(state, clue, reading.lone_age_s)
    if clue.again:
        return reading.behind("replay", "hit")
    if reading.age_s is None and state.with_age:
        return reading.behind("age", "miss")
    if state.flagged and reading.layers is None and not reading.only_hits:
        return reading.behind("hit_cache", "miss")
    if state.replays and clue.owned and not reading.explains_ids:
        return reading.behind("replay", "miss")
    if reading.explains_date:
        return reading
    if clue.same_date and (state.dated or (clue.longer and reading.cache in STORED)):
        return reading.behind(clue.dated, "hit")
    return reading.behind(clue.dated, "miss") if state.dated and clue.dated else reading


def _by_age(state: _Route, clue: Clue, age_s: float) -> Seen:
    """An Age that comes with hits alone tells a hit. One that comes with each answer counts from the service's Date, so
    that a new answer may have one as well: of a second, as services set their clock once in one."""
    if state.without_age or clue.stored:
        # At 0, the same Date may be two answers of one second, until something was stored for longer.
        stores = age_s or clue.again or state.without_age or state.aged
        return clue.reading.behind("age", "hit") if stores else clue.reading
    return clue.reading.behind("age", "miss") if clue.asked or state.aged else clue.reading


__all__ = ["LEARNS_S", "LONGER_S", "MOST_URLS", "MOST_WAITING", "SURELY_S", "Clue", "Memory", "Place"]

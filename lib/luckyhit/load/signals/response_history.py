"""What only several responses of one URL show together: layers that write no header for what they do.

    replay   a value that only one request has (Varnish's number, a request's id, an exact time) is repeated: a layer
             nearer than the one that wrote it has stored the response
    date     the same Date again, LONGER_S later by this machine's clock, though the arm has shown a later one: it was
             stored. A running service writes another Date each second; an overloaded one may be late with all its
             responses, so that without a later Date it takes SURELY_S. Clocks of two machines are never compared
    expires  the same with an Expires that is the Date plus max-age: nginx does not pass on the Date
    age      HAProxy, Django, Squid and Apache send an Age with hits alone, Traffic Server with all that it stores. On a
             route where only some responses have one, it marks the hits; where all have one, an Age of 0 is a hit if
             its Date is one that this URL has shown before

Once a layer has shown on a route that it stores, its misses are known as well: another number, another Date, no Age.
The first rows wait for that (for LEARNS_S, MOST_WAITING rows at most), since misses come first and would be lost. All
of it is bounded: `MOST_URLS` are remembered, then it begins again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from typing import NamedTuple

from luckyhit.load.signals.response_signals import (
    COUNTED,
    DATED,
    EXPIRES,
    STORED,
    TIMING,
    VARNISH,
    Mark,
    ResponseSignals,
)

LONGER_S = 3.0
"""As a rule, clocks of machines that share a service differ by less."""
SURELY_S = 15.0
_BEHIND_S = 2
"""A stored Date is older than the newest Date of its arm by at least this much."""
MOST_URLS = 32_768
_LONGER_NS, _SURELY_NS = round(LONGER_S * 1e9), round(SURELY_S * 1e9)
LEARNS_S = 10.0
MOST_WAITING = 4096
_LEARNS_NS = round(LEARNS_S * 1e9)
_NEVER_NS = 2**63
_SURE = (VARNISH, TIMING, COUNTED)
_COUNTS = (TIMING, COUNTED)
_CLOCK_S = 2
RowPlace = tuple[memoryview, int]
"""Where a row is that was not written yet (luckyhit.load.recorder)."""
_Url = tuple[bytes, tuple[bytes, ...], int]
"""Date (or Expires), values of the request's own, and when this Date came first."""


@dataclass(slots=True)
class _Route:
    """One route in one arm. `with_age`, `without_age`: there were responses with a lone Age, and with none at all;
    `aged`: an Age above 0; `dated`, `replays`, `flagged`: a layer has shown in that way that it stores. `waiting`: rows
    that more of this would decide."""

    with_age: bool = False
    without_age: bool = False
    aged: bool = False
    dated: bool = False
    replays: bool = False
    flagged: bool = False
    waiting: list[tuple[Clue, RowPlace]] = field(default_factory=list)

    @property
    def signs(self) -> tuple[bool, ...]:
        return self.with_age, self.without_age, self.aged, self.dated, self.replays, self.flagged


class Clue(NamedTuple):
    """What one response shows by itself (`signals`) and beside earlier ones of its URL: `asked`: there was one;
    `again`: a request's own value is repeated; `same_date`: its Date is, and `longer`: LONGER_S later; `dated`: which
    it has (`date` or `expires`; empty: neither); `owned`: it has a value of its own; `counted`: its counts and times
    are those of an earlier response."""

    signals: ResponseSignals
    asked: bool
    again: bool
    same_date: bool
    longer: bool
    dated: str
    owned: bool
    counted: bool

    @property
    def stored(self) -> bool:
        """Of a response with a lone Age: whether it is surely not a new one."""
        least = _CLOCK_S if self.dated else 1
        return self.again or self.same_date or (self.signals.lone_age_s or 0) >= least


class ResponseHistory:
    """By arm, route and URL (any number that distinguishes the URLs of a route). `watching`: a layer has shown itself.
    Until then, after the first responses (`learns`), there is nothing to learn from a response before its
    `silent_until_ns`. If more responses may still decide the last one, `clue` is set: its row can `wait`. `revised`
    yields the rows that are `unsettled`: later responses may have decided them. `marked`: some response had a mark.
    `changes` counts how often `watching`, `learns` or `marked` changed."""

    def __init__(self) -> None:
        self.watching, self.learns, self.marked, self.changes = False, True, False, 0
        self.clue: Clue | None = None
        self.unsettled: deque[tuple[_Route, Clue, RowPlace]] = deque()
        self._waiting = 0
        self._last = _Route()
        self._learns_until_ns: int | None = None
        self._routes: dict[int, _Route] = {}
        self._urls: dict[int, _Url] = {}
        self._newest_s: dict[int, int] = {}
        self._owners: dict[tuple[int, bytes], int] = {}
        self._shared: set[int] = set()  # arms in which two URLs had the same value: it is not a request's own

    def silent_until_ns(self, arm: int, signals: ResponseSignals, mark: Mark, now_ns: int) -> int:
        """Until when responses like this one, first seen now, show no more than by themselves: if only their Date can
        show more, until it has been the same for a while."""
        if mark[0] or mark[1]:
            self._note_mark()
        if mark[0]:
            self._behind_s(arm, mark)
        if signals.settled:
            return _NEVER_NS
        return (
            0
            if signals.lone_age_s is not None or signals.only_hits or mark[1] or mark[2] != DATED
            else now_ns + _LONGER_NS
        )

    def inspect(
        self, arm: int, route: int, url: int, signals: ResponseSignals, mark: Mark, now_ns: int
    ) -> ResponseSignals:
        """What a response (a 200 to a read) shows beside earlier ones. `now_ns`: of a monotonic clock."""
        self.clue = None
        if signals.settled:
            return signals
        date, own, kind = mark
        if date or own:
            self._note_mark()
        behind_s = self._behind_s(arm, mark)
        # An Expires that was not made just now may never change: it proves nothing.
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
        if own and (signals.explains_ids or not self._is_own(arm, place, own)):
            again = False
        state = self._routes.get((route << 4) + arm)
        if state is None:
            state = self._routes[(route << 4) + arm] = _Route()
        self._last = state
        clue = Clue(
            signals,
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
        if _learn(state, clue) and not self.watching:
            self.watching, self.changes = True, self.changes + 1
        if before_it is not None and state.signs != before_it:
            self.unsettled.extend((state, *waiting) for waiting in state.waiting)
            state.waiting.clear()
        more = _decided(state, clue)
        if self.learns and more is signals:
            self._consider(clue, now_ns)
        return more.uncounted() if counted else more

    def _behind_s(self, arm: int, mark: Mark) -> int:
        """How much older a Date is than the newest of its arm; 0 without a Date."""
        date, _, kind = mark
        if not date or kind != DATED:
            return 0
        second = _second(date)
        newest = self._newest_s.get(arm, 0)
        if second > newest:
            self._newest_s[arm] = newest = second
        return newest - second if second else 0

    def _note_mark(self) -> None:
        if not self.marked:
            self.marked, self.changes = True, self.changes + 1

    def is_exhausted(self, signals: ResponseSignals, mark: Mark) -> bool:
        """Whether such a response, once inspected on its route, has nothing more to show or to teach until another one
        is `marked` or a layer shows itself (`watching`): it has no mark and no Age. That its URL was requested again
        matters only on routes where each response has an Age."""
        plain = not (mark[0] or mark[1]) and signals.age_s is None and not signals.only_hits
        return plain and not self.marked and not self.watching

    def wait(self, clue: Clue, place: RowPlace) -> None:
        """Let the row at `place`, of the response inspected last, wait until its route shows more."""
        self._last.waiting.append((clue, place))
        self._waiting += 1

    def holds(self, now_ns: int) -> bool:
        """Whether rows wait, and are not to be written yet."""
        if self._learns_until_ns is not None and now_ns >= self._learns_until_ns:
            self.stop_learning()
        return self.learns and self._waiting > 0

    def stop_learning(self) -> None:
        """Leave rows that are undecided by now as they are."""
        self.learns, self.changes = False, self.changes + 1
        for state in self._routes.values():
            state.waiting.clear()

    def _consider(self, clue: Clue, now_ns: int) -> None:
        if self._learns_until_ns is None:
            self._learns_until_ns = now_ns + _LEARNS_NS
        if now_ns >= self._learns_until_ns or self._waiting >= MOST_WAITING:
            self.stop_learning()
        else:
            self.clue = clue

    def revised(self) -> tuple[RowPlace, ResponseSignals] | None:
        """The place and signals of the next row that can be decided now; None if there is none. One at a time, since
        requests are due meanwhile."""
        while self.unsettled:
            state, clue, place = self.unsettled.popleft()
            signals = _decided(state, clue)
            if signals is not clue.signals:
                self._waiting -= 1
                return place, signals.uncounted() if clue.counted else signals
            if self.learns:
                state.waiting.append((clue, place))
        return None

    def _is_own(self, arm: int, place: int, own: tuple[bytes, ...]) -> bool:
        """Whether a value is one request's own: numbers and exact times are, ids if they differ between URLs."""
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
    """A Date in seconds since 1970; 0 if it is invalid."""
    parsed = parsedate_tz(date.decode("latin-1"))
    try:
        return max(0, int(mktime_tz(parsed))) if parsed is not None else 0
    except (ValueError, OverflowError):
        return 0


def _learn(state: _Route, clue: Clue) -> bool:
    """Learn from one response about its route. Returns whether it shows a layer that stores."""
    signals = clue.signals
    answered = signals.cache in STORED
    if signals.lone_age_s is not None:
        if answered:  # it may be the Age of the layer that says so
            return False
        state.with_age = True
        state.aged |= clue.stored and signals.lone_age_s > 0
        return True
    if clue.again:
        state.replays |= not answered
        return not answered
    state.without_age |= signals.age_s is None
    if signals.only_hits:
        state.flagged = True
        return True
    if clue.longer and not answered and not signals.explains_date and _decided(state, clue) is signals:
        state.dated = True
        return True
    return False


def _decided(state: _Route, clue: Clue) -> ResponseSignals:
    """What a response shows by all that is known of its route; its own `signals` if that is no more."""
    signals = clue.signals
    if signals.lone_age_s is not None:
        if signals.cache in STORED:
            return signals.behind("age", "hit") if signals.lone_age_s else signals
        return _by_age(state, clue, signals.lone_age_s)
    if clue.again:
        return signals.behind("replay", "hit")
    if signals.age_s is None and state.with_age:
        return signals.behind("age", "miss")
    if state.flagged and signals.layers is None and not signals.only_hits:
        return signals.behind("hit_cache", "miss")
    if state.replays and clue.owned and not signals.explains_ids:
        return signals.behind("replay", "miss")
    if signals.explains_date:
        return signals
    if clue.same_date and (state.dated or (clue.longer and signals.cache in STORED)):
        return signals.behind(clue.dated, "hit")
    return signals.behind(clue.dated, "miss") if state.dated and clue.dated else signals


def _by_age(state: _Route, clue: Clue, age_s: float) -> ResponseSignals:
    """An Age that comes with hits alone marks a hit. One that comes with each response counts from the service's Date,
    so that a new response may have an Age of 1, because services set their clock once a second."""
    if state.without_age or clue.stored:
        # At 0, the same Date may be two responses of one second, until something was stored for longer.
        stores = age_s or clue.again or state.without_age or state.aged
        return clue.signals.behind("age", "hit") if stores else clue.signals
    return clue.signals.behind("age", "miss") if clue.asked or state.aged else clue.signals

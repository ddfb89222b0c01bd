"""What only several answers of one URL show together: layers that write no header of their own for what they do.

    replay   what a request has for itself alone (Varnish's number, a request's id, an exact time) comes again: the
             answer was stored by somebody nearer than whoever wrote it
    date     the same Date again, LONGER_S later by this machine's clock: it was stored. A service that runs writes
             another one each second. Clocks of two machines are never compared
    expires  the same with an Expires that is the Date and max-age: nginx does not pass the Date on
    age      HAProxy, Django, Squid and Apache send an Age with hits alone, Traffic Server with all that it stores: on a
             route where some answers have one and others don't, it tells the hits; where all have one, an Age of 0 is a
             hit if its Date is one that this URL has shown before

Once a layer has shown on a route that it stores, its misses are told as well: another number, another Date, no Age.
What came before is left as it is. All of it is bounded: `MOST_URLS` are remembered, then it begins again.
"""

from __future__ import annotations

from dataclasses import dataclass

from luckyhit.measure.signals.seen import DATED, EXPIRES, STORED, TIMING, VARNISH, Mark, Seen

LONGER_S = 3.0
"""More than the clocks of machines that share a service are apart, as a rule."""
MOST_URLS = 32_768
_LONGER_NS = round(LONGER_S * 1e9)
_NEVER_NS = 2**63
_SURE = (VARNISH, TIMING)
_CLOCK_S = 2
_Url = tuple[bytes, tuple[bytes, ...], int]
"""Date (or Expires), marks, and when this Date came first."""


@dataclass(slots=True)
class _Route:
    """What was seen of one route in one arm. `with_age`, `without_age`: answers with a lone Age, and with none at all;
    `aged`: one above 0; `dated`, `replays`, `flagged`: a layer has shown that it stores, in that way."""

    with_age: bool = False
    without_age: bool = False
    aged: bool = False
    dated: bool = False
    replays: bool = False
    flagged: bool = False


class Memory:
    """By arm, route and URL (any number that tells the URLs of a route apart). `watching`: a layer has shown itself;
    until then there is nothing to learn of an answer before its `silent_until_ns`."""

    def __init__(self) -> None:
        self.watching = False
        self._routes: dict[int, _Route] = {}
        self._urls: dict[int, _Url] = {}
        self._owners: dict[tuple[int, bytes], int] = {}
        self._shared: set[int] = set()  # arms in which two URLs had the same: it is no request's own

    @staticmethod
    def silent_until_ns(reading: Seen, mark: Mark, now_ns: int) -> int:
        """Until when answers like this one, first seen now, show no more than by themselves: where their Date alone
        can tell, until it has stood still for a while."""
        if reading.settled:
            return _NEVER_NS
        return (
            0
            if reading.lone_age_s is not None or reading.only_hits or mark[1] or mark[2] != DATED
            else now_ns + _LONGER_NS
        )

    def look(self, arm: int, route: int, url: int, reading: Seen, mark: Mark, now_ns: int) -> Seen:
        """What an answer (a 200 to a read) shows in the light of those before it. `now_ns`: of a monotonic clock."""
        if reading.settled:
            return reading
        date, own, kind = mark
        # An Expires that was not made just now may be one that never changes: it proves nothing.
        first_ns = _NEVER_NS if kind == EXPIRES else now_ns
        place = ((url << 16) + route << 4) + arm
        before = self._urls.get(place)
        if before is None:
            if len(self._urls) >= MOST_URLS:
                self._urls.clear()
            since_ns, again = None, False
            self._urls[place] = (date, own, first_ns)
        else:
            since_ns = before[2] if date and before[0] == date else None
            again = own != () and (own == before[1] or any(mark in before[1] for mark in own))
            if since_ns is None or before[1] != own:
                self._urls[place] = (date, own, first_ns if since_ns is None else since_ns)
        if own and (reading.explains_ids or not self._is_own(arm, place, own)):
            again = False
        state = self._routes.get((route << 4) + arm)
        if state is None:
            state = self._routes[(route << 4) + arm] = _Route()
        answered = reading.cache in STORED
        if reading.lone_age_s is not None:
            if answered:  # it may as well be the Age of whoever says so
                return reading.behind("age", "hit") if reading.lone_age_s else reading
            self.watching = True
            return self._by_age(
                state, reading, reading.lone_age_s, before is not None, again or since_ns is not None, date != b""
            )
        if again:
            if not answered:
                state.replays = self.watching = True
            return reading.behind("replay", "hit")
        if reading.age_s is None:
            state.without_age = True
            if state.with_age:
                return reading.behind("age", "miss")
        if reading.only_hits:
            state.flagged = self.watching = True
        elif state.flagged and reading.layers is None:
            return reading.behind("hit_cache", "miss")
        if state.replays and own and not reading.explains_ids:
            return reading.behind("replay", "miss")
        if reading.explains_date:
            return reading
        name = "date" if kind == DATED else "expires"
        if since_ns is not None and (state.dated or now_ns - since_ns >= _LONGER_NS):
            if not answered:
                state.dated = self.watching = True
            return reading.behind(name, "hit")
        return reading.behind(name, "miss") if state.dated and date else reading

    def _by_age(self, state: _Route, reading: Seen, age_s: float, asked: bool, again: bool, dated: bool) -> Seen:
        """An Age that comes with hits alone tells a hit. One that comes with each answer counts from the service's
        Date, so that a new answer may have one as well: of a second, as services set their clock once in one."""
        state.with_age = True
        stored = again or age_s >= _CLOCK_S or (age_s > 0 and not dated)
        state.aged |= stored and age_s > 0
        if state.without_age or stored:
            # At 0, the same Date may be two answers of one second, until something was stored for longer.
            return reading.behind("age", "hit") if age_s or state.without_age or state.aged else reading
        return reading.behind("age", "miss") if asked or state.aged else reading

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


__all__ = ["LONGER_S", "MOST_URLS", "Memory"]

"""What the freshness probe does when: planned from a seed before the first probe starts, the same for every arm."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

from luckyhit.case.freshness import EXPOSED, FINISH_S, MOST_PROBES, Freshness, Mode, Prestate

SHORTEST_DELAY_S = 0.005
EARLY_PROPORTION = 0.1
"""The most `once` delays that are not longer than the bound. Such reads only appear in the freshness curve."""
SPECIAL_EVERY = 10
"""One probe in ten is a burst; one in ten of the others has each prestate other than warm, two in ten are in-flight."""
IN_FLIGHT_IN_TEN = 2
"""More than others, since nothing else shows races."""
LEAD_NS = 40_000_000
"""Time from the first request of a probe to its write, so that all arms write at nearly the same instant."""
FINISH_NS = round(FINISH_S * 1e9)
DEFAULT_PROPORTION = 0.02
"""Of the workload's requests: what the probe may add where the case declares no rate."""
WARMING_READS = 3
"""Before a burst, on each route: one on a kept connection, the others on new ones, to reach most workers."""
GAP_NS, GAP_GROWTH, LARGEST_GAP_NS = 5_000_000, 1.25, 100_000_000
_FRESH_READS = 4
MOST_COLD_KEYS = 32
COUNTED_PLANS = 5
_Item = TypeVar("_Item")
_GOLDEN = (5**0.5 - 1) / 2
_REQUESTS: dict[Prestate, int] = {"warm": 3, "cold": 2, "in-flight": 4, "absent": 4, "refused": 3}
"""Requests of a `once` probe, its only read included."""


@dataclass(frozen=True, slots=True)
class ProbeEvent:
    """One planned probe. `at_ns` counts from the start of the measured part; `delay_ns` is the longest wait.

    `route`, `variant`: indexes (a burst polls all routes). `conditional`: ask with the validator of the answer before
    the write, a burst with that of the last whole answer. `new_connection`: read on a connection of its own. `offset`
    (in-flight only): where the write lands in the racing read, from 0 (answered as the read is sent) to 1 (sent as the
    read is answered). The first write of an in-flight probe has the version before `version`.
    """

    at_ns: int
    key: str
    version: int
    mode: Mode
    prestate: Prestate
    delay_ns: int
    route: int = 0
    conditional: bool = False
    new_connection: bool = False
    offset: float = 0.0
    variant: int = 0


@dataclass(frozen=True, slots=True)
class KeyRanges:
    """The reserved keys by use: one for the preflight, cold ones that nobody reads before they are written, warm ones;
    and the absent ones. A small range has no cold keys."""

    warm: Sequence[int | str]
    cold: Sequence[int | str]
    preflight: int | str
    absent: Sequence[int | str]
    absent_preflight: int | str | None

    @classmethod
    def of(cls, freshness: Freshness) -> KeyRanges:
        keys = freshness.keys.values
        if len(keys) > 1_000_000:
            keys = keys[:1_000_000]
        # A faulty service leaves the preflight's key stale, so no probe uses it.
        usual = keys[:-1] if len(keys) > 1 else keys
        cold = min(MOST_COLD_KEYS, len(usual) // 4) if "cold" in freshness.prestates else 0
        absent = freshness.absent.keys.values if freshness.absent is not None else ()
        return cls(
            usual[: len(usual) - cold],
            usual[len(usual) - cold :],
            keys[-1],
            absent[:-1] if len(absent) > 1 else absent,
            absent[-1] if absent else None,
        )


def polls_within(horizon_s: float) -> int:
    """The most reads of a burst on one route."""
    gap_ns, at_ns, count = GAP_NS, 0, 1
    while (at_ns := at_ns + gap_ns) <= horizon_s * 1e9:
        gap_ns, count = next_gap_ns(gap_ns), count + 1
    return count


def next_gap_ns(gap_ns: int) -> int:
    """The pause before a poll, from the previous pause."""
    return min(LARGEST_GAP_NS, round(gap_ns * GAP_GROWTH))


def plan_delays(count: int, within_s: float, horizon_s: float) -> list[int]:
    """Delays in ns, ascending: log-spaced from 5 ms to the horizon, all but EARLY_PROPORTION of them past
    `within_s`."""
    shortest = min(SHORTEST_DELAY_S, horizon_s / 2)
    early = int(count * EARLY_PROPORTION) if within_s > shortest else 0
    late, bound = count - early, max(within_s, shortest)
    delays = [shortest * (within_s / shortest) ** (step / early) for step in range(early)]
    delays += [bound * (horizon_s / bound) ** ((step + 1) / late) for step in range(late)]
    return [round(delay * 1e9) for delay in delays]


def plan_events(
    freshness: Freshness,
    *,
    duration_ns: int,
    rng: random.Random,
    first_version: int,
    requests: float = 0.0,
    cold_keys: Sequence[int | str] = (),
    variants: int = 1,
) -> list[ProbeEvent]:
    """The probes of one block, by time, each done before `duration_ns`; the same for the same state of `rng`.

    Their number follows from `freshness.rate`; without it they cost at most 2 % of the workload's `requests`.
    `cold_keys`: those whose value is known without a read in this block. `variants`: their number; they take turns.
    Instants are spread evenly with jitter inside their slot, so that periodic tasks of the service are met in all
    phases. A key is not planned again while an earlier probe of it may be open, and a cold one never: with too few keys
    there are fewer probes.
    """
    if duration_ns < round(freshness.horizon * 1e9) + FINISH_NS:
        return []
    kinds = _kinds(freshness, rng, duration_ns, requests)
    gap_ns = duration_ns / max(1, len(kinds))
    slots = [round((index + rng.random()) * gap_ns) for index in range(len(kinds))]
    ranges = KeyRanges.of(freshness)
    cold, warm = list(cold_keys), _Turns(ranges.warm, rng)
    absent = _Turns(ranges.absent, rng)
    turn = rng.random()
    count = itertools.count()
    routes = _shuffled_cycle(range(len(freshness.reads)), rng)
    conditional = _shuffled_cycle((False, False, True), rng)
    connections = _shuffled_cycle((False, True), rng)
    variant = _shuffled_cycle(range(variants), rng)
    events: list[ProbeEvent] = []
    for at_ns, wait_ns, (mode, prestate) in _deal(slots, _waits(kinds, freshness, rng), duration_ns, rng):
        until_ns = at_ns + wait_ns + FINISH_NS
        if prestate == "cold":
            key = cold.pop() if cold else None
        else:
            key = (absent if prestate == "absent" else warm).take(at_ns, until_ns)
        if key is None:
            continue
        plain = prestate != "warm"
        events.append(
            ProbeEvent(
                at_ns,
                str(key),
                first_version + 2 * len(events) + 1,
                mode,
                prestate,
                wait_ns,
                route=next(routes),
                conditional=False if plain else next(conditional),
                new_connection=next(connections),
                # Evenly spread however few there are: a window of width w is hit after about 1 / w probes.
                offset=(turn + next(count) * _GOLDEN) % 1.0 if prestate == "in-flight" else 0.0,
                variant=next(variant),
            )
        )
    return events


def counted_units(freshness: Freshness, seconds: float, requests: float = 0.0) -> dict[Prestate, float]:
    """The expected number of probes in a block of `seconds` that count as stale or fresh, by the state of the key
    before the write: of keys with an old copy, read later than the bound (a burst always is). The mean of COUNTED_PLANS
    plans from fixed seeds; refused writes and reads without a version make it fewer. `requests`: as in `plan_events`.
    """
    within_ns, counted = round(freshness.within * 1e9), Counter[Prestate]()
    for seed in range(COUNTED_PLANS):
        events = plan_events(
            freshness,
            duration_ns=round(seconds * 1e9),
            rng=random.Random(seed),
            first_version=freshness.first_version,
            requests=requests,
            cold_keys=KeyRanges.of(freshness).cold,
        )
        counted.update(
            event.prestate
            for event in events
            if event.prestate in EXPOSED and (event.mode == "burst" or event.delay_ns > within_ns)
        )
    return {state: count / COUNTED_PLANS for state, count in counted.items()}


def usual_requests(event: ProbeEvent, reads: int) -> int:
    """Requests of a probe where readers are fresh: a burst ends after three reads of each route and one past the bound.
    `reads`: the number of routes."""
    return _REQUESTS[event.prestate] if event.mode == "once" else 1 + reads * (WARMING_READS + _FRESH_READS)


def most_requests(event: ProbeEvent, reads: int) -> int:
    """Requests where readers stay stale: a burst polls until the horizon."""
    polls = polls_within(event.delay_ns / 1e9)
    return _REQUESTS[event.prestate] if event.mode == "once" else 1 + reads * (WARMING_READS + polls)


Kind = tuple[Mode, Prestate]
_WARM: list[Prestate] = ["warm"]


def _kinds(freshness: Freshness, rng: random.Random, duration_ns: int, requests: float) -> list[Kind]:
    """Mode and prestate of each probe, unordered."""
    seconds = max(0, duration_ns) / 1e9
    if freshness.rate is not None:
        count = min(MOST_PROBES, int(freshness.rate * seconds))
        bursts = _bursts(freshness, count, rng)
        return [*_polled(freshness, bursts, rng), *_singles(freshness, count - bursts, rng)]
    budget = DEFAULT_PROPORTION * requests
    burst = 1 + len(freshness.reads) * (WARMING_READS + polls_within(freshness.horizon))
    singles = _singles(freshness, 10 * SPECIAL_EVERY, rng)
    single = sum(_REQUESTS[prestate] for _, prestate in singles) / max(1, len(singles))
    proportion = (1 / SPECIAL_EVERY if "once" in freshness.modes else 1.0) if "burst" in freshness.modes else 0.0
    bursts = int(budget / (proportion * burst + (1 - proportion) * single) * proportion + rng.random())
    bursts = min(bursts, int(budget // burst))
    chosen = _polled(freshness, bursts, rng)
    left = budget - bursts * burst
    if "once" in freshness.modes:
        for kind in _singles(freshness, min(MOST_PROBES, ceil(left / 2)), rng):
            left -= _REQUESTS[kind[1]]
            if left < 0:
                break
            chosen.append(kind)
    return chosen[:MOST_PROBES]


def _bursts(freshness: Freshness, count: int, rng: random.Random) -> int:
    if "burst" not in freshness.modes:
        return 0
    if "once" not in freshness.modes:
        return count
    return max(1, int(count / SPECIAL_EVERY + rng.random())) if count > 1 else 0


def _polled(freshness: Freshness, count: int, rng: random.Random) -> list[Kind]:
    """`burst` probes with the prestates that have an old copy, in turn, so that windows and shares show the same
    faults. Cold keys, a control, are polled only where the case asks for nothing else."""
    states: list[Prestate] = [prestate for prestate in freshness.prestates if prestate != "cold"]
    if freshness.absent is not None:
        states.append("absent")
    drawn = _shuffled_cycle(states or _WARM, rng)
    return [("burst", next(drawn)) for _ in range(count)]


def _singles(freshness: Freshness, count: int, rng: random.Random) -> list[Kind]:
    """`once` probes with their prestates: of ten, two in-flight and one of each other than warm; evenly where warm is
    left out."""
    if "once" not in freshness.modes:
        return []
    specials: list[Prestate] = [prestate for prestate in freshness.prestates if prestate != "warm"]
    if freshness.absent is not None:
        specials.append("absent")
    if freshness.refused is not None:
        specials.append("refused")
    if "warm" in freshness.prestates:
        warm: list[Prestate] = ["warm"]
        cycle = [kind for kind in specials for _ in range(IN_FLIGHT_IN_TEN if kind == "in-flight" else 1)]
        cycle += warm * (SPECIAL_EVERY - len(cycle))
    else:
        cycle = specials
    drawn = _shuffled_cycle(cycle, rng)
    singles: list[Kind] = [("once", next(drawn)) for _ in range(count)]
    return singles


def _waits(kinds: list[Kind], freshness: Freshness, rng: random.Random) -> list[tuple[int, Kind]]:
    """(longest wait in ns, kind) of each probe, the longest first. Delays are independent of kinds."""
    bursts = [kind for kind in kinds if kind[0] == "burst"]
    singles = [kind for kind in kinds if kind[0] == "once"]
    rng.shuffle(singles)
    waits = [(round(freshness.horizon * 1e9), kind) for kind in bursts]
    waits += zip(plan_delays(len(singles), freshness.within, freshness.horizon), singles, strict=True)
    return sorted(waits, reverse=True)


def _deal(
    slots: list[int], waits: list[tuple[int, Kind]], duration_ns: int, rng: random.Random
) -> list[tuple[int, int, Kind]]:
    """(at_ns, longest wait in ns, kind) by time: as many waits as fit, each in a random slot that leaves time for it.

    The longest waits are dealt first: their slots suit every shorter wait too, so dealing never runs into a dead end,
    and the delays keep their distribution up to the end of the block.
    """
    order = rng.sample(range(len(waits)), len(waits))

    def fits(count: int) -> bool:
        chosen = sorted(order[:count])
        return all(bisect_right(slots, duration_ns - FINISH_NS - waits[i][0]) > rank for rank, i in enumerate(chosen))

    # Any subset of what fits also fits, so the largest number is found by bisection.
    most = bisect_left(range(1, len(waits) + 1), True, key=lambda count: not fits(count))
    waits = [waits[i] for i in sorted(order[:most])]
    latest = [duration_ns - FINISH_NS - wait_ns for wait_ns, _ in waits]
    dealt, free, added = [], [], 0
    for (wait_ns, kind), latest_ns in zip(waits, latest, strict=True):
        upto = bisect_right(slots, latest_ns)
        free += slots[added:upto]
        added = max(added, upto)
        drawn = rng.randrange(len(free))
        free[drawn], free[-1] = free[-1], free[drawn]
        dealt.append((free.pop(), wait_ns, kind))
    return sorted(dealt)


class _Turns:
    """Keys in turn, none while a probe of it is open."""

    def __init__(self, keys: Sequence[int | str], rng: random.Random) -> None:
        self._keys, self._next = keys, rng.randrange(len(keys)) if keys else 0
        self._open_until: dict[int | str, int] = {}

    def take(self, at_ns: int, until_ns: int) -> int | str | None:
        for step in range(len(self._keys)):
            place = (self._next + step) % len(self._keys)
            key = self._keys[place]
            if self._open_until.get(key, -1) < at_ns:
                self._next, self._open_until[key] = place + 1, until_ns
                return key
        return None


def _shuffled_cycle(items: Sequence[_Item], rng: random.Random) -> Iterator[_Item]:
    """The items, in a new random order each time."""
    while True:
        yield from rng.sample(items, len(items))

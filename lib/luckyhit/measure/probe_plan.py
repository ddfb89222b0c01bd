"""What the freshness probe does when: planned before the first probe starts, from a seed, the same for every arm."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from luckyhit.case.model import Freshness

Mode = Literal["once", "burst"]
Prestate = Literal["warm", "cold"]

SHORTEST_DELAY_S = 0.005
BURST_EVERY = 10
COLD_EVERY = 0
WARM_LEAD_NS = 40_000_000
"""From the warm read to the write, so that both arms write at nearly the same instant."""
FINISH_NS = 350_000_000
"""For the exchanges of one probe, beside its delay."""


@dataclass(frozen=True, slots=True)
class ProbeEvent:
    """One planned probe. `at_ns` counts from the start of the measured part; `delay_ns` is the longest wait."""

    at_ns: int
    key: str
    version: int
    mode: Mode
    prestate: Prestate
    delay_ns: int


def plan_delays(count: int, within_s: float, horizon_s: float) -> list[int]:
    """Delays in ns, ascending: log-spaced from 5 ms to the horizon, at least half of them longer than `within_s`."""
    shortest = min(SHORTEST_DELAY_S, horizon_s / 2)
    early = count // 2 if within_s > shortest else 0
    late, bound = count - early, max(within_s, shortest)
    delays = [shortest * (within_s / shortest) ** (step / early) for step in range(early)]
    delays += [bound * (horizon_s / bound) ** ((step + 1) / late) for step in range(late)]
    return [round(delay * 1e9) for delay in delays]


def plan_events(
    freshness: Freshness,
    keys: Sequence[int],
    *,
    duration_ns: int,
    rng: random.Random,
    first_version: int,
    cold_every: int = COLD_EVERY,
) -> list[ProbeEvent]:
    """The probes of one block, by time, each done before `duration_ns`; the same for the same state of `rng`.

    About every tenth is a burst. Of the others, the first and then every `cold_every`-th (0: none) goes to a key that
    the block did not read before (cold), as long as there are such keys. The instants are spread evenly, jittered
    inside their slot, so that no periodic task of the service is always met in the same phase. A key is not planned
    again while an earlier probe of it may be open: with too few keys there are fewer events.
    """
    gap_ns = round(1e9 / freshness.rate)
    slots = [round((index + rng.random()) * gap_ns) for index in range(max(0, duration_ns) // gap_ns)]
    events: list[ProbeEvent] = []
    open_until: dict[int, int] = {}
    turn = rng.randrange(len(keys))
    singles = 0
    for at_ns, mode, wait_ns in _deal(slots, freshness, duration_ns, rng):
        order = ((turn + step) % len(keys) for step in range(len(keys)))
        place = next((place for place in order if open_until.get(keys[place], -1) < at_ns), None)
        if place is None:
            continue
        key, turn = keys[place], (place + 1) % len(keys)
        cold = mode == "once" and cold_every > 0 and singles % cold_every == 0 and key not in open_until
        singles += mode == "once"
        open_until[key] = at_ns + wait_ns + FINISH_NS
        version = first_version + len(events)
        events.append(ProbeEvent(at_ns, str(key), version, mode, "cold" if cold else "warm", wait_ns))
    return events


def _deal(slots: list[int], freshness: Freshness, duration_ns: int, rng: random.Random) -> list[tuple[int, Mode, int]]:
    """(at_ns, mode, longest wait in ns) by time: as many waits as fit, each in a random slot that leaves time for it.

    The longest waits are dealt first: the slots that suit one suit every shorter one as well, so that dealing
    never runs into a dead end, and the delays keep their declared distribution up to the end of the block.
    """
    for count in range(len(slots), 0, -1):
        waits = _waits(count, freshness)
        latest = [duration_ns - FINISH_NS - wait_ns for wait_ns, _ in waits]
        if all(bisect_right(slots, at_ns) > rank for rank, at_ns in enumerate(latest)):
            break
    else:
        return []
    dealt, free, added = [], [], 0
    for (wait_ns, mode), latest_ns in zip(waits, latest, strict=True):
        upto = bisect_right(slots, latest_ns)
        free += slots[added:upto]
        added = max(added, upto)
        drawn = rng.randrange(len(free))
        free[drawn], free[-1] = free[-1], free[drawn]
        dealt.append((free.pop(), mode, wait_ns))
    return sorted(dealt)


def _waits(count: int, freshness: Freshness) -> list[tuple[int, Mode]]:
    """(longest wait in ns, mode) of `count` probes, the longest first."""
    bursts = max(1, round(count / BURST_EVERY)) if count > 1 else 0
    waits: list[tuple[int, Mode]] = [(round(freshness.horizon * 1e9), "burst")] * bursts
    waits += [(delay, "once") for delay in plan_delays(count - bursts, freshness.within, freshness.horizon)]
    return sorted(waits, reverse=True)

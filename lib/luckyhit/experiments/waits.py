"""Waiting: for an entry's end, with and without siblings; and for nothing at all."""

from __future__ import annotations

import time

from luckyhit.experiments.after_writes import settled_at, stale
from luckyhit.experiments.clock import held_against_a_load, stored_keys
from luckyhit.experiments.means.bench import Bench, Trial, Written, lacking, observed, wait_until
from luckyhit.experiments.means.routes import Key
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import stale_window

LONGEST_TTL_S = 20.0
"""Entries that live longer are not waited for."""
_QUIET_S = 12.0
_PAUSE_S = 0.25
_RUNS_S = 1.2


def wait_out_the_ttl(bench: Bench, trials: int) -> list[Observations]:
    """A warm key is written; then it is read now and then, and nothing else of its group."""
    life_s = bench.entry_life_s
    if life_s is None or life_s > LONGEST_TTL_S:
        return [lacking("wait-out-the-ttl", "known-ttl")]
    return [_watched(bench, "wait-out-the-ttl", trials, life_s, siblings=False)]


def wait_with_siblings(bench: Bench, trials: int) -> list[Observations]:
    """The same, while ever new siblings are read: a fault where the end comes later than alone."""
    life_s = bench.entry_life_s
    if life_s is None or life_s > LONGEST_TTL_S:
        return [lacking("wait-with-siblings", "known-ttl")]
    return [_watched(bench, "wait-with-siblings", trials, life_s, siblings=True)]


def _watched(bench: Bench, experiment: str, trials: int, life_s: float, *, siblings: bool) -> Observations:
    watched_s = life_s * 1.4 + 2.0
    keys = [bench.take() for _ in range(trials)]
    others = _siblings(bench, keys) if siblings else {}
    bench.empty()  # or the siblings are stored already, and asking for them stores nothing
    written: dict[Key, Written] = {}
    rows = {key: [bench.warm(key).row] for key in keys}
    until: dict[Key, float | None] = dict.fromkeys(keys)
    for key in keys:
        write = bench.write(key)
        if write.accepted:
            written[key] = write
            rows[key].append(write.row)
    begun_s, pause_s = time.monotonic(), max(_PAUSE_S, life_s / 12)
    while time.monotonic() - begun_s < watched_s:
        for key, write in written.items():
            for other in others.get(key, [])[-2:]:
                bench.read(other)
            reading = bench.read(key)
            if stale([reading], write):
                until[key] = reading.sent_s - write.acked_s
                rows[key] = [*rows[key][:2], reading.row]
        for key in others:
            others[key] = others[key][:-2] or others[key]
        time.sleep(pause_s)
    made = []
    for key, write in written.items():
        lasted_s = time.monotonic() - write.acked_s
        outcome = stale_window(until[key], lasted_s, life_s, bench.bound_s)
        if siblings:
            outcome = "renewed" if outcome == "outlives-ttl" else "same-end"
        facts = {"lives_s": round(life_s, 2), "old_until_s": until[key], "watched_s": round(lasted_s, 1)}
        made.append(Trial(outcome, rows[key], facts))
    return observed(experiment, made, ids(experiment))


def _siblings(bench: Bench, keys: list[Key]) -> dict[Key, list[Key]]:
    """For each key others whose entries are in the same key of the cache."""
    by_entry: dict[str, list[Key]] = {}
    place: dict[Key, tuple[str, ...]] = {}
    wanted: set[str] = set()
    for key in keys:
        place[key] = bench.traced_read(key)[0].filled
        wanted.update(place[key])
    for other in [bench.take() for _ in range(min(300, len(bench.routes.keys) // 2))]:
        for entry in bench.traced_read(other)[0].filled:
            if entry in wanted:
                by_entry.setdefault(entry, []).append(other)
    return {key: [other for entry in place[key] for other in by_entry.get(entry, [])] for key in keys}


def have_siblings(bench: Bench) -> bool:
    """Whether reads of different keys fill the same key of the cache."""
    if bench.cache is None:
        return False
    stored: list[set[str]] = []
    for _ in range(12):
        stored.append(set(bench.traced_read(bench.take())[0].filled))
    return any(one & other for at, one in enumerate(stored) for other in stored[:at])


def quiet_wait(bench: Bench, trials: int) -> list[Observations]:
    """Some entries are stored; nobody reads or writes them: do they go before their time? What stays is held against
    what is loaded then."""
    if bench.cache is None:
        return [lacking("quiet-wait", "cache-access")]
    cache = bench.cache
    kept = stored_keys(bench, trials)
    stored = {one.entries[0]: one.reading.row for one in kept}
    evicted = cache.evicted()
    names = tuple(stored)
    lives = cache.lifetimes_s(names)
    begun_s = time.monotonic()
    gone: dict[str, float] = {}
    while time.monotonic() - begun_s < _QUIET_S and len(gone) < len(lives):
        time.sleep(_PAUSE_S)
        passed_s = time.monotonic() - begun_s
        present = cache.lifetimes_s(names)
        for name, life in lives.items():
            if name not in present and name not in gone and (life is None or passed_s < life - 0.5):
                gone[name] = passed_s
        if gone or all(life is not None and passed_s > life for life in lives.values()):
            break
    if cache.evicted() > evicted:
        return [lacking("quiet-wait", "cache-settings")]
    made = [
        Trial(
            "deleted-without-a-write" if name in gone else "quiet", [row], {"key": name, "gone_after_s": gone.get(name)}
        )
        for name, row in stored.items()
        if name in lives
    ]
    passed_s = time.monotonic() - begun_s
    beside = [trial for one in kept if (trial := held_against_a_load(bench, one, passed_s)) is not None]
    return [
        observed("quiet-wait", made, ids("quiet-wait")),
        observed("wait-for-the-instant", beside, ids("wait-for-the-instant")),
    ]


def lifetime_runs_down(bench: Bench, trials: int) -> list[Observations]:
    """An entry's time to live, before and after a pause with reads of it; then with reads of siblings."""
    if bench.cache is None:
        return [lacking("lifetime-runs-down", "known-ttl")]
    cache, keys = bench.cache, [bench.take() for _ in range(trials)]
    entries = {key: bench.traced_read(key)[0].filled for key in keys}
    names = tuple({name for stored in entries.values() for name in stored})
    first, begun_s = cache.lifetimes_s(names), time.monotonic()
    time.sleep(_RUNS_S)
    readings = {key: bench.read(key) for key in keys}
    passed_s, later = time.monotonic() - begun_s, cache.lifetimes_s(names)
    made = []
    for key in keys:
        pairs = [(first.get(name), later.get(name)) for name in entries[key]]
        known = [(one, other) for one, other in pairs if one is not None and other is not None]
        if not known or any(one <= passed_s for one, _ in known):
            continue
        renewed = all(other > one - passed_s / 2 for one, other in known)
        facts = {"lives_s": known[0][0], "after_a_read_s": known[0][1], "passed_s": round(passed_s, 2)}
        made.append(Trial("renewed" if renewed else "runs-down", [readings[key].row], facts))
    if not made:
        return [lacking("lifetime-runs-down", "known-ttl")]
    return [observed("lifetime-runs-down", made, ids("lifetime-runs-down"))]


def siblings_in_use(bench: Bench, trials: int) -> list[Observations]:
    if bench.cache is None:
        return [lacking("siblings-in-use", "cache-trace")]
    outcome = "siblings" if have_siblings(bench) else "no-siblings"
    return [observed("siblings-in-use", [Trial(outcome)], ids("siblings-in-use"))]


def refresh_then_read(bench: Bench, trials: int) -> list[Observations]:
    """A warm key is written, its entry is let expire by the cache, and read again: is the refreshed answer new?"""
    if bench.cache is None:
        return [lacking("refresh-then-read", "known-ttl")]
    made, tried = [], []
    for _ in range(trials):
        key = bench.take()
        tried.append((key, bench.traced_read(key)[0].filled, bench.read(key), bench.write(key)))
    for key, entries, warm, written in tried:
        if not written.accepted or not entries:
            continue
        wait_until(settled_at(bench, written))
        bench.cache.delete(entries)
        readings = [bench.read(key), bench.read(key)]
        old = stale(readings, written)
        if old is not None:
            rows = [warm.row, written.row, readings[-1].row]
            made.append(Trial("old-after-refresh" if old else "new", rows))
    return [observed("refresh-then-read", made, ids("refresh-then-read"))]

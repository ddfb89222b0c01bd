"""Reads alone: the same request again, what it stores, what its headers say, how long its entry lives."""

from __future__ import annotations

import re
from collections.abc import Sequence

from luckyhit.experiments.means.bench import Bench, Trial, lacking, observed
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.settings_in_force import declared_ttl_s
from luckyhit.experiments.means.traced import Touched
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import indicator, lifetime, repeated, stored_keys

_REPEATS = 4
_OWN_HEADERS = re.compile(
    r"set-cookie|(x-)?(request|correlation|trace|transaction|amzn-trace)-?id|traceparent|x-b3-traceid|x-runtime"
    r"|x-request-start|x-csrf-?token|x-nonce",
    re.IGNORECASE,
)
"""Headers that belong to one request, or one client."""


def ids(experiment: str) -> Sequence[str]:
    """Outcomes of an experiment, from the least to the most severe."""
    return [outcome.id for outcome in EXPERIMENTS[experiment].outcomes]


def repeat_request(bench: Bench, trials: int) -> list[Observations]:
    """Read a key that nobody read before, then again, byte for byte; every second time over a new connection."""
    hits, keys, said, shared = [], [], [], []
    for _ in range(trials):
        key = bench.take()
        readings: list[Reading] = []
        stored: list[tuple[str, ...]] = []
        for number in range(_REPEATS):
            if bench.cache is None:
                readings.append(bench.read(key, fresh=number % 2 == 1))
                continue
            touched, reading = bench.traced_read(key, fresh=number % 2 == 1)
            readings.append(reading)
            stored.append(touched.stored)
        if not all(reading.ok for reading in readings):
            continue
        rows = [reading.row for reading in readings]
        loads = [bench.loaded(reading) for reading in readings[1:]]
        hits.append(Trial(repeated([one for one in loads if one is not None]), rows))
        facts = {"keys_first": ", ".join(stored[0][:3]), "keys_again": ", ".join(stored[-1][:3])} if stored else {}
        keys.append(Trial(stored_keys(stored) if stored else None, rows, facts))
        said += [_says(bench, reading) for reading in readings]
        shared.append(_headers(readings))
    results = [observed("repeat-request", hits, ids("repeat-request"), load_ms=round(bench.costs.load_ms, 2))]
    if bench.cache is not None:
        results.append(observed("keys-of-a-repeat", keys, ids("keys-of-a-repeat")))
    results.append(observed("header-against-body", said, ids("header-against-body")))
    results.append(observed("same-headers-for-two", _shared(shared), ids("same-headers-for-two")))
    return results


def _says(bench: Bench, reading: Reading) -> Trial:
    """An answer that says hit, and yet ran database calls beyond those of any answer."""
    calls = None if reading.db_calls is None else reading.db_calls - (bench.costs.floor or 0)
    says = {"hit": True, "stale": True, "miss": False}.get(reading.cache)
    # A miss of one layer may be a hit of the next, without a call: that is no lie.
    outcome = indicator(says, calls) if says else "agrees" if says is False and calls is not None else None
    return Trial(outcome, [reading.row], {"status_said": reading.cache, "database_calls": reading.db_calls})


def _headers(readings: Sequence[Reading]) -> Trial:
    """Whether later readers get the value that belonged to the first one. A value that all get, loaded or not, is no
    value of one request; so the caller holds it against other keys."""
    for name, value in readings[0].headers.items():
        if _OWN_HEADERS.fullmatch(name) and all(one.headers.get(name) == value for one in readings[1:]):
            return Trial("shared-headers", [one.row for one in readings], {"header": name, "value_at_first": value})
    return Trial("own-headers", [readings[0].row])


def _shared(trials: list[Trial]) -> list[Trial]:
    """A value that all keys have belongs to no single request."""
    values = {str(trial.facts.get("value_at_first")) for trial in trials}
    return [Trial("own-headers", one.rows) for one in trials] if len(values) == 1 and len(trials) > 1 else trials


def same_headers_for_two(bench: Bench, trials: int) -> list[Observations]:
    """Two clients ask for one key, one after the other."""
    made = [_headers([bench.read(key, fresh=True) for _ in range(3)]) for key in (bench.take() for _ in range(trials))]
    return [observed("same-headers-for-two", _shared(made), ids("same-headers-for-two"))]


def entry_lifetime(bench: Bench, trials: int) -> list[Observations]:
    """Store an entry, and ask the cache for its time to live."""
    cache, declared_s = bench.cache, declared_ttl_s(bench)
    if cache is None or declared_s is None:
        return [lacking("entry-lifetime", "known-ttl")]
    made = []
    for _ in range(trials):
        touched, reading = bench.traced_read(bench.take())
        entries = entry_keys(touched)
        if not entries:
            continue
        left = cache.lifetimes_s(entries)
        lives = list(left.values())
        shortest = None if not lives or None in lives else min(life for life in lives if life is not None)
        facts = {"key": entries[0], "lives_s": shortest, "declared_s": declared_s}
        made.append(Trial(lifetime(shortest, declared_s, exists=bool(left)), [reading.row], facts))
    if not made:
        return [lacking("entry-lifetime", "known-ttl")]
    return [observed("entry-lifetime", made, ids("entry-lifetime"))]


def entry_keys(touched: Touched) -> tuple[str, ...]:
    """The keys of a load's entry: looked up and then stored; else all that were stored."""
    return tuple(key for key in touched.stored if key in touched.read) or touched.stored

"""Reads alone: the same request again, what it stores, what its headers say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from luckyhit.experiments.means.bench import Bench, Trial, observed
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import Key
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.diagnosis.trials import indicator, repeated, stored_keys

_REPEATS = 4
_OWN_HEADERS = re.compile(r"(.*-)?(cookie|id|token|nonce|traceid|traceparent|runtime|start|counter)", re.IGNORECASE)
"""Headers that may belong to one request, or one client: it is so where two loads of one key give two values."""


def ids(experiment: str) -> Sequence[str]:
    """Outcomes of an experiment, from the least to the most severe."""
    return [outcome.id for outcome in EXPERIMENTS[experiment].outcomes]


def repeat_request(bench: Bench, trials: int) -> list[Observations]:
    """Read a key that nobody read before, then again, byte for byte; every second time over a new connection."""
    hits, keys, statuses, shared = [], [], [], []
    for _ in range(trials):
        key = bench.take()
        readings: list[Reading] = []
        stored: list[tuple[str, ...]] = []
        entries: tuple[str, ...] = ()
        for number in range(_REPEATS):
            if bench.cache is None:
                readings.append(bench.read(key, fresh=number % 2 == 1))
                continue
            touched, reading = bench.traced_read(key, fresh=number % 2 == 1)
            readings.append(reading)
            # A counter, a validator or a time of last use may be stored beside any hit: that is no entry again.
            stored.append(() if number and bench.loaded(reading) is False else touched.places)
            entries = entries or touched.stored
        if not all(reading.ok for reading in readings):
            continue
        rows = [reading.row for reading in readings]
        loads = [bench.loaded(reading) for reading in readings[1:]]
        hits.append(Trial(repeated([one for one in loads if one is not None]), rows))
        facts = {"keys_first": ", ".join(stored[0][:3]), "keys_again": ", ".join(stored[-1][:3])} if stored else {}
        keys.append(Trial(stored_keys(stored) if stored else None, rows, facts))
        statuses += [_says(bench, reading) for reading in readings]
        shared.append(_headers(bench, key, readings, entries))
    results = [observed("repeat-request", hits, ids("repeat-request"), load_ms=round(bench.costs.load_ms, 2))]
    if bench.cache is not None:
        results.append(observed("keys-of-a-repeat", keys, ids("keys-of-a-repeat")))
    results.append(observed("header-against-body", statuses, ids("header-against-body")))
    results.append(observed("same-headers-for-two", shared, ids("same-headers-for-two")))
    return results


def _says(bench: Bench, reading: Reading) -> Trial:
    """An answer that says hit, and yet ran the database calls of a load. One with some of them tells nothing: they may
    be those of another entry, or of a new connection."""
    facts = {"status_said": reading.cache, "database_calls": reading.db_calls}
    calls = None if reading.db_calls is None else reading.db_calls - (bench.costs.floor or 0)
    if reading.cache in ("hit", "stale") and calls and reading.db_calls is not None:
        outcome = "contradicts" if reading.db_calls >= (bench.costs.calls or 0) else None
    elif reading.cache in ("hit", "stale"):
        outcome = indicator(True, calls)
    else:
        # A miss of one layer may be a hit of the next, without a call: that is no lie.
        outcome = "agrees" if reading.cache == "miss" and calls is not None else None
    return Trial(outcome, [reading.row], facts)


def _headers(bench: Bench, key: Key, readings: Sequence[Reading], entries: tuple[str, ...]) -> Trial:
    """Whether later readers get the value that belonged to the first one. `entries`: the keys that it stored."""
    kept = {
        name: value
        for name, value in readings[0].headers.items()
        if _OWN_HEADERS.fullmatch(name) and all(one.headers.get(name) == value for one in readings[1:])
    }
    rows = [one.row for one in readings]
    if not kept or bench.cache is None or not bench.cache.delete(entries):
        return Trial("own-headers" if not kept else None, rows)
    anew = bench.read(key, fresh=True)
    own = [name for name, value in kept.items() if anew.headers.get(name, value) != value]
    if not own:
        return Trial("own-headers", rows)
    return Trial("shared-headers", [*rows, anew.row], {"header": own[0]})

"""Answers held against what the case expects: just loaded, and from entries that were there before anybody read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from luckyhit.case.workload import Route
from luckyhit.experiments.means.bench import Bench, Trial, every_key, lacking, observed
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import DiagnosedRead, Key
from luckyhit.experiments.means.traced import TouchedKeys
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.load.bodies.expected import Expectation, expected_of
from luckyhit.text.json_values import leaves

_LOADED, _FEWEST = 20, 6
_FIRST_READS, _WITHIN_S = 40, 3.0
"""An earlier build that stored one entry in ten is seen with 0.985 in so many first reads. Dear loads get fewer."""


class _Route:
    """A GET route of the workload, and what is expected of it."""

    def __init__(self, bench: Bench, route: Route) -> None:
        self._bench, self._read = bench, DiagnosedRead.of_route(route)
        self._expected = expected_of(route, bench.case.expected.response)
        self._expectation = Expectation(self._expected)
        self.name, self.keyed = route.name, route.keys is not None

    def read(self, key: Key) -> Reading:
        return self._bench.read(key, self._read)

    def wrong(self, reading: Reading) -> str | None:
        """How the answer differs from the expected one; None where it does not. Statuses that are not the expected one
        differ only as errors of the service: a key may well have nothing under it."""
        if self._expectation.looks_into(reading.status):
            mismatch = self._expectation.read_body(reading.body)[0]
            return mismatch.text if mismatch else None
        failed = reading.status >= 500 and reading.status not in self._expected.statuses
        return f"status {reading.status}" if failed else None


def _routes(bench: Bench) -> Iterator[_Route]:
    for route in bench.case.workload.routes:
        if route.method == "GET" and "{number}" not in route.path:
            yield _Route(bench, route)


def answers_when_loaded(bench: Bench, trials: int) -> list[Observations]:
    """One read of some keys of each route of the workload, on an empty cache, held against what the case expects; then
    two more, which may come out of the cache."""
    if bench.cache is None:
        return [lacking("answers-when-loaded", "cache-writes")]
    made = []
    for route in _routes(bench):
        keys = bench.random.sample(bench.routes.workload_keys, min(_LOADED, len(bench.routes.workload_keys)))
        begun_s = time.monotonic()
        for number, key in enumerate(keys if route.keyed else keys[:1]):
            if number >= _FEWEST and time.monotonic() - begun_s > _WITHIN_S:
                break
            bench.cache.empty()
            reading = route.read(key)
            if reading.cache in ("hit", "stale"):  # of a cache that can't be emptied
                continue
            wrong, outcome, rows = route.wrong(reading), "wrong-when-loaded", [reading.row]
            if wrong is None:
                again = [route.read(key) for _ in range(2)]
                spoilt = [_spoilt(route, reading, one) for one in again]
                wrong = spoilt[-1] if all(spoilt) else None
                outcome, rows = "wrong-when-read-again", [reading.row, again[-1].row]
            facts = {"route": route.name, "answer": wrong or f"status {reading.status}"}
            made.append(Trial(outcome if wrong else "as-expected", rows, facts))
    return [observed("answers-when-loaded", made, ids("answers-when-loaded"))]


def _spoilt(route: _Route, loaded: Reading, again: Reading) -> str | None:
    """How a later answer is wrong, though the loaded one was right: against what the case expects; or a number has
    become a text, or a text a number, as what is stored and read back may. None where it is not."""
    if not loaded.ok:
        return None
    if wrong := route.wrong(again):
        return wrong
    before, after = (_kinds(reading) for reading in (loaded, again))
    changed = [path for path, kind in before.items() if after.get(path, kind) != kind]
    return f"${'.'.join(map(str, ('', *changed[0])))} is a {after[changed[0]]}" if changed else None


def _kinds(reading: Reading) -> dict[tuple[str | int, ...], str]:
    """Which values of a JSON answer are numbers, and which are texts."""
    try:
        document = json.loads(reading.body)
    except ValueError:
        return {}
    named = ((path, "text" if isinstance(value, str) else "number") for path, value in _plain(document))
    return dict(named)


def _plain(document: object) -> Iterator[tuple[tuple[str | int, ...], object]]:
    for path, value in leaves(document):
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            yield path, value


def read_stored_entries(bench: Bench, trials: int) -> list[Observations]:
    """First reads of keys, in the cache as it is. Where one is wrong, and its entry was there before it, exactly that
    entry is deleted and the key is read again."""
    if bench.cache is None:
        return [lacking("read-stored-entries", "cache-trace")]
    if bench.cache.is_empty():  # nothing can be read of what an earlier build stored, so nothing is known of it
        return [lacking("read-stored-entries", "stored-entries")]
    made: list[Trial] = []
    for route in _routes(bench):
        known = every_key(bench) if route.keyed else every_key(bench)[:1]
        begun_s = time.monotonic()
        for key in bench.random.sample(known, min(_FIRST_READS, len(known))):
            if time.monotonic() - begun_s > _WITHIN_S:
                break
            made.append(_first_read(bench, route, key))
    return [observed("read-stored-entries", made, ids("read-stored-entries"))]


def _first_read(bench: Bench, route: _Route, key: Key) -> Trial:
    """It tells nothing where it is wrong just loaded as well."""
    readings: list[Reading] = []
    touched = bench.touched(lambda: readings.append(route.read(key)))
    first, wrong = readings[0], route.wrong(readings[0])
    entries = _stored_before(bench, touched)
    if not entries:
        return Trial("none-stored", [first.row])
    if wrong is None:
        return Trial("as-expected", [first.row])
    row = bench.calls.note("delete", f"{len(entries)} keys of this answer deleted", str(key))
    deleted = bench.cache.delete(entries) if bench.cache is not None else 0
    again = route.read(key)
    if not deleted or route.wrong(again) is not None:
        return Trial(None)
    facts = {"route": route.name, "answer": wrong, "key": entries[0]}
    return Trial("right-once-deleted", [first.row, row, again.row], facts)


def _stored_before(bench: Bench, touched: TouchedKeys) -> tuple[str, ...]:
    """The keys that this answer looked up, that were there, and that it did not store itself."""
    looked_up = tuple(key for key in touched.read if key not in touched.stored)
    return tuple(bench.cache.lifetimes_s(looked_up)) if bench.cache is not None and looked_up else ()

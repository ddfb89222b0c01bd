"""The answers whose bodies can be compared, as a table for DuckDB: complete ones of reads, with a status of 200 to 299.

A long run is sampled by slot, so that both arms keep the same ones; writes are counted whole. Rows of keys that the
freshness probe writes are left out: it puts back what it wrote.

    arm        0 before, 1 after                    own        a miss or a bypass: it was made for this request
    place      block, or the pair of blocks that    hit        from a cache, stale or not
               replay the same requests             known      the cache status was visible
    url        number of route and key              route, key numbers, see `routes` and `keys`
    epoch      writes of this key that were due before it, in its block
    quiet      no write of its key was under way, or younger than the declared bound
    measured   not of the warm-up
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit.case import Case
from luckyhit.case.values.placeholders import Placeholder, parse_template
from luckyhit.case.workload import Route
from luckyhit.judge.stale.background_routes import place_of
from luckyhit.records.manifest import NotedBlock

if TYPE_CHECKING:
    import duckdb

_READING = frozenset({"GET", "HEAD"})


MOST_ROWS = 1_000_000
"""Longer runs are sampled down to about this number."""
COLUMNS = ("route", "key", "cache", "status", "slot", "due_ns", "done_ns", "version", "body_hash")
_MILLISECOND = 20  # bits of a nanosecond count: 1.05 ms
_LIMITS = {"threads": 2, "memory_limit": "400MB"}
STEADY = "sum(top) >= 0.95 * sum(n) AND sum(n) >= 20"


def compared_routes(case: Case) -> list[Route]:
    """Reads whose route and key are their whole URL: a `{number}` makes every request another one, and of a replayed
    log the first route of a method may take whatever no route matches."""
    reads = [route for route in case.workload.routes if route.method == "GET"]
    replay = case.workload.replay
    if replay is not None and replay.others:
        reads = reads[1:]
    return [route for route in reads if not _draws(route)]


def writing_routes(case: Case) -> list[Route]:
    return [route for route in case.workload.routes if route.method not in _READING]


def changed_by_writes(case: Case) -> frozenset[str]:
    """Names of the compared routes whose answers are known to change with the writes of their own key only: all where
    nothing writes, else those with the path, up to `{key}`, of a write. A list may change with a write of any of its
    members, and the probe's put theirs back."""
    places = {place_of(route.path) for route in writing_routes(case)}
    reads = compared_routes(case)
    probe = case.freshness.write if case.freshness is not None else None
    if probe is not None:
        places.add(place_of(probe.path) if probe.path is not None else None)
    if not places:
        return frozenset(route.name for route in reads)
    return frozenset(
        route.name for route in reads if route.keys is not None and place_of(route.path) in places - {None}
    )


def _draws(route: Route) -> bool:
    parts = (part for text in (route.path, *route.headers.values()) for part in parse_template(str(text)))
    return any(isinstance(part, Placeholder) and part.name == "number" for part in parts)


@dataclass(frozen=True)
class ComparedAnswers:
    """`table`: see the module. `sampled_share`: the proportion of the answers that it holds."""

    table: pa.Table
    routes: Sequence[Route]
    keys: Sequence[str]
    changed_by_writes: frozenset[int]
    sampled_share: float

    @cached_property
    def database(self) -> duckdb.DuckDBPyConnection:
        """One that holds `answers`, and `steady`: routes that gave the same bytes again, nearly always, where the
        answer was made anew for the same URL with no write between. Only their bodies can be compared."""
        import duckdb  # most runs have nothing to compare, or no time for its import

        database = duckdb.connect(config=_LIMITS)  # type: ignore[arg-type]
        database.register("answers", self.table)
        database.execute(
            f"""CREATE TABLE steady AS SELECT route FROM (
                SELECT route, sum(c) AS n, max(c) AS top FROM (
                    SELECT route, url, place, epoch, hash, count(*) AS c FROM answers WHERE own GROUP BY ALL
                ) GROUP BY route, url, place, epoch HAVING sum(c) >= 2
            ) GROUP BY route HAVING {STEADY}"""
        )
        return database

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.database.execute(query, list(parameters)).fetchall()

    def url(self, route: int, key: int) -> str:
        """As the case writes it, with the key in its place; headers may hold it too."""
        text = str(self.routes[route].path)
        return text.replace("{key}", self.keys[key]) if key >= 0 else text

    def name(self, route: int) -> str:
        return self.routes[route].name


def compared_answers(
    case: Case,
    entries: Sequence[NotedBlock],
    in_parts: Callable[..., Iterable[pa.Table]],
    *,
    length: int = 0,
    probed: Collection[str] = (),
) -> ComparedAnswers | None:
    """None where nothing can be compared.

    `entries`: what the manifest notes of the blocks whose requests `in_parts` gives, in the columns asked for;
    `length`: how many requests there are, about. `probed`: keys that the freshness probe writes.
    """
    routes, writes = compared_routes(case), writing_routes(case)
    if not routes or not entries:
        return None
    stride = max(1, -(-length // MOST_ROWS))
    names = [route.name for route in routes]
    writing = [route.name for route in writes]

    def keep(part: pa.Table) -> pa.Table:
        wrote = _among(part["route"], writing)
        read = _among(part["route"], names) & part["body_hash"].is_valid().to_numpy()
        if stride > 1:
            read &= _numbers(part["slot"]) % stride == 0
        return part.filter(pa.array(wrote | read))

    parts = [keep(part) for part in in_parts(*COLUMNS)]
    if not parts:
        return None
    kept = pa.concat_tables(parts).unify_dictionaries()
    key, keys = _coded(kept["key"])
    probe_keys = np.array([text in probed for text in keys] + [False], dtype=bool)
    wrote = _among(kept["route"], writing)
    status = _numbers(kept["status"])
    good = ~wrote & (status >= 200) & (status < 300) & ~probe_keys[key]
    if not good.any():
        return None
    arm = _places(kept["arm"], ["before", "after"])
    block = _numbers(kept["block"])
    due, done = _numbers(kept["due_ns"]), _numbers(kept["done_ns"], absent=2**62)
    history = _History.of(key[wrote], (2 * block + arm)[wrote], due[wrote], done[wrote])
    taken = kept.filter(pa.array(good))
    key, arm, block, due, done = (values[good] for values in (key, arm, block, due, done))
    within_ns = round(case.freshness.within * 1e9) if case.freshness is not None else 0
    epoch, quiet = history.at(key, 2 * block + arm, due, done, within_ns)
    route = _places(taken["route"], names)
    cache = _places(taken["cache"], ["hit", "stale", "miss", "bypass"])
    pairs = {block.block: block.pair for block in entries}
    if None in pairs.values():
        pairs = {number: number for number in pairs}
    place = np.array([pairs.get(number, -1) for number in range(int(block.max()) + 1)])[block]
    columns: dict[str, Any] = {
        "arm": arm.astype(np.int8),
        "block": block.astype(np.int32),
        "place": place.astype(np.int32),
        "slot": taken["slot"],
        "route": route.astype(np.int16),
        "key": key.astype(np.int32),
        "url": route * (len(keys) + 1) + key + 1,
        "epoch": epoch.astype(np.int32),
        "quiet": quiet,
        "measured": _among(taken["phase"], ["measure"]),
        "hit": (cache == 0) | (cache == 1),
        "own": cache >= 2,
        "known": cache >= 0,
        "due_ns": due,
        "version": taken["version"],
        "hash": taken["body_hash"],
    }
    written = changed_by_writes(case)
    return ComparedAnswers(
        pa.table(columns),
        routes,
        keys,
        frozenset(number for number, name in enumerate(names) if name in written),
        1 / stride,
    )


@dataclass(frozen=True)
class _History:
    """Writes in the order of (key, arm and block, time due): when each was due, and when the last one until then, of
    the same place, was surely over. Those without a key are of all keys."""

    of_key: NDArray[np.int64]
    over: NDArray[np.int64]
    of_all: NDArray[np.int64]
    over_all: NDArray[np.int64]
    places: int

    @classmethod
    def of(
        cls, key: NDArray[np.int64], place: NDArray[np.int64], due: NDArray[np.int64], done: NDArray[np.int64]
    ) -> _History:
        places = int(place.max(initial=0)) + 1
        keyed = key >= 0
        own = _ordered(key[keyed] * places + place[keyed], due[keyed], done[keyed])
        return cls(*own, *_ordered(place[~keyed], due[~keyed], done[~keyed]), places)

    def at(
        self,
        key: NDArray[np.int64],
        place: NDArray[np.int64],
        due: NDArray[np.int64],
        done: NDArray[np.int64],
        within_ns: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(epoch, quiet) of reads."""
        known = place < self.places
        own = np.where(known & (key >= 0), key * self.places + place, -1)
        everyone = np.where(known, place, -1)
        epochs, quiet = np.zeros(len(key), np.int64), np.ones(len(key), dtype=bool)
        for group, times, over in ((own, self.of_key, self.over), (everyone, self.of_all, self.over_all)):
            if not len(times):
                continue
            start = np.searchsorted(times, _placed(group, np.zeros_like(due)))
            here = np.searchsorted(times, _placed(group, due), side="right")
            after = np.searchsorted(times, _placed(group, np.minimum(done, 2**50)), side="right")
            epochs += here - start
            last = over[np.maximum(here - 1, 0)]
            quiet &= ((here == start) | (due >= last + within_ns)) & (after == here)
        return epochs, quiet


def _ordered(
    group: NDArray[np.int64], due: NDArray[np.int64], done: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times in order, and until when some write of the same group, up to each, was under way."""
    placed = _placed(group, due)
    order = np.argsort(placed, kind="stable")
    over = pd.Series(done[order]).groupby(group[order]).cummax().to_numpy(np.int64)
    return placed[order], over


def _placed(group: NDArray[np.int64], time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number that orders by group, then by time (to the millisecond)."""
    return np.asarray((group << 32) + (time_ns >> _MILLISECOND))


def _coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """(numbers, texts): of each row the place of its text, -1 where it has none."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not isinstance(whole, pa.DictionaryArray):
        whole = whole.dictionary_encode()
    return whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), whole.dictionary.to_pylist()


def _places(column: pa.ChunkedArray, texts: Sequence[str]) -> NDArray[np.int64]:
    """Of each row the place of its text among `texts`, -1 for any other."""
    codes, known = _coded(column)
    places = np.array([texts.index(text) if text in texts else -1 for text in known] + [-1], dtype=np.int64)
    return places[codes]


def _among(column: pa.ChunkedArray, texts: Sequence[str]) -> NDArray[np.bool_]:
    return np.asarray(_places(column, texts) >= 0)


def _numbers(column: pa.ChunkedArray, absent: int = -1) -> NDArray[np.int64]:
    return np.asarray(column.fill_null(absent).to_numpy()).astype(np.int64)

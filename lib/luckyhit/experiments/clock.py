"""Content that changes by the clock: an entry beside what is loaded in the same moment, nobody having written."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from luckyhit.experiments.means.bench import Bench, Trial
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import Key
from luckyhit.text.json_values import leaves

_DAY_S = 86_400.0
_TIME_OF_DAY = re.compile(
    r"(\d{4}-\d\d-\d\d[T ])?\d{1,2}:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d|[AaPp][Mm]|UTC|GMT)?"
)


class StoredKey(NamedTuple):
    """A key that was read, with what its answer is made of."""

    key: Key
    entries: tuple[str, ...]
    reading: Reading


def held_against_a_load(bench: Bench, stored: StoredKey, passed_s: float) -> Trial | None:
    """The stored answer beside one that is loaded now, and beside a second load, which tells what each load has of its
    own. `passed_s`: seconds that the service's clock went on since the entry was stored. None where the entry is not
    there any more, or an answer is no success."""
    if bench.cache is None or len(bench.cache.lifetimes_s(stored.entries)) < len(stored.entries):
        return None
    cached = bench.read(stored.key)
    loads = []
    for _ in range(2):
        bench.calls.note("delete", "the keys of this answer deleted", str(stored.key))
        bench.cache.delete(stored.entries)
        loads.append(bench.read(stored.key))
    if not all(one.ok for one in (stored.reading, cached, *loads)) or bench.loaded(cached):
        return None
    first, kept, loaded, again = (_values(one.body) for one in (stored.reading, cached, *loads))
    for place, value in loaded.items():
        settled = again.get(place) == value and first.get(place) == kept.get(place)
        if settled and place in kept and not _same_beside_time(kept[place], value, passed_s):
            facts = {
                "field": place,
                "cached": _brief(kept[place]),
                "loaded": _brief(value),
                "passed_s": round(passed_s),
            }
            return Trial("old-after-the-instant", [stored.reading.row, cached.row, loads[0].row], facts)
    return Trial("alike", [stored.reading.row, cached.row, loads[0].row])


def stored_keys(bench: Bench, number: int) -> list[StoredKey]:
    """So many keys that nobody read yet, with what a first read of each stores."""
    stored = []
    for _ in range(number):
        key = bench.take()
        touched, reading = bench.traced_read(key)
        if reading.ok and touched.filled:
            stored.append(StoredKey(key, touched.filled, reading))
    return stored


def _values(body: bytes) -> dict[str, Any]:
    """By place: the values of JSON, else the lines of a text."""
    with suppress(ValueError):
        return {"$" + "".join(f".{step}" for step in path): value for path, value in leaves(json.loads(body))}
    lines: Sequence[str] = body.decode("utf-8", "replace").splitlines()
    return {f"line {number}": line for number, line in enumerate(lines, 1)}


def _same_beside_time(one: Any, other: Any, passed_s: float) -> bool:
    """Whether two values are equal but for a reading of the clock: a time of day, an epoch, an age."""
    if one == other:
        return True
    if isinstance(one, str) and isinstance(other, str):
        return _TIME_OF_DAY.sub("", one) == _TIME_OF_DAY.sub("", other)
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        gone_on = abs(other - one)
        return any(
            abs(gone_on - passed_s * unit) <= max(2.0, 0.1 * passed_s) * unit for unit in (1, 1e3, 1e6, 1e9)
        ) or (_is_epoch(one) and _is_epoch(other))
    return False


def _is_epoch(value: float) -> bool:
    """Whether a number is a time within a year from now, in seconds or a thousandth, millionth, billionth of it."""
    return any(abs(value / unit - time.time()) < 366 * _DAY_S for unit in (1, 1e3, 1e6, 1e9))


def _brief(value: Any) -> str:
    return str(value)[:60]

"""The answers of single routes in their order, each beside the one that the same URL gave before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.stale.background_routes import place_of
from luckyhit.judge.table.columns import as_they_come, identities
from luckyhit.judge.table.rows import ARMS, HIT, MISS, NO_ERROR, RequestTable
from luckyhit.records import Arm

Load = Callable[[Sequence[str]], Iterable[pd.DataFrame]]
COLUMNS = (
    "arm", "block", "slot", "phase", "route", "key", "due_ns", "sent_ns", "first_byte_ns", "done_ns", "error", "cache",
    "db_calls", "body_hash",
)  # fmt: skip
WINDOWS = 32
"""Of each block."""
ENOUGH = 500_000
"""Rows of each arm. What half a million answers don't show, more of them won't."""
NONE = -1


@dataclass(frozen=True)
class UrlAnswers:
    """Completed answers of one route in one arm, by block, URL and time. `body`: a number for each distinct body, NONE
    where it is not known. `previous`: the place of the answer that the URL gave before in this block, NONE for its
    first; `fill`: that of its latest miss before. `first_shown`: the URL showed no such body before in this block.
    `settled`: no write can have changed what the URL shows. `window`: a number for each short stretch of a block: what
    is compared inside of one met the same host, and the same age of the process."""

    hit: np.ndarray
    miss: np.ndarray
    calls: np.ndarray
    latency_ms: np.ndarray
    body: np.ndarray
    previous: np.ndarray
    fill: np.ndarray
    first_shown: np.ndarray
    settled: np.ndarray
    window: np.ndarray


def answers_of(load: Load, case: Case, wanted: set[tuple[Arm, str]]) -> Mapping[tuple[Arm, str], UrlAnswers]:
    """By arm and route; without routes that nothing was read of."""
    if not wanted:
        return {}
    writes = {route.name for route in case.workload.routes if route.method not in ("GET", "HEAD")}
    frame = _read(load, {arm for arm, _ in wanted}, {route for _, route in wanted} | writes)
    rows = as_they_come(frame)
    body = identities(frame["body_hash"]) if "body_hash" in frame.columns else np.full(len(rows), NONE)
    answers = {}
    for arm, route in sorted(wanted):
        inside = (rows.arm == ARMS.index(arm)) & (rows.route == _code(rows, route))
        wrote = (rows.arm == ARMS.index(arm)) & np.isin(rows.route, [_code(rows, name) for name in sorted(writes)])
        if inside.any():
            answers[arm, route] = _in_order(rows, body, inside, wrote if _same_resource(case, route) else None)
    return answers


def _read(load: Load, arms: set[Arm], routes: set[str]) -> pd.DataFrame:
    """The rows of these arms and routes, from as many parts as are enough."""
    parts: list[pd.DataFrame] = []
    rows = dict.fromkeys(arms, 0)
    for part in load(COLUMNS):
        missing = [name for name in COLUMNS if name not in part.columns]
        part = part.assign(**dict.fromkeys(missing)) if missing else part
        arm, route = part["arm"].astype(object), part["route"].astype(object)
        part = part[(arm.isin(arms) & route.isin(routes)).to_numpy(dtype=bool)]
        parts.append(part.astype({"arm": object, "route": object}))
        for name in arms:
            rows[name] += int(np.count_nonzero(part["arm"] == name))
        if min(rows.values()) >= ENOUGH:
            break
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def _code(rows: RequestTable, route: str) -> int:
    return rows.routes.index(route) if route in rows.routes else len(rows.routes)


def _same_resource(case: Case, name: str) -> bool:
    """Whether only a write of its own key can change what a route shows. A list shows what writes of other keys wrote,
    and so does a route with another path than what is written."""
    place = next((place_of(route.path) for route in case.workload.routes if route.name == name), None)
    written = [route.path for route in case.workload.routes if route.method not in ("GET", "HEAD")]
    if case.freshness is not None and case.freshness.write.path is not None:
        written.append(case.freshness.write.path)
    elif case.freshness is not None:
        return False  # a command or SQL: what it touches is not known here
    return place is not None and all(place_of(path) == place for path in written)


def _in_order(rows: RequestTable, body: np.ndarray, inside: np.ndarray, wrote: np.ndarray | None) -> UrlAnswers:
    chosen = np.flatnonzero(inside & (rows.error == NO_ERROR) & rows.answered)
    order = chosen[np.lexsort((rows.done_ns[chosen], rows.key[chosen], rows.block[chosen]))]
    key, block, cache = rows.key[order], rows.block[order], rows.cache[order]
    place = np.arange(len(order))
    same = np.zeros(len(order), dtype=bool)
    same[1:] = (key[1:] == key[:-1]) & (block[1:] == block[:-1])
    begins = np.maximum.accumulate(np.where(same, 0, place)) if len(place) else place
    latest = np.maximum.accumulate(np.where(cache == MISS, place, NONE)) if len(place) else place
    latest = np.concatenate([[NONE], latest[:-1]]) if len(place) else place
    _, url = np.unique(np.column_stack([block, key]), axis=0, return_inverse=True)
    return UrlAnswers(
        hit=cache == HIT,
        miss=cache == MISS,
        calls=rows.number("db_calls")[order],
        latency_ms=rows.latency_ms[order],
        body=body[order],
        previous=np.where(same, place - 1, NONE),
        fill=np.where(latest >= begins, latest, NONE),
        first_shown=_first(np.column_stack([url.reshape(-1), body[order]])),
        settled=_settled(rows, order, wrote),
        window=_windows(block, rows.due_ns[order]),
    )


def _windows(block: np.ndarray, due: np.ndarray) -> np.ndarray:
    numbers, place = np.unique(block, return_inverse=True)
    first, last = np.full(len(numbers), np.inf), np.full(len(numbers), -np.inf)
    np.minimum.at(first, place, due)
    np.maximum.at(last, place, due)
    part = (due - first[place]) / (last - first + 1.0)[place] * WINDOWS
    return np.asarray(place * WINDOWS + part.astype(np.int64))


def _first(pairs: np.ndarray) -> np.ndarray:
    """Whether a row is the first of those that are equal to it."""
    first = np.zeros(len(pairs), dtype=bool)
    if len(pairs):
        first[np.unique(pairs, axis=0, return_index=True)[1]] = True
    return first


def _settled(rows: RequestTable, order: np.ndarray, wrote: np.ndarray | None) -> np.ndarray:
    """No write of the key was due in the block before the answer was done. `wrote`: rows of writes; None where those of
    other keys would have to be known as well."""
    if wrote is None:
        return np.zeros(len(order), dtype=bool)
    at = np.flatnonzero(wrote)
    if not len(at):
        return np.ones(len(order), dtype=bool)
    pairs = np.column_stack([np.concatenate([rows.block[at], rows.block[order]]),
                             np.concatenate([rows.key[at], rows.key[order]])])  # fmt: skip
    _, number = np.unique(pairs, axis=0, return_inverse=True)
    number = number.reshape(-1)
    earliest = np.full(int(number.max()) + 1, np.inf)
    np.minimum.at(earliest, number[: len(at)], rows.due_ns[at])
    return np.asarray(rows.done_ns[order] < earliest[number[len(at) :]])

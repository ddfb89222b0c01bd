"""The requests of a run by short stretches of its time: how many, how slow, how many failed, how many were hits.

A stretch lasts as long as it takes for FEWEST_IN_BIN requests, or longer in a long run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from luckyhit.judge.facade import NO_ERROR
from luckyhit.report.figures.facts.course import Span, spans, washouts
from luckyhit.report.recorded import ARMS, Recorded

MOST_BINS = 500
"""Of the whole run."""
MOST_IN_BLOCK = 60
FEWEST_IN_BIN = 40
MIDDLE, SLOW = 0.5, 0.99


@dataclass(frozen=True)
class ArmBins:
    """One arm in one block: an entry for each stretch. `at_s`: its middle, on the run's clock. `requests` were due in
    it, `failed` of them failed; `completed` were done in it. `middle_ms`, `slow_ms`: median and p99 of the latency of
    those due in it, NaN without one. `visible` have a cache status, `hits` of them are hits. `silent_s`: the longest
    time between two completed answers, which ended `silent_until_s`."""

    span: Span
    arm: str
    at_s: np.ndarray
    width_s: float
    requests: np.ndarray
    failed: np.ndarray
    completed: np.ndarray
    middle_ms: np.ndarray
    slow_ms: np.ndarray
    hits: np.ndarray
    visible: np.ndarray
    silent_s: float
    silent_until_s: float

    @cached_property
    def counted(self) -> np.ndarray:
        """Whether a stretch lies behind the warm-up."""
        return self.at_s >= self.span.measure_s


def time_bins(recorded: Recorded) -> list[ArmBins]:
    """Of every block and wash-out, in the order of time. Kept with what was recorded: several figures show them."""
    shown = sorted([*spans(recorded), *washouts(recorded)], key=lambda span: span.start_s)
    unseen = tuple(recorded.result.unseen_status) if recorded.result is not None else ()
    key = ("time-bins", tuple(shown), unseen)
    kept = recorded.kept.get(key)
    # The rows are kept beside what was made of them, so that no other rows can be taken for them.
    if kept is None or kept[0] is not recorded.requests:
        kept = recorded.kept[key] = (recorded.requests, list(_bins(recorded, shown)))
    bins: list[ArmBins] = kept[1]
    return bins


def _bins(recorded: Recorded, shown: Sequence[Span]) -> Iterator[ArmBins]:
    total_s = sum(max(span.end_s - span.start_s, 0.0) for span in shown)
    lanes = max((len(span.arms) for span in shown), default=1) or 1
    for span in shown:
        seconds = max(span.end_s - span.start_s, 1e-9)
        places = {arm: rows_in_order(recorded, span.block, arm) for arm in ARMS}
        room = max(int(MOST_BINS / lanes * seconds / max(total_s, 1e-9)), 2)
        requests = sum(map(len, places.values()))
        count = int(np.clip(requests / lanes / FEWEST_IN_BIN, 1, min(room, MOST_IN_BLOCK)))
        edges_s = span.start_s + np.linspace(0.0, seconds, count + 1)
        for arm, rows in places.items():
            if len(rows):
                yield _of_arm(recorded, span, arm, rows, edges_s)


def rows_in_order(recorded: Recorded, block: int, arm: str) -> np.ndarray:
    """Where the rows of one arm in one block are, in the order in which they were due."""
    rows = recorded.rows
    stretches = _stretches(recorded).get((block, ARMS.index(arm)), [])
    places = np.concatenate([np.arange(first, last, dtype=np.int32) for first, last in stretches] or [_NONE])
    due_ns = rows.take(places).due_ns
    if not np.isfinite(due_ns).all():
        places, due_ns = places[np.isfinite(due_ns)], due_ns[np.isfinite(due_ns)]
    ordered = len(due_ns) < 2 or bool(np.all(due_ns[1:] >= due_ns[:-1]))
    return places if ordered else places[np.argsort(due_ns, kind="stable")]


_NONE = np.zeros(0, dtype=np.int32)


def _stretches(recorded: Recorded) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Where rows of one block and arm lie next to each other, by block and the arm's code: in the order of a table
    there are two such stretches of each, the warm-up and the rest."""
    kept = recorded.kept.get("stretches")
    if kept is None or kept[0] is not recorded.requests:
        block, arm = recorded.rows.block, recorded.rows.arm
        turns = np.flatnonzero((block[1:] != block[:-1]) | (arm[1:] != arm[:-1])) + 1
        ends = [*turns.tolist(), len(block)] if len(block) else []
        stretches: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for first, last in zip([0, *ends], ends, strict=False):
            stretches.setdefault((int(block[first]), int(arm[first])), []).append((first, last))
        kept = recorded.kept["stretches"] = (recorded.requests, stretches)
    made: dict[tuple[int, int], list[tuple[int, int]]] = kept[1]
    return made


def _of_arm(recorded: Recorded, span: Span, arm: str, places: np.ndarray, edges_s: np.ndarray) -> ArmBins:
    # Of these rows alone: a whole column of a long run takes much room.
    rows = recorded.rows.take(places)
    bounds = np.searchsorted(rows.due_ns, edges_s[1:-1] * 1e9)
    bounds = np.concatenate([[0], bounds, [len(places)]]).astype(np.int64)
    latency_ms, hit = rows.latency_ms, rows.hit
    visible = np.isfinite(hit)
    middle_ms, slow_ms = quantiles_of(latency_ms, bounds)
    done_s = np.sort(rows.done_ns[np.isfinite(latency_ms)]) / 1e9
    silences_s = np.diff(done_s)
    longest = int(np.argmax(silences_s)) if len(silences_s) else -1
    return ArmBins(
        span=span,
        arm=arm,
        at_s=(edges_s[1:] + edges_s[:-1]) / 2,
        width_s=float(edges_s[1] - edges_s[0]),
        requests=np.diff(bounds),
        failed=_sums((rows.error != NO_ERROR) | ~np.isfinite(latency_ms), bounds),
        completed=np.histogram(done_s, edges_s)[0],
        middle_ms=middle_ms,
        slow_ms=slow_ms,
        hits=_sums(np.where(visible, hit, 0.0) > 0, bounds),
        visible=_sums(visible, bounds),
        silent_s=float(silences_s[longest]) if longest >= 0 else 0.0,
        silent_until_s=float(done_s[longest + 1]) if longest >= 0 else 0.0,
    )


def _sums(mask: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    return np.diff(np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])[bounds])


def quantiles_of(latency_ms: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median, p99) of the finite values between neighbouring `bounds`; NaN where there is none."""
    pairs = []
    for first, last in pairwise(bounds):
        values = latency_ms[first:last]
        values = values[np.isfinite(values)]
        if not len(values):
            pairs.append((np.nan, np.nan))
            continue
        # The least value that this share lies at or below, as everywhere in the report.
        ranks = [max(int(np.ceil(share * len(values) - 1e-9)) - 1, 0) for share in (MIDDLE, SLOW)]
        ordered = np.partition(values, ranks)
        pairs.append((ordered[ranks[0]], ordered[ranks[1]]))
    middle, slow = np.array(pairs, dtype=float).reshape(-1, 2).T
    return middle, slow

"""Events inside an arm while it was measured: a drift, or a shift (a deploy, a cleared cache, a neighbour).

Each series of `run_events.SERIES` is followed in short batches over the measured time of the change. Latency is the
mean logarithm, not the median: where hits take 2 ms and misses 12, a median of few requests jumps between the two,
while the logarithm moves with the mix and is not led by the few slowest answers. It is reported as the geometric mean.

Blocks may begin alike with a ramp, since each starts from the same cache state: what blocks have in common (a cubic of
the time since each began) is taken out first. A movement that begins inside a block and ends with it is marked
(`with_block`): errors or entries that pile up until the next clear look like that. Their end is no event of its own.

No event changes a verdict. One in both arms means that there was no steady state; one in a single arm may be the
difference that the verdict is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import amount_of
from luckyhit.judge.context.changepoints import FEWEST, SHORTEST, movement
from luckyhit.judge.context.run_events import SERIES, metrics_of_series
from luckyhit.judge.stats.sequential import LARGEST_EXPONENT
from luckyhit.judge.table.groups import Groups, Pieces
from luckyhit.judge.table.samples import ARMS, Comparison, RequestTable, ends_of_runs, parts_of_runs
from luckyhit.records import EventMetric, GoalName, Moved, RunEvent
from luckyhit.records.manifest import NotedBlock

LEVEL = 0.01
"""The chance of any event in a run in which nothing happened, over all series of both arms."""
MOST_BATCHES = 120
FEWEST_IN_BATCH = 10
"""Requests of one arm, on average."""
NEAR = 2
"""Batches by which the place of a shift may be mistaken."""


@dataclass(frozen=True)
class Series:
    """One arm's batches in the order of time: when each begins and ends (ns), its block, and its value (of the
    latency: its logarithm), without what all blocks have in common. `line`: its time, without the same, so that a drift
    shows between the blocks."""

    begin: np.ndarray
    end: np.ndarray
    block: np.ndarray
    value: np.ndarray
    line: np.ndarray

    def between(self, begin_ns: float, end_ns: float) -> np.ndarray:
        """The values of the batches that lie inside, mostly."""
        middle = (self.begin + self.end) / 2
        return self.value[(middle >= begin_ns) & (middle < end_ns)]


@dataclass(frozen=True)
class _ArmMovement:
    """A movement of one arm, with the stretches on both sides of it (a drift: the whole, by its two halves)."""

    kind: str
    at_ns: float
    since_ns: float
    until_ns: float
    block: int
    was: float
    became: float
    with_block: bool = False

    @property
    def size(self) -> float:
        return self.became - self.was


def events_of(comparison: Comparison, goals: Mapping[GoalName, Goal], origin_ns: float) -> list[RunEvent]:
    """The events in the measured rows of `comparison`, in the order of time. `origin_ns`: when the first block of
    the run began; seconds are counted from then."""
    level = LEVEL / (len(SERIES) * len(ARMS))
    events: list[RunEvent] = []
    arms = [ArmSeries(side.rows) for side in comparison.sides]
    for name in SERIES:
        series = [arm.series(name) for arm in arms]
        movements = [
            list(_movements(one, level, _least(name, one, goals))) if one is not None else [] for one in series
        ]
        events += _events(name, series, movements, origin_ns)
    return sorted(events, key=lambda event: (event.at_s, list(SERIES).index(event.metric)))


def origin_of(blocks: Sequence[NotedBlock], rows: RequestTable) -> float:
    """When the first block of a run began (ns), by the manifest's list of blocks, else its first request."""
    times = [block.start_ns for block in blocks if block.stage != "wash-out"]
    begins = [float(time_ns) for time_ns in times if time_ns is not None]
    if begins:
        return min(begins)
    first = float(np.min(ends_of_runs(rows, "due_ns", rows.runs())[0], initial=np.inf))
    return first if first < np.inf else 0.0


class ArmSeries:
    """One arm's rows, cut into batches once for all series."""

    def __init__(self, rows: RequestTable) -> None:
        if not all(np.isfinite(part.due_ns).all() for part in rows.parts()):
            rows = rows.take(np.isfinite(rows.due_ns))
        self._rows, self._runs = rows, rows.runs()
        self._blocks, self._block = np.unique(self._runs.block, return_inverse=True)
        self._first, last = np.full(len(self._blocks), np.inf), np.full(len(self._blocks), -np.inf)
        low, high = ends_of_runs(rows, "due_ns", self._runs)
        np.minimum.at(self._first, self._block, low)
        np.maximum.at(last, self._block, high)
        self._length = np.maximum(last - self._first, 1.0)
        self._cuts: dict[int, tuple[Groups, np.ndarray]] = {}

    def series(self, name: EventMetric) -> Series | None:
        """None where too few requests show the metric."""
        watched = SERIES[name]
        known = 0
        for part in self._rows.parts():
            known += int(np.count_nonzero(watched.known(part)))
            if known >= MOST_BATCHES * FEWEST_IN_BATCH:
                break
        if known < FEWEST * FEWEST_IN_BATCH:
            return None
        batches, count = self._cut(min(MOST_BATCHES, known // FEWEST_IN_BATCH))
        size, group = int(count.sum()), np.repeat(np.arange(len(count)), count)
        place = np.arange(size) - (np.cumsum(count) - count)[group]
        width = (self._length / count)[group]
        begin = self._first[group] + place * width
        requests, total = np.zeros(size, dtype=np.int64), np.zeros(size)
        for first, stop, units in batches.parts():
            values = watched.values(self._rows.part(first, stop))
            finite = np.isfinite(values)
            batch = units.index[finite]
            requests += np.bincount(batch, minlength=size)
            total += np.bincount(batch, weights=values[finite], minlength=size)
        full = np.flatnonzero(requests)
        full = full[np.argsort(begin[full], kind="stable")]
        mean = total[full] / requests[full]
        group, begin = group[full], begin[full]
        end, since = begin + width[full], (place[full] + 0.5) / count[group]
        value, line = (_without_ramp(column, since, group) for column in (mean, (begin + end) / 2))
        return Series(begin, end, self._blocks[group], value, line)

    def _cut(self, wanted: int) -> tuple[Groups, np.ndarray]:
        """(its rows by batch, the number of batches of each block), for about `wanted` batches in all."""
        if wanted not in self._cuts:
            share = self._length / self._length.sum() * wanted
            count = np.maximum(np.floor(share + 1e-9), 1).astype(np.int64)
            start, pieces = np.cumsum(count) - count, Pieces()
            for part, runs, first in parts_of_runs(self._rows, self._runs):
                due = part.due_ns
                for run, begin, end in zip(range(runs.start, runs.stop), first[:-1], first[1:], strict=True):
                    block = int(self._block[run])
                    within = (due[begin:end] - self._first[block]) * (count[block] / self._length[block])
                    batch = np.minimum(within.astype(np.int32), np.int32(count[block] - 1))
                    pieces.add(batch, int(start[block]))
            self._cuts[wanted] = pieces.groups(int(count.sum())), count
        return self._cuts[wanted]


def _without_ramp(value: np.ndarray, since: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Without the cubic that all blocks share. `since`: share of its block's time that has passed."""
    if len(np.unique(block)) < 2:
        return value  # nothing to have in common with
    powers = np.column_stack([since, since**2, since**3])
    requests = np.bincount(block)
    inside = [
        column - (np.bincount(block, weights=column) / np.maximum(requests, 1))[block] for column in (value, *powers.T)
    ]
    fitted = np.linalg.lstsq(np.column_stack(inside[1:]), inside[0], rcond=None)[0]
    return value - np.column_stack(inside[1:]) @ fitted


def _least(name: EventMetric, series: Series, goals: Mapping[GoalName, Goal]) -> float:
    least = SERIES[name].least
    typical = float(np.exp(series.value.mean())) if SERIES[name].logarithmic else 1.0
    for goal in metrics_of_series(name):
        if goal in goals:
            margin = amount_of(goal, goals[goal].margin, typical)
            least = min(least, (margin or np.inf) / typical / 4)
    return least


def _movements(series: Series, level: float, least: float) -> Iterator[_ArmMovement]:
    """Movements of a series that are sure, and as large as `least` (of logarithms: about the relative change)."""
    moved = movement(series.value, level, series.line)
    if moved is None:
        return
    count = len(series.value)
    if moved.kind == "drift":
        at, middle = series.line - series.line.mean(), float(series.value.mean())
        slope = float(at @ series.value / (at @ at))
        begin, end = float(series.begin[0]), float(series.end[-1])
        was, became = (middle + slope * (time - float(series.line.mean())) for time in (begin, end))
        if abs(became - was) >= least and max(abs(was), abs(became)) < LARGEST_EXPONENT:
            alone = bool(np.all(series.block == series.block[0]))
            yield _ArmMovement("drift", begin, begin, end, int(series.block[0]), was, became, alone)
        return
    edges, gone = [0, *moved.places, count], False
    for before, place, after in zip(edges, edges[1:], edges[2:], strict=False):
        was, became = series.value[before:place].mean(), series.value[place:after].mean()
        back, gone = gone, _ends_with_its_block(series.block, place, after)
        if abs(became - was) >= least and not back:
            at, since, until = series.begin[place], series.begin[before], series.end[after - 1]
            yield _ArmMovement("shift", at, since, until, int(series.block[place]), float(was), float(became), gone)


def _ends_with_its_block(block: np.ndarray, first: int, last: int) -> bool:
    """Whether the batches `first` to `last` (exclusive) begin inside a block and end where it does, to within NEAR
    batches."""
    inside = block[first + NEAR : last - NEAR]
    return (
        not _begins_one(block, first)
        and (last == len(block) or _begins_one(block, last))
        and bool(len(inside) and np.all(inside == inside[0]))
    )


def _begins_one(block: np.ndarray, place: int) -> bool:
    """Whether a block begins at most NEAR batches from here."""
    return bool(np.any(np.diff(block[max(place - NEAR - 1, 0) : place + NEAR + 1])))


def _events(
    name: EventMetric, series: Sequence[Series | None], movements: Sequence[Sequence[_ArmMovement]], origin_ns: float
) -> Iterator[RunEvent]:
    """One event for a movement of both arms: the other arm moved the same way at the same time by half as much at
    least, whether or not that would have been sure by itself."""
    taken: set[int] = set()
    for arm, other in ((0, 1), (1, 0)):
        for one in movements[arm]:
            if id(one) in taken:
                continue
            moves = {arm: one}
            twin = next(
                (movement for movement in movements[other] if id(movement) not in taken and _same(one, movement)), None
            )
            partner = twin or _partner(one, series[other])
            if twin is not None:
                taken.add(id(twin))
            elif partner is not None:
                # A movement between line and step may be a drift in one arm and a shift in the other.
                alike = [
                    movement
                    for movement in movements[other]
                    if movement.kind != one.kind and movement.size * one.size > 0
                ]
                taken |= {id(movement) for movement in alike}
            if partner is not None:
                moves[other] = partner
            yield RunEvent(
                kind="drift" if one.kind == "drift" else "shift",
                metric=name,
                arms=[ARMS[index] for index in sorted(moves)],
                at_s=round((one.at_ns - origin_ns) / 1e9, 3),
                until_s=round((one.until_ns - origin_ns) / 1e9, 3) if one.kind == "drift" else None,
                block=one.block,
                with_block=one.with_block and len(moves) == 1,
                moved={ARMS[index]: _moved(name, moves[index]) for index in sorted(moves)},
            )


def _same(one: _ArmMovement, other: _ArmMovement) -> bool:
    """Whether two arms moved the same way at nearly the same time."""
    if one.kind != other.kind or one.size * other.size <= 0:
        return False
    if one.kind == "drift":
        shared = min(one.until_ns, other.until_ns) - max(one.since_ns, other.since_ns)
        return shared > min(one.until_ns - one.since_ns, other.until_ns - other.since_ns) / 2
    near = 2 * SHORTEST * (max(one.until_ns, other.until_ns) - min(one.since_ns, other.since_ns))
    return abs(one.at_ns - other.at_ns) <= near


def _partner(one: _ArmMovement, series: Series | None) -> _ArmMovement | None:
    """The movement of the other arm meanwhile, where it is of the same kind."""
    if series is None:
        return None
    cut = one.at_ns if one.kind == "shift" else (one.since_ns + one.until_ns) / 2
    early, late = series.between(one.since_ns, cut), series.between(cut, one.until_ns)
    if not len(early) or not len(late):
        return None
    # Halves of a line lie half its rise apart.
    rise = float(late.mean() - early.mean()) * (2 if one.kind == "drift" else 1)
    if rise * one.size <= 0 or abs(rise) < abs(one.size) / 2:
        return None
    was = float(early.mean()) - (rise / 4 if one.kind == "drift" else 0)
    return _ArmMovement(one.kind, one.at_ns, one.since_ns, one.until_ns, one.block, was, was + rise)


def _moved(name: EventMetric, movement: _ArmMovement) -> Moved:
    was, became = movement.was, movement.became
    if SERIES[name].logarithmic:
        was, became = float(np.exp(was)), float(np.exp(became))
    else:
        was, became = (min(max(value, 0.0), 1.0) for value in (was, became))  # a line may leave the shares
    return Moved(was=was, became=became, size=became - was)

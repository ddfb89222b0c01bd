"""Answers of one kind that take longer the longer one arm runs, while those of the other do not: something grows with
the number of requests (a list of hooks, an index of keys, a log in memory).

Answers of one kind are those of the route that was asked most, with one cache status or, where no status can be
believed, one number of database calls: so it is not the hit ratio that falls. Their medians in short stretches are put
in the order of time, over the whole run (what grows since a process started) and in each block on its own (what grows
since the cache was cleared). In an arm where nothing grows each order is as likely, which gives the exact chance of as
many rising pairs, or more (Kendall 1938, Biometrika 30: 81).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.judge.table.rows import ARMS, CACHE, NO_ERROR
from luckyhit.records import RunFinding

PARTS = 8
"""Stretches of each block."""
FEWEST_ROWS, FEWEST_STRETCHES = 20, 5
"""Answers in a stretch that has a median, and such stretches in an arm."""
LEAST_GROWTH, SOME_GROWTH = 1.3, 1.1
"""Of the last quarter of the stretches against the first: growth beside the other arm (or, where arms took turns, more
than the other arm's), and growth of the arm by itself. Smaller growth doesn't count."""
CHANCE = 0.001
"""The chance of a finding where nothing grows, over both arms and both views."""
COLUMNS = ("slot", "route", "due_ns", "done_ns", "error", "cache", "db_calls")
MOST_ROWS = 1_000_000
"""Of a longer run every n-th slot is looked at, the same ones in both arms: medians need no more."""
VIEWS = ("run", "block")
UNKNOWN = CACHE.index("unknown")


@dataclass(frozen=True)
class Medians:
    """One arm's medians (ms) in the order of time, with the block of each and its stretch (0 ... PARTS - 1)."""

    block: np.ndarray
    part: np.ndarray
    median_ms: np.ndarray
    requests: int

    def series(self, view: str) -> list[np.ndarray]:
        """The medians in one view: all of them, or those of each block that has enough."""
        if view == "run":
            return [self.median_ms]
        groups = [self.median_ms[self.block == number] for number in np.unique(self.block)]
        return [group for group in groups if len(group) >= FEWEST_STRETCHES]

    def ends_ms(self, view: str) -> tuple[float, float] | None:
        """The medians of the first quarter and of the last, on average over the blocks (geometric means)."""
        ends = [
            (np.median(values[:quarter]), np.median(values[-quarter:]))
            for values in self.series(view)
            if (quarter := max(len(values) // 4, 1))
        ]
        return tuple(np.exp(np.log(ends).mean(axis=0)).tolist()) if ends else None

    def beside(self, other: Medians) -> Medians | None:
        """How many times as long this arm took as the other, by stretch; None where they took turns."""
        places = [course.block * PARTS + course.part for course in (self, other)]
        _, first, second = np.intersect1d(*places, return_indices=True)
        if len(first) < FEWEST_STRETCHES:
            return None
        ratio = self.median_ms[first] / other.median_ms[second]
        return Medians(self.block[first], self.part[first], ratio, self.requests)


def latency_grows(evidence: Evidence) -> RunFinding | None:
    if len(evidence.arms) < 2:
        return None
    answers = Answers.of(evidence)
    if not len(answers.arm):
        return None
    busiest = int(np.argmax(np.bincount(answers.route)))
    codes = [ARMS.index(arm) for arm in evidence.arms]
    before, after = (
        _course(answers.only((answers.route == busiest) & (answers.arm == code)), evidence) for code in codes
    )
    if before is None or after is None:
        return None
    for arm, course, other in (("before", before, after), ("after", after, before)):
        for view in VIEWS:
            ends, others = course.ends_ms(view), other.ends_ms(view)
            if ends is None or others is None or not _grows(course, other, view):
                continue
            facts: Facts = {
                "arm": arm, "route": answers.routes[busiest], "within": view, "requests": course.requests,
                "first_ms": ends[0], "last_ms": ends[1], "other_first_ms": others[0], "other_last_ms": others[1],
            }  # fmt: skip
            return run_finding("latency-grows", {}, facts)
    return None


@dataclass(frozen=True)
class Answers:
    """The completed requests that were measured, of a long run some of them; a column each, with the codes of
    RequestTable."""

    arm: np.ndarray
    block: np.ndarray
    route: np.ndarray
    cache: np.ndarray
    db_calls: np.ndarray
    due_ns: np.ndarray
    latency_ms: np.ndarray
    routes: Sequence[str]

    @classmethod
    def of(cls, evidence: Evidence) -> Answers:
        stride = max(1, -(-evidence.length // MOST_ROWS))
        rows = evidence.rows_with(*COLUMNS)
        names = [field.name for field in fields(cls) if field.name != "routes"]
        columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for part in rows.parts():
            sampled = np.flatnonzero(part.slot % stride == 0)
            chosen = part.take(sampled) if stride > 1 else part
            chosen = chosen.take((chosen.error == NO_ERROR) & chosen.answered)
            for name in names:
                columns[name].append(chosen.latency_ms if name == "latency_ms" else chosen.wide(name))
        whole = {name: np.concatenate([np.zeros(0, np.int8), *columns.pop(name)]) for name in names}
        return cls(**whole, routes=rows.routes)

    def only(self, which: np.ndarray) -> Answers:
        names = [field.name for field in fields(self) if field.name != "routes"]
        return replace(self, **{name: getattr(self, name)[which] for name in names})


def _grows(course: Medians, other: Medians, view: str) -> bool:
    chance = CHANCE / (2 * len(VIEWS))
    if _growth(course, view) < SOME_GROWTH:
        return False
    ratio = course.beside(other)
    if ratio is not None:  # what the host did to both arms cancels
        return _growth(ratio, view) >= LEAST_GROWTH and chance_of_rise(ratio.series(view)) <= chance
    return (
        _growth(course, view) >= LEAST_GROWTH * max(_growth(other, view), 1.0)
        and chance_of_rise(course.series(view)) <= chance
    )


def _growth(course: Medians, view: str) -> float:
    ends = course.ends_ms(view)
    return 0.0 if ends is None else ends[1] / ends[0]


def chance_of_rise(groups: Sequence[np.ndarray]) -> float:
    """The chance of as many rising pairs inside the groups, or more, where each order of each group is as likely; pairs
    that are equal count as falling."""
    rising, chances = 0, np.ones(1)
    for values in groups:
        rising += int(sum(np.count_nonzero(values[place + 1 :] > values[place]) for place in range(len(values))))
        # In a random order the k-th value is below 0 ... k - 1 of those before it, each as likely.
        for place in range(1, len(values)):
            chances = np.convolve(chances, np.full(place + 1, 1 / (place + 1)))
    return float(chances[rising:].sum())


def _course(answers: Answers, evidence: Evidence) -> Medians | None:
    """Of the answers of one kind among some; None where they are too few."""
    kind = answers.cache
    if evidence.doubts or not np.any(kind != UNKNOWN):
        kind = np.where(answers.db_calls >= 0, answers.db_calls, -1)  # -1: not visible, a kind that is left out
        answers, kind = answers.only(kind >= 0), kind[kind >= 0]
    if not len(kind):
        return None
    kinds, counts = np.unique(kind, return_counts=True)
    answers = answers.only(kind == kinds[np.argmax(counts)])
    block = answers.block
    blocks, parts, medians = [], [], []
    for number in np.unique(block).tolist():
        of_block = block == number
        due, latency = answers.due_ns[of_block].astype(np.int64), answers.latency_ms[of_block]
        since = due - due.min()
        part = np.minimum(since * PARTS // (int(since.max()) + 1), PARTS - 1)
        for index in range(PARTS):
            values = latency[part == index]
            if len(values) >= FEWEST_ROWS:
                blocks.append(number)
                parts.append(index)
                medians.append(float(np.median(values)))
    if len(medians) < FEWEST_STRETCHES or min(medians) <= 0:
        return None
    return Medians(np.array(blocks), np.array(parts), np.array(medians), len(block))

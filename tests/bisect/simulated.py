"""A comparison without a service: what an honest interval would say of revisions whose truth is known."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

from luckyhit.bisect.comparison import BisectAnswer
from luckyhit.bisect.search import comparisons_at_most
from luckyhit.records import GoalName
from luckyhit.records.bisection import Bisection, BisectOutcome, BisectQuestion, GoalReading

MARGIN = 0.5


@dataclass
class SimulatedComparison:
    """The fault has size 1 from number `bad_at` on. `noise`: the standard error of a first attempt; a second one, three
    times as long, has less. `error_rate`: of one attempt. `broken`: numbers that don't start."""

    revisions: tuple[str, ...]
    bad_at: int
    noise: float = 0.05
    error_rate: float = 0.01 / 16
    broken: Collection[int] = ()
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    asked: list[BisectQuestion] = field(default_factory=list)

    def compare(self, question: BisectQuestion, margins: Mapping[GoalName, str]) -> BisectAnswer:
        self.asked.append(question)
        number = self.revisions.index(question.after)
        if number in self.broken:
            return BisectAnswer("not-started", "it does not start")
        size = float(number >= self.bad_at) - float(self.revisions.index(question.before) >= self.bad_at)
        outcome: BisectOutcome = "undecided"
        reading = GoalReading()
        attempts = 0
        for noise in (self.noise, self.noise / 3**0.5):
            attempts += 1
            wide = NormalDist().inv_cdf(1 - self.error_rate / 2) * noise
            middle = self.rng.gauss(size, noise)
            low, high = middle - wide, middle + wide
            reading = GoalReading(effect=middle, low=low, high=high, margin=MARGIN)
            outcome = "hurt" if low > MARGIN else "not-hurt" if high < MARGIN else "undecided"
            if outcome != "undecided":
                break
        hurt: dict[GoalName, str] = {"stale_reads": "50 %"} if outcome == "hurt" else {}
        return BisectAnswer(outcome, "simulated", {"stale_reads": reading}, hurt, attempts)


def revisions_of(count: int) -> tuple[str, ...]:
    """`count` hashes; the first is the good one."""
    return tuple(f"{number:040x}" for number in range(count))


def new_record(revisions: tuple[str, ...], at_most: int | None = None) -> Bisection:
    candidates = list(revisions[1:])
    return Bisection(
        case="old-prices",
        good=revisions[0],
        bad=revisions[-1],
        named_good="v1",
        named_bad="main",
        revisions=candidates,
        at_most=at_most or comparisons_at_most(len(candidates)),
    )

"""The next comparison of a search, and its conclusion. Pure: from the record alone.

The candidates are a line of revisions, oldest first, of which the last has the fault. The middle of those that are
still open is compared with the good revision. What can't be tested leaves the list, so that the rest is halved all the
same: n candidates need at most ceil(log2 n) comparisons, plus one of the ends, plus one that compares the commit with
its predecessor. Revisions that can't be tested stand together (a broken build lasts until it is mended), so that after
a few of them the search steps aside, further each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2

from luckyhit.records.bisection import BisectConclusion, Bisection, BisectOutcome, BisectQuestion

TRIED_IN_THE_MIDDLE = 3
"""So many revisions in a row are tried in the middle; after that the search steps aside."""
SPARE_COMPARISONS = 4
"""For comparisons that stay undecided, beyond those that a search without noise needs."""


def comparisons_needed(candidates: int) -> int:
    """The comparisons of a search in which none stays undecided: the ends, the halving, the confirmation."""
    return (ceil(log2(candidates)) if candidates > 1 else 0) + 2


def comparisons_at_most(candidates: int) -> int:
    """The limit where none is named."""
    return comparisons_needed(candidates) + SPARE_COMPARISONS


@dataclass(frozen=True)
class Conclusion:
    """How a search ended, and what is left: indexes of candidates."""

    id: BisectConclusion
    remaining: tuple[int, ...] = ()
    confirmed: bool | None = None


@dataclass(frozen=True)
class Position:
    """Where a search is. Indexes are those of the candidates; -1 is the good revision.

    `last_without`: the newest one shown not to have the fault; `first_with`: the oldest shown to have it. `open`: those
    between that were not tried. `tried`: those between that could not be told.
    """

    last_without: int
    first_with: int
    open: tuple[int, ...]
    tried: tuple[int, ...]

    @property
    def remaining(self) -> tuple[int, ...]:
        """Every candidate that may have brought the fault."""
        return tuple(range(self.last_without + 1, self.first_with + 1))

    def middle(self) -> int:
        """The open candidate to try next."""
        at = (len(self.open) - 1) // 2
        aside = len(self.tried) - TRIED_IN_THE_MIDDLE
        if aside >= 0:
            least, most = len(self.open) // 8, max((7 * len(self.open)) // 8 - 1, 0)
            distance = 2 ** (aside // 2 + 2)
            at = min(max(at + (distance if aside % 2 else -distance), least), most)
        return self.open[min(max(at, 0), len(self.open) - 1)]


def position_of(record: Bisection) -> Position:
    """Where the search is, by the comparisons with the good revision. The bad one is taken to have the fault."""
    outcomes = _outcomes(record)
    hurt = [index for index, outcome in outcomes.items() if outcome == "hurt"]
    first_with = min([*hurt, len(record.revisions) - 1])
    without = [index for index, outcome in outcomes.items() if outcome == "not-hurt" and index < first_with]
    last_without = max(without, default=-1)
    between = range(last_without + 1, first_with)
    return Position(
        last_without,
        first_with,
        tuple(index for index in between if index not in outcomes),
        tuple(index for index in between if index in outcomes),
    )


def next_question(record: Bisection) -> BisectQuestion | None:
    """The comparison to make next; None where there is a conclusion."""
    if conclusion_of(record) is not None:
        return None
    if not _asked(record, "ends"):
        return BisectQuestion(before=record.good, after=record.bad, purpose="ends")
    position = position_of(record)
    if position.open:
        after = record.revisions[position.middle()]
        return BisectQuestion(before=record.good, after=after, purpose="halving")
    before, after = record.revisions[position.last_without], record.revisions[position.first_with]
    return BisectQuestion(before=before, after=after, purpose="confirmation")


def conclusion_of(record: Bisection) -> Conclusion | None:
    """How the search ended; None while there is a comparison to make."""
    ends = _asked(record, "ends")
    if ends is None:
        return None
    everything = tuple(range(len(record.revisions)))
    if ends != "hurt":
        return Conclusion("no-difference") if ends == "not-hurt" else Conclusion("ends-undecided", everything)
    position = position_of(record)
    spent = record.compared >= record.at_most
    if position.open:
        return Conclusion("cannot-tell", position.remaining) if spent else None
    if position.tried:
        return Conclusion("cannot-tell", position.remaining)
    if position.last_without < 0:
        # The good revision is its predecessor: they were compared already.
        return Conclusion("found", position.remaining, confirmed=True)
    confirmation = _asked(record, "confirmation")
    if confirmation is None:
        return Conclusion("found", position.remaining) if spent else None
    if confirmation == "not-hurt":
        return Conclusion("contradictory", position.remaining, confirmed=False)
    return Conclusion("found", position.remaining, confirmed=True if confirmation == "hurt" else None)


def _asked(record: Bisection, purpose: str) -> BisectOutcome | None:
    return next((step.outcome for step in record.steps if step.purpose == purpose), None)


def _outcomes(record: Bisection) -> Mapping[int, BisectOutcome]:
    """By index of a candidate: the outcome of its comparison with the good revision, or why there is none."""
    index_of = {revision: index for index, revision in enumerate(record.revisions)}
    return {
        index_of[step.after]: step.outcome
        for step in record.steps
        if step.purpose != "confirmation" and step.before == record.good and step.after in index_of
    }

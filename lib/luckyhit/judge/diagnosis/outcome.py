"""From the trials of an experiment to one outcome, beyond chance.

Each trial (a key, a burst, a pair of clients) was classified by itself; see `trials`. An outcome holds for the service
once its proportion of all trials is known to be large enough, and it is absent once that is known to be too small.
Between the two more trials are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from luckyhit.judge.diagnosis.experiment import Experiment
from luckyhit.judge.stale.proportion_bounds import ProportionBounds, uncompared

MOST_TRIALS = 200
"""With more, an experiment that is undecided stays so."""


@dataclass(frozen=True)
class RowReference:
    """A row of a run's table that an outcome rests on. `table`: `requests`, `reads`, `writes`, ...; `row`: from 0."""

    table: str
    row: int


@dataclass(frozen=True)
class Observations:
    """What was seen in one experiment.

    `trials`: by outcome id, the number of trials that came out so. `rows`: the rows behind them. `facts`: numbers and
    names for the reader, with units in the names. `lacking`: needs that turned out not to be met.
    """

    experiment: str
    trials: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[RowReference, ...] = ()
    facts: Mapping[str, float | int | str | bool | None] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return sum(self.trials.values())


@dataclass(frozen=True)
class Decided:
    """An outcome beyond chance. `count` of `total` trials had it; `visible_from`: any other outcome with at least this
    proportion of trials would have been seen."""

    experiment: str
    outcome: str
    count: int
    total: int
    visible_from: float = 1.0
    rows: tuple[RowReference, ...] = ()
    facts: Mapping[str, float | int | str | bool | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Undecided:
    """No outcome beyond chance. `more_trials`: how many more to make, 0 where more would be too many or are no help."""

    experiment: str
    more_trials: int
    lacking: tuple[str, ...] = ()


def outcome_of(
    experiment: Experiment, observations: Observations, bounds: ProportionBounds = uncompared
) -> Decided | Undecided:
    """The outcome of these observations, or how many more trials to make.

    ValueError: observations of another experiment, or with an outcome that it doesn't have, or negative counts.
    """
    _check(experiment, observations)
    total = observations.count
    if observations.lacking or not total:
        return Undecided(experiment.id, 0 if observations.lacking else experiment.trials, observations.lacking)
    counts = [observations.trials.get(outcome.id, 0) for outcome in experiment.outcomes]
    decided = _ranked(experiment, counts, bounds) if experiment.ranked else _majority(experiment, counts, bounds)
    if decided is None:
        return Undecided(experiment.id, min(total, MOST_TRIALS - total) if total < MOST_TRIALS else 0)
    at, visible_from = decided
    return Decided(
        experiment.id,
        experiment.outcomes[at].id,
        counts[at],
        total,
        visible_from,
        observations.rows,
        observations.facts,
    )


def _ranked(experiment: Experiment, counts: list[int], bounds: ProportionBounds) -> tuple[int, float] | None:
    """The most severe outcome that is frequent enough, where each more severe one is known to be too rare."""
    total = sum(counts)
    visible_from = 0.0
    for at in reversed(range(len(counts))):
        outcome = experiment.outcomes[at]
        if all(milder.healthy for milder in experiment.outcomes[: at + 1]):
            # Nothing faulty is left, and which of the healthy ones it is needs no proof.
            return max(range(at + 1), key=counts.__getitem__), visible_from
        low, high = bounds(sum(counts[at:]), total)
        if low > outcome.above:
            return at, visible_from
        if high >= outcome.below or (outcome.exact and any(counts[at:])):
            return None
        visible_from = max(visible_from, high)
    return None


def _majority(experiment: Experiment, counts: list[int], bounds: ProportionBounds) -> tuple[int, float] | None:
    """The outcome that more than half of all trials have."""
    total = sum(counts)
    at = max(range(len(counts)), key=counts.__getitem__)
    if bounds(counts[at], total)[0] <= experiment.outcomes[at].above:
        return None
    return at, bounds(total - counts[at], total)[1]


def _check(experiment: Experiment, observations: Observations) -> None:
    if observations.experiment != experiment.id:
        raise ValueError(f"observations of {observations.experiment!r} given for the experiment {experiment.id!r}")
    known = {outcome.id for outcome in experiment.outcomes}
    unknown = sorted(set(observations.trials) - known)
    if unknown:
        raise ValueError(f"{experiment.id} has no outcome {unknown[0]!r}; expected one of {', '.join(sorted(known))}")
    if any(count < 0 for count in observations.trials.values()):
        raise ValueError(f"{experiment.id}: a number of trials is negative")

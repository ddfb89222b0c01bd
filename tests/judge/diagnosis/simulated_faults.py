"""A service with known faults, whose experiments come out as the table says: with outcomes that stay unclear, too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random

from luckyhit.judge.diagnosis.elimination import Elimination, eliminate
from luckyhit.judge.diagnosis.experiment import NEEDS, Experiment
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.fault_forms import FaultForm
from luckyhit.judge.diagnosis.next_experiment import End, Means, looks, next_experiment
from luckyhit.judge.diagnosis.outcome import Decided
from luckyhit.judge.diagnosis.table import predicted

UNCLEAR = 0.05
"""The proportion of experiments that come to no outcome."""


@dataclass
class SimulatedService:
    """It has these forms of faults."""

    forms: Sequence[FaultForm]
    rng: Random

    def outcome(self, experiment: Experiment) -> str:
        """The most severe one of a ranked experiment; of facts one that all of its faults allow."""
        if experiment.ranked:
            ids = [outcome.id for outcome in experiment.outcomes]
            return max((self._pick(predicted(form, experiment.id)) for form in self.forms), key=ids.index)
        cells = [form.predicts[experiment.id] for form in self.forms if experiment.id in form.predicts]
        return self._pick(frozenset.intersection(*cells) if cells else experiment.healthy)

    def trial(self, experiment: Experiment) -> Decided | None:
        if self.rng.random() < UNCLEAR:
            return None
        return Decided(experiment.id, self.outcome(experiment), 20, 20, visible_from=0.14)

    def _pick(self, outcomes: Collection[str]) -> str:
        return self.rng.choice(sorted(outcomes))


@dataclass
class Diagnosed:
    """How a diagnosis went."""

    elimination: Elimination
    end: End
    experiments: list[str] = field(default_factory=list)
    seconds: float = 0.0


def diagnosed(
    forms: Sequence[FaultForm],
    seed: int,
    needs: Collection[str] = NEEDS,
    budget_s: float = 300.0,
    *,
    thorough: bool = False,
) -> Diagnosed:
    """Looks first, then one experiment after another, until there is none."""
    service = SimulatedService(forms, Random(seed))
    outcomes = [outcome for look in looks(Means(needs)) if (outcome := service.trial(look))]
    experiments: list[str] = []
    tried = [look.id for look in looks(Means(needs))]
    seconds = 0.0
    while True:
        elimination = eliminate(outcomes)
        step = next_experiment(elimination, Means(needs, budget_s - seconds, None, tried, seed), thorough=thorough)
        if isinstance(step, End):
            return Diagnosed(elimination, step, experiments, seconds)
        experiments.append(step.experiment)
        seconds += step.seconds
        for name in (step.experiment, *step.also):
            tried.append(name)
            if outcome := service.trial(EXPERIMENTS[name]):
                outcomes.append(outcome)


def compatible(one: FaultForm, other: FaultForm) -> bool:
    """Whether a service can have both: no fact that one of them has to show is impossible with the other."""
    return all(
        experiment.ranked
        or not {experiment.id} <= one.predicts.keys() & other.predicts.keys()
        or bool(one.predicts[experiment.id] & other.predicts[experiment.id])
        for experiment in EXPERIMENTS.values()
    )

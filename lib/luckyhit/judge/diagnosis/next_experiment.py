"""Which experiment comes next: the one that splits the classes that are left most, per second of run time.

How much an experiment splits is the expected fall of the entropy over classes (Lindley 1956, Annals of Mathematical
Statistics 27: 986), each outcome that a form predicts being equally likely. One that can't exclude a class, whatever
comes of it, is not worth its time, and is never chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import log2
from random import Random
from typing import Literal

from luckyhit.judge.diagnosis.elimination import Elimination, excludes, explains, forms_left, is_executed
from luckyhit.judge.diagnosis.experiment import Experiment
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.fault_forms import FaultForm
from luckyhit.judge.diagnosis.outcome import Decided
from luckyhit.judge.diagnosis.table import FAULTS, NONE, predicted

EndReason = Literal["explained", "one-left", "nothing-splits", "needs-missing", "over-budget"]
"""Every faulty outcome has its class; one class is left; no experiment splits the rest; one would, but not here; one
would, but takes longer than the time that is left."""
OVERHEAD_S = 8.0
"""Added to every experiment's duration: keys are chosen, warmed and put back, and few are easier to follow."""
_UNLIKELY = 0.05
"""The likelihood of an outcome that a form doesn't predict, but doesn't exclude either: another fault acts as well."""
_Weights = Mapping[tuple[str, str], float]
_FORMS: dict[tuple[str, str], FaultForm] = {
    (fault.id, form.id): form for fault in FAULTS.values() for form in fault.forms
}


@dataclass(frozen=True)
class Means:
    """What a diagnosis may use. `needs`: those that are met; `budget_s`: the time that is left; `seconds`: durations
    by experiment id where they differ from the typical ones; `tried`: experiments not to make again."""

    needs: Collection[str]
    budget_s: float = 90.0
    seconds: Mapping[str, float] | None = None
    tried: Collection[str] = ()
    seed: int = 0

    def duration_s(self, experiment: Experiment) -> float:
        return (self.seconds or {}).get(experiment.id, experiment.seconds)


@dataclass(frozen=True)
class Proposal:
    """An experiment, the classes that one of its outcomes would exclude or show, the experiments that its records
    answer as well, and the needs that are not met yet."""

    experiment: str
    splits: tuple[str, ...]
    bits: float
    seconds: float
    also: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def bits_per_s(self) -> float:
        return self.bits / (self.seconds + OVERHEAD_S)


@dataclass(frozen=True)
class End:
    """Why no experiment follows. `proposal`: the best one that could not be made, if any."""

    reason: EndReason
    proposal: Proposal | None = None


def next_experiment(elimination: Elimination, means: Means, *, thorough: bool = False) -> Proposal | End:
    """The experiment to make now, or why there is none.

    Repeatable: the same outcomes, means and seed give the same choice. `thorough`: go on where every faulty outcome is
    explained, to find further faults.
    """
    if elimination.shown and not elimination.open_classes and not thorough:
        return End("explained")
    weights = weights_of(elimination)
    if len({name for name, _ in weights}) <= 1:
        return End("one-left")
    proposals = proposals_of(elimination, means)
    possible = [one for one in proposals if not one.lacking]
    for one in possible:
        if one.seconds <= means.budget_s:
            return one
    if possible:
        return End("over-budget", possible[0])
    return End("needs-missing", proposals[0]) if proposals else End("nothing-splits")


def looks(means: Means) -> list[Experiment]:
    """What can be looked at without a request, before the first experiment."""
    return [
        experiment
        for experiment in EXPERIMENTS.values()
        if experiment.look and experiment.id not in means.tried and set(experiment.needs) <= set(means.needs)
    ]


def answered_within(experiment: Experiment, means: Means) -> list[Experiment]:
    """The experiments that the records of this one answer as well."""
    return [
        other
        for other in EXPERIMENTS.values()
        if other.within == experiment.id and set(other.needs) <= set(means.needs)
    ]


def proposals_of(elimination: Elimination, means: Means) -> list[Proposal]:
    """All experiments that split what is left, the best first, with those whose needs are not met."""
    weights = weights_of(elimination)
    made = {decided.experiment for decided in elimination.outcomes} | set(means.tried)
    proposals = []
    for experiment in EXPERIMENTS.values():
        if experiment.id in made:
            continue
        together = [experiment, *(other for other in answered_within(experiment, means) if other.id not in made)]
        splits = {name for one in together for name in _splits(one, weights)}
        if not splits:
            continue
        proposals.append(
            Proposal(
                experiment.id,
                tuple(name for name in FAULTS if name in splits),
                _expected_bits(together, weights),
                means.duration_s(experiment),
                tuple(one.id for one in together[1:]),
                tuple(need for need in experiment.needs if need not in means.needs),
            )
        )
    Random(means.seed).shuffle(proposals)
    return sorted(proposals, key=lambda proposal: -round(proposal.bits_per_s, 9))


def weights_of(elimination: Elimination) -> dict[tuple[str, str], float]:
    """How likely each form is, by (class, form), together 1: of the classes among which it isn't decided yet. All
    classes are equally likely at first."""
    weights = {}
    for fault in FAULTS.values():
        asked = fault.id in elimination.open_classes if elimination.open_classes else fault.id not in elimination.shown
        if not asked or (fault.id == NONE and elimination.faulty):
            continue
        for form in forms_left(fault, elimination.outcomes):
            weight = 1 / len(fault.forms)
            for decided in elimination.outcomes:
                weight *= _likelihood(form, decided.experiment, decided.outcome)
            weights[fault.id, form.id] = weight
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _likelihood(form: FaultForm, experiment_id: str, outcome_id: str) -> float:
    outcomes = predicted(form, experiment_id)
    return 1 / len(outcomes) if outcome_id in outcomes else _UNLIKELY


def _splits(experiment: Experiment, weights: _Weights) -> set[str]:
    """The classes of which a form can be excluded, or shown, by an outcome that another class can have."""
    split: set[str] = set()
    for outcome in experiment.outcomes:
        decided = Decided(experiment.id, outcome.id, 1, 1)
        having = [name for name in weights if outcome.id in predicted(_FORMS[name], experiment.id)]
        if not having:
            continue
        split |= {name[0] for name in weights if excludes(decided, _FORMS[name])}
        explaining = {name[0] for name in having if explains(decided, _FORMS[name])}
        if not outcome.healthy and is_executed(decided) and explaining:
            # Whichever class it is: that nothing is wrong is ruled out.
            split |= explaining if len(explaining) == 1 else {name for name, _ in weights if name == NONE}
    return split


def _expected_bits(together: Sequence[Experiment], weights: _Weights) -> float:
    """How many bits the outcomes of these, made as one, are expected to tell. Given a form, they are independent."""
    after = 0.0
    for outcomes in product(*(experiment.outcomes for experiment in together)):
        joint = {}
        for name, weight in weights.items():
            for experiment, outcome in zip(together, outcomes, strict=True):
                likely = predicted(_FORMS[name], experiment.id)
                weight *= (outcome.id in likely) / len(likely)
            if weight:
                joint[name] = weight
        probability = sum(joint.values())
        if probability:
            after += probability * _entropy({name: weight / probability for name, weight in joint.items()})
    return max(0.0, _entropy(weights) - after)


def _entropy(weights: _Weights) -> float:
    """In bits, over classes."""
    classes: dict[str, float] = defaultdict(float)
    for (fault, _), weight in weights.items():
        classes[fault] += weight
    return -sum(weight * log2(weight) for weight in classes.values() if weight > 0)

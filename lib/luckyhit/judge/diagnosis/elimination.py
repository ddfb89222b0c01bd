"""From outcomes to the classes that are shown, possible and excluded.

A form of a fault is excluded by an outcome that it can't have, not even beside another fault. Every faulty outcome
needs a class that explains it. A class is *shown* where an executed experiment came out as it alone, of all that are
left, predicts. More outcomes never bring an excluded class back, and their order does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.fault_forms import Fault, FaultForm
from luckyhit.judge.diagnosis.outcome import Decided
from luckyhit.judge.diagnosis.table import FAULTS, NONE, OUTSIDE

Status = Literal["shown", "possible", "excluded"]
Conclusion = Literal["shown", "open", "none-found", "outside"]
"""At least one class is shown; faulty outcomes that several classes explain, or nothing decided; nothing faulty in what
was decided; only faulty outcomes that no class explains."""
_LARGEST_SET = 4
"""Explaining sets with more classes are not listed."""


@dataclass(frozen=True)
class Standing:
    """A class after the outcomes so far. `because`: those that show it, that exclude it, or that it would explain."""

    fault: str
    status: Status
    because: tuple[Decided, ...] = ()


@dataclass(frozen=True)
class Elimination:
    """Where all classes stand. `explaining_sets`: the smallest sets of classes that explain every faulty outcome;
    `unexplained`: the faulty outcomes that no class explains; `open_classes`: classes of which at least one has to be
    there, but it isn't known which."""

    outcomes: tuple[Decided, ...]
    standings: dict[str, Standing]
    explaining_sets: tuple[frozenset[str], ...]
    unexplained: tuple[Decided, ...]
    open_classes: frozenset[str]

    def having(self, status: Status) -> tuple[str, ...]:
        """The ids of the classes with that status, in the order of the table."""
        return tuple(name for name, standing in self.standings.items() if standing.status == status)

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(name for name in self.having("shown") if name not in (NONE, OUTSIDE))

    @property
    def faulty(self) -> tuple[Decided, ...]:
        """The outcomes that no healthy service has."""
        return tuple(decided for decided in self.outcomes if is_faulty(decided))

    @property
    def conclusion(self) -> Conclusion:
        if self.shown:
            return "shown"
        if self.unexplained and not self.open_classes:
            return "outside"
        return "open" if self.faulty or not self.outcomes else "none-found"


def is_faulty(decided: Decided) -> bool:
    """Whether no healthy service has this outcome."""
    return decided.outcome not in EXPERIMENTS[decided.experiment].healthy


def is_executed(decided: Decided) -> bool:
    """Whether an experiment was made, and not only records of the baseline read."""
    return "baseline" not in EXPERIMENTS[decided.experiment].needs


def excludes(decided: Decided, form: FaultForm) -> bool:
    """Whether a service with this form can't have that outcome, whatever else is wrong with it."""
    cell = form.predicts.get(decided.experiment)
    if cell is None or decided.outcome in cell:
        return False
    return not cell & EXPERIMENTS[decided.experiment].masks(decided.outcome)


def explains(decided: Decided, form: FaultForm) -> bool:
    """Whether this form alone can lead to that outcome."""
    return decided.outcome in form.predicts.get(decided.experiment, ())


def eliminate(outcomes: Iterable[Decided]) -> Elimination:
    """Where all classes stand after these outcomes, all of the same read and write. KeyError: an unknown experiment."""
    decided = tuple(sorted(_each_once(outcomes), key=lambda one: (one.experiment, one.outcome)))
    left = {fault.id: forms_left(fault, decided) for fault in FAULTS.values()}
    faulty = [one for one in decided if is_faulty(one)]
    explainers = {
        index: frozenset(name for name, forms in left.items() if any(explains(one, form) for form in forms))
        for index, one in enumerate(faulty)
    }
    shown: dict[str, list[Decided]] = {}
    for index, classes in explainers.items():
        if len(classes) == 1 and is_executed(faulty[index]):
            shown.setdefault(next(iter(classes)), []).append(faulty[index])
    unexplained = tuple(faulty[index] for index, classes in explainers.items() if not classes)
    unsettled = [classes for classes in explainers.values() if classes and not classes & shown.keys()]
    standings = {
        fault.id: _standing(fault, left[fault.id], decided, faulty, shown)
        for fault in FAULTS.values()
        if fault.id not in (NONE, OUTSIDE)
    }
    standings[NONE] = _none(decided, faulty, standings)
    standings[OUTSIDE] = Standing(OUTSIDE, "shown" if unexplained else "possible", unexplained)
    return Elimination(
        decided, standings, explaining_sets(list(explainers.values())), unexplained, frozenset().union(*unsettled)
    )


def _each_once(outcomes: Iterable[Decided]) -> list[Decided]:
    """One of each experiment and outcome: that with the most trials."""
    most: dict[tuple[str, str], Decided] = {}
    for decided in outcomes:
        EXPERIMENTS[decided.experiment].outcome(decided.outcome)
        key = (decided.experiment, decided.outcome)
        if key not in most or _weight(decided) > _weight(most[key]):
            most[key] = decided
    return list(most.values())


def _weight(decided: Decided) -> tuple[int, int, str]:
    return decided.total, decided.count, repr(decided)


def forms_left(fault: Fault, outcomes: Sequence[Decided]) -> tuple[FaultForm, ...]:
    """The forms of a class that none of the outcomes excludes."""
    return tuple(form for form in fault.forms if not any(excludes(decided, form) for decided in outcomes))


def explaining_sets(explainers: Sequence[frozenset[str]]) -> tuple[frozenset[str], ...]:
    """The smallest sets of classes that have one of each of these (the minimal hitting sets), of at most four classes;
    what nothing explains is left out."""
    sets: set[frozenset[str]] = {frozenset()}
    for classes in sorted({one for one in explainers if one}, key=lambda one: (len(one), sorted(one))):
        grown = {chosen for chosen in sets if chosen & classes}
        grown |= {chosen | {name} for chosen in sets if not chosen & classes for name in classes}
        sets = {one for one in grown if len(one) <= _LARGEST_SET and not any(other < one for other in grown)}
    return tuple(sorted((one for one in sets if one), key=lambda one: (len(one), sorted(one))))


def _standing(
    fault: Fault,
    forms: tuple[FaultForm, ...],
    decided: Sequence[Decided],
    faulty: Sequence[Decided],
    shown: Mapping[str, Sequence[Decided]],
) -> Standing:
    if not forms:
        because = [next(one for one in decided if excludes(one, form)) for form in fault.forms]
        return Standing(fault.id, "excluded", tuple(one for one in decided if one in because))
    if fault.id in shown:
        return Standing(fault.id, "shown", tuple(shown[fault.id]))
    return Standing(fault.id, "possible", tuple(one for one in faulty if any(explains(one, form) for form in forms)))


def _none(decided: Sequence[Decided], faulty: Sequence[Decided], others: Mapping[str, Standing]) -> Standing:
    """Nothing is wrong: excluded by any faulty outcome, and shown once all other classes are excluded."""
    if faulty:
        return Standing(NONE, "excluded", tuple(faulty))
    alone = all(standing.status == "excluded" for standing in others.values())
    return Standing(NONE, "shown" if alone and decided else "possible", tuple(decided))

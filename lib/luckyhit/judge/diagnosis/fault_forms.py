"""What a fault class is made of: forms, each with the outcomes that it predicts for the experiments.

A class has one or more *forms*: ways to have the fault that look different from outside. A cell holds the outcomes that
a service with this form alone can have. An experiment that a form has no cell for is one that it leaves as it is: it is
not excluded by any outcome, and explains none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS

Cells = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class FaultForm:
    """One way to have a fault. `id`: unique within its class; `predicts`: by experiment id the possible outcomes."""

    id: str
    predicts: Cells


@dataclass(frozen=True)
class Fault:
    """One class, with its forms."""

    id: str
    forms: tuple[FaultForm, ...]


def cells(**outcomes: str) -> dict[str, frozenset[str]]:
    """Outcome ids apart by spaces; underscores of an experiment's id for its hyphens."""
    return {name.replace("_", "-"): frozenset(ids.split()) for name, ids in outcomes.items()}


def or_healthy(predictions: Cells) -> dict[str, frozenset[str]]:
    """The same, where the fault shows only sometimes."""
    return {name: ids | EXPERIMENTS[name].healthy for name, ids in predictions.items()}

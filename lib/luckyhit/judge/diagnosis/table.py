"""The table of fault classes: which outcomes each of them predicts for which experiment.

Rows stand in `stale_faults` and `other_faults`; what their ids mean stands in `luckyhit.text.fault_words`.
"""

from __future__ import annotations

from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.fault_forms import Fault, FaultForm
from luckyhit.judge.diagnosis.other_faults import OTHER_FAULTS
from luckyhit.judge.diagnosis.stale_faults import STALE_FAULTS

NONE = "none"
OUTSIDE = "outside"
"""Something is wrong, and no class explains it: it has no forms."""

_HEALTHY = FaultForm("healthy", {name: experiment.healthy for name, experiment in EXPERIMENTS.items()})

FAULTS: dict[str, Fault] = {
    fault.id: fault for fault in (*STALE_FAULTS, *OTHER_FAULTS, Fault(NONE, (_HEALTHY,)), Fault(OUTSIDE, ()))
}
"""All classes, by id."""

NOT_SEPARABLE: dict[frozenset[str], str] = {
    frozenset(
        {NONE, "stale-set-race"}
    ): "any cache that is filled unconditionally has the race; it is a fault only where "
    "reads are stale because of it, and a sample without one can't exclude a rare race",
    frozenset({NONE, "clock-content"}): "between two instants at which the content changes nothing is old, and an "
    "experiment waits for seconds, not until midnight",
    frozenset({"stale-set-race", "clock-content"}): "each of them may show nothing in a sample",
}
"""Pairs of classes that no experiment separates, with the reason."""


OUTSIDE_ONLY = frozenset(
    {("answers-when-loaded", "wrong-when-loaded"), ("answers-when-loaded", "wrong-when-read-again")}
)
"""Outcomes (experiment, outcome) that no class predicts: it is something else."""


def predicted(form: FaultForm, experiment_id: str) -> frozenset[str]:
    """What a service with this form alone can show: its cell, or a healthy outcome where it has none."""
    return form.predicts.get(experiment_id, EXPERIMENTS[experiment_id].healthy)

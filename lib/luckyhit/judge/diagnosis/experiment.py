"""What an experiment is: its needs, its duration, and the outcomes it can have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

NeedId = Literal[
    "baseline",
    "cache-access",
    "cache-outage",
    "cache-relay",
    "cache-settings",
    "cache-status",
    "cache-trace",
    "cache-writes",
    "database-relay",
    "db-calls",
    "front-layer",
    "known-ttl",
    "origin-fault",
    "own-stack",
    "probe-creates",
    "probe-writes",
    "refused-write",
    "replica-setting",
    "several-workers",
    "siblings",
    "stored-entries",
    "ttl-setting",
    "validators",
    "variants",
    "worker-setting",
]
NEEDS: tuple[NeedId, ...] = get_args(NeedId)


@dataclass(frozen=True)
class Outcome:
    """One way in which an experiment can come out.

    `healthy`: a service without a fault can have it as well. `above`: the least proportion of trials from which on it
    counts. `below`: it counts as absent once its proportion is known to be smaller; larger where the classes that have
    to show it show it in nearly every trial.
    """

    id: str
    healthy: bool = False
    above: float = 0.5
    below: float = 0.5
    exact: bool = False


@dataclass(frozen=True)
class Experiment:
    """One bounded, discriminating measurement.

    `ranked`: its outcomes go from the least to the most severe, and where two faults meet the more severe one is what
    shows. Otherwise they are facts that exclude one another. `seconds`: how long it typically takes. `trials`: how many
    independent trials it begins with. `look`: it sends no request of its own, so all of these come first.
    `within`: the experiment whose records answer this one as well, where its needs are met; alone it is made only if
    those left it open.
    """

    id: str
    needs: tuple[NeedId, ...]
    seconds: float
    outcomes: tuple[Outcome, ...]
    ranked: bool = True
    trials: int = 6
    look: bool = False
    within: str = ""

    def outcome(self, outcome_id: str) -> Outcome:
        """The outcome of that id. KeyError: the experiment has none."""
        for outcome in self.outcomes:
            if outcome.id == outcome_id:
                return outcome
        raise KeyError(f"{self.id} has no outcome {outcome_id!r}")

    def masks(self, outcome_id: str) -> frozenset[str]:
        """The outcomes that may hide behind this one where another fault acts as well."""
        return self._masked[outcome_id]

    @cached_property
    def healthy(self) -> frozenset[str]:
        return frozenset(outcome.id for outcome in self.outcomes if outcome.healthy)

    @cached_property
    def _masked(self) -> dict[str, frozenset[str]]:
        ids = [outcome.id for outcome in self.outcomes]
        return {name: frozenset(ids[:at] if self.ranked else ()) for at, name in enumerate(ids)}

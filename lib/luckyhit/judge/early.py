"""Stopping early: how often one may look at a run, what that costs, and when it has seen enough.

Who looks after every block and stops at the first verdict they like is wrong far more often than one look is. Side by
side, where batches are the units, intervals that hold at any time pay for that (`sequential`). Where arms take turns
blocks are the units, and there are few of them: there the chance of a false verdict is shared out beforehand over all
looks that there may be (Bonferroni over looks: Pocock 1977, Biometrika 64: 191, has the problem). That holds whatever
the metric is and however blocks are correlated. Half of it is kept for the last look, so that a run which needs all its
blocks loses next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luckyhit.case import Case
from luckyhit.judge.boundary import Boundary, FixedSample
from luckyhit.judge.sequential import Sequential
from luckyhit.records import Result, Verdict

_ONCE, _ANY_TIME = FixedSample(), Sequential()
DECIDED: tuple[Verdict, ...] = ("HELPED", "HURT", "EQUIVALENT")


def share_of_look(look: int, looks: int) -> float:
    """The share of the error rate that look number `look` of `looks` may use; all shares together are 1.

    A look outside 1..looks was not foreseen: it gets the least share there is.
    """
    if looks <= 1:
        return 1.0
    return 0.5 if look == looks else 0.5 / (looks - 1)


def ways_to_look(blocks: Sequence[Mapping[str, Any]], case: Case) -> tuple[Boundary, float]:
    """How far intervals reach after these finished blocks of the change, and the share of the error rate that this
    look may use."""
    if not case.stops_early:
        return _ONCE, 1.0
    if case.design == "side-by-side":
        return _ANY_TIME, 1.0
    return _ONCE, share_of_look(len(blocks) // 2, case.plan.blocks)


def enough(result: Result, case: Case) -> bool:
    """Whether to stop here: the case allows it, no guard failed, and every goal is decided, or one got worse."""
    return case.stops_early and result.verdict in DECIDED


__all__ = ["enough", "share_of_look", "ways_to_look"]

"""Stopping early: what each look costs, and when a run has seen enough.

Who looks after every block and stops at the first verdict they like is wrong far more often than one look is. So the
chance of a false verdict is shared out beforehand over all looks that there may be (Bonferroni over looks: Pocock
1977, Biometrika 64: 191, has the problem). It holds whatever the metric is (means, quantiles, exact counts), however
blocks are correlated, and for whatever reason a run ends at one of its looks. Half of it is kept for the last one, so
that a run which needs all its blocks loses next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luckyhit.case import Case
from luckyhit.records import Result, Verdict

DECIDED: tuple[Verdict, ...] = ("HELPED", "HURT", "EQUIVALENT")


def share_of_look(look: int, looks: int) -> float:
    """The share of the error rate that look number `look` of `looks` may use; all shares together are 1.

    A look outside 1..looks was not foreseen: it gets the least share there is.
    """
    if looks <= 1:
        return 1.0
    return 0.5 if look == looks else 0.5 / (looks - 1)


def look_of(blocks: Sequence[Mapping[str, Any]], case: Case) -> int:
    """How many looks the finished blocks of the change make: one for each block, or for each pair of them."""
    return len(blocks) if case.design == "side-by-side" else len(blocks) // 2


def enough(result: Result, case: Case) -> bool:
    """Whether to stop here: the case allows it, no guard failed, and every goal is decided, or one got worse."""
    return case.plan.stop_early and result.verdict in DECIDED


__all__ = ["enough", "look_of", "share_of_look"]

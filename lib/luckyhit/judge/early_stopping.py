"""Stopping early: how often one may look at a run, what that costs, and when it may stop (`docs/decisions/0010`).

Side by side, intervals that hold at any time pay for looks (`sequential`). Where arms take turns the few blocks are the
units: there the error rate is split beforehand over all possible looks (Bonferroni over looks: Pocock 1977, Biometrika
64: 191, describes the problem). Half of it is kept for the last look, so that a run which needs all its blocks loses
next to nothing.

A run that is probed for old data does not stop before it knows something about it, even without a goal on it.
"""

from __future__ import annotations

from math import ceil

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.stats.boundary import Boundary, FixedSample
from luckyhit.judge.stats.sequential import Sequential
from luckyhit.records import OF_FRESHNESS, STALE_READS, Result, Verdict

_ONCE, _ANY_TIME = FixedSample(), Sequential()
DECIDED: tuple[Verdict, ...] = ("HELPED", "HURT", "EQUIVALENT")
ADDED_PART = 4
ADDED_S = 60.0
"""Blocks may be added up to a quarter of the plan, or for a minute in all, whichever is more."""
FRESHNESS_KNOWN = 0.10
"""Without a goal on it, the difference in stale reads is known once it is bounded this closely, or excludes 0."""


def rate_fraction_of_look(look: int, looks: int) -> float:
    """The fraction of the error rate that look number `look` of `looks` may use; all fractions together are 1.

    A look outside 1..looks was not planned: it gets the least fraction.
    """
    if looks <= 1:
        return 1.0
    return 0.5 if look == looks else 0.5 / (looks - 1)


def boundary_of_look(blocks: int, case: Case) -> tuple[Boundary, float]:
    """The boundary after so many finished blocks of the change, and the fraction of the error rate that this look may
    use."""
    if not case.stops_early:
        return _ONCE, 1.0
    design = design_of(case)
    if design.looks_any_time:
        return _ANY_TIME, 1.0
    return _ONCE, rate_fraction_of_look(design.whole_pairs(blocks), case.plan.blocks)


def may_stop(result: Result, case: Case) -> bool:
    """Whether the run may stop: the case allows it, no guard failed, every goal is decided or one got worse, and enough
    is known about old data."""
    return case.stops_early and result.verdict in DECIDED and _freshness_known(result, case)


def blocks_to_add(result: Result, case: Case) -> int:
    """How many blocks to add to the plan: a quarter of it, or a minute of blocks, if the median forecast is that these
    decide every open goal; 0 if it takes more, can't be forecast, or no goal is open. All are added, not the forecast
    number: half of all runs need more than that, and the run ends as soon as it is decided.

    Only where the intervals hold at any time: elsewhere, going on because of the data is an unpaid second chance.
    """
    if not case.stops_early or not design_of(case).may_add_blocks or result.verdict != "INCONCLUSIVE":
        return 0
    open_goals = [metric for metric in result.metrics.values() if metric.verdict == "INCONCLUSIVE"]
    times = [metric.expected_pairs / metric.pairs for metric in open_goals if metric.expected_pairs and metric.pairs]
    if not open_goals or len(times) < len(open_goals):
        return 0
    plan = case.plan
    allowed = max(1, plan.blocks // ADDED_PART, int(ADDED_S / (plan.warmup + plan.block)))
    return allowed if ceil(plan.blocks * (max(times) - 1)) <= allowed else 0


def _freshness_known(result: Result, case: Case) -> bool:
    if case.freshness is None or any(name in case.goals for name in OF_FRESHNESS):
        return True
    stale = result.metrics.get(STALE_READS)
    if stale is None or stale.effect is None or stale.low is None or stale.high is None:
        return False
    near = max(stale.effect - stale.low, stale.high - stale.effect) <= FRESHNESS_KNOWN
    return near or stale.low > 0 or stale.high < 0

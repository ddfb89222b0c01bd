"""Metrics of this night's baseline that lie beyond those of all earlier nights, with their direction.

Where nothing changed, the newest k of N baselines are the k largest with chance 1 / C(N, k), and the k smallest with
the same: exchangeability, as in `luckyhit.judge.context.earlier_baselines`, for k nights in a row on one side (Wilks
1941; the rank argument needs no distribution). For k = 1 that is 2 / N, the chance that a single run reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from luckyhit.case_run import CaseRun
from luckyhit.errors import LuckyHitError
from luckyhit.fleet.digest.nightly import Departure, Direction
from luckyhit.judge.context.earlier_baselines import FEWEST, comparable_baselines
from luckyhit.records import METRICS, GoalName, Result, kind_of

MOST_NIGHTS = 10


@dataclass(frozen=True)
class NightComparison:
    """`earlier`: comparable baselines; `metrics`: how many could be compared; `by_chance`: how many of them would lie
    outside without any change."""

    earlier: int = 0
    metrics: int = 0
    by_chance: float = 0.0
    outside: tuple[Departure, ...] = ()


def compared(run: CaseRun, result: Result) -> NightComparison:
    """This night's baseline beside those of earlier runs of its case in the same folder. Nothing is compared of a run
    that measured a change, that failed, or is INVALID."""
    try:
        manifest = run.manifest
        alone = bool(manifest.stage("baseline")) and not manifest.stage("change")
        if not alone or result.verdict == "INVALID" or manifest.failure:
            return NightComparison()
        values = {name: metric.before for name, metric in result.metrics.items() if metric.before is not None}
        return departures(values, list(comparable_baselines(run, Counter())))
    except (LuckyHitError, OSError):
        return NightComparison()


def departures(values: Mapping[GoalName, float], earlier: Sequence[Mapping[GoalName, float]]) -> NightComparison:
    """Of each metric in `values`, beside the same of `earlier` baselines, newest first."""
    outside, count, by_chance = [], 0, 0.0
    for name in METRICS:
        known = [night[name] for night in earlier if name in night]
        if name not in values or len(known) < FEWEST:
            continue
        count += 1
        by_chance += 2 / (len(known) + 1)
        series = [values[name], *known]
        up = nights_beyond(series)
        down = nights_beyond([-value for value in series])
        if not up and not down:
            continue
        nights = up or down
        others = series[nights:]
        outside.append(
            Departure(
                metric=name,
                value=values[name],
                median=median(others),
                low=min(others),
                high=max(others),
                earlier=len(known),
                direction=direction_of(name, higher=bool(up)),
                nights=nights,
                chance=min(1.0, 2 / comb(len(series), nights)),
            )
        )
    return NightComparison(len(earlier), count, by_chance, tuple(outside))


def nights_beyond(series: Sequence[float]) -> int:
    """How many of the newest values in a row lie above all that came before them; `series`: newest first. 0 where the
    newest does not. At least FEWEST values are left to compare with."""
    longest = min(MOST_NIGHTS, len(series) - FEWEST)
    for nights in range(longest, 0, -1):
        if min(series[:nights]) > max(series[nights:]):
            return nights
    return 0


def direction_of(name: GoalName, *, higher: bool) -> Direction:
    return "better" if higher == kind_of(name).higher_is_better else "worse"

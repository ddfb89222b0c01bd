"""The effect of the change on the metrics of the freshness probe: stale reads, and how long they last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd

from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.freshness.classify import StaleShare, stale_difference
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.proportion_bounds import bounds_at, one_sided_rate
from luckyhit.judge.stale.write_units import StalePairs, stale_units
from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.stats.intervals import Interval
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts
from luckyhit.judge.table.samples import ARMS
from luckyhit.records import METRICS, OF_FRESHNESS, Estimator, GoalName, MetricName, nearest_rank
from luckyhit.text.wording import note


def freshness_effects(
    before: Probed,
    after: Probed,
    within_s: float | None,
    boundary: Boundary,
    error_rate: float,
    pairs: StalePairs | None = None,
) -> dict[GoalName, Effect]:
    """The metrics of the freshness probe. `within_s`: None where the case has no probe. `pairs`: the writes decided in
    both arms, with the workload's; None where the arms were not measured side by side, and the probe's writes are
    counted in each.

    Units are far apart, mostly of different keys, so exact bounds of counts apply. With several polled routes, a window
    lasts until the last of them is fresh.
    """
    if within_s is None:
        return {name: Effect(notes=(note("not-visible-no-probe"),)) for name in OF_FRESHNESS}
    arms = ProbedArms(before, after, within_s, boundary, error_rate, pairs)
    return {name: PROBE_ESTIMATORS[METRICS[name].estimator](name, arms) for name in OF_FRESHNESS}


@dataclass(frozen=True, slots=True)
class ProbedArms:
    """What metrics of the freshness probe are estimated from: see `freshness_effects`."""

    before: Probed
    after: Probed
    within_s: float
    boundary: Boundary
    error_rate: float
    pairs: StalePairs | None = None


def _stale_reads(_: MetricName, probed: ProbedArms) -> Effect:
    """By the probe's units of each arm, or by pairs where there are some."""
    pairs, boundary, error_rate = probed.pairs, probed.boundary, probed.error_rate
    arms = stale_units(probed.before, probed.within_s), stale_units(probed.after, probed.within_s)
    count = min(arm.reads for arm in arms) if pairs is None else pairs.pairs
    if count == 0:
        blind = " and ".join(name for name, arm in zip(ARMS, arms, strict=True) if not arm.reads)
        hidden = note("not-visible-no-late-read", arms=blind or "the same write in both")
        return Effect(before=arms[0].share, after=arms[1].share, notes=(hidden,))
    notes = []
    if pairs is None:
        before, after = arms[0].share, arms[1].share
        alone = [(arm.stale, arm.reads) for arm in arms]
        counts: ArmCounts | PairedCounts = ArmCounts(*alone[0], *alone[1])
        difference = stale_difference(*arms, error_rate, boundary)
        error = sqrt(sum(_variance(arm) for arm in arms))
    else:
        before, after = pairs.before / count, pairs.after / count
        alone = [(pairs.before, count), (pairs.after, count)]
        counts = PairedCounts(pairs.before_only, pairs.after_only, count)
        difference = counts.difference(boundary, error_rate)
        error = _error_of_pairs(pairs)
    of_arm = bounds_at(boundary, error_rate)
    bounds = [of_arm(*counted) for counted in alone]
    zero_bounds = [None if stale else high for (stale, _), (_, high) in zip(alone, bounds, strict=True)]
    if zero_bounds[1] is not None:
        notes.append(note("no-stale-read", reads=alone[1][1], at_most=zero_bounds[1]))
    if pairs is not None and pairs.workload:
        notes.append(note("pairs-by-source", probe=pairs.probed, workload=pairs.workload))
    never = arms[0].never_committed, arms[1].never_committed
    if any(never):
        notes.append(note("values-nobody-wrote", before=never[0], after=never[1]))
    interval_and_bounds = difference.low, difference.high, *bounds[1]
    both = zero_bounds[0], zero_bounds[1]
    return Effect(
        before, after, difference.effect, *interval_and_bounds, count, tuple(notes), error, both, counts=counts
    )


def _variance(arm: StaleShare) -> float:
    """With one more read of each kind (Agresti and Caffo 2000): none seen does not mean no variance."""
    proportion = (arm.stale + 1) / (arm.reads + 2)
    return proportion * (1 - proportion) / (arm.reads + 2)


def _error_of_pairs(pairs: StalePairs) -> float:
    """With half a pair more of each of the four kinds (Agresti and Min 2005, Statistics in Medicine 24: 729)."""
    count = pairs.pairs + 2
    effect = (pairs.after_only - pairs.before_only) / count
    return sqrt(((pairs.before_only + pairs.after_only + 1) / count - effect**2) / count)


def _staleness(name: MetricName, probed: ProbedArms) -> Effect:
    """A quantile of the staleness windows, by their upper ends: how long to expect old data."""
    quantile = METRICS[name].quantile or 0.5
    before, after = probed.before.windows, probed.after.windows
    boundary, error_rate = probed.boundary, probed.error_rate
    arms = dict(zip(ARMS, (before, after), strict=True))
    unseen = [f"{arm} arm" for arm, windows in arms.items() if windows.empty]
    values = [
        _window_quantile(windows, quantile, boundary, error_rate).value if len(windows) else INF
        for windows in arms.values()
    ]
    shown = [value if np.isfinite(value) else None for value in values]
    if unseen:
        hidden = note("not-visible-no-window", arms=" and the ".join(unseen))
        return Effect(before=shown[0], after=shown[1], notes=(hidden,))
    # Bounds of each arm at half the error rate: together they bound the difference.
    first, second = (_window_quantile(arm, quantile, boundary, error_rate / 2) for arm in (before, after))
    alone = _window_quantile(after, quantile, boundary, one_sided_rate(error_rate))
    stuck = [
        f"{int(windows['censored'].sum())} of {len(windows)} {arm}"
        for arm, windows in arms.items()
        if windows["censored"].any()
    ]
    known = shown[0] is not None and shown[1] is not None
    with np.errstate(invalid="ignore"):
        low, high = second.low - first.high, second.high - first.low
    return Effect(
        before=shown[0],
        after=shown[1],
        effect=second.value - first.value if known else None,
        low=low if not np.isnan(low) else -INF,
        high=high if not np.isnan(high) else INF,
        after_low=alone.low,
        after_high=alone.high,
        pairs=min(len(before), len(after)),
        notes=(note("windows-open", arms=", ".join(stuck)),) if stuck else (),
    )


def _window_quantile(windows: pd.DataFrame, quantile: float, boundary: Boundary, error_rate: float) -> Interval:
    """The quantile of windows by their upper ends, with exact order statistics of lower and upper ends as bounds."""
    count = len(windows)
    lower = np.sort(windows["low_ms"].to_numpy(dtype=float))
    upper = np.sort(windows["high_ms"].where(~windows["censored"], INF).fillna(INF).to_numpy(dtype=float))
    first, last = boundary.ranks(quantile, count, error_rate)
    return Interval(
        float(upper[nearest_rank(quantile, count)]),
        float(lower[first - 1]) if first >= 1 else 0.0,
        float(upper[last - 1]) if last <= count else INF,
    )


PROBE_ESTIMATORS: dict[Estimator, Callable[[MetricName, ProbedArms], Effect]] = {
    "stale-share": _stale_reads,
    "window-quantile": _staleness,
}
"""How the metrics of `records.OF_FRESHNESS` are compared. For kinds of reads: `stale.probe_pairs`."""

"""The numbers behind the freshness curve and the staleness windows: made once from all reads, then drawn and told.

Arms are named by the label that is shown: `before` and `after`, or `baseline` where nothing was changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from luckyhit.judge.freshness.classify import freshness_curve, late_among, share_of
from luckyhit.judge.freshness.windows import kaplan_meier, window_quantiles, windows_of, worst_windows
from luckyhit.judge.stale.share_bounds import ShareBounds, bounds_of_run, uncompared
from luckyhit.report.recorded import Recorded

LEVELS = (0.5, 0.95, 0.99)
MOST_STEPS = 200
"""Instants at which a distribution is drawn, at most."""


@dataclass(frozen=True)
class Late:
    """Reads of one arm later than the bound: how many of those that tell were stale, and how many told nothing.
    `zero_bound`: what no stale read leaves possible, as the result has it; None where there was one, or no read."""

    stale: int
    reads: int
    unknown: int = 0
    zero_bound: float | None = None


@dataclass(frozen=True)
class Freshness:
    """The curve of `judge.freshness.classify.freshness_curve`, and what was read later than the bound, by label.

    `within_s` is None where no bound is known; `probed` is False where the case declares no probe.
    """

    curve: pd.DataFrame
    late: dict[str, Late]
    within_s: float | None
    probed: bool = True


def freshness(recorded: Recorded) -> Freshness:
    curve = freshness_curve(*recorded.probe, within_s=recorded.within_s, bounds=bounds_of(recorded))
    curve = curve.assign(arm=[recorded.label(arm) for arm in curve["arm"]])
    return Freshness(curve, late(recorded), recorded.within_s, recorded.probed)


def bounds_of(recorded: Recorded) -> ShareBounds:
    """Of a share of stale reads, at the level of the run's metric."""
    if recorded.case is None or not recorded.changed:
        return uncompared
    return bounds_of_run(recorded.case, [entry for entry in recorded.blocks if entry["stage"] == "change"])


def late(recorded: Recorded) -> dict[str, Late]:
    """What was read later than the declared bound; arms without a read that tells are left out."""
    if recorded.within_s is None:
        return {}
    counted = late_among(recorded.classified, recorded.within_s)
    found = {}
    for label, mine in recorded.by_arm(counted):
        share = share_of(mine)
        if share.reads:
            facts = (
                recorded.result.freshness.get("after" if label == "after" else "before") if recorded.result else None
            )
            bound = facts.zero_bound if facts is not None else bounds_of(recorded)(0, share.reads)[1]
            found[label] = Late(share.stale, share.reads, share.unknown, None if share.stale else bound)
    return found


@dataclass(frozen=True)
class Lasting:
    """How long the old value was seen in one arm, from the writes that were polled.

    Of `writes`, a share between `low[i]` and `high[i]` was still stale at `times_ms[i]` (Kaplan and Meier 1958, of the
    lower and of the upper ends of their intervals). `stuck` of them were still stale when the polling ended, the
    longest seen stale for `longest_ms`; `unsure` of them got fresh, with too few reads behind it
    to show that it lasts; `clean` never showed an old value. `quantiles`: (low, high) in ms by level;
    None where so many are open that it is not known.
    """

    times_ms: np.ndarray
    low: np.ndarray
    high: np.ndarray
    writes: int
    stuck: int
    unsure: int
    clean: int
    longest_ms: float
    quantiles: dict[float, tuple[float, float] | None]


@dataclass(frozen=True)
class Windows:
    """Staleness windows by label. All times lie between `left_ms` and `right_ms`."""

    arms: dict[str, Lasting]
    left_ms: float
    right_ms: float
    within_s: float | None
    probed: bool = True


def staleness_windows(recorded: Recorded) -> Windows:
    """One window for each polled write: until every route that was polled was lastingly fresh."""
    windows = worst_windows(windows_of(recorded.classified, recorded.probe[1]))
    ends = pd.concat([windows["low_ms"], windows["high_ms"]]).to_numpy(dtype=float)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    if not len(ends):
        return Windows({}, 1.0, 10.0, recorded.within_s, recorded.probed)
    left, right = float(ends.min()) / 1.6, float(ends.max()) * 1.6
    arms = {label: _lasting(mine, left, right) for label, mine in recorded.by_arm(windows)}
    return Windows(arms, left, right, recorded.within_s, recorded.probed)


def _lasting(windows: pd.DataFrame, left_ms: float, right_ms: float) -> Lasting:
    ended, stuck = ~windows["censored"].to_numpy(dtype=bool), windows["stuck"].to_numpy(dtype=bool)
    lower = windows["low_ms"].to_numpy(dtype=float)
    upper = np.where(ended, windows["high_ms"].to_numpy(dtype=float), lower)
    times = np.unique(np.concatenate([[left_ms, right_ms], lower, upper]))
    times = times[times >= left_ms]
    if len(times) > MOST_STEPS:
        times = np.geomspace(left_ms, right_ms, MOST_STEPS)
    ends = [_share_left(*kaplan_meier(at, ended), times) for at in (lower, upper)]
    return Lasting(
        times,
        np.minimum(*ends),
        np.maximum(*ends),
        writes=len(windows),
        stuck=int(np.count_nonzero(stuck)),
        unsure=int(np.count_nonzero(~ended & ~stuck)),
        clean=int((windows["stale"] == 0).sum()),
        longest_ms=float(lower[stuck].max()) if stuck.any() else 0.0,
        quantiles=window_quantiles(windows, LEVELS),
    )


def _share_left(ends: np.ndarray, survival: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The share that lasts longer than each of `times`."""
    return np.concatenate([[1.0], survival])[np.searchsorted(ends, times, side="right")]

"""What others would say of the same latencies: each rule written anew from its public description.

t-test      Welch's, at 5 %: whoever looks again and again, and whoever looks once at the end
benchstat   Mann-Whitney U test at 5 % (golang.org/x/perf: benchmath)
Kayenta     Mann-Whitney at 98 %: the interval of the shift lies beyond a quarter of the estimated shift
            (spinnaker/kayenta: NetflixACAJudge, with its default confidence and tolerance), for one metric
pyperf      Student's two-sample t-test at 95 % (psf/pyperf: compare)
"""

from __future__ import annotations

import numpy as np
from scipy.stats import mannwhitneyu, ttest_ind

THINNED = 400


def welch(before: np.ndarray, after: np.ndarray) -> bool:
    return bool(ttest_ind(before, after, equal_var=False).pvalue < 0.05)


def benchstat(before: np.ndarray, after: np.ndarray) -> bool:
    return bool(mannwhitneyu(before, after).pvalue < 0.05)


def kayenta(before: np.ndarray, after: np.ndarray, confidence: float = 0.98, tolerance: float = 0.25) -> bool:
    shift = hodges_lehmann(before, after)
    # The interval lies beyond a bound where the test of a shift by that bound says so.
    beyond = mannwhitneyu(after - tolerance * shift, before, alternative="greater" if shift > 0 else "less").pvalue
    return bool(beyond < (1 - confidence) / 2)


def hodges_lehmann(before: np.ndarray, after: np.ndarray) -> float:
    """The median of all differences, from THINNED quantiles of each arm: near enough to the estimate, and quick."""
    at = (np.arange(THINNED) + 0.5) / THINNED
    return float(np.median(np.subtract.outer(np.quantile(after, at), np.quantile(before, at))))


def pyperf(before: np.ndarray, after: np.ndarray) -> bool:
    return bool(ttest_ind(before, after).pvalue < 0.05)

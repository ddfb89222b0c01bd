"""How often chance alone would make two counts differ so much."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, logsumexp

RARE = 1e-6
"""Findings on bodies are told where chance would make one in a million runs look so."""


def fisher(count: int, total: int, other: int, other_total: int) -> float:
    """One-sided exact test of Fisher (1922): the chance that `count` of `total` or more are among the first, if the
    share were the same in both. 1.0 where one of the totals is 0."""
    if not total or not other_total:
        return 1.0
    both, whole = count + other, total + other_total
    most = np.arange(count, min(total, both) + 1)
    terms = _log_choose(total, most) + _log_choose(other_total, both - most) - _log_choose(whole, np.array([both]))
    return float(min(1.0, np.exp(logsumexp(terms)))) if len(most) else 0.0


def _log_choose(whole: int, part: np.ndarray) -> np.ndarray:
    return np.asarray(gammaln(whole + 1) - gammaln(part + 1) - gammaln(whole - part + 1))


__all__ = ["RARE", "fisher"]

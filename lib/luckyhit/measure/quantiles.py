"""Quantiles by nearest rank: always a value that some request had, never one in between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def quantile(values: NDArray[np.float64] | Sequence[float], share: float) -> float:
    """The smallest value with at least `share` of all values at or below it.

    Missing ones (NaN) count as the largest; infinite where the rank falls on one, or where there is no value.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        return float("inf")
    # Rounded first: 0.999 * 1000 is not to become the thousandth value for a bit's sake.
    rank = int(np.ceil(round(share * len(ordered), 9)))
    found = float(ordered[min(len(ordered), max(1, rank)) - 1])
    return float("inf") if np.isnan(found) else found

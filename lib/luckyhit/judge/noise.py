"""The A/A noise floor: how far two halves of the same baseline lie apart, as far as one can tell.

The halves are batches taken by turns, so that they share the drift. A difference below the floor says nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from luckyhit.judge.boundary import Boundary
from luckyhit.judge.effects import freshness_effects, request_effects
from luckyhit.judge.samples import Rows, halves
from luckyhit.records import MetricName


def noise_floor(
    baseline: Rows,
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    within_s: float | None,
    boundary: Boundary,
    error_rate: float,
) -> dict[MetricName, float]:
    """Half-width of the interval of the A/A difference, in the metric's unit; metrics that show none are left out.

    `baseline`: its measured rows; `reads`, `writes`: the probe's, of the baseline.
    """
    effects = request_effects(halves(baseline), boundary, error_rate)
    if within_s is not None and len(reads):
        by_key = {key: index % 2 for index, key in enumerate(sorted(reads["key"].unique()))}
        odd = reads["key"].map(by_key).to_numpy() == 1
        # The same writes stand behind both halves: a key belongs to one of them only.
        split = reads.assign(arm=np.where(odd, "after", "before"))
        behind = pd.concat([writes.assign(arm="before"), writes.assign(arm="after")], ignore_index=True)
        effects |= freshness_effects(split, behind, within_s, boundary, error_rate)
    floors = {name: (effect.high - effect.low) / 2 for name, effect in effects.items() if effect.effect is not None}
    return {name: float(floor) for name, floor in floors.items() if np.isfinite(floor)}

"""The A/A noise floor: how far two halves of the same baseline lie apart, as far as one can tell.

The halves are batches taken by turns, so that they share the drift. A difference below the floor says nothing.
"""

from __future__ import annotations

import numpy as np

from luckyhit.judge.compare.effect import Levels
from luckyhit.judge.compare.effects import freshness_effects, request_effects
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.probe_reads import read_effects
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.samples import Rows, halves
from luckyhit.records import GoalName


def noise_floor(
    baseline: Rows,
    probed: Probed,
    within_s: float | None,
    boundary: Boundary,
    levels: Levels,
) -> dict[GoalName, float]:
    """Half-width of the interval of the A/A difference, in the metric's unit; metrics that show none are left out.

    `baseline`: its measured rows; `probed`: what the probe found in it.
    """
    effects = request_effects(halves(baseline), boundary, levels.goals)
    if within_s is not None and len(probed.reads):
        keys = sorted(probed.reads["key"].unique())
        even, odd = (probed.of_keys(keys[first::2]) for first in (0, 1))
        effects |= freshness_effects(even, odd, within_s, boundary, levels.goals)
        effects |= read_effects(even, odd, within_s, boundary, levels, paired=False)
    floors = {name: (effect.high - effect.low) / 2 for name, effect in effects.items() if effect.effect is not None}
    return {name: float(floor) for name, floor in floors.items() if np.isfinite(floor)}

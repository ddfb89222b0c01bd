"""Metrics of a case whose level changed for good, over its whole history.

The method is that of `luckyhit.judge.context.changepoints` (circular binary segmentation of an autoregressive series,
its critical value by bootstrap; Olshen, Venkatraman, Lucito and Wigler 2004): a single odd night is no shift, and a
series that wanders is none. It takes 24 nights, and a new level shows after its fourth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from luckyhit.errors import LuckyHitError
from luckyhit.fleet.digest.departures import direction_of
from luckyhit.fleet.digest.nightly import LevelShift
from luckyhit.judge.context.changepoints import FEWEST, movement
from luckyhit.report.trends import ALPHA, MOST_RUNS, SHOWN, BaselinePoint
from luckyhit.run import Run

NEW_NIGHTS = 7
"""A shift is new while its level has held for so many nights at most: later it is history."""
BY_CHANCE = ALPHA
"""The chance that a case in which nothing happened shows any shift, over all its metrics."""


def level_shifts(points: Sequence[BaselinePoint]) -> list[LevelShift]:
    """The shifts of one case's baselines, oldest first. Only runs like the newest count: a baseline alone, or one
    beside the change."""
    alike = [point for point in points if points and point.alone == points[-1].alone][-MOST_RUNS:]
    shifts = []
    for name in SHOWN:
        known = [point for point in alike if np.isfinite(point.values.get(name, np.nan))]
        values = np.array([point.values[name] for point in known], dtype=float)
        moved = movement(values, BY_CHANCE / len(SHOWN)) if len(values) >= FEWEST else None
        places = list(moved.places) if moved is not None and moved.kind == "shift" else []
        edges = [0, *places, len(values)]
        for start, place, end in zip(edges, edges[1:], edges[2:], strict=False):
            was, became = float(values[start:place].mean()), float(values[place:end].mean())
            nights = len(values) - place
            shifts.append(
                LevelShift(
                    metric=name,
                    date=known[place].started[:10],
                    was=was,
                    became=became,
                    direction=direction_of(name, higher=became > was),
                    nights=nights,
                    new=nights <= NEW_NIGHTS,
                )
            )
    return shifts


def points_of(runs: Sequence[Run]) -> list[BaselinePoint]:
    """What those runs of one case measured without the change, oldest first; those that can't be read, and INVALID
    ones, are left out."""
    points = []
    for run in runs:
        try:
            manifest, result = run.manifest, run.result
        except (LuckyHitError, OSError):
            continue
        if result is None or result.verdict == "INVALID" or manifest.failure:
            continue
        values = {name: metric.before for name, metric in result.metrics.items() if metric.before is not None}
        alone = all(metric.after is None for metric in result.metrics.values())
        points.append(BaselinePoint(run.path.parent.name, manifest.started[:16], alone, values))
    return points

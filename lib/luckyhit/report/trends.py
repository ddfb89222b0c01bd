"""How the baselines of a case changed from run to run: a small line for each metric, with its lasting shifts.

The baseline is the same work every time (the same case, the same seeded requests), so what moves is the service, its
data or the machine. `judge.context.changepoints` decides what is a shift and what is noise.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from luckyhit.judge.facade import FEWEST, movement
from luckyhit.records import METRICS, GoalName, MetricName
from luckyhit.text.numbers import sentence_case
from luckyhit.text.quantities import name_of, value_text

SHOWN: tuple[MetricName, ...] = tuple(name for name, kind in METRICS.items() if kind.trend)
FEWEST_RUNS = 3
MOST_RUNS = 120
"""The newest ones: more would be less than a pixel each, and a shift of last year no longer matters."""
ALPHA = 0.01
"""The chance that anything is called a shift in a case where nothing happened, over all its lines."""
WIDTH, HEIGHT, EDGE = 180, 36, 4
LINE_COLOUR, SHIFT_COLOUR = "#c0602a", "#7d8896"


@dataclass(frozen=True)
class BaselinePoint:
    """What one run measured without the change. `started`: as in the manifest, to the minute. `alone`: nothing but the
    baseline was measured; otherwise it is the before arm beside the after arm, which loads the machine more."""

    case: str
    started: str
    alone: bool
    values: Mapping[GoalName, float]


@dataclass(frozen=True)
class TrendLine:
    """One metric over the runs: the picture in words, its points, and where it shifted (x), in WIDTH and HEIGHT."""

    name: str
    newest: str
    text: str
    points: tuple[tuple[float, float], ...]
    shifts: tuple[float, ...]

    width, height = WIDTH, HEIGHT

    @property
    def picture(self) -> str:
        """As a data URI, since the page's policy allows nothing else. Its colours show on light and dark pages."""
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)
        marks = "".join(
            f'<path d="M{x:.1f} 0V{HEIGHT}" stroke="{SHIFT_COLOUR}" stroke-dasharray="2 3"/>' for x in self.shifts
        )
        x, y = self.points[-1]
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" stroke-width="1.5">{marks}'
            f'<polyline points="{line}" fill="none" stroke="{LINE_COLOUR}" stroke-linejoin="round"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{LINE_COLOUR}"/></svg>'
        )
        return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


@dataclass(frozen=True)
class Trend:
    """One case: how many baselines there are, from when to when, and its lines."""

    case: str
    runs: int
    since: str
    until: str
    lines: tuple[TrendLine, ...]


def trends_of(baselines: Sequence[BaselinePoint]) -> list[Trend]:
    """For each case with FEWEST_RUNS baselines or more; `baselines` oldest first. The case with the newest one comes
    first."""
    trends = []
    for case in dict.fromkeys(baseline.case for baseline in reversed(baselines)):
        of_case = [baseline for baseline in baselines if baseline.case == case]
        alike = [baseline for baseline in of_case if baseline.alone == of_case[-1].alone][-MOST_RUNS:]
        lines = [line for name in SHOWN if (line := _line(name, alike)) is not None]
        if lines:
            trends.append(Trend(case, len(alike), alike[0].started[:10], alike[-1].started[:10], tuple(lines)))
    return trends


def _line(name: MetricName, baselines: Sequence[BaselinePoint]) -> TrendLine | None:
    known = [baseline for baseline in baselines if np.isfinite(baseline.values.get(name, np.nan))]
    if len(known) < FEWEST_RUNS:
        return None
    values = np.array([baseline.values[name] for baseline in known], dtype=float)
    low, high = float(values.min()), float(values.max())
    if high == 0:
        return None  # nothing ever happened
    x = np.linspace(EDGE, WIDTH - EDGE, len(values))
    heights = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * heights
    places = _shifts(values)
    lowest, highest = value_text(name, low), value_text(name, high)
    text = f"{len(values):,} baselines, {lowest if lowest == highest else f'{lowest} to {highest}'}"
    edges = [0, *places, len(values)]
    for start, place, end in zip(edges, edges[1:], edges[2:], strict=False):
        was, became = (value_text(name, float(part.mean())) for part in (values[start:place], values[place:end]))
        text += f"; shifted on {known[place].started[:10]}: {was} → {became}"
    return TrendLine(
        name=sentence_case(name_of(name)),
        newest=value_text(name, float(values[-1])),
        text=text,
        points=tuple(zip(x.tolist(), y.tolist(), strict=True)),
        shifts=tuple(float(x[place] - (x[1] - x[0]) / 2) for place in places),
    )


def _shifts(values: np.ndarray) -> tuple[int, ...]:
    if len(values) < FEWEST:
        return ()
    moved = movement(values, ALPHA / len(SHOWN))
    return moved.places if moved is not None and moved.kind == "shift" else ()

"""How the baselines of a case went from run to run: a small line for each number, and where it shifted for good.

The baseline is the same work every time (the same case, the same seeded requests), so what moves is the service, its
data or the machine. `judge.changepoints` says what is a shift and what is noise; it needs a month of nightly runs.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from luckyhit.judge.facade import FEWEST, movement
from luckyhit.records import METRICS, GoalName, MetricName
from luckyhit.text.quantities import name_of, value_text

SHOWN: tuple[MetricName, ...] = tuple(name for name, kind in METRICS.items() if kind.trend)
FEWEST_RUNS = 3
MOST_RUNS = 120
"""The newest ones: more would be less than a pixel each, and a shift of last year is none that matters."""
LEVEL = 0.01
"""The chance that anything is called a shift in a case in which nothing happened, over all its lines."""
WIDTH, HEIGHT, EDGE = 180, 36, 4
INK, MARK = "#c0602a", "#7d8896"


@dataclass(frozen=True)
class BaselinePoint:
    """What one run measured without the change. `started`: as the manifest has it, to the minute. `alone`: nothing but
    the baseline was measured; otherwise it is the before arm beside the after arm, which loads the machine more."""

    case: str
    started: str
    alone: bool
    values: Mapping[GoalName, float]


@dataclass(frozen=True)
class TrendLine:
    """One number over the runs: what the picture says, in words, and the picture (points of a line, and the places of
    shifts, in units of WIDTH and HEIGHT)."""

    name: str
    newest: str
    told: str
    points: tuple[tuple[float, float], ...]
    shifts: tuple[float, ...]

    width, height = WIDTH, HEIGHT

    @property
    def picture(self) -> str:
        """As a data URI: nothing but pictures may be in a page. One colour that can be seen by day and by night."""
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)
        marks = "".join(f'<path d="M{x:.1f} 0V{HEIGHT}" stroke="{MARK}" stroke-dasharray="2 3"/>' for x in self.shifts)
        x, y = self.points[-1]
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" stroke-width="1.5">{marks}'
            f'<polyline points="{line}" fill="none" stroke="{INK}" stroke-linejoin="round"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{INK}"/></svg>'
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
    """For each case with FEWEST_RUNS baselines or more; `baselines` in the order of time, oldest first. The case with
    the newest one comes first."""
    cases = list(dict.fromkeys(baseline.case for baseline in reversed(baselines)))
    trends = []
    for case in cases:
        own_baselines = [baseline for baseline in baselines if baseline.case == case]
        own_baselines = [baseline for baseline in own_baselines if baseline.alone == own_baselines[-1].alone][
            -MOST_RUNS:
        ]
        lines = [line for name in SHOWN if (line := _line(name, own_baselines)) is not None]
        if lines:
            trends.append(
                Trend(
                    case,
                    len(own_baselines),
                    own_baselines[0].started[:10],
                    own_baselines[-1].started[:10],
                    tuple(lines),
                )
            )
    return trends


def _line(name: MetricName, baselines: Sequence[BaselinePoint]) -> TrendLine | None:
    known = [baseline for baseline in baselines if name in baseline.values and np.isfinite(baseline.values[name])]
    if len(known) < FEWEST_RUNS:
        return None
    values = np.array([baseline.values[name] for baseline in known], dtype=float)
    low, high = float(values.min()), float(values.max())
    if high == 0:
        return None  # nothing ever happened: no line to look at
    x = EDGE + (WIDTH - 2 * EDGE) * np.arange(len(values)) / (len(values) - 1)
    spread = high - low
    y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * ((values - low) / spread if spread > 0 else np.full(len(values), 0.5))
    places = _shifts(values)
    lowest, highest = value_text(name, low), value_text(name, high)
    text = f"{len(values):,} baselines, {lowest if lowest == highest else f'{lowest} to {highest}'}"
    edges = [0, *places, len(values)]
    for before, place, behind in zip(edges, edges[1:], edges[2:], strict=False):
        was, became = (value_text(name, float(part.mean())) for part in (values[before:place], values[place:behind]))
        text += f"; shifted on {known[place].started[:10]}: {was} → {became}"
    return TrendLine(
        name=f"{name_of(name)[:1].upper()}{name_of(name)[1:]}",
        newest=value_text(name, float(values[-1])),
        told=text,
        points=tuple(zip(x.tolist(), y.tolist(), strict=True)),
        shifts=tuple(float(x[place] - (x[1] - x[0]) / 2) for place in places),
    )


def _shifts(values: np.ndarray) -> tuple[int, ...]:
    if len(values) < FEWEST:
        return ()
    moved = movement(values, LEVEL / len(SHOWN))
    return moved.places if moved is not None and moved.kind == "shift" else ()


__all__ = ["FEWEST_RUNS", "HEIGHT", "WIDTH", "BaselinePoint", "Trend", "TrendLine", "trends_of"]

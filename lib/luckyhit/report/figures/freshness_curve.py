"""Do readers see what was written? The share of fresh reads against the time since the write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd

from luckyhit.judge.facade import freshness_curve
from luckyhit.records import STALE_READS, Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import ARM_DASHES, ARM_SHAPES, Bars, Chart, Line, Mark, Panel, Points, Rule, Tone
from luckyhit.report.figures.facts.verdict_words import with_verdict
from luckyhit.report.figures.late_reads import (
    NOT_VISIBLE,
    Late,
    bound_text,
    bounds_of,
    late,
    late_text,
    milliseconds,
    where,
)
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import listed, percent
from luckyhit.text.wording import has

_APART = 0.008
"""How far the arms' points are moved apart, as a share of the axis: equal ones both show."""
_FAR = 30.0
"""A bound further than this factor from all reads is not drawn: it would squeeze everything else."""


@dataclass(frozen=True)
class FreshnessCurve:
    """A `judge.freshness.classify.freshness_curve`, and the reads later than the bound, by label. `within_s`:
    the bound, None if unknown; `probed`: whether the case declares a probe."""

    curve: pd.DataFrame
    late: dict[str, Late]
    within_s: float | None
    probed: bool = True


def data(recorded: Recorded) -> FreshnessCurve:
    curve = freshness_curve(*recorded.probe, within_s=recorded.within_s, bounds=bounds_of(recorded))
    curve = curve.assign(arm=[recorded.label(arm) for arm in curve["arm"]])
    return FreshnessCurve(curve, late(recorded), recorded.within_s, recorded.probed)


def draw(numbers: FreshnessCurve) -> Chart:
    """P(fresh) against the time since the acknowledged write, with intervals, and the declared bound."""
    delays = numbers.curve["delay_ms"].to_numpy(dtype=float)
    decades = max(float(np.log10(delays.max() / delays.min())), 0.5)
    marks: list[Mark] = []
    for arm, part in numbers.curve.groupby("arm", sort=False):
        label, tone = str(arm), cast(Tone, str(arm))
        side = {"before": -1, "after": 1}.get(label, 0)
        share, low, high = (part[name].to_numpy(dtype=float) for name in ("share", "low", "high"))
        at = part["delay_ms"].to_numpy(dtype=float) * 10 ** (side * _APART * decades)
        low, high = np.minimum(low, share), np.maximum(high, share)
        marks.append(Line(at, share, tone, label, ARM_DASHES[label], 1.5, quiet=True))
        marks.append(Points(at, share, tone, label, ARM_SHAPES[label], 3.4, low=low, high=high))
    edges = delays.min() / 10 ** (0.04 * decades), delays.max() * 10 ** (0.04 * decades)
    x = Axis(*edges, "ms since the write was acknowledged (log scale)", "log", grid=False)
    x, bound = with_bound(x, numbers.within_s, float(delays.min()), float(delays.max()))
    y = Axis(-0.02, 1.02, "reads that were fresh", form="percent").with_ticks(0, 0.25, 0.5, 0.75, 1)
    return Chart([Panel(x, y, [*bound, *marks], height=205)])


def with_bound(
    x: Axis, within_s: float | None, low_ms: float, high_ms: float, *, shade: bool = True
) -> tuple[Axis, list[Mark]]:
    """An axis that holds the declared bound, the bound as a line, and the accepted side shaded; no line for 0."""
    bound_ms = (within_s or 0.0) * 1e3
    if not low_ms / _FAR <= bound_ms <= high_ms * _FAR:
        return x, []
    wider = replace(x, low=min(x.low, bound_ms * 0.8), high=max(x.high, bound_ms * 1.25))
    accepted: list[Mark] = [Bars([wider.low], [bound_ms])] if shade else []
    return wider, [*accepted, Rule(x=bound_ms, tone="ink", name="declared bound", dashes="dot", width=1.2)]


NO_PROBE = "The case declares no freshness probe: nothing was written and read back, so old data would go unnoticed."


def say(numbers: FreshnessCurve, result: Result | None) -> str:
    if not numbers.probed:
        return NO_PROBE
    if numbers.curve.empty:
        return NOT_VISIBLE
    parts = []
    for label, part in numbers.curve.groupby("arm", sort=False):
        first, last = part.iloc[0], part.iloc[-1]
        sentence = f"{where(str(label))} {percent(first['share'])} at {milliseconds(first['delay_ms'])}"
        if len(part) > 1:
            sentence += f" and {percent(last['share'])} at {milliseconds(last['delay_ms'])}"
        parts.append(sentence)
    text = f"Reads that saw an acknowledged write: {'; '.join(parts)} after it (medians of the first and last bin)."
    if numbers.late:
        # The verdict's own words give a bound for no stale read at another error rate: one of the two is enough.
        judged = result.metrics.get(STALE_READS) if result is not None else None
        bounded = {"after"} if judged is not None and has(judged.notes, "no-stale-read") else set()
        counted = listed(
            [
                f"{where(label)} {late_text(part, with_bound=label not in bounded)}"
                for label, part in numbers.late.items()
            ]
        )
        text += f" {bound_text(numbers.within_s)}: {counted}."
        unknown = sum(part.unknown for part in numbers.late.values())
        if unknown:
            text += f" {unknown:,} more had no version."
        compared = {"before", "after"} & {*numbers.late}
        if len(compared) == 1:
            missing = where("after" if compared == {"before"} else "before")
            text += f" No read counts {missing}, so nothing can be compared."
    return with_verdict(text, STALE_READS, result)


def is_empty(numbers: FreshnessCurve) -> bool:
    return bool(numbers.curve.empty)

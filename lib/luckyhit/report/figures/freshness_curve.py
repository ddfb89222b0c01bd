"""Do readers see what was written? The share of fresh reads against the time since the write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from luckyhit.judge.facade import freshness_curve
from luckyhit.records import STALE_READS, Result
from luckyhit.report import style
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
from luckyhit.report.figures.verdict_words import with_verdict
from luckyhit.report.recorded import Recorded
from luckyhit.report.style import COLOURS, DASHES, INK, MARKERS, SHADE, new_figure, styled
from luckyhit.text.numbers import listed, percent
from luckyhit.text.wording import has

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def draw(numbers: FreshnessCurve) -> Figure:
    """P(fresh) against the time since the acknowledged write, with intervals, and the declared bound."""
    with styled():
        figure = new_figure()
        axes = figure.add_subplot()
        delays = numbers.curve["delay_ms"].to_numpy(dtype=float)
        decades = max(float(np.log10(delays.max() / delays.min())), 0.5)
        for arm, part in numbers.curve.groupby("arm", sort=False):
            side = {"before": -1, "after": 1}.get(str(arm), 0)
            share = part["share"].to_numpy(dtype=float)
            errors = [
                np.maximum(share - part["low"].to_numpy(dtype=float), 0),
                np.maximum(part["high"].to_numpy(dtype=float) - share, 0),
            ]
            axes.errorbar(
                part["delay_ms"].to_numpy(dtype=float) * 10 ** (side * _APART * decades), share, yerr=errors,
                color=COLOURS[arm], linestyle=DASHES[arm], marker=MARKERS[arm], markersize=5, linewidth=1.5,
                elinewidth=1.2, capsize=2.5, label=str(arm), clip_on=False, zorder=3,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(delays.min() / 10 ** (0.04 * decades), delays.max() * 10 ** (0.04 * decades))
        draw_bound(axes, numbers.within_s, float(delays.min()), float(delays.max()))
        style.plain_log_axis(axes.xaxis)
        axes.set_ylim(-0.02, 1.02)
        style.percent_axis(axes.yaxis)
        axes.set(xlabel="ms since the write was acknowledged (log scale)", ylabel="reads that were fresh")
        style.legend(figure, axes, columns=3)
        return figure


def draw_bound(axes: Axes, within_s: float | None, low_ms: float, high_ms: float, *, shade: bool = True) -> None:
    """The declared bound as a line, with the accepted side shaded; no line for 0."""
    bound_ms = (within_s or 0.0) * 1e3
    if not low_ms / _FAR <= bound_ms <= high_ms * _FAR:
        return
    left, right = axes.get_xlim()
    left, right = min(left, bound_ms * 0.8), max(right, bound_ms * 1.25)
    axes.axvline(bound_ms, color=INK, linewidth=1.2, linestyle=":", label="declared bound")
    if shade:
        axes.axvspan(left, bound_ms, color=SHADE, zorder=0.5)
    axes.set_xlim(left, right)


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

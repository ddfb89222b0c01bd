"""For how long is the old value seen? From the writes that were polled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from luckyhit.judge.facade import kaplan_meier, staleness_windows, window_quantiles, worst_windows
from luckyhit.records import Result
from luckyhit.report import style
from luckyhit.report.figures.freshness_curve import draw_bound
from luckyhit.report.figures.late_reads import milliseconds, where
from luckyhit.report.figures.verdict_words import with_verdict
from luckyhit.report.recorded import Recorded
from luckyhit.report.style import COLOURS, DASHES, new_figure, styled
from luckyhit.text.numbers import listed, number, plural, sentence_case

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTILES = (0.5, 0.95, 0.99)
MOST_STEPS = 200
"""Instants at which a distribution is drawn, at most."""


@dataclass(frozen=True)
class Lasting:
    """How long the old value was seen in one arm, from the writes that were polled.

    Of `writes`, a share between `low[i]` and `high[i]` was still stale at `times_ms[i]` (Kaplan and Meier 1958, of the
    lower and the upper ends of their intervals). `stuck`: still stale when the polling ended, the longest for
    `longest_ms`. `unsure`: became fresh, with too few later reads to show that it lasts. `clean`: never stale.
    `quantiles`: (low, high) in ms; None if too many windows are open.
    """

    times_ms: np.ndarray
    low: np.ndarray
    high: np.ndarray
    writes: int
    stuck: int
    unsure: int
    clean: int
    longest_ms: float
    quantiles: dict[float, tuple[float, float] | None]


@dataclass(frozen=True)
class Windows:
    """Staleness windows by label. All times lie between `left_ms` and `right_ms`."""

    arms: dict[str, Lasting]
    left_ms: float
    right_ms: float
    within_s: float | None
    probed: bool = True


def data(recorded: Recorded) -> Windows:
    """One window for each polled write: until every route that was polled was lastingly fresh."""
    windows = worst_windows(staleness_windows(recorded.classified, recorded.probe[1]))
    ends = pd.concat([windows["low_ms"], windows["high_ms"]]).to_numpy(dtype=float)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    if not len(ends):
        return Windows({}, 1.0, 10.0, recorded.within_s, recorded.probed)
    left, right = float(ends.min()) / 1.6, float(ends.max()) * 1.6
    arms = {label: _lasting(own_windows, left, right) for label, own_windows in recorded.by_arm(windows)}
    return Windows(arms, left, right, recorded.within_s, recorded.probed)


def _lasting(windows: pd.DataFrame, left_ms: float, right_ms: float) -> Lasting:
    ended, stuck = ~windows["censored"].to_numpy(dtype=bool), windows["stuck"].to_numpy(dtype=bool)
    lower = windows["low_ms"].to_numpy(dtype=float)
    upper = np.where(ended, windows["high_ms"].to_numpy(dtype=float), lower)
    times = np.unique(np.concatenate([[left_ms, right_ms], lower, upper]))
    times = times[times >= left_ms]
    if len(times) > MOST_STEPS:
        times = np.geomspace(left_ms, right_ms, MOST_STEPS)
    ends = [_share_left(*kaplan_meier(at, ended), times) for at in (lower, upper)]
    return Lasting(
        times,
        np.minimum(*ends),
        np.maximum(*ends),
        writes=len(windows),
        stuck=int(np.count_nonzero(stuck)),
        unsure=int(np.count_nonzero(~ended & ~stuck)),
        clean=int((windows["stale"] == 0).sum()),
        longest_ms=float(lower[stuck].max()) if stuck.any() else 0.0,
        quantiles=window_quantiles(windows, QUANTILES),
    )


def _share_left(ends: np.ndarray, survival: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The share that lasts longer than each of `times`."""
    return np.concatenate([[1.0], survival])[np.searchsorted(ends, times, side="right")]


def draw(numbers: Windows) -> Figure:
    """The share of polled writes that were still stale after a time, as the band that the polling leaves open."""
    with styled():
        figure = new_figure()
        axes = figure.add_subplot()
        for label, part in numbers.arms.items():
            colour = COLOURS[label]
            axes.fill_between(part.times_ms, part.low, part.high, step="post", color=colour, alpha=0.22, linewidth=0)
            for edge, name in ((part.high, f"{label} ({part.writes:,})"), (part.low, None)):
                axes.plot(
                    part.times_ms, edge, drawstyle="steps-post", color=colour, linestyle=DASHES[label],
                    linewidth=1.5 if name else 0.9, label=name, clip_on=False, zorder=3,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(numbers.left_ms, numbers.right_ms)
        draw_bound(axes, numbers.within_s, numbers.left_ms, numbers.right_ms, shade=False)
        _stuck(axes, numbers)
        style.plain_log_axis(axes.xaxis)
        axes.set_ylim(-0.02, 1.02)
        style.percent_axis(axes.yaxis)
        axes.set(xlabel="ms since the write was acknowledged (log scale)", ylabel="polled writes still stale")
        style.legend(figure, axes, columns=2)
        return figure


def _stuck(axes: Axes, numbers: Windows) -> None:
    """At the right edge: how many were never lastingly fresh, at the height where their curve ends."""
    taken: list[float] = []
    for label, part in numbers.arms.items():
        if not part.stuck:
            continue
        height = float(part.high[-1])
        edge = axes.get_xlim()[1]
        axes.plot(edge, height, marker=">", markersize=8, color=COLOURS[label], clip_on=False, zorder=4)
        at = height - 0.055 if height > 0.5 else height + 0.055
        while any(abs(at - other) < 0.075 for other in taken):
            at += -0.075 if height > 0.5 else 0.075
        taken.append(at)
        axes.annotate(
            f"{part.stuck:,} stuck", (edge, at), xytext=(-8, 0), textcoords="offset points", ha="right", va="center",
            fontsize=8.5, color=COLOURS[label],
        )  # fmt: skip


def say(numbers: Windows, result: Result | None) -> str:
    if not numbers.probed:
        return "Without a freshness probe, there are no staleness windows to show."
    if not numbers.arms:
        return "How long an old value lasts is not visible: no write was polled until its readers saw it."
    text = " ".join(_lasting_text(label, part) for label, part in numbers.arms.items())
    text += " Each window is an interval, from the last stale read to the first lasting fresh one; the band holds it."
    return with_verdict(text, "staleness_p99_ms", result)


def quantile_text(ends: tuple[float, float] | None, *, stuck: bool = True) -> str:
    """`340 to 360 ms`; None is not known: longer than the polling, where some were `stuck` to its end."""
    if ends is None:
        return "longer than was polled" if stuck else "not known"
    low, high = (number(end) for end in ends)
    return f"{high} ms" if low == high else f"up to {high} ms" if low == "0" else f"{low} to {high} ms"


def _lasting_text(label: str, part: Lasting) -> str:
    arm = where(label)
    stale_writes = part.writes - part.clean
    counted = "none" if not stale_writes else "each" if stale_writes == part.writes else f"{stale_writes:,}"
    text = f"{sentence_case(arm)}, the old value was seen after {counted} of {plural(part.writes, 'polled write')}"
    parts: dict[str, list[str]] = {}
    for quantile, ends in part.quantiles.items():
        parts.setdefault(quantile_text(ends, stuck=part.stuck > 0), []).append(f"p{quantile * 100:g}")
    text += "; it lasted " if stale_writes else "; unnoticed, it may have lasted "
    text += ", ".join(f"{words} ({listed(names)})" for words, names in parts.items())
    if part.stuck:
        text += f"; {part.stuck:,} {'was' if part.stuck == 1 else 'were'} still stale when the polling ended (stuck),"
        text += f" stale for up to {milliseconds(part.longest_ms)}"
    if part.unsure:
        text += f"; {part.unsure:,} became fresh, with too few later reads to show that it lasts"
    return f"{text}."


def is_empty(numbers: Windows) -> bool:
    return not numbers.arms

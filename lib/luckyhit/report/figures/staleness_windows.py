"""For how long is the old value seen? From the writes that were polled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from luckyhit.judge.facade import kaplan_meier, staleness_windows, window_quantiles, worst_windows
from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import ARM_DASHES, Band, Chart, Label, Line, Mark, Panel, Points, Tone
from luckyhit.report.figures.facts.verdict_words import with_verdict
from luckyhit.report.figures.freshness_curve import with_bound
from luckyhit.report.figures.late_reads import milliseconds, where
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import listed, number, plural, sentence_case

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


def draw(numbers: Windows) -> Chart:
    """The share of polled writes that were still stale after a time, as the band that the polling leaves open."""
    marks: list[Mark] = []
    for label, part in numbers.arms.items():
        tone, name, dashes = cast(Tone, label), f"{label} ({part.writes:,})", ARM_DASHES[label]
        marks.append(Band(part.times_ms, part.low, part.high, tone, name, steps=True))
        for edge, width in ((part.high, 1.5), (part.low, 0.9)):
            marks.append(Line(part.times_ms, edge, tone, name, dashes, width, steps=True, quiet=True))
    label_x = "ms since the write was acknowledged (log scale)"
    x = Axis(numbers.left_ms, numbers.right_ms, label_x, "log", grid=False)
    x, bound = with_bound(x, numbers.within_s, numbers.left_ms, numbers.right_ms, shade=False)
    marks += [*bound, *_stuck(numbers, x)]
    y = Axis(-0.02, 1.02, "polled writes still stale", form="percent").with_ticks(0, 0.25, 0.5, 0.75, 1)
    return Chart([Panel(x, y, marks, height=205)])


def _stuck(numbers: Windows, x: Axis) -> list[Mark]:
    """At the right edge: how many were never lastingly fresh, at the height where their curve ends."""
    marks: list[Mark] = []
    taken: list[float] = []
    for label, part in numbers.arms.items():
        if not part.stuck:
            continue
        height, tone = float(part.high[-1]), cast(Tone, label)
        marks.append(Points([x.high], [height], tone, shape="right", size=4.5, quiet=True))
        at = height - 0.055 if height > 0.5 else height + 0.055
        while any(abs(at - other) < 0.075 for other in taken):
            at += -0.075 if height > 0.5 else 0.075
        taken.append(at)
        marks.append(Label(x.high, at, f"{part.stuck:,} stuck", tone, "end", size=10.5, dx=-8, dy=3))
    return marks


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

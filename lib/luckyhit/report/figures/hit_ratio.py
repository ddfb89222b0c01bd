"""The hit ratio over the time of a run: blocks apart, warm-ups and wash-outs marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from luckyhit.records import Result, Stage
from luckyhit.report import style
from luckyhit.report.figures.course import WASH_OUT, Span, joined, spans, washouts
from luckyhit.report.figures.timeline import HATCH
from luckyhit.report.figures.verdict_words import in_doubt, washouts_text, with_verdict
from luckyhit.report.recorded import ARMS, STAGES, Recorded
from luckyhit.report.style import COLOURS, DASHES, INK, MARKERS, new_figure, styled
from luckyhit.report.tables.event_rows import shift_times
from luckyhit.text.numbers import listed, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BINS = 500
"""Time bins of the hit ratio over the whole run."""
FEWEST_IN_BIN = 40


@dataclass(frozen=True)
class HitSeries:
    """Hit ratio over time: one row per block, arm and bin: `block, arm, stage, at_s, share, requests`."""

    bins: pd.DataFrame
    spans: list[Span]
    measured: dict[tuple[Stage, str], float]
    """Hit ratio of the measured phase, by stage and arm, in the change's blocks that of the metric; those without a
    visible status are left out."""
    warmup: dict[str, tuple[float, float]]
    """By arm: the hit ratio in the first bin of all its blocks together, and in the last."""
    shifts_s: tuple[float, ...] = ()
    """When something shifted inside an arm, in seconds since the first block."""
    washouts: list[Span] = field(default_factory=list)


def data(recorded: Recorded) -> HitSeries:
    rows, hit = recorded.rows, recorded.hit
    where, washed = spans(recorded), washouts(recorded)
    shown = sorted([*where, *washed], key=lambda span: span.start_s)
    is_visible = np.isfinite(hit) & np.isfinite(rows.due_ns)
    parts: list[pd.DataFrame] = []
    total_s = sum(max(span.end_s - span.start_s, 0.0) for span in shown)
    arms_per_span = max((len(span.arms) for span in shown), default=1) or 1
    visible = np.flatnonzero(is_visible)
    by_block = visible[np.argsort(rows.block[visible], kind="stable")]
    block_of = rows.block[by_block]
    for span in shown:
        seconds = max(span.end_s - span.start_s, 1e-9)
        inside = by_block[np.searchsorted(block_of, span.block) : np.searchsorted(block_of, span.block, side="right")]
        # As many bins as the requests fill, and as the whole run can show.
        room = max(int(MOST_BINS / arms_per_span * seconds / max(total_s, 1e-9)), 2)
        count = int(np.clip(len(inside) / arms_per_span / FEWEST_IN_BIN, 1, min(room, 60)))
        number = np.clip(((rows.due_ns[inside] / 1e9 - span.start_s) / seconds * count).astype(int), 0, count - 1)
        for code, arm in enumerate(ARMS):
            of_arm = rows.arm[inside] == code
            requests = np.bincount(number[of_arm], minlength=count)
            hits = np.bincount(number[of_arm], weights=hit[inside][of_arm], minlength=count)
            filled = np.flatnonzero(requests)
            if not len(filled):
                continue
            at = span.start_s + (filled + 0.5) / count * seconds
            parts.append(
                pd.DataFrame(
                    {
                        "block": span.block,
                        "arm": arm,
                        "stage": span.stage,
                        "at_s": at,
                        "share": hits[filled] / requests[filled],
                        "requests": requests[filled],
                    }
                )
            )
    columns = ["block", "arm", "stage", "at_s", "share", "requests"]
    bins = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    measured: dict[tuple[Stage, str], float] = {}
    for stage in STAGES:
        for arm in ARMS:
            values = hit[recorded.mask(stage, arm)]
            values = values[np.isfinite(values)]
            if len(values):
                measured[stage, arm] = float(values.mean())
    metric = recorded.result.metrics.get("hit_ratio") if recorded.result else None
    if metric is not None and recorded.changed:
        # What the blocks of the change show has one number, the metric's.
        values_of = {"before": metric.before, "after": metric.after}
        measured |= {("change", arm): value for arm, value in values_of.items() if value is not None}
    warmup = {}
    for arm, part in bins[bins["stage"] != WASH_OUT].groupby("arm"):
        ends = part.sort_values("at_s").groupby("block")["share"].agg(["first", "last"]).mean()
        warmup[str(arm)] = (float(ends["first"]), float(ends["last"]))

    shifts_s = shift_times(recorded.result.events) if recorded.result else ()
    return HitSeries(bins, where, measured, warmup, shifts_s, washed)


def draw(series: HitSeries, *, narrow: bool = False) -> Figure:
    """Hit ratio over time: blocks apart, warm-ups shaded, wash-outs hatched, clears marked, each stage named above."""
    with styled():
        figure = new_figure(narrow=narrow)
        axes = figure.add_subplot()
        origin = min((span.start_s for span in series.spans), default=0.0)
        _shade_warmups(axes, series.spans, origin)
        _hatch_washouts(axes, series.washouts, origin)
        named: set[str] = set()
        for (_, arm), part in series.bins.groupby(["block", "arm"], sort=False):
            label = None if arm in named else str(arm)
            named.add(str(arm))
            axes.plot(
                part["at_s"] - origin, part["share"], color=COLOURS[arm], linestyle=DASHES[arm], label=label,
                marker=MARKERS[arm] if len(part) == 1 else None, markersize=4, zorder=3 if arm == "after" else 2.5,
            )  # fmt: skip
        cleared = [span.start_s - origin for span in series.spans if span.cleared is not None]
        if cleared:
            axes.plot(
                cleared, [0.0] * len(cleared), linestyle="none", marker=7, markersize=7, color=INK, clip_on=False,
                label="keys cleared", zorder=4,
            )  # fmt: skip
        for index, at_s in enumerate(series.shifts_s):
            label = "shift inside an arm" if index == 0 else None
            axes.axvline(at_s, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), label=label, zorder=2)
        axes.set(ylim=(0, 1.0), xlabel="seconds since the first block", ylabel="hit ratio")
        style.percent_axis(axes.yaxis)
        _stages(axes, series.spans, origin, narrow=narrow)
        axes.grid(visible=False, axis="x")
        style.legend(figure, axes, columns=2 if narrow else 4)
        return figure


def _shade_warmups(axes: Axes, spans: Sequence[Span], origin: float) -> None:
    bars = [(span.start_s - origin, max(span.measure_s - span.start_s, 0.0)) for span in spans]
    if bars:
        axes.broken_barh(
            bars, (0, 1), transform=axes.get_xaxis_transform(), facecolor="#e3e7ed", zorder=0.5,
            label="warm-up",
        )  # fmt: skip


def _hatch_washouts(axes: Axes, stretches: Sequence[Span], origin: float) -> None:
    bars = [(span.start_s - origin, max(span.end_s - span.start_s, 0.0)) for span in joined(list(stretches))]
    if bars:
        axes.broken_barh(
            bars, (0, 1), transform=axes.get_xaxis_transform(), facecolor="white", edgecolor="#c3cad3", hatch=HATCH,
            linewidth=0, zorder=0.4, label="wash-out",
        )  # fmt: skip


def _stages(axes: Axes, spans: Sequence[Span], origin: float, *, narrow: bool) -> None:
    """The name of each stage above its blocks, with a rule under it."""
    names = {"baseline": "baseline", "change": "both arms", "after-rollback": "rolled back"}
    short = {"baseline": "base", "change": "both arms", "after-rollback": "back"}
    for stage, name in (short if narrow else names).items():
        inside = [span for span in spans if span.stage == stage]
        if not inside:
            continue
        start, end = inside[0].start_s - origin, inside[-1].end_s - origin
        if stage == "change" and not any(len(span.arms) > 1 for span in inside):
            name = "arms in turn"
        axes.plot(
            [start, end], [1.02, 1.02], transform=axes.get_xaxis_transform(), color=INK, linewidth=1.2, clip_on=False,
            solid_capstyle="butt",
        )  # fmt: skip
        axes.text(
            (start + end) / 2, 1.035, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=8.5, color=INK,
        )  # fmt: skip


def say(series: HitSeries, result: Result | None) -> str:
    if series.bins.empty and result is not None and result.unseen_status:
        return f"There is no hit ratio to show. {in_doubt(result)}"
    if series.bins.empty:
        return "The cache status was not visible in any answer, so there is no hit ratio to show."
    parts = []
    stages = (("baseline", "in the baseline"), ("change", ""), ("after-rollback", "after the rollback"))
    for stage, words in stages:
        for arm in ("before", "after"):
            share = series.measured.get((stage, arm))  # type: ignore[arg-type]
            if share is None:
                continue
            where = words or ("without the change" if arm == "before" else "with it")
            parts.append(f"{percent(share)} {where}")
    text = "Only warm-ups were recorded, so there is no hit ratio to go by."
    if parts:
        text = f"Measured after the warm-ups, the hit ratio was {listed(parts)}."
    ramps = [(arm, first, last) for arm, (first, last) in series.warmup.items() if last - first > 0.1]
    if ramps:
        arm, first, last = max(ramps, key=lambda ramp: ramp[2] - ramp[1])
        text += (
            f" Within a block of the {arm} arm it climbs from {percent(first)} to {percent(last)} on average: a look "
            "at the first seconds alone would take the warming cache for an effect."
        )
    if series.washouts:
        text += f" Hatched: {washouts_text(series.washouts)}; nothing of it is counted."
    if series.shifts_s:
        text += f" Thin lines mark shifts inside an arm (at {listed([number(at_s) for at_s in series.shifts_s])} s)."
    if result is not None and result.unseen_status:
        return f"{text.strip()} {in_doubt(result)}"
    return with_verdict(text.strip(), "hit_ratio", result)


def is_empty(series: HitSeries) -> bool:
    return bool(series.bins.empty)

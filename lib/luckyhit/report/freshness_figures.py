"""The figures of freshness: when readers see what was written, for how long they don't, and one failure in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from luckyhit.report import style
from luckyhit.report.freshness_numbers import Freshness, Windows
from luckyhit.report.freshness_strip import IMPOSSIBLE, NEW, NOTHING, OLD, SILENT, Chosen, Strip
from luckyhit.report.style import COLOURS, DASHES, INK, MARKERS, SHADE, SOFT, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_APART = 0.008
"""How far the arms' points are moved from each other, as a share of the axis, so that equal ones hide nothing."""
_FAR = 30.0
"""A bound that lies further than this factor from all reads is told, not drawn: it would squeeze everything else."""
# What a read saw: colour and shape, told apart without colour as well. No arm has these colours.
_SAW = {
    NEW: ("#00785a", "o"),
    OLD: ("#b3261e", "X"),
    NOTHING: ("#8a3f94", "s"),
    IMPOSSIBLE: (INK, "D"),
    SILENT: ("#8a929e", "."),
}
_EVENTS = {"deleted": ("v", INK), "set": ("^", "#8a5a00"), "expired": ("d", SOFT)}
_LONGEST_LANE = 34


def freshness(found: Freshness, *, narrow: bool = False) -> Figure:
    """P(fresh) against the time since the acknowledged write, bounds at the metric's level, and the declared bound."""
    with styled():
        figure = new_figure(narrow=narrow)
        axes = figure.add_subplot()
        delays = found.curve["delay_ms"].to_numpy(dtype=float)
        decades = max(float(np.log10(delays.max() / delays.min())), 0.5)
        for arm, part in found.curve.groupby("arm", sort=False):
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
        _bound(axes, found.within_s, float(delays.min()), float(delays.max()))
        style.plain_log_axis(axes.xaxis)
        axes.set_ylim(-0.02, 1.02)
        style.percent_axis(axes.yaxis)
        axes.set(xlabel="ms since the write was acknowledged (log scale)", ylabel="reads that were fresh")
        style.legend(figure, axes, columns=3)
        return figure


def _bound(axes: Axes, within_s: float | None, low_ms: float, high_ms: float, *, shade: bool = True) -> None:
    """The declared bound as a line; `shade` what is left of it: staleness there is acceptable. None for 0."""
    bound_ms = (within_s or 0.0) * 1e3
    if not low_ms / _FAR <= bound_ms <= high_ms * _FAR:
        return
    left, right = axes.get_xlim()
    left, right = min(left, bound_ms * 0.8), max(right, bound_ms * 1.25)
    axes.axvline(bound_ms, color=INK, linewidth=1.2, linestyle=":", label="declared bound")
    if shade:
        axes.axvspan(left, bound_ms, color=SHADE, zorder=0.5)
    axes.set_xlim(left, right)


def staleness_windows(found: Windows, *, narrow: bool = False) -> Figure:
    """The share of polled writes that were still stale after a time, as the band that the polling leaves open."""
    with styled():
        figure = new_figure(narrow=narrow)
        axes = figure.add_subplot()
        for label, part in found.arms.items():
            colour = COLOURS[label]
            axes.fill_between(part.times_ms, part.low, part.high, step="post", color=colour, alpha=0.22, linewidth=0)
            for edge, name in ((part.high, f"{label} ({part.writes:,})"), (part.low, None)):
                axes.plot(
                    part.times_ms, edge, drawstyle="steps-post", color=colour, linestyle=DASHES[label],
                    linewidth=1.5 if name else 0.9, label=name, clip_on=False, zorder=3,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(found.left_ms, found.right_ms)
        _bound(axes, found.within_s, found.left_ms, found.right_ms, shade=False)
        _stuck(axes, found)
        style.plain_log_axis(axes.xaxis)
        axes.set_ylim(-0.02, 1.02)
        style.percent_axis(axes.yaxis)
        axes.set(xlabel="ms since the write was acknowledged (log scale)", ylabel="polled writes still stale")
        style.legend(figure, axes, columns=2 if narrow else 3)
        return figure


def _stuck(axes: Axes, found: Windows) -> None:
    """At the right edge: how many were never lastingly fresh, at the height where their curve ends."""
    taken: list[float] = []
    for label, part in found.arms.items():
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


def freshness_strip(found: Strip, *, narrow: bool = False) -> Figure:
    """One failed probe: a lane for the write, one for the cache, and one for each who read; marks say what was seen."""
    chosen = found.chosen
    assert chosen is not None  # the gallery draws it only then
    names = ["write", *(["cache"] if chosen.events else []), *chosen.lanes]
    first = len(names) - len(chosen.lanes)
    with styled():
        figure = new_figure(narrow=narrow, height=1.5 + (0.42 if narrow else 0.34) * len(names))
        axes = figure.add_subplot()
        if found.within_s:
            axes.axvspan(0, found.within_s * 1e3, color=SHADE, zorder=0.5)
            axes.axvline(found.within_s * 1e3, color=INK, linewidth=1.2, linestyle=":", label="declared bound")
        acknowledged = any(write.own and write.acked_ms is not None for write in chosen.writes)
        axes.axvline(0, color=SOFT, linewidth=1, label="acknowledged" if acknowledged else "write sent")
        for write in chosen.writes:
            end = write.sent_ms if write.acked_ms is None else write.acked_ms
            axes.plot(
                [write.sent_ms, end], [0, 0], color=INK if write.own else SOFT, linewidth=8, solid_capstyle="butt",
                zorder=2,
            )  # fmt: skip
            axes.plot(write.sent_ms, 0, marker="|", markersize=12, color=INK if write.own else SOFT, zorder=3)
        for kind, (marker, colour) in _EVENTS.items():
            at = [event.at_ms for event in chosen.events if event.kind == kind]
            if at:
                axes.plot(at, [1] * len(at), linestyle="none", marker=marker, markersize=6.5, color=colour,
                          label=f"entry {kind}", zorder=3)  # fmt: skip
        for saw, (colour, marker) in _SAW.items():
            mine = [read for read in chosen.drawn if read.saw == saw]
            if not mine:
                continue
            axes.hlines([first + read.lane for read in mine], [read.sent_ms for read in mine],
                        [read.done_ms for read in mine], color=colour, linewidth=4, alpha=0.55, zorder=2)  # fmt: skip
            axes.plot([read.done_ms for read in mine], [first + read.lane for read in mine], linestyle="none",
                      marker=marker, markersize=6, color=colour, markeredgecolor="white", markeredgewidth=0.5,
                      label=f"read: {saw}", zorder=3)  # fmt: skip
        _time_axis(axes, chosen, found.within_s or 0.0, narrow=narrow)
        labels = [_lane_name(name, narrow=narrow) for name in names]
        axes.set_yticks(range(len(names)), labels, parse_math=False)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", labelcolor=INK, labelsize=8 if narrow else 9)
        style.legend(figure, axes, columns=2 if narrow else 4)
        return figure


def _time_axis(axes: Axes, chosen: Chosen, within_s: float, *, narrow: bool) -> None:
    """Linear where that shows the write as well; else logarithmic beyond the time that the write took."""
    ends = [0.0, *(read.done_ms for read in chosen.drawn)]
    starts = [0.0, *(write.sent_ms for write in chosen.writes), *(read.sent_ms for read in chosen.drawn)]
    last = max(max(ends), min(within_s * 1e3, max(ends) * 2))
    near = max(-min(starts), 1.0)
    if last <= 25 * near:
        axes.set_xlim(min(starts) - 0.03 * (last + near), last + 0.04 * (last + near))
        axes.set_xlabel("ms since the write was acknowledged")
        return
    axes.set_xscale("symlog", linthresh=near, linscale=0.6)
    axes.set_xlim(-near * 1.35, last * 1.3)
    rounded = _round_numbers(near, last * 1.3)
    ticks = [0.0, *(rounded[:: max(1, -(-len(rounded) // 4))] if narrow else rounded)]
    axes.set_xticks([-near, *ticks], [f"−{near:.2g}", *(f"{tick:,.6g}" for tick in ticks)])
    axes.set_xticks([], minor=True)
    what = "ms since acknowledged (log" if narrow else "ms since the write was acknowledged (log scale"
    axes.set_xlabel(f"{what} beyond {near:.2g} ms)")


def _round_numbers(low: float, high: float) -> Sequence[float]:
    """Powers of ten inside, with halves of them where there are few."""
    powers = [10.0**power for power in range(-3, 9)]
    inside = [value for value in powers if low * 1.5 < value <= high]
    return (
        inside
        if len(inside) > 2
        else sorted({value * step for value in powers for step in (1, 2, 5) if low * 1.5 < value * step <= high})
    )


def _lane_name(text: str, *, narrow: bool) -> str:
    """A name that can't be drawn as anything but text, and not over everything."""
    plain = "".join(sign if sign.isprintable() and ord(sign) < 0x2500 else "?" for sign in text[: 4 * _LONGEST_LANE])
    route, dot, who = plain.rpartition(" · ")
    longest = _LONGEST_LANE // 2
    if dot:
        route = route if len(route) <= longest else f"{route[: longest - 1]}…"
        return f"{route}\n{who}" if narrow else f"{route} · {who}"
    return plain if len(plain) <= _LONGEST_LANE else f"{plain[: _LONGEST_LANE - 1]}…"

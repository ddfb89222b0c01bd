"""The figures: each draws one aggregate and nothing else. `narrow` draws it for a phone, with text of the same size.

Both arms have the same colours, dashes and markers in all of them (see `style`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from luckyhit.report import style
from luckyhit.report.aggregates import (
    MOST_CALLS,
    Calls,
    Row,
    Spectrum,
    Splits,
)
from luckyhit.report.recorded import ARMS
from luckyhit.report.style import COLOURS, DASHES, INK, MARKERS, PALE, SOFT, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PERCENTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


def latency_spectrum(spectra: Mapping[str, Spectrum], *, narrow: bool = False) -> Figure:
    """Latency by percentile, on a scale that opens both tails (log-odds); thin where few requests lie beyond."""
    with styled():
        figure = new_figure(narrow=narrow)
        axes = figure.add_subplot()
        for label, spectrum in spectra.items():
            at = np.log10(spectrum.levels / (1 - spectrum.levels))
            sure = spectrum.levels <= spectrum.certain
            colour, dashes = COLOURS[label], DASHES[label]
            axes.plot(at[sure], spectrum.values[sure], color=colour, linestyle=dashes, label=label)
            rest = ~sure
            rest[max(int(sure.sum()) - 1, 0)] = True
            axes.plot(at[rest], spectrum.values[rest], color=colour, linestyle=dashes, linewidth=0.8, alpha=0.7)
            for level, value in spectrum.named.items():
                axes.plot(
                    np.log10(level / (1 - level)), value, marker=MARKERS[label], markersize=4.5, color=colour,
                    markeredgecolor="white", markeredgewidth=0.7,
                )  # fmt: skip
        axes.set_yscale("log")
        style.plain_log_axis(axes.yaxis)
        ticks = [level for level in _PERCENTILES if not narrow or level in (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)]
        axes.set_xticks([np.log10(level / (1 - level)) for level in ticks], [f"p{level * 100:g}" for level in ticks])
        axes.set(xlabel="percentile (log-odds scale)", ylabel="latency in ms (log scale)")
        style.legend(figure, axes)
        return figure


def latency_split(splits: Splits, *, narrow: bool = False) -> Figure:
    """Latency of hits and of misses apart; the areas are shares of all the arm's requests, so the mix shows too."""
    statuses = splits.statuses
    with styled():
        figure = new_figure(narrow=narrow, height=1.0 + 1.35 * max(len(statuses), 1))
        panels = figure.subplots(len(statuses), 1, sharex=True, squeeze=False)[:, 0]
        for axes, status in zip(panels, statuses, strict=True):
            told = []
            for label in ("baseline", *ARMS):
                part = splits.parts.get((status, label))
                if part is None:
                    continue
                axes.stairs(part.density, splits.edges, fill=True, color=PALE[label], alpha=0.55)
                axes.stairs(part.density, splits.edges, color=COLOURS[label], linestyle=DASHES[label], linewidth=1.5,
                            label=label)  # fmt: skip
                axes.axvline(part.median_ms, ymax=0.12, color=COLOURS[label], linewidth=2.5)
                told.append(f"{label} {_percent(part.share)}" if narrow else
                            f"{label} {_percent(part.share)}, median {part.median_ms:.3g} ms")  # fmt: skip
            axes.set_title(f"{status}: " + (" · " if narrow else "   ").join(told), fontsize=8.5 if narrow else 9)
            axes.set_ylim(bottom=0)
            style.percent_axis(axes.yaxis)
            axes.yaxis.set_major_locator(_few_ticks())
        last = panels[-1]
        last.set_xscale("log")
        style.plain_log_axis(last.xaxis)
        last.set_xlabel("latency in ms (log scale)")
        figure.supylabel("share of the arm's requests", fontsize=9, color=SOFT)
        style.legend(figure, panels[0])
        return figure


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=3)


def _percent(share: float) -> str:
    from luckyhit.judge.wording import percent

    return percent(share)


def db_calls(calls: Mapping[str, Calls], *, narrow: bool = False) -> Figure:
    """How many of the requests made no database call, one, two, ... in each arm; the mean beside the arm's name."""
    from luckyhit.judge.wording import number

    with styled():
        figure = new_figure(narrow=narrow, height=2.8)
        axes = figure.add_subplot()
        most = max((int(np.flatnonzero(part.shares)[-1]) for part in calls.values()), default=0)
        width = 0.8 / max(len(calls), 1)
        for index, (label, part) in enumerate(calls.items()):
            at = np.arange(most + 1) + (index - (len(calls) - 1) / 2) * width
            bars = axes.bar(
                at, part.shares[: most + 1], width=width * 0.92, color=COLOURS[label],
                label=f"{label}: {number(part.mean)} on average",
            )  # fmt: skip
            if most <= 5:
                texts = [_percent(share) if share > 0 else "" for share in part.shares[: most + 1]]
                axes.bar_label(bars, texts, fontsize=7.5 if narrow else 8.5, color=INK, padding=2)
        labels = [f"{count} or more" if count == MOST_CALLS else str(count) for count in range(most + 1)]
        axes.set_xticks(range(most + 1), labels)
        axes.margins(y=0.14)
        axes.set(xlabel="database calls of one request", ylabel="share of requests")
        style.percent_axis(axes.yaxis)
        axes.yaxis.set_major_locator(_few_ticks())
        axes.grid(visible=False, axis="x")
        style.legend(figure, axes, columns=1 if narrow else 3)
        return figure


def forest(rows: Sequence[Row], *, narrow: bool = False) -> Figure:
    """Each goal's interval in margins, better to the right; the band is the margin: inside, nothing that matters."""
    with styled():
        figure = new_figure(narrow=narrow, height=1.35 + (0.62 if narrow else 0.5) * len(rows))
        axes = figure.add_subplot()
        reach = max([1.0, *(abs(end) for row in rows for end in (row.low, row.high, row.middle) if np.isfinite(end))])
        limit = max(2.0, 1.35 * reach)
        axes.axvspan(-1, 1, color="#e4ebf2", zorder=0.4)
        axes.axvline(0, color=SOFT, linewidth=1)
        for at, row in enumerate(rows):
            colour = style.VERDICT_COLOURS[row.verdict]
            low, high = max(row.low, -limit), min(row.high, limit)
            axes.plot([low, high], [at, at], color=colour, linewidth=3, solid_capstyle="butt", zorder=3)
            for end, marker, bounded in ((low, "<", np.isfinite(row.low)), (high, ">", np.isfinite(row.high))):
                axes.plot(end, at, marker="|" if bounded else marker, markersize=10 if bounded else 6, color=colour,
                          markeredgewidth=2 if bounded else 1, zorder=3)  # fmt: skip
            axes.plot(row.middle, at, marker="o", markersize=6.5, color=colour, markeredgecolor="white", zorder=4)
            if narrow:
                axes.text(0.0, at - 0.36, f"{row.name}: {row.verdict}", transform=axes.get_yaxis_transform(),
                          fontsize=8.5, va="center")  # fmt: skip
            else:
                axes.text(1.02, at, f"{row.text}\n{row.verdict}", transform=axes.get_yaxis_transform(), fontsize=8,
                          va="center", linespacing=1.3)  # fmt: skip
        if limit > 4:
            axes.set_xscale("symlog", linthresh=1, linscale=0.9)
            ticks = [tick for tick in (-1000, -100, -10, -1, 0, 1, 10, 100, 1000) if abs(tick) <= limit]
            axes.set_xticks(ticks)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+,.3g}".replace("-", "−") if value else "0")
        axes.set(xlim=(-limit, limit), ylim=(len(rows) - 0.4, -0.75 if narrow else -0.6))
        names = [""] * len(rows) if narrow else [f"{row.name[:1].upper()}{row.name[1:]}" for row in rows]
        axes.set_yticks(range(len(rows)), [name.replace(" per request", "\nper request") for name in names])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=9)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("← worse      in margins      better →")
        return figure

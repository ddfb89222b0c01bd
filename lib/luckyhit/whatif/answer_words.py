"""The answer in sentences: what is predicted, whether the model fits, where the knee is."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from luckyhit.text.numbers import number, percent
from luckyhit.whatif.answering import WhatIf
from luckyhit.whatif.knee_and_pareto import FLAT
from luckyhit.whatif.settings_now import size_text, ttl_text
from luckyhit.whatif.surfaces import HIGH, LOW, VALUE, Band
from luckyhit.whatif.today import WhyUnfit

RULES: Mapping[str, str] = {
    "none": "a write deletes nothing",
    "on-write": "a write deletes what it outdates",
    "delayed": "a write deletes what it outdates {delay} later",
}
WHY: Mapping[WhyUnfit, str] = {
    "hit-before-a-load": "{count:,} hits before anybody had loaded the entry: the cache was not empty, or somebody "
    "else fills it",
    "hit-after-a-write": "{count:,} hits after a write that deletes in the model: the service does not delete there",
    "hit-when-expired": "{count:,} hits of entries that had expired: they live longer than the time to live, or "
    "something renews them",
    "miss-when-stored": "{count:,} misses of entries that were stored: something else deletes them, the cache makes "
    "room, or there is more than one",
}


def rule_text(answer: WhatIf) -> str:
    return RULES[answer.rule.id].format(delay=ttl_text(answer.rule.delay_ns / 1e9))


def share_text(low: float, value: float, high: float) -> str:
    """`91 % (90 % to 92 %)`; without bounds `91 %`."""
    if isnan(value):
        return "not measured"
    return percent(value) if isnan(low) else f"{percent(value)} ({percent(low)} to {percent(high)})"


def amount_text(low: float, value: float, high: float, unit: str = "") -> str:
    """The same for amounts: `1.2 ms (1.1 to 1.3)`."""
    if isnan(value):
        return "not measured"
    bounds = "" if isnan(low) else f" ({number(low)} to {number(high)})"
    return f"{number(value)}{unit}{bounds}"


def heading(answer: WhatIf) -> str:
    """What stands above everything: whether the model may be used."""
    if answer.fit is None:
        return "Not checked against a measurement"
    return "The model says of today what was measured" if answer.fit.is_fit else "The model does not fit this service"


def fit_text(answer: WhatIf) -> str:
    """Today's point, measured and predicted, and why they differ."""
    if answer.now is None:
        return "Today's time to live is not known, so the model could not be checked."
    if answer.fit is None:
        return "No read told whether it was a hit, so the model could not be checked."
    fit, fact = answer.fit, answer.fact
    assert fact.hit_ratio is not None
    now = f"a time to live of {ttl_text(answer.now.ttl_s)}"
    parts = [f"Today, with {now}: hit ratio {share_text(*fact.hit_ratio)} measured, {percent(fit.hit_ratio)} predicted"]
    if fact.stale is not None:
        parts.append(f"stale reads {share_text(*fact.stale)} measured, {percent(fit.stale)} predicted")
    text = f"{'; '.join(parts)}. The rule that comes nearest: {rule_text(answer)}."
    if not fit.is_decided:
        text += " All rules say the same of today, so this one is a guess: name it with --rule."
    if fit.is_fit:
        return text
    why = "; ".join(WHY[kind].format(count=count) for kind, count in fit.why[:2])
    return f"{text} The model is unfit: other points are not to be trusted. On single reads: {why}."


def knee_texts(answer: WhatIf) -> list[str]:
    """Where more room, and a longer life, stop to help much."""
    lines = []
    if (knee := answer.knee_size) is not None:
        lines.append(
            f"The knee of the size is at {size_text(knee.at, by_bytes=answer.by_bytes)}: {percent(knee.share)} hits. "
            f"{number(knee.last / knee.at)} times as much room gives {percent(knee.best)}."
        )
    else:
        lines.append(_no_knee("size", "more room", answer.surface.hit_ratio[VALUE, :, today_column(answer)]))
    if (knee := answer.knee_ttl) is not None:
        lines.append(
            f"The knee of the time to live is at {ttl_text(knee.at)}: {percent(knee.share)} hits. "
            f"{ttl_text(knee.last)} gives {percent(knee.best)}."
        )
    else:
        lines.append(_no_knee("time to live", "a longer life", answer.surface.hit_ratio[VALUE, nearest_row(answer)]))
    return lines


def _no_knee(setting: str, more: str, shares: NDArray[np.float64]) -> str:
    """Of a curve that is flat, or that rises to its end. `shares`: hits at its points."""
    low, high = float(shares[0]), float(shares[-1])
    if high - low < FLAT:
        return f"The {setting} has no knee: in this range {more} gives no more hits."
    return f"The {setting} has no knee: {more} gives more hits up to the end, from {percent(low)} to {percent(high)}."


def cell(band: Band, row: int, column: int, *, unit: str = "") -> str:
    """One point of a band as text; a share where `unit` is %."""
    low, value, high = (float(band[place, row, column]) for place in (LOW, VALUE, HIGH))
    return share_text(low, value, high) if unit == "%" else amount_text(low, value, high, unit)


def table_rows(answer: WhatIf) -> list[tuple[str, ...]]:
    """A row for each time to live at today's size (or the largest): the cells of TABLE_HEADINGS."""
    surface = answer.surface
    row = nearest_row(answer)
    lines: list[tuple[str, ...]] = []
    for column, ttl_s in enumerate(answer.grid.ttls_s):
        today = answer.now is not None and answer.now.ttl_s == ttl_s
        lines.append(
            (
                ttl_text(ttl_s) + (" (today)" if today else ""),
                cell(surface.hit_ratio, row, column, unit="%"),
                cell(surface.stale, row, column, unit="%"),
                cell(surface.calls, row, column),
                cell(surface.mean_ms, row, column, unit=" ms"),
                cell(surface.p95_ms, row, column, unit=" ms"),
                size_text(float(surface.memory[row, column]), by_bytes=answer.by_bytes),
            )
        )
    return lines


TABLE_HEADINGS = (
    "Time to live",
    "Hit ratio",
    "Stale reads",
    "Database calls a read",
    "Mean latency",
    "p95 latency",
    "Memory, at most",
)


def rule_rows(answer: WhatIf) -> list[tuple[str, ...]]:
    """A row for each rule at today's settings (or at the largest ones): the cells of RULE_HEADINGS."""
    row, column = nearest_row(answer), today_column(answer)
    lines: list[tuple[str, ...]] = []
    for name, surface in answer.surfaces.items():
        text = RULES[name].format(delay=ttl_text(answer.delay_s))
        cells = [cell(surface.hit_ratio, row, column, unit="%"), cell(surface.stale, row, column, unit="%")]
        lines.append((text, *cells, cell(surface.calls, row, column)))
    return lines


RULE_HEADINGS = ("Rule", "Hit ratio", "Stale reads", "Database calls a read")


def today_column(answer: WhatIf) -> int:
    """The column of today's time to live, or the longest."""
    ttls = answer.grid.ttls_s
    return ttls.index(answer.now.ttl_s) if answer.now is not None else len(ttls) - 1


def nearest_row(answer: WhatIf) -> int:
    """The row of today's size, or the largest."""
    sizes = answer.grid.sizes
    if answer.now is None:
        return len(sizes) - 1
    return max((row for row, size in enumerate(sizes) if size <= answer.now.size), default=0)


def frame_of(answer: WhatIf) -> pd.DataFrame:
    """The same as a frame, for a notebook."""
    return pd.DataFrame(table_rows(answer), columns=list(TABLE_HEADINGS)).set_index(TABLE_HEADINGS[0])


def summary_of(answer: WhatIf) -> str:
    """Fit and knees as Markdown."""
    return "\n\n".join([f"**{heading(answer)}.** {fit_text(answer)}", *knee_texts(answer)])


def as_text(answer: WhatIf) -> str:
    """The answer on a terminal."""
    trace = answer.recording.trace
    counted = "" if answer.one_in == 1 else f", counted by one entry in {answer.one_in} and the most frequent ones"
    lines = [
        f"{answer.recording.source}: {trace.reads:,} reads of {trace.read_entries:,} entries, {trace.writes:,} writes "
        f"that outdate them, {number(trace.seconds)} s{counted}",
        "",
        heading(answer),
        fit_text(answer),
        "",
        f"At a size of {size_text(answer.grid.sizes[nearest_row(answer)], by_bytes=answer.by_bytes)}, LRU; "
        f"{rule_text(answer)}:",
        *_columns([TABLE_HEADINGS, *table_rows(answer)]),
        "",
        f"By rule, at a time to live of {ttl_text(answer.grid.ttls_s[today_column(answer)])}:",
        *_columns([RULE_HEADINGS, *rule_rows(answer)]),
        "",
        *knee_texts(answer),
    ]
    if answer.hot_misses:
        hot = ", ".join(f"{key.name} ({percent(key.miss_share)})" for key in answer.hot_misses[:3])
        lines.append(f"Most of the misses: {hot}.")
    if answer.hot_stale:
        hot = ", ".join(f"{key.name} ({percent(key.stale_share)})" for key in answer.hot_stale[:3])
        lines.append(f"Most of the stale reads: {hot}.")
    lines += ["", *(f"- {line}" for line in (*answer.recording.notes, *answer.limits))]
    return "\n".join(lines)


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]

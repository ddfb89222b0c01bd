"""Latency by percentile, on a scale that opens both tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from luckyhit.records import LATENCIES, METRICS, Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import ARM_DASHES, ARM_SHAPES, Chart, Line, Mark, Panel, Points, Tone
from luckyhit.report.figures.facts.verdict_words import labelled, with_verdicts
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import listed, number

TAIL = 10
"""Quantiles with fewer requests than this beyond them are drawn as uncertain."""
NAMED = (0.5, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Spectrum:
    """Latency by percentile of one arm: `values` (ms) at `quantiles`. Beyond the quantile `certain` lie fewer than TAIL
    requests. `failed`: requests that were due but never completed, so they have no latency."""

    quantiles: np.ndarray
    values: np.ndarray
    certain: float
    requests: int
    failed: int
    named: dict[float, float]
    """p50, p95, p99 and p99.9, where a request lies beyond."""


def data(recorded: Recorded) -> dict[str, Spectrum]:
    """By label of the compared rows. Arms without a completed request are left out."""
    by_label = {}
    for label, mask in recorded.arms.items():
        latency = recorded.rows.take(mask).latency_ms
        failed = int(np.count_nonzero(~np.isfinite(latency)))
        latency = latency[np.isfinite(latency)]
        if not len(latency):
            continue
        top = min(0.999, 1 - 1 / (len(latency) + 1))
        odds = np.linspace(_log_odds(max(0.01, 1 / (len(latency) + 1))), _log_odds(top), 160)
        quantiles = 1 / (1 + 10**-odds)
        # The smallest latency with at least this share at or below it: one that happened.
        values = np.quantile(latency, [*quantiles, *NAMED], method="inverted_cdf")
        named = {q: float(values[len(quantiles) + n]) for n, q in enumerate(NAMED) if len(latency) * (1 - q) >= 1}
        certain = 1 - TAIL / len(latency)
        by_label[label] = Spectrum(
            quantiles, np.maximum(values[: len(quantiles)], 1e-4), certain, len(latency), failed, named
        )
    return by_label


def _log_odds(share: float) -> float:
    return float(np.log10(share / (1 - share)))


_TICKS = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def draw(spectra: Mapping[str, Spectrum]) -> Chart:
    """Latency by percentile, on a scale that opens both tails (log-odds); thin where few requests lie beyond."""
    marks: list[Mark] = []
    for label, spectrum in spectra.items():
        at = np.log10(spectrum.quantiles / (1 - spectrum.quantiles))
        sure, tone, dashes = spectrum.quantiles <= spectrum.certain, cast(Tone, label), ARM_DASHES[label]
        rest = ~sure
        rest[max(int(sure.sum()) - 1, 0)] = True
        marks.append(Line(at[sure], spectrum.values[sure], tone, label, dashes))
        marks.append(Line(at[rest], spectrum.values[rest], tone, label, dashes, width=0.8))
        named = {_log_odds(q): value for q, value in spectrum.named.items()}
        marks.append(Points(list(named), list(named.values()), tone, label, ARM_SHAPES[label], 3.0, quiet=True))
    low, high = (_log_odds(q) for q in (0.008, 0.9992))
    ticks = [(_log_odds(q), f"p{q * 100:g}") for q in _TICKS]
    x = Axis(low, high, "percentile (log-odds scale)", ticks=ticks, grid=False)
    values = [value for spectrum in spectra.values() for value in spectrum.values]
    return Chart([Panel(x, Axis.around(values, "latency in ms (log scale)", scale="log"), marks, height=205)])


def say(spectra: Mapping[str, Spectrum], result: Result | None) -> str:
    if not spectra:
        return "No request was completed, so there is no latency to show."
    parts = []
    for label, spectrum in spectra.items():
        named = [f"p{q * 100:g} {number(value)} ms" for q, value in spectrum.named.items()]
        parts.append(f"{labelled(label)}: {', '.join(named) or f'only {spectrum.requests:,} requests'}")
    text = f"From due to done, {'; '.join(parts)}."
    failed = {label: spectrum.failed for label, spectrum in spectra.items() if spectrum.failed}
    if failed:
        counts_text = listed([f"{count:,} {labelled(label)}" for label, count in failed.items()])
        text += f" Requests that never completed are left out ({counts_text})."
    return with_verdicts(text, [name for name in LATENCIES if METRICS[name].quantile is not None], result)


def is_empty(spectra: Mapping[str, Spectrum]) -> bool:
    return not spectra

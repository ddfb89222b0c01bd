"""The figures by name: what is drawn from which numbers, and the sentence that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luckyhit.errors import ArgumentError
from luckyhit.report import (
    aggregates,
    course,
    course_figures,
    figures,
    freshness_figures,
    freshness_numbers,
    freshness_sentences,
    freshness_strip,
    sentences,
    style,
)
from luckyhit.report.recorded import Recorded, recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from luckyhit.records import Result
    from luckyhit.run import Run


@dataclass(frozen=True)
class Piece:
    """One figure: `numbers` makes its aggregate, `draw` and `say` take that. `empty` tells that there is nothing."""

    name: str
    title: str
    numbers: Callable[[Recorded], Any]
    draw: Callable[..., Figure]
    say: Callable[[Any, Result | None], str]
    empty: Callable[[Any], bool]


GALLERY: dict[str, Piece] = {
    piece.name: piece
    for piece in (
        Piece(
            "forest",
            "Every goal against its margin",
            aggregates.forest,
            figures.forest,
            sentences.forest,
            lambda rows: not rows,
        ),
        Piece(
            "freshness",
            "Do readers see what was written?",
            freshness_numbers.freshness,
            freshness_figures.freshness,
            freshness_sentences.freshness,
            lambda found: found.curve.empty,
        ),
        Piece(
            "staleness-windows",
            "For how long is the old value seen?",
            freshness_numbers.staleness_windows,
            freshness_figures.staleness_windows,
            freshness_sentences.staleness_windows,
            lambda found: not found.arms,
        ),
        Piece(
            "freshness-strip",
            "One failure, read by read",
            freshness_strip.freshness_strip,
            freshness_figures.freshness_strip,
            freshness_sentences.freshness_strip,
            lambda found: found.chosen is None,
        ),
        Piece(
            "hit-ratio",
            "Hit ratio over time",
            aggregates.hit_series,
            course_figures.hit_ratio,
            sentences.hit_ratio,
            lambda series: series.bins.empty,
        ),
        Piece(
            "latency-spectrum",
            "Latency by percentile",
            aggregates.latency_spectrum,
            figures.latency_spectrum,
            sentences.latency_spectrum,
            lambda spectra: not spectra,
        ),
        Piece(
            "latency-split",
            "Latency of hits and of misses",
            aggregates.latency_split,
            figures.latency_split,
            sentences.latency_split,
            lambda splits: splits.statuses in ([], ["status not visible"]),
        ),
        Piece(
            "db-calls",
            "Database calls per request",
            aggregates.db_calls,
            figures.db_calls,
            sentences.db_calls,
            lambda calls: not calls,
        ),
        Piece(
            "timeline",
            "The run",
            course.course,
            course_figures.timeline,
            sentences.timeline,
            lambda course: not course.spans,
        ),
    )
}

OF_A_PROBE = ("staleness-windows", "freshness-strip")
"""Figures that a case without a probe has no place for: the freshness curve says that there is none."""


@dataclass(frozen=True)
class Drawn:
    """A figure for the page: data URIs of its wide and narrow form (None where there is nothing to see)."""

    name: str
    title: str
    wide: str | None
    narrow: str | None
    sentence: str


def drawn(name: str, found: Recorded) -> Drawn:
    """Draw one figure for the page, in both forms."""
    piece = GALLERY[name]
    numbers = _numbers(piece, found)
    sentence = piece.say(numbers, found.result)
    if piece.empty(numbers):
        return Drawn(name, piece.title, None, None, sentence)
    wide = style.to_data_uri(_wide(piece, numbers, found))
    narrow = style.to_data_uri(style.laid_out(piece.draw(numbers, narrow=True)))
    return Drawn(name, piece.title, wide, narrow, sentence)


def _wide(piece: Piece, numbers: Any, found: Recorded) -> Figure:
    """Drawn and laid out once, for a notebook and for the page."""
    if piece.name not in found.figures:
        found.figures[piece.name] = style.laid_out(piece.draw(numbers))
    return found.figures[piece.name]


def _numbers(piece: Piece, found: Recorded) -> Any:
    if piece.name not in found.aggregates:
        found.aggregates[piece.name] = piece.numbers(found)
    return found.aggregates[piece.name]


def figure_for(
    name: str, run: Run | Recorded, result: Result | None = None, *, draw: bool = True
) -> tuple[Figure | None, str]:
    """(figure, sentence) by name; the figure is None with `draw=False`. Where there is nothing to see, the figure says
    so. Raises ArgumentError for a name that no figure has."""
    if name not in GALLERY:
        raise ArgumentError(f"there is no figure {name!r}", hint=f"There are: {', '.join(GALLERY)}.")
    piece = GALLERY[name]
    found = run if isinstance(run, Recorded) else recorded(run, result)
    numbers = _numbers(piece, found)
    sentence = piece.say(numbers, found.result)
    if not draw:
        return None, sentence
    if piece.empty(numbers):
        return style.message_figure(sentence), sentence
    return _wide(piece, numbers, found), sentence

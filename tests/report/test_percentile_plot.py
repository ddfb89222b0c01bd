"""The percentile plot of `luckyhit load`."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.text
import numpy as np
import pytest

from luckyhit.errors import ArgumentError
from luckyhit.report.charts.svg import STYLE
from luckyhit.report.percentile_plot import check_plot, percentile_figure, write_plot

ARM_COLOURS = re.findall(r"t-(?:baseline|new)\{color:(#\w+)", STYLE)[:2]


def curve(latencies: list[float]) -> tuple[np.ndarray, np.ndarray]:
    ordered = np.sort(np.array(latencies, dtype=float))
    return np.arange(len(ordered)) / (len(ordered) + 1), ordered


HITS, MISSES = curve([1.0 + place / 1000 for place in range(900)]), curve([20.0 + place / 10 for place in range(100)])
ALL = curve([*HITS[1], *MISSES[1]])
CURVES = {"all": ALL, "hit": HITS, "miss": MISSES}


def texts(figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_without_a_completed_request_it_says_so() -> None:
    assert texts(percentile_figure({}, "http://h")).startswith("http://h: ")


def test_the_figure_has_its_title_curves_and_colours() -> None:
    figure = percentile_figure(CURVES, "http://h · CLOSED LOOP")
    words = texts(figure)
    assert "CLOSED LOOP" in words and {"all", "hit", "miss"} <= set(words.split()) and "p99" in words
    assert figure.axes[0].get_yscale() == "log"
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert lines["hit"][-1] == HITS[1][-1] and lines["miss"][-1] == MISSES[1][-1]
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert len(colours) == 3 and not any(colour in ARM_COLOURS for colour in colours), "a hit is no arm"


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_both_formats_are_written(name: str, begins: bytes, tmp_path: Path) -> None:
    write_plot(tmp_path / name, {"all": ALL}, "title")
    assert (tmp_path / name).read_bytes().startswith(begins)


@pytest.mark.parametrize("name", ["a.gif", "a", "missing/a.png"])
def test_a_plot_that_can_not_be_written_is_refused_beforehand(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as refused:
        check_plot(tmp_path / name)
    assert refused.value.hint

"""The percentile plot of `luckyhit load`: as text and as a figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib.text
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError
from luckyhit.report import style
from luckyhit.report.spectrum import check_plot, spectrum_figure, spectrum_text, write_plot
from tier import examples


def curve(latencies: list[float]) -> tuple[np.ndarray, np.ndarray]:
    ordered = np.sort(np.array(latencies, dtype=float))
    levels = np.arange(len(ordered)) / (len(ordered) + 1)
    return levels, ordered


HITS, MISSES = curve([1.0 + place / 1000 for place in range(900)]), curve([20.0 + place / 10 for place in range(100)])
ALL = curve([*HITS[1], *MISSES[1]])


def texts(figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_hits_lie_below_misses_in_the_text() -> None:
    lines = spectrum_text({"all": ALL, "hit": HITS, "miss": MISSES}).splitlines()
    with_hits = [at for at, line in enumerate(lines[:14]) if "o" in line]
    with_misses = [at for at, line in enumerate(lines[:14]) if "x" in line]
    assert with_hits and with_misses and max(with_misses) < min(with_hits)
    assert "o hit" in lines[-1] and "x miss" in lines[-1]
    assert lines[0].split()[0] == "29.9" and lines[13].split()[0] == "1"


def test_one_curve_needs_no_legend_and_the_axis_ends_where_the_requests_do() -> None:
    text = spectrum_text({"all": curve([float(value) for value in range(3, 25)])})
    assert "*" in text and "all" not in text
    assert "p50" in text and "p90" in text and "p99" not in text
    assert "p99" in spectrum_text({"all": ALL})


def test_powers_are_written_out() -> None:
    text = spectrum_text({"all": curve([1.0, 1200.0])})
    assert "1,200" in text and "e+" not in text


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=50), st.integers(30, 160), st.integers(4, 30))
@settings(max_examples=examples(60), deadline=None)
def test_any_latencies_fit_into_the_width(latencies: list[float], width: int, height: int) -> None:
    lines = spectrum_text({"all": curve(latencies)}, width=width, height=height).splitlines()
    assert len(lines) == height + 3
    assert all(len(line) <= max(width, 32) + 8 for line in lines) and lines[0].isascii()
    assert any("*" in line for line in lines[:height])


def test_nothing_completed() -> None:
    assert spectrum_text({}) == ""
    assert "no request completed" in texts(spectrum_figure({}, "http://h"))


def test_the_figure_tells_what_it_shows() -> None:
    figure = spectrum_figure({"all": ALL, "hit": HITS, "miss": MISSES}, "http://h · CLOSED LOOP")
    said = texts(figure)
    assert "CLOSED LOOP" in said and {"all", "hit", "miss"} <= set(said.split()) and "p99" in said
    assert figure.axes[0].get_yscale() == "log"
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert drawn["hit"][-1] == HITS[1][-1] and drawn["miss"][-1] == MISSES[1][-1]


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_both_formats_are_written(name: str, begins: bytes, tmp_path: Path) -> None:
    write_plot(tmp_path / name, {"all": ALL}, "title")
    assert (tmp_path / name).read_bytes().startswith(begins)


@pytest.mark.parametrize("name", ["a.gif", "a", "missing/a.png"])
def test_a_plot_that_could_not_be_written_is_refused_beforehand(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as refused:
        check_plot(tmp_path / name)
    assert refused.value.hint


def test_colours_of_hits_and_misses_are_not_those_of_the_arms() -> None:
    svg = style.to_svg(spectrum_figure({"all": ALL, "hit": HITS, "miss": MISSES}, "t")).decode()
    assert style.COLOURS["before"] not in svg and style.COLOURS["after"] not in svg

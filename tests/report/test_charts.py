"""Charts: places on an axis, ticks, what is listed is what is drawn, and texts that stay texts."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from charted import svg_of
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import Bars, Chart, Label, Line, Panel, Points, message_chart
from luckyhit.report.charts.chart_csv import csv_of
from luckyhit.report.charts.svg import drawn
from tier import examples

FINITE = st.floats(-1e9, 1e9, allow_nan=False)
ANY = st.one_of(st.floats(), FINITE)
SCALES = ("linear", "log", "symlog")


@settings(max_examples=examples(60), deadline=None)
@given(values=st.lists(ANY, max_size=8), scale=st.sampled_from(SCALES))
def test_ticks_lie_inside_and_in_order(values, scale) -> None:
    axis = Axis.around(values, scale=scale)
    places = [axis.place(value) for value, _ in axis.marked()]
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places) and places == sorted(places) and len(places) <= 14
    assert all(text.strip() for _, text in axis.marked())


@settings(max_examples=examples(60), deadline=None)
@given(ends=st.tuples(FINITE, FINITE), pair=st.tuples(FINITE, FINITE), scale=st.sampled_from(SCALES))
def test_more_lies_further_on(ends, pair, scale) -> None:
    axis = Axis(min(ends), max(ends), scale=scale)
    assert axis.place(min(pair)) <= axis.place(max(pair)) + 1e-9


@settings(max_examples=examples(30), deadline=None)
@given(points=st.lists(st.tuples(FINITE, ANY), max_size=12))
def test_each_value_drawn_is_listed(points) -> None:
    x, y = [point[0] for point in points], [point[1] for point in points]
    chart = Chart([Panel(Axis.around(x), Axis.around(y), [Line(x, y, name="a"), Points(x, y, name="b")])])
    ElementTree.fromstring(svg_of(chart))
    rows = list(csv.DictReader(io.StringIO(csv_of(chart))))
    for name in ("a", "b"):
        listed = [row["value"] for row in rows if row["series"] == name]
        assert len(listed) == len(points)
        for text, value in zip(listed, y, strict=True):
            assert (text == "") if not np.isfinite(value) else float(text) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("text", ['</svg><script>alert(1)</script>"', "=1+1,\n2", "a" * 3000, "‮x\x00"])
def test_a_text_stays_a_text(text: str) -> None:
    cleaned = text.replace("\x00", "")[:200]
    panel = Panel(Axis(0, 1, text), Axis(0, 1, text), [Label(0, 0, text), Points([0.5], [0.5], name=text)], title=text)
    chart = Chart([panel])
    root = ElementTree.fromstring(drawn(chart, "f", clean=lambda _: cleaned, alone=True))
    assert not root.findall(".//{*}script")
    rows = list(csv.reader(io.StringIO(csv_of(chart, lambda _: cleaned))))
    assert len(rows) == 2 and rows[1][1] == cleaned


def test_bars_that_stand_on_nothing_are_shares_and_others_have_ends() -> None:
    bars = [
        Bars([0], [1], [0], [0.4], name="share", quiet=False),
        Bars([0], [1], [0.2], [0.4], name="band", quiet=False),
    ]
    first, second = csv.DictReader(io.StringIO(csv_of(Chart([Panel(Axis(0, 1), Axis(0, 1), bars)]))))
    assert (first["value"], first["low"]) == ("0.4", "") and (second["value"], second["low"]) == ("", "0.2")


def test_every_pattern_that_is_used_is_drawn() -> None:
    hatched = Chart([Panel(Axis(0, 1), Axis(0, 1), [Bars([0], [1], [0], [1], name="wash-out", look="hatch")])])
    root = ElementTree.fromstring(drawn(hatched, "f", clean=str, alone=True))
    used = [one.get("fill") for one in root.iter() if (one.get("fill") or "").startswith("url(")]
    patterns = {f"url(#{one.get('id')})" for one in root.findall(".//{*}pattern")}
    assert len(used) == 2 and set(used) == patterns, "in the panel, and in its key"


def test_a_message_is_drawn_whole() -> None:
    words = "There is nothing to show, since no answer tells its cache status in any of the blocks that were measured."
    drawn_words = " ".join(
        text.text or "" for text in ElementTree.fromstring(svg_of(message_chart(words))).findall(".//{*}text")
    )
    assert drawn_words == words

"""Every figure keeps to one contract; and the numbers drawn are those recorded."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from charted import marks_of, svg_of, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_run import ARM, judged

from luckyhit.errors import ArgumentError
from luckyhit.report import figures
from luckyhit.report.charts.chart import Bars, Line, Points
from luckyhit.report.charts.chart_csv import csv_of
from luckyhit.report.figures import db_calls, freshness_curve, hit_ratio, latency_spectrum, latency_split
from luckyhit.report.figures.facts.verdict_words import INVALID
from luckyhit.report.figures.figure_rows import FIGURES, figure_for, picture_of
from luckyhit.report.recorded import Recorded, recorded
from noted import noted
from tier import ALL, examples

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CLAIMS = re.compile(r"HELPED|HURT|EQUIVALENT|better|worse|improve|faster|slower", re.IGNORECASE)
every_figure = pytest.mark.parametrize("name", FIGURES)


@pytest.fixture(scope="module")
def with_history(judged_run) -> Recorded:
    """The judged run, after one that showed the same."""
    made, result = recorded(*judged_run), judged_run[1]
    made.__dict__["earlier"] = [result.model_copy(update={"run": "20261122-021530-0000"})]
    return made


def sentence(name: str, run, result=None) -> str:
    return figure_for(name, run, result, draw=False)[1]


# The registry


def test_each_module_that_draws_has_one_row() -> None:
    modules = [import_module(f"{figures.__name__}.{info.name}") for info in iter_modules(figures.__path__)]
    drawing = [module.__name__ for module in modules if hasattr(module, "draw")]
    assert sorted(row.module.__name__ for row in FIGURES.values()) == sorted(drawing)  # type: ignore[attr-defined]


def test_notebooks_ask_for_figures_that_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS.glob("*.ipynb"))
    asked = set(re.findall(r"""\.figure\(['"\\]+([a-z-]+)""", text))
    assert asked and asked <= set(FIGURES)


def test_an_unknown_figure_names_those_there_are(recorded_run) -> None:
    with pytest.raises(ArgumentError, match="'hits'") as caught:
        figure_for("hits", recorded_run)
    assert "hit-ratio" in caught.value.hint


# The contract


@every_figure
def test_it_is_one_small_picture_with_its_numbers(name: str, with_history) -> None:
    picture, _ = picture_of(name, with_history)
    assert picture is not None and len(svg_of(picture)) < 60_000
    root = ElementTree.fromstring(svg_of(picture))
    assert root.attrib["viewBox"].startswith("0 0 440 ") and len(csv_of(picture)) < 50_000


@every_figure
def test_without_records_it_says_so(name: str) -> None:
    row, nothing = FIGURES[name], Recorded()
    assert row.id == name and row.title and row.module.is_empty(row.module.data(nothing))
    figure, words = figure_for(name, nothing)
    assert len(words) > 20 and re.sub(r"\s+", " ", words) in " ".join(texts(figure))
    assert picture_of(name, nothing) == (None, words)


@every_figure
def test_its_sentence_claims_no_more_than_the_result(name: str, judged_run) -> None:
    run, result = judged_run
    assert not CLAIMS.search(sentence(name, run))
    invalid = sentence(name, run, result.model_copy(update={"verdict": "INVALID", "reason": "The guard failed."}))
    assert not CLAIMS.search(invalid) and (INVALID in invalid or name in ("timeline", "history"))


@pytest.mark.parametrize(
    "name", ["over-time", "cold-phase", "hit-ratio", "latency-spectrum", "latency-split", "freshness"]
)
def test_both_arms_have_the_same_colours_everywhere(name: str, recorded_run) -> None:
    figure, _ = figure_for(name, recorded_run)
    lines = {mark.name: mark.tone for kind in (Line, Points, Bars) for mark in marks_of(figure, kind) if mark.name}
    assert lines["before"] == "before" and lines["after"] == "after" and {"before", "after"} <= set(texts(figure))


def test_the_same_data_give_the_same_bytes(recorded_run) -> None:
    first, second = (svg_of(figure_for("hit-ratio", replace(recorded_run))[0]) for _ in range(2))
    assert first == second and "<script" not in first and "href" not in first


# Their numbers


def test_the_numbers_drawn_are_those_recorded(judged_run, recorded_run) -> None:
    run, _ = judged_run
    rows = run.requests()
    after = rows[(rows["arm"] == "after") & rows["block"].isin(run.blocks("change")) & (rows["phase"] == "measure")]
    latency = np.sort((after["done_ns"] - after["due_ns"]).to_numpy(dtype=float) / 1e6)
    spectrum = latency_spectrum.data(recorded_run)["after"]
    assert spectrum.requests == len(after)
    assert spectrum.named[0.95] == pytest.approx(np.quantile(latency, 0.95, method="inverted_cdf"))
    splits = latency_split.data(recorded_run)
    assert splits.parts["hits", "after"].share == pytest.approx((after["cache"] == "hit").mean())
    assert sum(splits.parts[status, "after"].density.sum() for status in splits.statuses) == pytest.approx(1.0)
    calls = db_calls.data(recorded_run)["after"]
    assert calls.mean == pytest.approx(after["db_calls"].mean()) and calls.shares.sum() == pytest.approx(1.0)
    series = hit_ratio.data(recorded_run)
    assert series.bins["requests"].sum() == len(rows)
    assert series.measured["change", "after"] == pytest.approx((after["cache"] == "hit").mean())
    assert freshness_curve.data(recorded_run).late["after"].stale == 0


def test_bins_and_bytes_do_not_grow_with_the_rows(new_run) -> None:
    small, large = (recorded(new_run(rate=rate, probes=0, blocks=2)) for rate in (60.0, 3000.0))
    assert len(large.requests) > 40 * len(small.requests)
    assert len(hit_ratio.data(large).bins) <= 600
    sizes = [len(svg_of(figure_for("latency-split", run)[0])) for run in (small, large)]
    assert sizes[1] < 2 * sizes[0]


def test_sentences_have_the_numbers(judged_run) -> None:
    words = {name: sentence(name, *judged_run) for name in FIGURES}
    for name, pattern in {
        "hit-ratio": r"9\d % .* baseline, 9\d % without .*, 7\d % with .* before arm",
        "latency-spectrum": r"before: p50 1\.\d+ ms, p95 .* ms, p99 .*; after: p50",
        "latency-split": r"Hits: before 9\d % .* 1\.\d+ ms",
        "freshness": r"with the change 0 of \d+ .*\. .*HELPED",
        "forest": r"better: stale reads",
        "timeline": r"4 blocks with the change",
    }.items():
        assert re.search(pattern, words[name]), name


def test_a_baseline_alone_is_called_the_baseline(baseline_once) -> None:
    figure, words = figure_for("latency-spectrum", recorded(baseline_once))
    assert "baseline" in texts(figure)
    assert "in the baseline: p50" in words and "after" not in words


@pytest.mark.parametrize("name", ["hit-ratio", "latency-split", "db-calls", "freshness"])
def test_what_is_not_visible_is_never_drawn_as_zero(name: str, new_run) -> None:
    blind = {arm: {**knobs, "status": False, "calls_visible": False} for arm, knobs in ARM.items()}
    picture, words = picture_of(name, recorded(new_run(arms=blind, probes=0, blocks=1)))
    assert picture is None and not re.search(r"\d", words)


def test_an_undecided_metric_is_not_called_helped(judged_run) -> None:
    run, result = judged_run
    metric = result.metrics["stale_reads"].model_copy(update={"verdict": "INCONCLUSIVE", "low": None, "high": None})
    metrics = {**result.metrics, "stale_reads": metric}
    undecided = result.model_copy(update={"verdict": "INCONCLUSIVE", "metrics": metrics})
    assert "Stale reads: INCONCLUSIVE" in sentence("freshness", run, undecided)
    assert "HELPED" not in sentence("freshness", run, undecided)
    figure, words = figure_for("forest", run, undecided)
    assert "not decided: stale reads" in words and any("no bounds" in text for text in texts(figure))
    assert {mark.shape for mark in marks_of(figure, Points)} >= {"left", "right"}, "arrows for the missing bounds"


def test_requests_that_never_completed_are_counted(new_run) -> None:
    run = new_run(arms={arm: {**knobs, "errors": 0.05} for arm, knobs in ARM.items()}, blocks=2, probes=0)
    spectra = latency_spectrum.data(recorded(run))
    assert all(spectra[arm].failed > 0 for arm in ("before", "after"))
    assert f"{spectra['before'].failed:,} before" in sentence("latency-spectrum", run, judged(run))


# Whatever was recorded


CELLS = {
    "arm": st.sampled_from(["before", "after", "other"]),
    "block": st.integers(0, 3),
    "phase": st.sampled_from(["warmup", "measure"]),
    "due_ns": st.integers(-(10**9), 10**12),
    "done_ns": st.one_of(st.none(), st.integers(-(10**9), 10**13)),
    "error": st.sampled_from([None, "timeout", "dropped", "strange"]),
    "cache": st.sampled_from(["hit", "miss", "stale", "bypass", "unknown", "odd"]),
    "db_calls": st.one_of(st.none(), st.integers(-1, 3000)),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), max_size=12)


def strange(rows) -> Recorded:
    entries = [
        {"block": 0, "stage": "baseline", "arms": ["before"]},
        {"block": 1, "stage": "change", "arms": ["before", "after"], "start_ns": 5, "measure_ns": 1, "end_ns": 0},
        {"block": 2, "stage": "change", "arms": None, "clear": {"before": {"cleared": None}}},
    ]
    empty = Recorded()
    return replace(empty, requests=pd.DataFrame(rows) if rows else empty.requests, blocks=noted(entries))


@settings(max_examples=examples(60), deadline=None)
@given(rows=ROWS)
def test_whatever_was_recorded_each_figure_has_a_sentence(rows) -> None:
    for name in FIGURES:
        words = sentence(name, strange(rows))
        assert words.strip() and "nan" not in words.lower()


@settings(max_examples=6 if ALL else 2, deadline=None)
@given(rows=ROWS)
def test_whatever_was_recorded_each_figure_can_be_drawn(rows) -> None:
    for name in FIGURES:
        svg_of(figure_for(name, strange(rows))[0])

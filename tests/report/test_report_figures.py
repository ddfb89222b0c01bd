"""The figures and the sentences under them, from runs whose numbers are known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_run import ARM, judged

from luckyhit.errors import ArgumentError
from luckyhit.records import REQUESTS
from luckyhit.report import style
from luckyhit.report.figures import db_calls, freshness_curve, hit_ratio, latency_spectrum, latency_split
from luckyhit.report.figures.figure_rows import FIGURES, drawn, figure_for
from luckyhit.report.recorded import Recorded, recorded
from noted import noted
from tier import ALL, examples


def texts(figure) -> str:
    import matplotlib.text

    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_drawn_for_a_wide_and_a_narrow_page_without_pyplot(name: str, judged_run) -> None:
    import sys

    picture = drawn(name, recorded(*judged_run))
    assert picture.wide is not None and picture.narrow is not None
    for uri in (picture.wide, picture.narrow):
        assert uri.startswith("data:image/svg+xml;base64,")
        assert len(uri) < 150_000
    assert "matplotlib.pyplot" not in sys.modules


def test_the_same_data_give_the_same_bytes_and_text_is_drawn_as_paths(judged_run) -> None:
    found = recorded(*judged_run)
    first, second = (style.to_svg(figure_for("hit-ratio", found)[0]) for _ in range(2))
    assert first == second
    assert b"<text" not in first and b"<script" not in first and b'href="http' not in first


@pytest.mark.parametrize("name", ["hit-ratio", "latency-spectrum", "latency-split", "freshness"])
def test_both_arms_have_the_same_colours_everywhere(name: str, judged_run) -> None:
    figure, _ = figure_for(name, *judged_run)
    svg = style.to_svg(figure).decode()
    assert style.COLOURS["before"] in svg and style.COLOURS["after"] in svg
    assert {"before", "after"} <= set(texts(figure).split())


def test_an_unknown_figure_names_those_there_are(judged_run) -> None:
    with pytest.raises(ArgumentError, match="no figure 'hits'") as caught:
        figure_for("hits", *judged_run)
    assert "hit-ratio" in caught.value.hint


def test_the_numbers_drawn_are_those_recorded(judged_run) -> None:
    run, result = judged_run
    found = recorded(run, result)
    rows = run.requests()
    blocks = run.blocks("change")
    mine = rows[(rows["arm"] == "after") & rows["block"].isin(blocks) & (rows["phase"] == "measure")]
    latency = np.sort((mine["done_ns"] - mine["due_ns"]).to_numpy(dtype=float) / 1e6)

    spectrum = latency_spectrum.data(found)["after"]
    assert spectrum.requests == len(mine)
    assert spectrum.named[0.95] == pytest.approx(np.quantile(latency, 0.95, method="inverted_cdf"))
    splits = latency_split.data(found)
    assert splits.parts["hits", "after"].requests == int((mine["cache"] == "hit").sum())
    assert sum(splits.parts[status, "after"].density.sum() for status in splits.statuses) == pytest.approx(1.0)
    calls = db_calls.data(found)["after"]
    assert calls.mean == pytest.approx(mine["db_calls"].mean())
    assert calls.shares.sum() == pytest.approx(1.0)
    series = hit_ratio.data(found)
    assert series.bins["requests"].sum() == len(rows)
    assert series.measured["change", "after"] == pytest.approx((mine["cache"] == "hit").mean())
    assert freshness_curve.data(found).late["after"].stale == 0


def test_bins_and_bytes_do_not_grow_with_the_rows(new_run) -> None:
    small, large = (recorded(new_run(rate=rate, probes=0)) for rate in (60.0, 3000.0))
    assert len(large.requests) > 40 * len(small.requests)
    assert len(hit_ratio.data(large).bins) <= 600
    sizes = [len(drawn("latency-split", found).wide or "") for found in (small, large)]
    assert sizes[1] < 2 * sizes[0]


def test_a_baseline_alone_is_shown_as_the_baseline(new_run) -> None:
    found = recorded(new_run(stages=("baseline",)))
    figure, sentence = figure_for("latency-spectrum", found)
    assert "baseline" in texts(figure)
    assert "in the baseline: p50" in sentence and "after" not in sentence.replace("after the", "")


@pytest.mark.parametrize("name", FIGURES)
def test_no_records_at_all_give_a_figure_that_says_so(name: str) -> None:
    figure, sentence = figure_for(name, Recorded())
    assert len(sentence) > 20
    assert re.sub(r"\s+", " ", sentence) in re.sub(r"\s+", " ", texts(figure))
    assert drawn(name, Recorded()).wide is None


def test_what_is_not_visible_is_said_and_never_drawn_as_zero(new_run) -> None:
    blind = {arm: {**knobs, "status": False, "calls_visible": False} for arm, knobs in ARM.items()}
    found = recorded(new_run(arms=blind, probes=0))
    for name, said in (
        ("hit-ratio", "not visible in any answer"),
        ("latency-split", "not visible in any answer"),
        ("db-calls", "not visible"),
        ("freshness", "not visible"),
    ):
        picture = drawn(name, found)
        assert picture.wide is None and said in picture.sentence


def test_sentences_tell_the_finding_with_its_numbers(judged_run) -> None:
    said = {name: figure_for(name, *judged_run, draw=False)[1] for name in FIGURES}
    assert re.search(r"hit ratio was 9\d % in the baseline, 9\d % without the change, 7\d % with it", said["hit-ratio"])
    assert "a look at the first seconds alone would take the warming cache for an effect" in said["hit-ratio"]
    assert re.search(r"before: p50 1\.\d+ ms, p95 .* ms, p99 .*; after: p50", said["latency-spectrum"])
    assert re.search(r"Hits: before 9\d % of requests at a median of 1\.\d+ ms", said["latency-split"])
    assert (
        re.search(r"with the change 0 of \d+ reads were stale\.", said["freshness"]) and "HELPED" in said["freshness"]
    )
    assert said["forest"].startswith("Against the margins that the case sets, better: stale reads")
    assert "4 blocks with the change in place" in said["timeline"]


CLAIMS = re.compile(r"HELPED|HURT|EQUIVALENT|better|worse|improve|faster|slower", re.IGNORECASE)


@pytest.mark.parametrize("name", FIGURES)
def test_no_sentence_claims_more_than_an_invalid_verdict(name: str, judged_run) -> None:
    run, result = judged_run
    invalid = result.model_copy(update={"verdict": "INVALID", "reason": "The guard failed."})
    sentence = figure_for(name, run, invalid, draw=False)[1]
    assert not CLAIMS.search(sentence)
    if name != "timeline":
        assert "A guard failed" in sentence


@pytest.mark.parametrize("name", FIGURES)
def test_no_sentence_claims_a_difference_without_a_result(name: str, judged_run) -> None:
    assert not CLAIMS.search(figure_for(name, judged_run[0], None, draw=False)[1])


def test_an_inconclusive_metric_is_said_to_be_undecided(judged_run) -> None:
    run, result = judged_run
    metric = result.metrics["stale_reads"].model_copy(update={"verdict": "INCONCLUSIVE"})
    doubtful = result.model_copy(
        update={"verdict": "INCONCLUSIVE", "metrics": {**result.metrics, "stale_reads": metric}}
    )
    sentence = figure_for("freshness", run, doubtful, draw=False)[1]
    assert "these data can't tell the difference" in sentence and "HELPED" not in sentence
    assert "not decided: stale reads" in figure_for("forest", run, doubtful, draw=False)[1]


def test_unbounded_intervals_are_drawn_as_arrows_not_as_numbers(judged_run) -> None:
    run, result = judged_run
    metric = result.metrics["hit_ratio"].model_copy(update={"low": None, "high": None, "verdict": "INCONCLUSIVE"})
    result = result.model_copy(update={"metrics": {**result.metrics, "hit_ratio": metric}})
    figure, _ = figure_for("forest", run, result)
    assert "no bounds" in texts(figure)
    style.to_svg(figure)


def test_timeouts_are_told_beside_the_latencies(new_run) -> None:
    arms = {arm: {**knobs, "errors": 0.05} for arm, knobs in ARM.items()}
    run = new_run(arms=arms)
    sentence = figure_for("latency-spectrum", run, judged(run), draw=False)[1]
    assert re.search(r"Requests that never completed are left out \(\d+ before and \d+ after\)", sentence)


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
    import pandas as pd

    empty = Recorded()
    entries = [
        {"block": 0, "stage": "baseline", "arms": ["before"]},
        {"block": 1, "stage": "change", "arms": ["before", "after"], "start_ns": 5, "measure_ns": 1, "end_ns": 0},
        {"block": 2, "stage": "change", "arms": None, "clear": {"before": {"cleared": None}}},
    ]
    frame = pd.DataFrame(rows, columns=list(CELLS)) if rows else empty.requests
    return replace(empty, requests=frame, blocks=noted(entries))


@settings(max_examples=examples(60), deadline=None)
@given(rows=ROWS)
def test_whatever_was_recorded_every_figure_has_a_sentence(rows) -> None:
    for name in FIGURES:
        sentence = figure_for(name, strange(rows), draw=False)[1]
        assert sentence.strip() and "nan" not in sentence.lower()


@settings(max_examples=6 if ALL else 2, deadline=None)
@given(rows=ROWS)
def test_whatever_was_recorded_every_figure_can_be_drawn(rows) -> None:
    for name in FIGURES:
        style.to_svg(figure_for(name, strange(rows))[0])


def test_the_columns_that_are_read_are_columns_of_the_format() -> None:
    from luckyhit.report import recorded as module

    assert set(module._COLUMNS) <= set(REQUESTS.names)

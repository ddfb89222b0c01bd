"""What readers of a report see of freshness: the three figures with their sentences, from records known by hand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probed_run import OLD, an_event, probed, writes_of
from synthetic_run import a_read, a_write

from luckyhit.records import Metric, Result
from luckyhit.report import style
from luckyhit.report.figures import freshness_strip, staleness_windows
from luckyhit.report.figures.figure_rows import drawn, figure_for
from luckyhit.report.figures.late_reads import bounds_of
from luckyhit.text.numbers import percent
from luckyhit.text.wording import note
from tier import examples

S = 10**9


def most_possible(reads: int) -> float:
    """Of no stale one among so many, at the level of the metric in the case of `probed`."""
    found = both_arms(1, 1)
    return bounds_of(found)(0, reads)[1]


def said(name: str, found, result: Result | None = None) -> str:
    return figure_for(name, found.with_result(result), draw=False)[1]


def names_in(figure) -> set[str]:
    """The legend's texts."""
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def once(arm: str, delays_s, *, stale: int = 0, first: int = 1):
    """(writes, reads): one read for each delay, the first ones stale."""
    writes = writes_of(arm, len(delays_s), first=first)
    reads = [
        a_read(write, delay, OLD if number < stale else write["version"])
        for number, (write, delay) in enumerate(zip(writes, delays_s, strict=True))
    ]
    return writes, reads


def both_arms(before: int, after: int, delays_s=(0.01, 0.05, 0.1, 0.5), **other):
    writes, reads = once("before", delays_s, stale=before)
    more_writes, more_reads = once("after", delays_s, stale=after)
    return probed(writes + more_writes, reads + more_reads, **other)


# The curve


def test_the_declared_bound_is_a_line_and_what_it_accepts_is_shaded() -> None:
    figure, _ = figure_for("freshness", both_arms(2, 0, within_s=0.02))
    assert "declared bound" in names_in(figure)


def test_a_bound_of_zero_has_no_line_and_the_sentence_says_that_every_read_counts() -> None:
    figure, sentence = figure_for("freshness", both_arms(2, 0, within_s=0.0))
    assert "declared bound" not in names_in(figure)
    assert "No staleness is declared acceptable" in sentence
    assert "without the change 2 of 4 reads were stale" in sentence


def test_a_bound_far_from_every_read_does_not_squeeze_the_curve() -> None:
    figure, sentence = figure_for("freshness", both_arms(2, 0, within_s=1e-6))
    low, high = figure.axes[0].get_xlim()
    assert low > 5 and high < 1000 and "Later than the declared 0.001 ms" in sentence


def test_equal_points_of_both_arms_do_not_hide_each_other() -> None:
    figure, _ = figure_for("freshness", both_arms(0, 0))
    lines = {line.get_marker(): line.get_xdata() for line in figure.axes[0].get_lines()}
    before, after = (lines[style.MARKERS[arm]] for arm in ("before", "after"))
    assert len(before) == len(after) and all(before < after)


def test_where_one_arm_has_no_reads_nothing_is_compared() -> None:
    found = probed(*once("after", (0.01, 0.1, 0.4)))
    figure, sentence = figure_for("freshness", found)
    assert names_in(figure) >= {"after"} and "before" not in names_in(figure)
    assert "No read tells anything without the change, so nothing can be compared" in sentence
    style.to_svg(figure)


def test_no_stale_read_is_told_with_what_it_leaves_possible() -> None:
    sentence = said("freshness", both_arms(4, 0))
    assert "without the change 4 of 4 reads were stale and" in sentence
    assert f"0 of 4 reads were stale (which leaves up to {percent(most_possible(4))} possible)" in sentence


def test_the_verdicts_own_bound_is_not_said_twice() -> None:
    noted = note("no-stale-read", reads=4, at_most=0.6)
    metric = Metric(
        unit="share", before=1.0, after=0.0, effect=-1.0, low=-1.0, high=-0.2, margin=0.05, want="better",
        verdict="HELPED", notes=[noted],
    )  # fmt: skip
    result = Result(
        case="c",
        run="r",
        date="d",
        design="side-by-side",
        verdict="HELPED",
        reason="",
        metrics={"stale_reads": metric},
    )
    sentence = said("freshness", both_arms(4, 0), result)
    assert sentence.count("possible") == 0 and sentence.endswith(noted.text)


def test_a_baseline_alone_is_called_the_baseline() -> None:
    found = probed(*once("before", (0.01, 0.1, 0.4), stale=1), stage="baseline")
    figure, sentence = figure_for("freshness", found)
    assert "baseline" in names_in(figure) and "in the baseline 1 of 3 reads was stale" in sentence


def test_reads_that_showed_nothing_are_told_and_not_counted() -> None:
    writes, reads = once("before", (0.01, 0.05, 0.1))
    reads[0] |= {"seen_version": None, "status": 500}
    sentence = said("freshness", probed(writes, reads))
    assert "0 of 2 reads were stale" in sentence and "1 more showed nothing to tell by" in sentence


# The windows


def burst(arm: str, number: int, window_s: float, polls_s=(0.01, 0.1, 0.2, 0.4, 0.8, 1.0, 1.2)):
    """(write, its polls): stale for so long after the acknowledgement."""
    write = a_write(arm, 0, str(2000 + number), 2_000_000 + number, number * 2 * S, mode="burst")
    return write, [a_read(write, delay, OLD if delay < window_s else write["version"]) for delay in polls_s]


def polled(*windows_s: float, arm: str = "before", **other):
    bursts = [burst(arm, number, window_s) for number, window_s in enumerate(windows_s, 1)]
    return probed([write for write, _ in bursts], [read for _, reads in bursts for read in reads], **other)


def test_windows_are_told_as_intervals_with_the_stuck_ones_apart() -> None:
    sentence = said("staleness-windows", polled(0.0, 0.15, 0.15, 9.0))
    assert "Without the change, the old value was seen behind 3 of 4 polled writes" in sentence
    # Stale at 100 ms, fresh in an answer that was there at 201.5 ms, counted from the acknowledgement.
    assert "it lasted 100 to 202 ms (p50), longer than was polled (p95 and p99)" in sentence
    assert "1 was still stale when the polling ended (stuck), seen stale for up to 1,200 ms" in sentence


def test_the_band_holds_every_window_and_ends_at_the_share_that_is_stuck() -> None:
    lasting = staleness_windows.data(polled(0.0, 0.15, 0.15, 9.0)).arms["before"]
    at = dict(zip(lasting.times_ms.tolist(), zip(lasting.low, lasting.high, strict=True), strict=True))
    just_before = max(time for time in at if time < 100)
    assert at[just_before] == pytest.approx((0.75, 0.75))
    assert at[100.0] == pytest.approx((0.25, 0.75))
    assert (lasting.low[-1], lasting.high[-1]) == pytest.approx((0.25, 0.25))
    assert (lasting.stuck, lasting.clean, lasting.writes) == (1, 1, 4)


def test_stuck_writes_are_marked_at_the_right_edge_with_their_count() -> None:
    figure, _ = figure_for("staleness-windows", polled(0.15, 9.0, 9.0))
    assert any("2 stuck" in text.get_text() for text in figure.axes[0].texts)
    clean, _ = figure_for("staleness-windows", polled(0.15, 0.15))
    assert not clean.axes[0].texts


def test_many_windows_make_no_larger_figure() -> None:
    many = polled(*(0.001 * number for number in range(1, 400)))
    assert len(drawn("staleness-windows", many).wide or "") < 60_000


def test_without_polls_there_are_no_windows_to_show() -> None:
    picture = drawn("staleness-windows", both_arms(1, 0))
    assert picture.wide is None and "no write was polled" in picture.sentence


# One failure


def test_the_failure_is_of_the_arm_in_which_the_larger_share_failed() -> None:
    chosen = freshness_strip.data(both_arms(1, 3)).chosen
    assert chosen is not None and chosen.label == "after"
    assert "One of the 3 probes of 4 that failed with the change" in said("freshness-strip", both_arms(1, 3))


def test_one_that_saw_both_values_teaches_more_than_one_that_was_stale_for_longer() -> None:
    chosen = freshness_strip.data(polled(9.0, 0.15, 9.0)).chosen
    assert chosen is not None and chosen.key == "2002"
    assert [read.saw for read in chosen.reads] == ["old value"] * 2 + ["new value"] * 5


def test_a_race_or_a_disagreement_teaches_more_than_a_poll_alone() -> None:
    (plain, polls), (race, raced) = burst("before", 1, 0.5), burst("before", 2, 0.15)
    race |= {"prestate": "in-flight"}
    chosen = freshness_strip.data(probed([plain, race], polls + raced)).chosen
    assert chosen is not None and chosen.key == race["key"]
    assert "a read was under way when it was written" in chosen.reasons

    other, split = burst("before", 3, 0.15)
    for number, read in enumerate(split):
        stale = number % 2 == 0 and number < 4
        read |= {"worker": f"w{number % 2}", "seen_version": OLD if stale else other["version"]}
    chosen = freshness_strip.data(probed([plain, other], polls + split)).chosen
    assert chosen is not None and chosen.key == other["key"]
    assert {"readers told different things", "reads went back from the new value to the old one"} <= {*chosen.reasons}
    assert chosen.lanes == ["detail · worker 1", "detail · worker 2"]


def test_where_no_probe_saw_both_it_is_the_longest_stale_one() -> None:
    writes, reads = once("before", (0.1, 0.4, 0.2), stale=3)
    found = probed(writes, reads)
    chosen = freshness_strip.data(found).chosen
    assert chosen is not None and chosen.key == writes[1]["key"] and chosen.reasons == []
    assert "the most stale reads, of these the longest stale" in said("freshness-strip", found)


def test_the_same_records_in_another_order_give_the_same_probe() -> None:
    writes, reads = once("before", (0.2, 0.2, 0.2), stale=3)
    first, second = (
        freshness_strip.data(probed(w, r)).chosen for w, r in ((writes, reads), (writes[::-1], reads[::-1]))
    )
    assert first == second and first is not None


def test_acceptable_staleness_is_no_failure_and_none_seen_is_told_with_what_it_leaves_possible() -> None:
    writes, reads = once("before", (0.01, 0.2, 0.3), stale=1)
    picture = drawn("freshness-strip", probed(writes, reads, within_s=0.05))
    assert picture.wide is None
    assert "No probe failed, so there is none to show. Later than the declared 50 ms" in picture.sentence
    assert f"0 of 2 reads were stale (which leaves up to {percent(most_possible(2))} possible)" in picture.sentence
    assert drawn("freshness-strip", probed(writes, reads, within_s=0.005)).wide is not None


def test_without_a_read_that_tells_no_failure_is_not_called_health() -> None:
    sentence = said("freshness-strip", probed(writes_of("before", 2), []))
    assert "not visible" in sentence and "possible" not in sentence


def test_a_value_that_was_refused_and_seen_is_a_failure() -> None:
    write = a_write("before", 0, "1001", 1_000_001, S)
    refused = a_write("before", 0, "1001", 1_000_002, 3 * S, prestate="refused", acked_ns=None, status=422)
    reads = [a_read(write, 0.1, write["version"]), a_read(refused, 0.2, refused["version"])]
    found = probed([write, refused], reads)
    chosen = freshness_strip.data(found).chosen
    assert chosen is not None and [read.saw for read in chosen.reads] == ["never committed"]
    assert "with a write that has to be rejected" in said("freshness-strip", found)


def test_each_read_stands_in_the_lane_of_its_route_and_connection() -> None:
    write, reads = burst("before", 1, 0.3)
    reads[1] |= {"route": "list"}
    reads[2] |= {"fresh_connection": True, "connection": 77}
    reads[3] |= {"connection": 9}
    reads[4] |= {"seen_version": None, "absent": True, "status": 404}
    chosen = freshness_strip.data(probed([write], reads)).chosen
    assert chosen is not None
    lanes = ["detail · connection 1", "list · connection 1", "detail · new connections", "detail · connection 2"]
    assert chosen.lanes == lanes
    assert [read.lane for read in chosen.reads[:4]] == [0, 1, 2, 3]
    assert chosen.reads[4].saw == "nothing there"
    assert chosen.reads[0].sent_ms == pytest.approx(10.0) and chosen.reads[0].done_ms == pytest.approx(11.5)


def test_the_caches_events_stand_beside_the_reads() -> None:
    write, reads = burst("before", 1, 0.3)
    events = [
        an_event(write, 1.0, "del"), an_event(write, 9.0, "set", 391), an_event(write, 9.1, "expire"),
        an_event(write, 10.0, "(lost)"), an_event(write, 400.0, "expired"), an_event(write, 90_000.0, "del"),
    ]  # fmt: skip
    figure, sentence = figure_for("freshness-strip", probed([write], reads, events=events))
    assert {"entry deleted", "entry set", "entry expired", "read: old value", "read: new value"} <= names_in(figure)
    assert "1 ms before the acknowledgement" in sentence and "7 ms after" in sentence
    without, sentence = figure_for("freshness-strip", probed([write], reads))
    assert not any("entry" in name for name in names_in(without)) and "The cache" not in sentence


def test_a_long_poll_is_drawn_in_part_and_says_so() -> None:
    write, reads = burst("before", 1, 3.0, polls_s=[0.01 * number for number in range(1, 400)])
    picture = drawn("freshness-strip", probed([write], reads))
    assert "of 399 reads after the acknowledgement, 299 showed the old value and 100" in picture.sentence
    assert "199 of the reads are not drawn" in picture.sentence and len(picture.wide or "") < 150_000


def test_no_more_lanes_are_drawn_than_can_be_read_and_the_stale_ones_are() -> None:
    write, reads = burst("before", 1, 0.0, polls_s=[0.1 * number for number in range(1, 15)])
    for number, read in enumerate(reads):
        read |= {"connection": number}
    reads[-1] |= {"seen_version": OLD}
    chosen = freshness_strip.data(probed([write], reads)).chosen
    assert chosen is not None and len(chosen.lanes) == 8 and any(read.stale for read in chosen.drawn)
    assert len(chosen.reads) - len(chosen.drawn) == 6


HOSTILE = ["$\\frac{1}{", "<script>alert(1)</script>", "\x1b[31m\x00", "🔥" * 5, "x" * 5000, "‮gnp"]


@pytest.mark.parametrize("text", HOSTILE, ids=["mathtext", "script", "ansi", "emoji", "long", "bidi"])
@pytest.mark.filterwarnings("error")
def test_names_from_the_records_are_only_text_in_figures_and_cut_in_sentences(text: str) -> None:
    write, reads = burst("before", 1, 0.3)
    write |= {"key": text}
    for number, read in enumerate(reads):
        read |= {"key": text, "route": text, "worker": f"{text}{number % 2}"}
    found = probed([write], reads, events=[an_event(write, 1.0, text)])
    for name in ("freshness", "staleness-windows", "freshness-strip"):
        figure, sentence = figure_for(name, found)
        assert len(sentence) < 1500 and not re.search("[\x00-\x08\x1b\u202a-\u202e]", sentence)
        assert b"<script" not in style.to_svg(figure)


CELLS = st.fixed_dictionaries(
    {
        "arm": st.sampled_from(["before", "after"]),
        "key": st.sampled_from(["1", "2"]),
        "mode": st.sampled_from(["once", "burst"]),
        "prestate": st.sampled_from(["warm", "cold", "in-flight", "absent", "refused"]),
        "sent_ns": st.integers(0, 20).map(lambda n: n * 100_000_000),
        "acked": st.booleans(),
        "reads": st.lists(
            st.tuples(st.floats(-0.01, 1.0), st.sampled_from([None, OLD, 0, 1, 99]), st.booleans()), max_size=4
        ),
    }
)


@settings(max_examples=examples(15), deadline=None)
@given(probes=st.lists(CELLS, max_size=5), within_s=st.sampled_from([0.0, 0.1]))
def test_whatever_a_probe_recorded_each_figure_has_a_sentence_with_numbers_in_it(probes, within_s) -> None:
    writes, reads = [], []
    for number, probe in enumerate(probes):
        cells = {name: probe[name] for name in ("mode", "prestate")}
        write = a_write(probe["arm"], 0, probe["key"], 1000 + number, probe["sent_ns"], **cells)
        writes.append(write if probe["acked"] else {**write, "acked_ns": None, "status": 422})
        for delay_s, seen, absent in probe["reads"]:
            version = seen if seen in (None, OLD) else write["version"] + seen
            reads.append(a_read(write, delay_s, version, absent=absent))
    found = probed(writes, reads, within_s=within_s)
    for name in ("freshness", "staleness-windows", "freshness-strip"):
        sentence = said(name, found)
        assert sentence.endswith(".") and "nan" not in sentence.lower() and "None" not in sentence
    strip = freshness_strip.data(found)
    assert (strip.chosen is not None) == any(failed for failed, _ in strip.failed.values())

"""The three figures of freshness with their sentences, from records known by hand."""

from __future__ import annotations

import re

import pytest
from charted import marks_of, svg_of, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from probed_run import OLD, an_event, probed, writes_of
from synthetic_run import a_read, a_write

from luckyhit.records import Metric, Result
from luckyhit.report.charts.chart import Label, Points
from luckyhit.report.figures import freshness_strip, staleness_windows
from luckyhit.report.figures.facts.failed_probe import REASONS, Chosen
from luckyhit.report.figures.figure_rows import figure_for, picture_of
from luckyhit.report.figures.late_reads import bounds_of, late
from luckyhit.text.numbers import percent
from luckyhit.text.wording import note
from tier import examples

S = 10**9
POLLS_S = (0.01, 0.1, 0.2, 0.4, 0.8, 1.0, 1.2)


def sentence(name: str, run, result: Result | None = None) -> str:
    return figure_for(name, run.with_result(result), draw=False)[1]


def legend(figure) -> set[str]:
    return set(figure.names)


def once(arm: str, delays_s, *, stale: int = 0, first: int = 1):
    """(writes, reads): one read for each delay, the first ones stale."""
    writes = writes_of(arm, len(delays_s), first=first)
    seen = [OLD if number < stale else write["version"] for number, write in enumerate(writes)]
    return writes, [a_read(*one) for one in zip(writes, delays_s, seen, strict=True)]


def both_arms(before: int, after: int, delays_s=(0.01, 0.05, 0.1, 0.5), **other):
    (writes, reads), (more_writes, more_reads) = (
        once(arm, delays_s, stale=stale) for arm, stale in (("before", before), ("after", after))
    )
    return probed(writes + more_writes, reads + more_reads, **other)


def burst(number: int, window_s: float, polls_s=POLLS_S):
    """(write, its polls): stale for so long after the acknowledgement."""
    write = a_write("before", 0, str(2000 + number), 2_000_000 + number, number * 2 * S, mode="burst")
    return write, [a_read(write, delay, OLD if delay < window_s else write["version"]) for delay in polls_s]


def polled(*windows_s: float):
    bursts = [burst(number, window_s) for number, window_s in enumerate(windows_s, 1)]
    return probed([write for write, _ in bursts], [read for _, reads in bursts for read in reads])


def chosen(run) -> Chosen:
    failure = freshness_strip.data(run).chosen
    assert failure is not None
    return failure


# The curve


@pytest.mark.parametrize(("within_s", "drawn"), [(0.02, True), (0.0, False), (1e-6, False)])
def test_the_declared_bound_is_a_line_unless_it_is_0_or_far_away(within_s: float, drawn: bool) -> None:
    figure, _ = figure_for("freshness", both_arms(2, 0, within_s=within_s))
    low, high = figure.panels[0].x.low, figure.panels[0].x.high
    assert ("declared bound" in legend(figure)) == drawn and low > 5 and high < 1000


@pytest.mark.parametrize(("within_s", "stale"), [(0.0, (2, 4)), (0.02, (1, 3)), (0.2, (0, 1))])
def test_only_reads_later_than_the_bound_are_counted(within_s: float, stale: tuple[int, int]) -> None:
    run = both_arms(2, 0, within_s=within_s)
    assert (late(run)["before"].stale, late(run)["before"].reads) == stale
    assert f"without the change {stale[0]} of {stale[1]} read" in sentence("freshness", run)


def test_equal_points_of_both_arms_do_not_hide_each_other() -> None:
    figure, _ = figure_for("freshness", both_arms(0, 0))
    before, after = (marks_of(figure, Points, arm)[0].x for arm in ("before", "after"))
    assert len(before) == len(after) and all(before < after)


def test_reads_of_one_arm_alone_are_not_compared() -> None:
    figure, words = figure_for("freshness", probed(*once("after", (0.01, 0.1, 0.4))))
    assert "after" in legend(figure) and "before" not in legend(figure)
    assert "nothing can be compared" in words
    svg_of(figure)


def test_no_stale_read_leaves_some_possible() -> None:
    run = both_arms(4, 0)
    possible = bounds_of(run)(0, 4)[1]
    assert late(run)["after"].zero_bound == possible and late(run)["before"].zero_bound is None
    assert f"up to {percent(possible)} possible" in sentence("freshness", run)


def test_the_verdicts_own_bound_is_not_said_twice() -> None:
    bound = note("no-stale-read", reads=4, at_most=0.6)
    numbers = {"before": 1.0, "after": 0.0, "effect": -1.0, "low": -1.0, "high": -0.2, "margin": 0.05}
    metric = Metric(unit="share", **numbers, want="better", verdict="HELPED", notes=[bound])
    names = {"case": "c", "run": "r", "date": "d", "design": "side-by-side"}
    result = Result(**names, verdict="HELPED", reason="", metrics={"stale_reads": metric})
    words = sentence("freshness", both_arms(4, 0), result)
    assert "possible" not in words and words.endswith(bound.text)


def test_a_baseline_alone_is_called_the_baseline() -> None:
    run = probed(*once("before", (0.01, 0.1, 0.4), stale=1), stage="baseline")
    figure, words = figure_for("freshness", run)
    assert "baseline" in legend(figure) and "in the baseline 1 of 3 " in words


def test_reads_without_a_version_are_not_counted() -> None:
    writes, reads = once("before", (0.01, 0.05, 0.1))
    reads[0] |= {"seen_version": None, "status": 500}
    part = late(probed(writes, reads))["before"]
    assert (part.stale, part.reads, part.unknown) == (0, 2, 1)


# The windows


def test_windows_are_intervals_with_the_stuck_ones_apart() -> None:
    lasting = staleness_windows.data(polled(0.0, 0.15, 0.15, 9.0)).arms["before"]
    assert (lasting.stuck, lasting.clean, lasting.writes, lasting.longest_ms) == (1, 1, 4, 1200.0)
    # Stale at 100 ms, fresh in a response that was there at 201.5 ms, counted from the acknowledgement.
    assert lasting.quantiles[0.5] == pytest.approx((100.0, 201.5)) and lasting.quantiles[0.99] is None
    at = dict(zip(lasting.times_ms.tolist(), zip(lasting.low, lasting.high, strict=True), strict=True))
    assert at[max(time for time in at if time < 100)] == pytest.approx((0.75, 0.75))
    assert at[100.0] == pytest.approx((0.25, 0.75))
    assert (lasting.low[-1], lasting.high[-1]) == pytest.approx((0.25, 0.25))
    words = sentence("staleness-windows", polled(0.0, 0.15, 0.15, 9.0))
    assert all(fact in words for fact in ("3 of 4", "100 to 202 ms (p50)", "(p95 and p99)", "1,200 ms"))


def test_stuck_writes_are_marked_at_the_right_edge() -> None:
    figure, _ = figure_for("staleness-windows", polled(0.15, 9.0, 9.0))
    assert "2 stuck" in texts(figure)
    clean, _ = figure_for("staleness-windows", polled(0.15, 0.15))
    assert not marks_of(clean, Label)


def test_many_windows_make_no_larger_figure() -> None:
    many = polled(*(0.001 * number for number in range(1, 400)))
    assert len(svg_of(figure_for("staleness-windows", many)[0])) < 60_000


def test_without_polls_there_are_no_windows() -> None:
    assert picture_of("staleness-windows", both_arms(1, 0))[0] is None


# One failure


def test_the_failure_is_of_the_arm_that_failed_more_often() -> None:
    assert chosen(both_arms(1, 3)).label == "after"
    assert "3 probes of 4" in sentence("freshness-strip", both_arms(1, 3))


def test_a_probe_that_saw_both_values_is_preferred() -> None:
    failure = chosen(polled(9.0, 0.15, 9.0))
    assert failure.key == "2002" and [read.saw for read in failure.reads] == ["old value"] * 2 + ["new value"] * 5


def test_a_race_is_preferred_to_a_poll_alone() -> None:
    (plain, polls), (race, raced) = burst(1, 0.5), burst(2, 0.15)
    failure = chosen(probed([plain, {**race, "prestate": "in-flight"}], polls + raced))
    assert failure.key == race["key"] and REASONS["in_flight"] in failure.reasons


def test_a_disagreement_is_preferred_to_a_poll_alone() -> None:
    (plain, polls), (other, split) = burst(1, 0.5), burst(3, 0.15)
    for number, read in enumerate(split):
        stale = number % 2 == 0 and number < 4
        read |= {"worker": f"w{number % 2}", "seen_version": OLD if stale else other["version"]}
    failure = chosen(probed([plain, other], polls + split))
    assert failure.key == other["key"] and {REASONS["disagreed"], REASONS["flapped"]} <= {*failure.reasons}
    assert failure.lanes == ["detail · worker 1", "detail · worker 2"]


def test_without_one_that_saw_both_it_is_the_longest_stale() -> None:
    writes, reads = once("before", (0.1, 0.4, 0.2), stale=3)
    failure = chosen(probed(writes, reads))
    assert failure.key == writes[1]["key"] and failure.reasons == []


def test_the_order_of_records_does_not_matter() -> None:
    writes, reads = once("before", (0.2, 0.2, 0.2), stale=3)
    assert chosen(probed(writes, reads)) == chosen(probed(writes[::-1], reads[::-1]))


def test_accepted_staleness_is_no_failure() -> None:
    writes, reads = once("before", (0.01, 0.2, 0.3), stale=1)
    picture, words = picture_of("freshness-strip", probed(writes, reads, within_s=0.05))
    assert picture is None and "0 of 2 reads" in words and "possible" in words
    assert picture_of("freshness-strip", probed(writes, reads, within_s=0.005))[0] is not None


def test_no_read_that_counts_is_not_health() -> None:
    words = sentence("freshness-strip", probed(writes_of("before", 2), []))
    assert "not visible" in words and "possible" not in words


def test_a_refused_value_that_was_read_is_a_failure() -> None:
    write = a_write("before", 0, "1001", 1_000_001, S)
    refused = a_write("before", 0, "1001", 1_000_002, 3 * S, prestate="refused", acked_ns=None, status=422)
    reads = [a_read(write, 0.1, write["version"]), a_read(refused, 0.2, refused["version"])]
    failure = chosen(probed([write, refused], reads))
    assert failure.initial_state == "refused" and [read.saw for read in failure.reads] == ["never committed"]


def test_each_read_stands_in_the_lane_of_its_reader() -> None:
    write, reads = burst(1, 0.3)
    changes = [{}, {"route": "list"}, {"fresh_connection": True, "connection": 77}, {"connection": 9}]
    for read, change in zip(reads, [*changes, {"seen_version": None, "absent": True, "status": 404}], strict=False):
        read |= change
    failure = chosen(probed([write], reads))
    assert failure.lanes == [
        "detail · connection 1", "list · connection 1", "detail · new connections", "detail · connection 2",
    ]  # fmt: skip
    assert [read.lane for read in failure.reads[:4]] == [0, 1, 2, 3] and failure.reads[4].saw == "nothing there"
    assert failure.reads[0].sent_ms == pytest.approx(10.0) and failure.reads[0].done_ms == pytest.approx(11.5)


def test_the_caches_events_stand_beside_the_reads() -> None:
    write, reads = burst(1, 0.3)
    events = [
        an_event(write, 1.0, "del"), an_event(write, 9.0, "set", 391), an_event(write, 9.1, "expire"),
        an_event(write, 10.0, "(lost)"), an_event(write, 400.0, "expired"), an_event(write, 90_000.0, "del"),
    ]  # fmt: skip
    figure, words = figure_for("freshness-strip", probed([write], reads, events=events))
    assert {"entry deleted", "entry set", "entry expired", "read: old value", "read: new value"} <= legend(figure)
    assert "1 ms before" in words and "7 ms after" in words
    without, words = figure_for("freshness-strip", probed([write], reads))
    assert not any("entry" in name for name in legend(without)) and "The cache" not in words


def test_a_long_poll_is_drawn_in_part_and_says_so() -> None:
    write, reads = burst(1, 3.0, polls_s=[0.01 * number for number in range(1, 400)])
    picture, words = picture_of("freshness-strip", probed([write], reads))
    assert all(fact in words for fact in ("of 399 reads", "299 showed", "199 of the reads"))
    assert picture is not None and len(svg_of(picture)) < 150_000


def test_of_many_lanes_the_stale_ones_are_drawn() -> None:
    write, reads = burst(1, 0.0, polls_s=[0.1 * number for number in range(1, 15)])
    for number, read in enumerate(reads):
        read |= {"connection": number}
    reads[-1] |= {"seen_version": OLD}
    failure = chosen(probed([write], reads))
    assert len(failure.lanes) == 8 and any(read.stale for read in failure.drawn)
    assert len(failure.reads) - len(failure.drawn) == 6


HOSTILE = {"mathtext": "$\\frac{1}{", "script": "<script>alert(1)</script>", "ansi": "\x1b[31m\x00", "emoji": "🔥" * 5,
           "long": "x" * 5000, "bidi": "‮gnp"}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.filterwarnings("error")
def test_names_from_the_records_are_only_text_and_cut(text: str) -> None:
    write, reads = burst(1, 0.3)
    write |= {"key": text}
    for number, read in enumerate(reads):
        read |= {"key": text, "route": text, "worker": f"{text}{number % 2}"}
    run = probed([write], reads, events=[an_event(write, 1.0, text)])
    for name in ("freshness", "staleness-windows", "freshness-strip"):
        figure, words = figure_for(name, run)
        assert len(words) < 1500 and not re.search("[\x00-\x08\x1b\u202a-\u202e]", words)
        assert "<script" not in svg_of(figure)


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
def test_whatever_a_probe_recorded_each_figure_has_a_sentence(probes, within_s) -> None:
    writes, reads = [], []
    for number, probe in enumerate(probes):
        cells = {name: probe[name] for name in ("mode", "prestate")}
        write = a_write(probe["arm"], 0, probe["key"], 1000 + number, probe["sent_ns"], **cells)
        writes.append(write if probe["acked"] else {**write, "acked_ns": None, "status": 422})
        for delay_s, seen, absent in probe["reads"]:
            version = seen if seen in (None, OLD) else write["version"] + seen
            reads.append(a_read(write, delay_s, version, absent=absent))
    run = probed(writes, reads, within_s=within_s)
    for name in ("freshness", "staleness-windows", "freshness-strip"):
        words = sentence(name, run)
        assert words.endswith(".") and "nan" not in words.lower() and "None" not in words
    strip = freshness_strip.data(run)
    assert (strip.chosen is not None) == any(failed for failed, _ in strip.failed.values())

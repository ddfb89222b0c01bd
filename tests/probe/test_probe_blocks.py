"""What the freshness probe records of services with a known staleness."""

from __future__ import annotations

import json

import pytest
from blocks import block
from probed import BUSY

from luckyhit.judge.freshness.classify import freshness_curve, late_reads, share_of
from luckyhit.judge.freshness.freshness_facts import freshness_facts
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.freshness.windows import staleness_windows, worst_windows
from tier import one_of_many


@pytest.mark.parametrize("window_s", [one_of_many(size, quick=size < 1) for size in (0.01, 0.1, 0.4, 1.0, 5.0)])
def test_window_interval_holds_the_window_and_spans_two_polls(window_s: float) -> None:
    measured = block(f"window {window_s}")
    windows = staleness_windows(measured.classified, measured.writes)
    assert len(windows) >= 2 and not windows["censored"].any()
    for window in windows.itertuples():
        write = measured.writes[measured.writes["version"] == window.version].iloc[0]
        polls = measured.reads[measured.reads["probe"] == window.version].sort_values("sent_ns").reset_index(drop=True)
        first = int((polls["seen_version"] >= window.version).to_numpy().argmax())
        before_ns = polls["sent_ns"][first - 1] if first else write["acked_ns"]
        # The value was committed somewhere between the write's send and its acknowledgement.
        write_ms = (write["acked_ns"] - write["sent_ns"]) / 1e6
        assert window.low_ms <= window_s * 1e3 <= window.high_ms + write_ms
        # From the poll before to the end of the first fresh one.
        widest_ns = polls["done_ns"][first] - before_ns
        assert (window.high_ms - window.low_ms) * 1e6 == pytest.approx(widest_ns, abs=1)
    assert measured.problems <= BUSY


def test_curve_is_stale_before_the_window_and_fresh_after() -> None:
    measured = block("curve")
    once = measured.classified.query("mode == 'once'")
    once = once.merge(measured.writes, left_on="probe", right_on="version", suffixes=("", "_write"))
    # The value was committed somewhere between the write's send and its acknowledgement.
    surely_stale = once[once["done_ns"] - once["sent_ns_write"] < 0.4e9]
    surely_fresh = once[once["sent_ns"] - once["acked_ns"] >= 0.4e9]
    assert len(surely_stale) and set(surely_stale["outcome"]) == {"stale"}
    assert len(surely_fresh) and set(surely_fresh["outcome"]) == {"fresh"}
    curve = freshness_curve(measured.reads, measured.writes, within_s=0.4)
    assert set(curve[curve["from_ms"] >= 400]["share"]) == {1.0}
    assert curve["share"].iloc[0] == 0


@pytest.mark.parametrize(("name", "stale"), [("healthy", 0.0), ("stuck", 1.0)])
def test_share_of_late_stale_reads(name: str, stale: float) -> None:
    measured = block(name)
    late = share_of(late_reads(measured.classified, within_s=0.05))
    assert late.share == stale and late.reads >= 5
    if not stale:
        assert set(measured.writes["prestate"]) == {"warm", "cold", "in-flight"} and measured.problems <= BUSY
    else:
        assert staleness_windows(measured.classified, measured.writes)["censored"].all()


OUTCOMES = {
    "cached": ("prestate", {"warm": {"stale"}, "cold": {"fresh"}}),
    "no race": ("prestate", {"warm": {"fresh"}}),
    "cached absence": ("prestate", {"absent": {"stale"}, "cold": {"fresh"}}),
    "absence": ("prestate", {"absent": {"fresh"}, "cold": {"fresh"}}),
    "late list": ("prestate", {"absent": {"stale"}, "warm": {"stale"}}),
    "cached conditional": ("conditional", {True: {"stale"}, False: {"stale"}}),
    "conditional": ("conditional", {True: {"fresh"}, False: {"fresh"}}),
    "list behind": ("route", {"detail": {"fresh"}, "list": {"stale"}}),
    "regex": ("route", {"read": {"fresh"}}),
    "refused but written": ("mode", {"once": {"never-committed"}}),
    "few keys": ("prestate", {"warm": {"fresh"}}),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcomes_by_prestate_route_or_kind_of_read(name: str) -> None:
    column, outcomes = OUTCOMES[name]
    measured = block(name).outcomes_by(column)
    assert {value: measured.get(value) for value in outcomes} == outcomes


PROBLEMS = {
    "late list": {"never-fresh"},
    "values of an earlier block": {"earlier-version"},
    "values too high": {"value-too-high"},
    "short block": {"no-probe-fits"},
    "few requests": {"no-probe-fits"},
    "no field": {"no-version", "no-version-before"},
    "no write": {"never-written"},
    "every third refused": {"not-accepted"},
    "every third refused by state": set(),
    "refused": set(),
    "refused and committed": set(),
    "put back": set(),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_are_named_by_id(name: str) -> None:
    assert block(name).problems - BUSY == PROBLEMS[name]


def test_a_counted_problem_has_its_first_example() -> None:
    measured = block("every third refused")
    refused = measured.writes[measured.writes["status"] == 409]
    assert len(refused) and refused["acked_ns"].isna().all()
    (sentence,) = (sentence for problem, sentence in measured.probe.problems if problem == "not-accepted")
    assert f"{len(refused)} times" in sentence and "PUT /things/" in sentence and "409" in sentence
    assert set(measured.outcomes) == {"fresh", "unknown"}, "nothing to compare with, where the only write was refused"


def test_a_write_inside_a_read_shows_the_stale_set_race() -> None:
    measured = block("race")
    late = measured.classified[measured.reads["delay_ns"] > 0]
    stale = late[late["outcome"] == "stale"]
    assert len(stale) >= 5
    for probe in stale["probe"]:
        first, second = measured.writes[measured.writes["probe"] == probe].sort_values("version").itertuples()
        racing = measured.reads[(measured.reads["probe"] == probe) & (measured.reads["delay_ns"] == 0)].iloc[0]
        assert second.version == probe == first.version + 1
        assert racing["sent_ns"] < second.acked_ns and second.sent_ns < racing["done_ns"]
        assert racing["seen_version"] == first.version


@pytest.mark.parametrize(("name", "stuck"), [("polled race", "in-flight"), ("polled absence", "absent")])
def test_bursts_probe_the_prestates_that_can_be_stale(name: str, stuck: str) -> None:
    measured = block(name)
    windows = worst_windows(staleness_windows(measured.classified, measured.writes))
    censored = windows.groupby("prestate")["censored"].sum()
    assert censored[stuck] >= 1 and censored["warm"] == 0


@pytest.mark.parametrize("name", ["cached absence", "polled absence"])
def test_created_keys_are_removed(name: str) -> None:
    measured = block(name)
    created = [key for key in measured.service.history if int(key) >= 20_000]
    assert created and all(measured.service.stored(key) is None for key in created)
    assert measured.arms["before"].not_put_back == 0
    stale = measured.classified.query("prestate == 'absent' and outcome == 'stale'")
    assert len(stale) and stale["absent"].all()


def test_a_server_error_is_no_absence() -> None:
    measured = block("errors on created")
    assert len(measured.reads) >= 8 and set(measured.outcomes) == {"unknown"} and not measured.reads["absent"].any()
    assert "no-version" in measured.problems


@pytest.mark.parametrize(("name", "committed"), [("refused", False), ("refused and committed", True)])
def test_a_refused_value_must_never_be_seen(name: str, committed: bool) -> None:
    measured = block(name)
    refused = measured.writes[measured.writes["prestate"] == "refused"]
    assert len(refused) >= 3 and refused["acked_ns"].isna().all() and set(refused["status"]) == {422}
    reads = measured.classified[measured.reads["probe"].isin(refused["version"])]
    assert len(reads) == len(refused) and ("never-committed" in set(reads["outcome"])) is committed


@pytest.mark.parametrize("name", ["every third refused", "every third refused by state"])
def test_refusals_by_state_are_left_out_others_not(name: str) -> None:
    measured, declared = block(name), name.endswith("state")
    refused = measured.writes[measured.writes["status"] == 409]
    assert len(refused) >= 3 and refused["acked_ns"].isna().all()
    assert measured.probe.left_out == ({"before": len(refused)} if declared else {})
    reads = measured.classified[measured.reads["probe"].isin(refused["version"])]
    assert not reads["after_ack"].any()
    if declared:  # only the racing read of an in-flight probe, which went out beside its write
        assert set(reads["prestate"]) <= {"in-flight"}
    else:
        assert len(reads)


def test_conditional_reads_ask_with_the_last_validator() -> None:
    cached, fresh = block("cached conditional").reads, block("conditional").reads
    assert 0 < cached[cached["conditional"]]["probe"].nunique() < cached["probe"].nunique()
    assert set(cached[cached["conditional"]]["status"]) == {304}
    statuses = fresh[fresh["conditional"]].groupby("mode")["status"].unique().map(set)
    # A later poll asks with the validator of the new answer.
    assert statuses["once"] == {200} and statuses["burst"] == {200, 304}


def test_new_connections_reach_each_worker() -> None:
    measured = block("two workers")
    assert set(measured.reads["worker"]) == {"w0", "w1"}
    assert measured.outcomes_by("fresh_connection")[True] >= {"stale", "fresh"}
    fresh = measured.reads[measured.reads["fresh_connection"]]
    kept = measured.reads[~measured.reads["fresh_connection"]]
    assert fresh["connection"].is_unique and not set(fresh["connection"]) & set(kept["connection"])


def test_each_burst_has_a_read_past_the_bound() -> None:
    polls = block("bursts").classified
    past = polls.assign(past=polls["since_ack_ns"] > 50_000_000).groupby(["probe", "route"])["past"].sum()
    assert len(past) >= 4 and past.min() >= 1


def test_both_arms_get_the_same_probes() -> None:
    measured = block("both arms")
    before, after = (
        measured.writes[measured.writes["arm"] == arm].sort_values("version").reset_index(drop=True)
        for arm in ("before", "after")
    )
    same = ["key", "version", "probe", "mode", "prestate"]
    assert len(before) >= 12 and before[same].equals(after[same])
    once = measured.reads[measured.reads["mode"] == "once"].set_index(["arm", "probe", "delay_ns"])["route"]
    assert once["before"].sort_index().equals(once["after"].sort_index())
    assert measured.reads["block"].unique().tolist() == [3]


def test_requests_are_what_the_case_declares() -> None:
    measured = block("with headers")
    service = measured.service
    assert 0 <= measured.probe.requests_sent - len(service.requests) <= 2, "cut off by the end of the block"
    assert all(headers["x-token"] == "s3cret" for headers in service.seen_headers)
    sent = [(path, json.loads(body)) for (_, path), body in zip(service.requests, service.bodies, strict=True) if body]
    assert all(path == f"/things/{content['id']}" and isinstance(content["id"], int) for path, content in sent)
    last = measured.writes.sort_values("version").groupby("key")["version"].last().to_dict()
    assert {key: history[-1][1] for key, history in service.history.items()} == last


@pytest.mark.parametrize(
    ("name", "original"), [("put back", 500), ("put back, cached", 500), ("cold", 77)], ids=lambda value: str(value)
)
def test_every_key_is_put_back(name: str, original: int) -> None:
    measured = block(name)
    service = measured.service
    assert len(service.history) >= 8 and {service.stored(key) for key in service.history} == {original}
    assert measured.arms["before"].put_back == len(service.history) and "not-put-back" not in measured.problems


@pytest.mark.parametrize("name", ["values too high", "values of an earlier block"])
def test_keys_with_values_like_versions_are_left_alone(name: str) -> None:
    assert not block(name).service.history


def test_without_a_known_value_no_key_is_probed_cold() -> None:
    writes = block("no survey").writes
    assert len(writes) >= 8 and "cold" not in set(writes["prestate"])


def test_no_key_has_two_probes_open() -> None:
    measured = block("few keys")
    assert "too-few-keys" in measured.problems and len(measured.writes) > 5
    ends = measured.reads.groupby(["key", "probe"])["done_ns"].max()
    for key, writes in measured.writes.sort_values("sent_ns").groupby("key"):
        done = [ends.get((key, version)) for version in writes["version"]]
        assert all(end < start for end, start in zip(done[:-1], writes["sent_ns"][1:], strict=True))


def test_without_a_rate_the_probe_takes_two_percent() -> None:
    assert 0.005 * 5000 < block("two percent").probe.requests_sent <= 0.02 * 5000
    assert block("few requests").probe.requests_sent == 0


def test_nothing_is_sent_after_the_end_of_the_block() -> None:
    measured = block("slow")
    assert len(measured.reads) and (measured.reads["sent_ns"] < measured.end_ns).all()
    assert (measured.writes["sent_ns"] < measured.end_ns).all() and "read-past-end" in measured.problems


def test_a_service_that_is_down_is_data_and_no_exception() -> None:
    measured = block("down")
    assert measured.writes["acked_ns"].isna().all() and measured.reads.empty
    assert {"unanswered", "no-version-before", "not-put-back"} <= measured.problems


def test_each_declared_variant_is_read_and_recorded() -> None:
    measured = block("german and french")
    assert set(measured.reads["variant"]) == {"german", "french"}
    sent = {headers["accept-language"] for headers in measured.service.seen_headers if "accept-language" in headers}
    assert sent == {"de", "fr"}
    counts = measured.reads.drop_duplicates("probe")["variant"].value_counts()
    assert counts.max() - counts.min() <= 2
    others = block("variants of the workload").reads
    assert set(others["variant"]) == {"default", "german"}


def test_only_the_variant_that_no_write_empties_is_stale() -> None:
    measured = block("french not emptied")
    by_variant = freshness_facts(Probed(measured.reads, measured.writes), 0.05).by_variant
    stale, reads = by_variant["french"]
    assert stale == reads >= 5
    assert by_variant["german"][0] == 0 and by_variant["german"][1] >= 5
    assert measured.arms["before"].vary == {"accept-language"}

"""The freshness probe against real services with a known staleness."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from probed import Measured, arm_for, cold_values, freshness, measure, probe_for
from versioned_service import FOREVER, VersionedService, running

from luckyhit.errors import ResponseUnexpected
from luckyhit.judge.freshness.classify import freshness_curve, late_reads, share_of
from luckyhit.judge.freshness.windows import staleness_windows

WARM = {"prestates": ["warm"]}


@pytest.mark.parametrize(
    "window_s",
    [0.01, 0.1, 0.4, pytest.param(1.0, marks=pytest.mark.slow), pytest.param(5.0, marks=pytest.mark.slow)],
)
def test_every_interval_holds_the_window_and_is_two_polls_wide(window_s: float) -> None:
    horizon_s = max(0.2, window_s * 1.3)
    spec = freshness(horizon=f"{horizon_s * 1e3:.0f}ms", modes=["burst"], rate="10/s", **WARM)
    measured = measure(VersionedService(window_s=window_s), spec=spec, seconds=horizon_s + 0.9)
    windows = staleness_windows(measured.reads, measured.writes)
    assert len(windows) >= 2 and not windows["censored"].any()
    for window in windows.itertuples():
        write = measured.writes[measured.writes["version"] == window.version].iloc[0]
        polls = measured.reads[measured.reads["probe"] == window.version].sort_values("sent_ns").reset_index(drop=True)
        first = int((polls["seen_version"] >= window.version).to_numpy().argmax())
        before_ns = polls["sent_ns"][first - 1] if first else write["acked_ns"]
        # The value was committed somewhere between the write's send and its acknowledgement.
        write_ms = (write["acked_ns"] - write["sent_ns"]) / 1e6
        assert window.low_ms <= window_s * 1e3 <= window.high_ms + write_ms
        # From the poll before to the end of the first fresh one: nothing else.
        widest_ns = polls["done_ns"][first] - before_ns
        assert (window.high_ms - window.low_ms) * 1e6 == pytest.approx(widest_ns, abs=1)
    assert measured.problems == ""


def test_the_curve_is_stale_before_the_known_window_and_fresh_behind_it() -> None:
    measured = measure(VersionedService(window_s=0.4), spec=freshness(horizon="700ms", **WARM), seconds=1.4)
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


def test_a_healthy_service_shows_no_stale_read() -> None:
    measured = measure(VersionedService(etags=True), spec=freshness(rate="120/s"))
    assert measured.outcomes.get("stale", 0) == 0 and measured.outcomes["fresh"] > 20
    assert set(measured.writes["prestate"]) == {"warm", "cold", "in-flight"}
    share = share_of(late_reads(measured.reads, measured.writes, within_s=0.05))
    assert share.stale == 0 and share.reads >= 10
    assert measured.problems == ""


def test_staleness_without_end_is_stuck_and_said_plainly() -> None:
    measured = measure(VersionedService(window_s=FOREVER))
    share = share_of(late_reads(measured.reads, measured.writes, within_s=0.05))
    assert share.share == 1.0 and share.reads >= 5
    assert staleness_windows(measured.reads, measured.writes)["censored"].all()


def test_a_cache_that_is_never_emptied_is_stale_where_warm_and_fresh_where_cold() -> None:
    measured = measure(VersionedService(cached=True))
    by_prestate = measured.classified.groupby("prestate")["outcome"].unique()
    assert by_prestate["warm"].tolist() == ["stale"] and by_prestate["cold"].tolist() == ["fresh"]
    assert "without writing" not in measured.problems


def test_a_write_that_lands_inside_a_read_finds_the_stale_set_race() -> None:
    spec = freshness(prestates=["in-flight"], modes=["once"])
    measured = measure(VersionedService(load_s=0.05), spec=spec, seconds=1.2)
    late = measured.classified[measured.reads["delay_ns"] > 0]
    stale = late[late["outcome"] == "stale"]
    # The write lands somewhere between the read's send and its end, and the load is nearly all of it.
    assert len(stale) > len(late) / 2
    for probe in stale["probe"]:
        first, second = measured.writes[measured.writes["probe"] == probe].sort_values("version").itertuples()
        racing = measured.reads[(measured.reads["probe"] == probe) & (measured.reads["delay_ns"] == 0)].iloc[0]
        assert second.version == probe == first.version + 1
        assert racing["sent_ns"] < second.acked_ns and second.sent_ns < racing["done_ns"]
        assert racing["seen_version"] == first.version
    quiet = measure(VersionedService(load_s=0.05), spec=freshness(prestates=["warm"]), seconds=1.0)
    assert set(quiet.outcomes) == {"fresh"}, "nothing else finds it"


ABSENT = {
    "keys": {"first": 20_000, "last": 20_020},
    "create": {"method": "POST", "path": "/things/{key}", "body": {"price": "{version}"}, "status": 201},
    "remove": {"path": "/things/{key}"},
}


def test_a_cached_absence_is_a_stale_read_and_what_was_created_is_removed() -> None:
    spec = freshness(absent=ABSENT, prestates=["cold"])
    service = VersionedService(cached_absence=True)
    measured = measure(service, spec=spec, preflight=True, restore=True)
    late = measured.classified
    assert set(late[late["prestate"] == "absent"]["outcome"]) == {"stale"}
    assert set(late[late["prestate"] == "cold"]["outcome"]) == {"fresh"}
    assert late[late["prestate"] == "absent"]["absent"].all()
    assert all(service.stored(key) is None for key in service.history if int(key) >= 20_000)
    assert measured.arms["before"].not_put_back == 0

    measured = measure(VersionedService(), spec=spec)
    assert set(measured.outcomes) == {"fresh"}


def test_a_created_key_that_a_list_does_not_show_yet_is_a_stale_read() -> None:
    spec = freshness(absent=ABSENT, prestates=["warm"], reads=[LIST])
    measured = measure(VersionedService(list_window_s=FOREVER), spec=spec)
    late = measured.classified
    assert set(late[late["prestate"] == "absent"]["outcome"]) == {"stale"}
    assert "reads showed a version of the probe" in measured.problems and "Reads that" not in measured.problems


def test_an_error_of_the_service_is_no_absence() -> None:
    class Failing(VersionedService):
        async def answer(self, method: str, path: str, body: bytes, worker: int) -> tuple[int, Any]:
            created = method == "GET" and self.stored(path.rsplit("/", 1)[-1]) not in (None, 500)
            return (500, {}) if created else await super().answer(method, path, body, worker)

    spec = freshness(absent=ABSENT, prestates=["warm"], modes=["once"], rate="120/s")
    measured = measure(Failing(), spec=spec)
    assert len(measured.reads) > 10 and set(measured.outcomes) == {"unknown"} and not measured.reads["absent"].any()
    assert "answered 500" in measured.problems


def test_what_an_earlier_block_wrote_is_never_taken_for_what_a_key_held_before() -> None:
    """Something in front of the service kept the probe's own values through the reset."""
    service = VersionedService(original=1500)
    measured = measure(service, spec=freshness(**WARM), first_version=2000, arm={"originals": {}})
    assert not service.history and "wrote in an earlier block" in measured.problems


REFUSED = {"path": "/things/{key}", "body": {"price": "{version}", "currency": "XXX"}, "status": 422}


@pytest.mark.parametrize("leaks", [False, True])
def test_a_rejected_value_must_never_be_seen(leaks: bool) -> None:
    spec = freshness(refused=REFUSED, prestates=["warm"], rate="80/s")
    measured = measure(VersionedService(leaks=leaks), spec=spec, preflight=True, restore=True)
    rejected = measured.writes[measured.writes["prestate"] == "refused"]
    assert len(rejected) >= 3 and rejected["acked_ns"].isna().all() and set(rejected["status"]) == {422}
    of_them = measured.classified[measured.reads["probe"].isin(rejected["version"])]
    assert len(of_them) == len(rejected)
    assert ("never-committed" in set(of_them["outcome"])) is leaks
    assert measured.problems == ""


def test_a_304_to_a_validator_from_before_the_write_is_a_stale_read() -> None:
    measured = measure(VersionedService(cached=True, etags=True), spec=freshness(**WARM))
    conditional = measured.reads[measured.reads["conditional"]]
    assert len(conditional) >= 5 and set(conditional["status"]) == {304}
    assert set(measured.classified[measured.reads["conditional"]]["outcome"]) == {"stale"}

    measured = measure(VersionedService(etags=True), spec=freshness(**WARM))
    conditional = measured.reads[measured.reads["conditional"]]
    once = conditional[conditional["mode"] == "once"]
    assert len(once) >= 5 and set(once["status"]) == {200}
    # A poll behind the new answer asks with that one's validator.
    assert set(conditional[conditional["mode"] == "burst"]["status"]) == {200, 304}
    assert set(measured.outcomes) == {"fresh"}


def test_workers_with_caches_of_their_own_are_reached_by_new_connections() -> None:
    measured = measure(VersionedService(workers=2), spec=freshness(modes=["burst"]), arm={"worker_header": "X-Worker"})
    assert set(measured.reads["worker"]) == {"w0", "w1"}
    told = measured.classified.groupby("fresh_connection")["outcome"].value_counts()
    assert told[True].get("stale", 0) > 0 and told[True].get("fresh", 0) > 0
    fresh = measured.reads[measured.reads["fresh_connection"]]
    assert fresh["connection"].is_unique
    assert not set(fresh["connection"]) & set(measured.reads[~measured.reads["fresh_connection"]]["connection"])


LIST = {"name": "list", "path": "/list/{key}", "version": "$.things[?@.id == {key}].price"}


def test_several_routes_are_read_and_only_the_list_is_behind() -> None:
    reads = [{"name": "detail", "path": "/things/{key}", "header": "x-version", "regex": r"^v(\d+)$"}, LIST]
    measured = measure(VersionedService(list_window_s=FOREVER), spec=freshness(reads=reads, **WARM))
    by_route = measured.classified.groupby(["route", "mode"])["outcome"].unique()
    assert by_route["detail", "once"].tolist() == by_route["detail", "burst"].tolist() == ["fresh"]
    assert by_route["list", "once"].tolist() == by_route["list", "burst"].tolist() == ["stale"]


def test_each_burst_of_a_fresh_service_ends_with_a_read_past_the_bound() -> None:
    reads = [{"name": "detail", "path": "/things/{key}", "version": "$.data[0].price"}, LIST]
    measured = measure(VersionedService(), spec=freshness(modes=["burst"], reads=reads))
    polls = measured.classified.assign(past=measured.classified["since_ack_ns"] > 50_000_000)
    past = polls.groupby(["probe", "route"])["past"].sum()
    assert len(past) >= 4 and past.min() == 1


def test_a_version_found_by_a_regular_expression() -> None:
    reads = [{"path": "/list/{key}", "regex": r'"id": {key}, "price": (\d+)'}]
    assert set(measure(VersionedService(), spec=freshness(reads=reads)).outcomes) == {"fresh"}


def test_a_write_route_that_answers_without_writing_is_found_out() -> None:
    measured = measure(VersionedService(commits=False))
    assert measured.outcomes.get("fresh", 0) == 0
    assert "it seems that freshness.write is accepted without writing" in measured.problems


def test_rejected_writes_are_counted_and_never_count_as_committed() -> None:
    measured = measure(VersionedService(refuse_every=3), spec=freshness(**WARM))
    refused = measured.writes[measured.writes["status"] == 409]
    assert len(refused) and refused["acked_ns"].isna().all()
    assert f"not accepted (their versions don't count as committed): {len(refused)} times" in measured.problems
    assert "first: PUT /things/" in measured.problems and "answered 409" in measured.problems
    assert set(measured.outcomes) == {"fresh", "unknown"}, "nothing to compare with, where the only write was refused"


def test_a_refused_value_that_readers_see_is_found() -> None:
    # It answers 409 but has written by then.
    measured = measure(VersionedService(write_status=409), spec=freshness(**WARM))
    once = measured.reads[measured.reads["mode"] == "once"]
    assert set(measured.outcomes) == {"never-committed"} and len(once) == len(measured.reads)


def test_a_read_route_without_the_field_is_said_and_nothing_is_called_fresh() -> None:
    measured = measure(VersionedService(field_name="cost"))
    assert "with no $.data[0].price" in measured.problems
    assert set(measured.outcomes) == {"unknown"}


def test_both_arms_get_the_same_probes() -> None:
    measured = measure(VersionedService(), VersionedService(window_s=0.1))
    before, after = (
        measured.writes[measured.writes["arm"] == arm].sort_values("version").reset_index(drop=True)
        for arm in ("before", "after")
    )
    same = ["key", "version", "probe", "mode", "prestate"]
    assert len(before) >= 20 and before[same].equals(after[same])
    once = measured.reads[measured.reads["mode"] == "once"].set_index(["arm", "probe", "delay_ns"])["route"]
    assert once["before"].sort_index().equals(once["after"].sort_index())
    assert measured.reads["block"].unique().tolist() == [3]


def test_the_requests_are_what_the_case_declares() -> None:
    service = VersionedService()
    measured = measure(service, arm={"headers": {"x-token": "s3cret"}}, seconds=1.0)
    assert len(service.requests) == measured.probe.requests_sent
    assert all(headers["x-token"] == "s3cret" for headers in service.seen_headers)
    sent = [
        (path, json.loads(body)) for (method, path), body in zip(service.requests, service.bodies, strict=True) if body
    ]
    assert all(path == f"/things/{content['id']}" and isinstance(content["id"], int) for path, content in sent)
    last = measured.writes.sort_values("version").groupby("key")["version"].last().to_dict()
    assert {key: history[-1][1] for key, history in service.history.items()} == last
    assert all(isinstance(value, int) for history in service.history.values() for _, value in history)


@pytest.mark.parametrize("cached", [False, True])
def test_every_key_is_put_back_even_where_readers_see_old_values(cached: bool) -> None:
    service = VersionedService(cached=cached)
    measured = measure(service, preflight=True, restore=True)
    assert {service.stored(key) for key in service.history} == {500}
    assert measured.arms["before"].put_back == len(service.history) and "not put back" not in measured.problems


def test_a_cold_key_is_put_back_to_what_the_survey_found() -> None:
    service, spec = VersionedService(), freshness(prestates=["cold"], modes=["once"])
    measured = measure(service, spec=spec, restore=True, arm={"originals": cold_values(spec, 77)})
    assert len(service.history) > 10 and {service.stored(key) for key in service.history} == {77}
    assert set(measured.writes["prestate"]) == {"cold"}


def test_without_a_known_value_no_key_is_probed_cold() -> None:
    measured = measure(VersionedService(), arm={"originals": {}})
    assert len(measured.writes) > 10 and "cold" not in set(measured.writes["prestate"])


def test_too_few_keys_are_said_and_no_key_has_two_probes_open() -> None:
    measured = measure(VersionedService(), spec=freshness(keys={"first": 1, "last": 6}, **WARM), seconds=1.3)
    assert "6 keys are reserved for the probe" in measured.problems
    assert len(measured.writes) > 5
    writes = measured.writes.sort_values("sent_ns")
    until = measured.reads.groupby(["key", "probe"])["done_ns"].max()
    for key, part in writes.groupby("key"):
        ends = [until.get((key, version)) for version in part["version"]]
        assert all(end < start for end, start in zip(ends[:-1], part["sent_ns"][1:], strict=True))
    assert set(measured.outcomes) == {"fresh"}


def test_a_block_too_short_for_the_horizon_is_said() -> None:
    measured = measure(VersionedService(), seconds=0.5, spec=freshness(horizon="600ms"))
    assert measured.writes.empty and measured.reads.empty
    assert "No probe fits into 0.5 s" in measured.problems


def test_without_a_declared_rate_the_probe_stays_within_two_percent_of_the_workload() -> None:
    spec = freshness(rate=None, **WARM)
    measured = measure(VersionedService(cached=True), spec=spec, requests=5000)
    assert 0.01 * 5000 < measured.probe.requests_sent <= 0.02 * 5000
    nothing = measure(VersionedService(), spec=spec, requests=90)
    assert nothing.probe.requests_sent == 0
    assert "No probe fits into 2 % of the block's 90 requests" in nothing.problems


def test_nothing_is_sent_after_the_end_of_the_block() -> None:
    measured = measure(VersionedService(pause_s=0.3), seconds=1.0, spec=freshness(rate="20/s", horizon="400ms", **WARM))
    assert len(measured.reads) and (measured.reads["sent_ns"] < measured.end_ns).all()
    assert (measured.writes["sent_ns"] < measured.end_ns).all()
    assert "Reads not sent, since the block was over" in measured.problems


def test_values_above_the_versions_are_left_alone() -> None:
    service = VersionedService(original=5000)
    measured = measure(service, spec=freshness(**WARM))
    assert not service.history
    assert "hold a value that is not below the probe's versions" in measured.problems


def test_a_service_that_is_gone_is_data_and_no_exception() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        measured = measure(url, restore=True)
    assert measured.writes["acked_ns"].isna().all() and measured.reads.empty
    assert "gave no answer (connect)" in measured.problems and "not put back" in measured.problems


@pytest.mark.parametrize(
    ("service", "spec", "says", "advises"),
    [
        (VersionedService(write_status=403, commits=False), {}, "PUT /things/200 answered 403", "freshness.write"),
        (VersionedService(write_status=204), {}, "answered 204", "status of an accepted write"),
        (VersionedService(field_name="cost"), {}, "with no $.data[0].price", "freshness.reads"),
        (
            VersionedService(),
            {"reads": [{"path": "/things/{key}", "version": "$.data"}]},
            "a list at $.data",
            "freshness.reads",
        ),
        (
            VersionedService(),
            {"reads": [{"path": "/things/{key}", "version": "$.data[0].price"}, {**LIST, "version": "$.things[*].id"}]},
            "2 values at",
            "freshness.reads",
        ),
        (VersionedService(), {"reads": [{"path": "/things/{key}", "header": "x-v"}]}, "no header x-v", "reads"),
        (VersionedService(original=1000), {}, "holds 1000, which is not below", "freshness.first_version"),
        (VersionedService(), {"refused": {**REFUSED, "body": {"price": "{version}"}}}, "was not rejected", "refused"),
        (VersionedService(absent_from=30_000), {"absent": ABSENT}, "has to be absent, and is not", "nothing"),
        (
            VersionedService(),
            {"absent": {**ABSENT, "create": {**ABSENT["create"], "status": 200}}},
            "could not create key 20020",
            "freshness.absent.create",
        ),
        (
            VersionedService(),
            {"absent": {**ABSENT, "remove": {"path": "/things/{key}", "status": 200}}},
            "could not remove it again",
            "freshness.absent.remove",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_measuring(
    service: VersionedService, spec: dict[str, Any], says: str, advises: str
) -> None:
    with pytest.raises(ResponseUnexpected) as refused:
        measure(service, spec=freshness(**spec), preflight=True, seconds=0)
    assert says in refused.value.message and advises in refused.value.hint
    assert all(service.stored(key) == service.first(key) for key in service.history), "put back"


def test_the_preflight_does_not_ask_for_freshness() -> None:
    service = VersionedService(window_s=FOREVER)
    measured = measure(service, preflight=True, restore=True, seconds=0)
    assert service.stored("200") == 500 and measured.writes.empty


def test_a_putting_back_that_is_cut_short_tells_what_is_left() -> None:
    async def block() -> tuple[int, int, int]:
        async with running(VersionedService()) as service:
            spec = freshness(**WARM)
            arm = arm_for(service.base_url, spec)
            probe = probe_for({"before": arm}, spec)
            start = time.monotonic_ns()
            await probe.run(start, start + 750_000_000)
            service.pause_s = 1.5
            left = arm.not_put_back
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(probe.restore(), 0.05)
            after = arm.not_put_back
            await arm.close()
            return left, after, len(service.history)

    left, after, written = asyncio.run(block())
    assert left == after == written > 5


def test_a_value_that_somebody_else_wrote_stops_the_preflight() -> None:
    class Overwritten(VersionedService):
        def write(self, method: str, key: str, body: bytes, worker: int) -> int:
            status = super().write(method, key, body, worker)
            self.history[key].append((time.monotonic(), 31337))
            return status

    with pytest.raises(ResponseUnexpected, match="a read shows 31337") as refused:
        measure(Overwritten(), preflight=True, seconds=0)
    assert "the probe's alone" in refused.value.hint


@pytest.mark.parametrize(("failures", "works"), [(2, True), (99, False)])
def test_the_preflight_reads_again_what_was_answered_with_503(failures: int, works: bool) -> None:
    class Failing(VersionedService):
        left = failures

        async def answer(self, method: str, path: str, body: bytes, worker: int) -> tuple[int, Any]:
            if method == "GET" and self.left:
                self.left -= 1
                return 503, {}
            return await super().answer(method, path, body, worker)

    with contextlib.nullcontext() if works else pytest.raises(ResponseUnexpected, match="answered 503"):
        measure(Failing(), preflight=True, restore=True, seconds=0)


def test_an_interrupted_probe_keeps_its_rows_and_can_still_put_the_keys_back() -> None:
    async def block() -> tuple[Measured, VersionedService]:
        async with running(VersionedService()) as service:
            spec = freshness()
            arm = arm_for(service.base_url, spec, originals=cold_values(spec))
            probe = probe_for({"before": arm}, spec)
            start = time.monotonic_ns()
            task = asyncio.create_task(probe.run(start, start + 30_000_000_000))
            await _until(lambda: len(service.history) >= 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await probe.restore()
            await arm.close()
            return Measured(probe, {"before": arm}), service

    measured, service = asyncio.run(block())
    assert len(measured.writes) >= 4
    assert {service.stored(key) for key in service.history} == {500}


async def _until(happened: Callable[[], bool], deadline_s: float = 20) -> None:
    async with asyncio.timeout(deadline_s):
        while not happened():
            await asyncio.sleep(0.005)

"""The freshness probe against real services with a known staleness."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pandas as pd
import pytest
from versioned_service import FOREVER, VersionedService, running

from luckyhit.case.model import Freshness
from luckyhit.errors import ResponseUnexpected
from luckyhit.judge.freshness import classify_reads, freshness_curve, stale_share, staleness_windows
from luckyhit.measure.probe import FreshnessProbe
from luckyhit.measure.wire import Client
from luckyhit.records import READS, WRITES

_NULLABLE = {"int64": pd.Int64Dtype(), "int32": pd.Int32Dtype(), "int16": pd.Int16Dtype()}


def freshness(**other: Any) -> Freshness:
    return Freshness.model_validate(
        {
            "write": {"path": "/things/{key}", "body": {"price": "{version}", "note": "for {key}"}},
            "read": {"path": "/things/{key}", "version": "$.data[0].price"},
            "keys": {"first": 1, "last": 200},
            "within": "150ms",
            "horizon": "400ms",
            "rate": "40/s",
            **other,
        }
    )


class Measured:
    """One probed block: the probe, and its rows as frames."""

    def __init__(self, probe: FreshnessProbe, end_ns: int) -> None:
        self.probe, self.end_ns = probe, end_ns
        writes, reads = probe.tables()
        assert writes.schema == WRITES and reads.schema == READS
        self.writes, self.reads = (
            table.to_pandas(types_mapper=lambda dtype: _NULLABLE.get(str(dtype))) for table in (writes, reads)
        )

    @property
    def outcomes(self) -> dict[str, int]:
        return classify_reads(self.reads, self.writes)["outcome"].value_counts().to_dict()

    @property
    def problems(self) -> str:
        return "\n".join(self.probe.problems)


def probe_for(clients: dict[Any, Client], spec: Freshness, **other: Any) -> FreshnessProbe:
    settings: dict[str, Any] = {
        "rng": random.Random(1),
        "first_version": 1000,
        "headers": {},
        "block": 3,
        "origin_ns": 0,
    }
    return FreshnessProbe(spec, clients, **{**settings, **other})


def measure(
    *services: VersionedService,
    spec: Freshness | None = None,
    seconds: float = 1.0,
    preflight: bool = False,
    restore: bool = False,
    **other: Any,
) -> Measured:
    """Probe one arm, or both, for a while; some probes go to cold keys unless `cold_every` says otherwise."""
    other.setdefault("cold_every", 10)

    async def block() -> Measured:
        async with AsyncExitStack() as stack:
            clients: dict[Any, Client] = {}
            for arm, service in zip(("before", "after"), services, strict=False):
                await stack.enter_async_context(running(service))
                clients[arm] = Client(service.base_url)
                stack.push_async_callback(clients[arm].close)
            probe = probe_for(clients, spec or freshness(), **other)
            if preflight:
                await probe.preflight()
            start_ns = time.monotonic_ns()
            end_ns = start_ns + round(seconds * 1e9)
            if seconds:
                await probe.run(start_ns, end_ns)
            if restore:
                await probe.restore()
        return Measured(probe, end_ns)

    return asyncio.run(block())


@pytest.mark.parametrize("window_s", [0.1, 0.4])
def test_every_interval_holds_the_known_window(window_s: float) -> None:
    measured = measure(VersionedService(window_s=window_s), spec=freshness(horizon="600ms"), seconds=1.2)
    windows = staleness_windows(measured.reads, measured.writes)
    assert len(windows) >= 2 and not windows["censored"].any()
    assert (windows["low_ms"] <= window_s * 1e3).all() and (window_s * 1e3 <= windows["high_ms"]).all()
    assert measured.problems == ""


def test_the_curve_is_stale_before_the_known_window_and_fresh_behind_it() -> None:
    measured = measure(VersionedService(window_s=0.4), spec=freshness(horizon="700ms"), seconds=1.4)
    once = classify_reads(measured.reads, measured.writes).query("mode == 'once'")
    once = once.merge(measured.writes, on=["key"], suffixes=("", "_write"))
    # The value was committed somewhere between the write's send and its acknowledgement.
    surely_stale = once[once["done_ns"] - once["sent_ns_write"] < 0.4e9]
    surely_fresh = once[once["sent_ns"] - once["acked_ns"] >= 0.4e9]
    assert len(surely_stale) and set(surely_stale["outcome"]) == {"stale"}
    assert len(surely_fresh) and set(surely_fresh["outcome"]) == {"fresh"}
    curve = freshness_curve(measured.reads, measured.writes, within_s=0.4)
    assert set(curve[curve["from_ms"] >= 400]["share"]) == {1.0}
    assert curve["share"].iloc[0] == 0


def test_a_healthy_service_shows_no_stale_read() -> None:
    measured = measure(VersionedService())
    assert set(measured.outcomes) == {"fresh"}
    share = stale_share(measured.reads, measured.writes, within_s=0.15)
    assert share.stale == 0 and share.reads >= 10 and share.interval()[1] > 0
    assert staleness_windows(measured.reads, measured.writes)["stale"].sum() == 0
    assert measured.problems == ""


def test_staleness_without_end_is_stuck_and_said_plainly() -> None:
    measured = measure(VersionedService(window_s=FOREVER))
    share = stale_share(measured.reads, measured.writes, within_s=0.15)
    assert share.share == 1.0 and share.reads >= 10
    assert staleness_windows(measured.reads, measured.writes)["censored"].all()


def test_a_cache_that_is_never_invalidated_is_stale_where_warm_and_fresh_where_cold() -> None:
    measured = measure(VersionedService(cached=True))
    by_prestate = classify_reads(measured.reads, measured.writes).groupby("prestate")["outcome"].unique()
    assert by_prestate["warm"].tolist() == ["stale"] and by_prestate["cold"].tolist() == ["fresh"]
    assert "without writing" not in measured.problems


def test_a_write_route_that_answers_without_writing_is_found_out() -> None:
    measured = measure(VersionedService(commits=False))
    assert set(measured.outcomes) == {"stale"}
    assert "it seems that the write route answers 200 without writing" in measured.problems


def test_rejected_writes_are_counted_and_never_count_as_committed() -> None:
    service = VersionedService(refuse_every=3)
    measured = measure(service)
    refused = measured.writes[measured.writes["status"] == 409]
    assert len(refused) and refused["acked_ns"].isna().all()
    assert (
        f"another status than 200 (their versions don't count as committed): {len(refused)} times" in measured.problems
    )
    assert "first: PUT /things/" in measured.problems and "answered 409" in measured.problems
    assert set(measured.outcomes) == {"fresh", "unknown"}, "nothing to compare with, where the only write was refused"


def test_a_refused_value_that_readers_see_is_found() -> None:
    # It answers 409 but has written by then.
    measured = measure(VersionedService(write_status=409))
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
    same = ["key", "version", "mode", "prestate"]
    assert len(before) >= 20 and before[same].equals(after[same])
    once = measured.reads[measured.reads["mode"] == "once"].set_index(["arm", "key"])["delay_ns"]
    assert once["before"].sort_index().equals(once["after"].sort_index())
    assert measured.reads["block"].unique().tolist() == [3]


def test_the_requests_are_what_the_case_declares() -> None:
    service = VersionedService()
    measured = measure(service, headers={"x-token": "s3cret"}, seconds=1.0)
    assert len(service.requests) == measured.probe.requests_sent
    assert all(headers["x-token"] == "s3cret" for headers in service.seen_headers)
    written = {key: history[-1][1] for key, history in service.history.items()}
    assert written == dict(zip(measured.writes["key"], measured.writes["version"], strict=True))
    assert all(isinstance(version, int) for version in written.values())


def test_every_key_is_put_back_but_those_whose_value_is_not_known() -> None:
    service = VersionedService()
    measured = measure(service, preflight=True, restore=True)
    cold = set(measured.writes[measured.writes["prestate"] == "cold"]["key"])
    assert cold and {key for key in service.history if service.stored(key) != 500} == cold
    assert f"not put back as they were: {len(cold)} keys (" in measured.problems
    assert all(key in measured.problems for key in cold)


def test_known_originals_are_put_back_for_keys_that_were_never_read() -> None:
    service = VersionedService()
    originals = {"before": {str(key): 77 for key in range(1, 201)}}
    measured = measure(service, restore=True, originals=originals)
    assert {service.stored(key) for key in service.history} == {77}
    assert measured.problems == ""


def test_without_cold_probes_everything_is_put_back_even_where_readers_see_old_values() -> None:
    service = VersionedService(cached=True)
    measured = measure(service, restore=True, cold_every=0)
    assert {service.stored(key) for key in service.history} == {500}
    assert "not put back" not in measured.problems


def test_too_few_keys_are_said_before_measuring_and_no_key_has_two_probes_open() -> None:
    spec = freshness(keys={"first": 1, "last": 6})
    assert "6 keys are reserved for the probe" in probe_for({}, spec).problems[0]
    measured = measure(VersionedService(), spec=spec)
    assert len(measured.writes) > 5
    writes = measured.writes.sort_values("sent_ns")
    last_read = measured.reads.merge(writes, on="key", suffixes=("", "_write")).query("seen_version == version")
    until = last_read.groupby(["key", "version"])["done_ns"].max()
    for key, part in writes.groupby("key"):
        ends = [until.get((key, version)) for version in part["version"]]
        assert all(end < start for end, start in zip(ends[:-1], part["sent_ns"][1:], strict=True))
    assert set(measured.outcomes) == {"fresh"}


def test_a_block_too_short_for_the_horizon_is_said() -> None:
    measured = measure(VersionedService(), seconds=0.5, spec=freshness(horizon="600ms"))
    assert measured.writes.empty and measured.reads.empty
    assert "No probe fits into 0.5 s" in measured.problems


def test_nothing_is_sent_after_the_end_of_the_block() -> None:
    measured = measure(VersionedService(pause_s=0.3), seconds=1.0, spec=freshness(rate="20/s"))
    assert len(measured.reads) and (measured.reads["sent_ns"] < measured.end_ns).all()
    assert (measured.writes["sent_ns"] < measured.end_ns).all()
    assert "Reads not sent, since the block was over" in measured.problems


def test_values_above_the_versions_are_left_alone() -> None:
    service = VersionedService(original=5000)
    measured = measure(service, cold_every=0)
    assert not service.history
    assert "hold a value that is not below the probe's versions" in measured.problems


def test_a_service_that_is_gone_is_data_and_no_exception() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def block() -> Measured:
            client = Client(f"http://127.0.0.1:{port}")
            probe = probe_for({"before": client}, freshness())
            start = time.monotonic_ns()
            await probe.run(start, start + 1_200_000_000)
            await probe.restore()
            await client.close()
            return Measured(probe, start)

        measured = asyncio.run(block())
    assert measured.writes["acked_ns"].isna().all() and measured.reads.empty
    assert "gave no answer (connect)" in measured.problems


@pytest.mark.parametrize(
    ("service", "spec", "says", "advises"),
    [
        (
            VersionedService(write_status=403, commits=False),
            {},
            "PUT /things/200, answered 403 instead of 200",
            "freshness.write",
        ),
        (VersionedService(write_status=204), {}, "answered 204 instead of 200", "status of an accepted write"),
        (VersionedService(field_name="cost"), {}, "with no $.data[0].price", "freshness.read"),
        (
            VersionedService(),
            {"read": {"path": "/things/{key}", "version": "$.data"}},
            "a list at $.data",
            "freshness.read",
        ),
        (VersionedService(original=1000), {}, "holds 1000, which is not below", "Reserve keys"),
    ],
)
def test_what_cannot_work_is_refused_before_measuring(
    service: VersionedService, spec: dict[str, Any], says: str, advises: str
) -> None:
    with pytest.raises(ResponseUnexpected) as refused:
        measure(service, spec=freshness(**spec), preflight=True, seconds=0)
    assert says in refused.value.message and advises in refused.value.hint
    assert {service.stored(key) for key in service.history} <= {service.original}, "put back"


def test_the_preflight_does_not_ask_for_freshness() -> None:
    service = VersionedService(window_s=FOREVER)
    measured = measure(service, preflight=True, restore=True, seconds=0)
    assert service.stored("200") == 500 and measured.writes.empty
    assert measured.probe.next_version == 1001


def test_a_value_that_somebody_else_wrote_stops_the_preflight() -> None:
    class Overwritten(VersionedService):
        def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
            written = super().answer(method, path, body)
            if method == "PUT":
                self.history[path.rsplit("/", 1)[-1]].append((time.monotonic(), 31337))
            return written

    with pytest.raises(ResponseUnexpected, match="a read shows 31337") as refused:
        measure(Overwritten(), preflight=True, seconds=0)
    assert "the probe's alone" in refused.value.hint


def test_an_interrupted_probe_keeps_its_rows_and_can_still_put_the_keys_back() -> None:
    async def block() -> tuple[Measured, VersionedService]:
        async with running(VersionedService()) as service:
            client = Client(service.base_url)
            probe = probe_for({"before": client}, freshness(), cold_every=0)
            start = time.monotonic_ns()
            task = asyncio.create_task(probe.run(start, start + 30_000_000_000))
            await _until(lambda: len(service.history) >= 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await probe.restore()
            await client.close()
            return Measured(probe, start), service

    measured, service = asyncio.run(block())
    assert len(measured.writes) >= 4
    assert {service.stored(key) for key in service.history} == {500}


async def _until(happened: Callable[[], bool], deadline_s: float = 20) -> None:
    async with asyncio.timeout(deadline_s):
        while not happened():
            await asyncio.sleep(0.005)

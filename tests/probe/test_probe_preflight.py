"""What the probe checks before a block, and what it does when a block is cut short."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from blocks import ABSENT, DETAIL, LIST, REFUSED
from probed import arm_for, cold_values, freshness, measure, probe_for
from versioned_service import FOREVER, VersionedService, in_a_thread, running

from luckyhit.errors import ResponseUnexpected
from luckyhit.probe.probe_survey import survey

REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "write refused": ({"write_status": 403, "commits": False}, {}, "freshness.write"),
    "other status": ({"write_status": 204}, {}, "status of an accepted write"),
    "no field": ({"field_name": "cost"}, {}, "freshness.reads"),
    "a list": ({}, {"reads": [{"path": "/things/{key}", "version": "$.data"}]}, "freshness.reads"),
    "two values": ({}, {"reads": [DETAIL, {**LIST, "version": "$.things[*].id"}]}, "freshness.reads"),
    "no header": ({}, {"reads": [{"path": "/things/{key}", "header": "x-v"}]}, "freshness.reads"),
    "value too high": ({"original": 1000}, {}, "freshness.first_version"),
    "not refused": ({}, {"refused": {**REFUSED, "body": {"price": "{version}"}}}, "freshness.refused"),
    "not absent": ({"absent_from": 30_000}, {"absent": ABSENT}, "Reserve keys"),
    "not created": (
        {},
        {"absent": {**ABSENT, "create": {**ABSENT["create"], "status": 200}}},
        "freshness.absent.create",
    ),
    "not removed": (
        {},
        {"absent": {**ABSENT, "remove": {"path": "/things/{key}", "status": 200}}},
        "freshness.absent.remove",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_preflight_refuses_what_cannot_work(name: str) -> None:
    fields, spec, hint = REFUSALS[name]
    service = VersionedService(**fields)
    with pytest.raises(ResponseUnexpected) as refused:
        measure(service, spec=spec, preflight=True, seconds=0)
    assert hint in refused.value.hint
    assert all(service.stored(key) == service.first(key) for key in service.history), "put back"


def test_preflight_does_not_ask_for_freshness() -> None:
    service = VersionedService(window_s=FOREVER)
    measured = measure(service, preflight=True, restore=True, seconds=0)
    assert service.stored("200") == 500 and measured.writes.empty


def test_preflight_stops_where_somebody_else_writes() -> None:
    class Overwritten(VersionedService):
        def write(self, method: str, key: str, body: bytes, worker: int) -> int:
            status = super().write(method, key, body, worker)
            self.history[key].append((time.monotonic(), 31337))
            return status

    with pytest.raises(ResponseUnexpected, match="31337"):
        measure(Overwritten(), preflight=True, seconds=0)


@pytest.mark.parametrize(("failures", "works"), [(2, True), (99, False)])
def test_preflight_repeats_reads_answered_with_503(failures: int, works: bool) -> None:
    class Failing(VersionedService):
        left = failures

        async def response(self, method: str, path: str, body: bytes, worker: int) -> tuple[int, Any]:
            if method == "GET" and self.left:
                self.left -= 1
                return 503, {}
            return await super().response(method, path, body, worker)

    with contextlib.nullcontext() if works else pytest.raises(ResponseUnexpected, match="503"):
        measure(Failing(), preflight=True, restore=True, seconds=0)


@pytest.mark.parametrize("cached", [True, False])
def test_preflight_sees_a_cache_that_outlived_the_clear(cached: bool) -> None:
    service = VersionedService(vary="accept-language", variants={"": {"200": 500}} if cached else {})
    measured = measure(service, spec={"prestates": ["warm"]}, preflight=True, seconds=0)
    assert measured.arms["before"].outlived is cached


def test_survey_reads_cold_keys_and_writes_nothing() -> None:
    with in_a_thread(VersionedService()) as service:
        values = survey(freshness(absent=ABSENT), service.base_url, {"x-token": "s3cret"}, seconds=5, timeout_s=5)
        assert set(values.values()) == {500} and 20 <= len(values) <= 34 and {"1", "200"} <= set(values)
        assert {method for method, _ in service.requests} == {"GET"}
        assert all(headers["x-token"] == "s3cret" for headers in service.seen_headers)
        warm = survey(freshness(prestates=["warm"]), service.base_url, {}, seconds=5, timeout_s=5)
        assert warm == {"1": 500, "200": 500}, "without cold probes no more is read"


@pytest.mark.parametrize(
    ("service", "spec", "hint"),
    [
        ({"field_name": "cost"}, {}, "freshness.reads"),
        ({"original": 1000}, {}, "freshness.first_version"),
        ({"absent_from": 30_000}, {"absent": ABSENT}, "Reserve keys"),
        ({"absent_from": 1}, {}, "freshness.reads"),
        ({}, {"reads": [DETAIL, {"name": "two", "path": "/list/{key}", "version": "$.x"}]}, "freshness.reads"),
    ],
)
def test_survey_refuses_before_anything_is_written(service: dict[str, Any], spec: dict[str, Any], hint: str) -> None:
    with in_a_thread(VersionedService(**service)) as surveyed:
        with pytest.raises(ResponseUnexpected) as refused:
            survey(freshness(**spec), surveyed.base_url, {}, seconds=5, timeout_s=5)
        assert hint in refused.value.hint
        assert {method for method, _ in surveyed.requests} == {"GET"}


@pytest.mark.parametrize(("retries", "left"), [(0, 2), (3, 0)])
def test_putting_back_is_retried(retries: int, left: int) -> None:
    async def restored() -> tuple[int, set[int | None]]:
        async with running(VersionedService()) as service:
            arm = arm_for(service.base_url, freshness(), retry_after_s=(0.0,) * retries)
            for key in ("1", "2", "3", "4"):
                arm.remember(key, 500)
                await arm.write(key, 1001)
            service.refuse_every = 2
            await arm.restore("before")
            await arm.close()
            return arm.not_put_back, {service.stored(key) for key in service.history}

    not_put_back, values = asyncio.run(restored())
    assert not_put_back == left and (values == {500}) is (left == 0)


def test_putting_back_cut_short_knows_what_is_left() -> None:
    async def block() -> tuple[int, int, int]:
        async with running(VersionedService()) as service:
            spec = freshness(prestates=["warm"])
            arm = arm_for(service.base_url, spec)
            probe = probe_for({"before": arm}, spec)
            start_ns = time.monotonic_ns()
            await probe.run(start_ns, start_ns + 650_000_000)
            service.pause_s = 1.0
            left = arm.not_put_back
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(probe.restore(), 0.05)
            still_left = arm.not_put_back
            await arm.close()
            return left, still_left, len(service.history)

    left, still_left, written = asyncio.run(block())
    assert left == still_left == written > 3


def test_an_interrupted_probe_keeps_rows_and_can_put_back() -> None:
    async def block() -> tuple[int, VersionedService]:
        async with running(VersionedService()) as service:
            spec = freshness()
            arm = arm_for(service.base_url, spec, originals=cold_values(spec))
            probe = probe_for({"before": arm}, spec)
            start_ns = time.monotonic_ns()
            task = asyncio.create_task(probe.run(start_ns, start_ns + 30_000_000_000))
            async with asyncio.timeout(20):
                while len(service.history) < 5:
                    await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await probe.restore()
            await arm.close()
            return probe.tables()[0].num_rows, service

    writes, service = asyncio.run(block())
    assert writes >= 4 and {service.stored(key) for key in service.history} == {500}

"""Versions in the workload's own requests: what reads showed and writes wrote, in their rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from handled import Handled, handle
from hypothesis import given
from hypothesis import strategies as st
from measured_block import check, declare, measure
from versioned_service import VersionedService, in_a_thread

from luckyhit.case.workload import Keys, Response, Route
from luckyhit.case_run import CaseRun
from luckyhit.judge.stale.background import background_reads, share_beyond
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.inputs import KeyTable
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.schedule import closed_schedule
from luckyhit.load.signals import ResponseSignals
from tier import one_of_many

KEYS = {"first": 1, "last": 4, "popularity": "uniform"}
WORKLOAD = {
    "seed": 3, "rate": "400/s", "timeout": "5s",
    "routes": [
        {"name": "read", "path": "/things/{key}", "weight": 3, "keys": KEYS, "version": "$.data[0].price"},
        {"name": "write", "method": "PUT", "path": "/things/{key}", "keys": KEYS, "body": {"price": "{number}"},
         "version": "{number}"},
        {"name": "plain", "path": "/things/9"},
    ],
}  # fmt: skip


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[VersionedService]:
    with in_a_thread(VersionedService(**request.param)) as running:
        yield running


def every_version_is_real(run: CaseRun, rows: pd.DataFrame, service: VersionedService) -> None:
    assert rows.loc[rows["route"] == "plain", "version"].isna().all()
    reads, writes = rows[rows["route"] == "read"], rows[rows["route"] == "write"]
    for key, of_key in writes.groupby("key"):
        assert sorted(of_key["version"]) == sorted(value for _, value in service.history[str(key)])
    committed = {(key, value) for key, history in service.history.items() for _, value in history}
    shown = set(zip(reads["key"], reads["version"], strict=True))
    assert len(shown) > 10 and shown <= committed | {(str(key), 500) for key in range(1, 5)}


def no_read_is_stale(run: CaseRun, rows: pd.DataFrame, service: VersionedService) -> None:
    background = share_beyond(background_reads(rows, run.case), 0.0)
    assert background.stale == 0 and background.fresh > 100


def late_reads_are_stale(run: CaseRun, rows: pd.DataFrame, service: VersionedService) -> None:
    """The service's own word: what it keeps is in its cache, and what was written last is in its history."""
    reads = background_reads(rows, run.case)
    late = reads[reads["sent_ns"] > reads["sent_ns"].median()]
    assert set(late["outcome"]) == {"stale"} and (late["behind"] > 0).all()
    assert {(key, int(value)) for key, value in zip(late["key"], late["seen_version"], strict=True)} == {
        (key, value) for key, value in service.caches[0].items() if key != "9"
    }


def rejected_values_are_never_read(run: CaseRun, rows: pd.DataFrame, service: VersionedService) -> None:
    refused = rows[(rows["route"] == "write") & (rows["status"] == 409)]
    assert len(refused) > 10 and (refused["error"] == "unexpected").all() and refused["version"].notna().all()
    reads = rows[rows["route"] == "read"]
    shown = set(zip(reads["key"], reads["version"], strict=True))
    assert len(shown & set(zip(refused["key"], refused["version"], strict=True))) <= 1  # a number may come twice
    assert share_beyond(background_reads(rows, run.case), 0.0).stale == 0


def no_version_is_no_mismatch(run: CaseRun, rows: pd.DataFrame, service: VersionedService) -> None:
    assert rows.loc[rows["route"] == "read", "version"].isna().all() and rows["error"].isna().all()
    background = share_beyond(background_reads(rows, run.case), 0.0)
    assert background.reads == 0 and background.share is None and background.unknown > 100


@pytest.mark.parametrize(
    ("service", "holds"),
    [
        one_of_many({}, every_version_is_real, quick=True),
        one_of_many({"pause_s": 0.004}, no_read_is_stale, quick=False),
        one_of_many({"cached": True}, late_reads_are_stale, quick=True),
        one_of_many({"refuse_every": 2}, rejected_values_are_never_read, quick=False),
        one_of_many({"field_name": "cost"}, no_version_is_no_mismatch, quick=False),
    ],
    indirect=["service"],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_versions_of_a_real_service(run: CaseRun, service: VersionedService, holds: Any) -> None:
    declare(run, workload=WORKLOAD, expected={"status": 200})
    holds(run, check(run, measure(run, service.base_url, warmup_s=0.2, measure_s=0.8)), service)


# Responses, one by one


def versions(
    *responses: HttpResponse, expected: Response | None = None, later_bytes: int = 0, **route: Any
) -> tuple[list[int | None], Handled]:
    declared = Route.model_validate({"name": "r", "path": "/{key}", "keys": Keys(first=1, last=9), **route})
    handled = handle(responses, declared, expected=expected or Response(), later_bytes=later_bytes)
    return handled.column("version"), handled


def answer(value: Any, *, size: int | None = None, status: int = 200, **other: Any) -> HttpResponse:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return HttpResponse(1, 2, 3, status, None, [], body, 1, size or len(body), **other)


@given(st.integers(-(2**65), 2**65))
def test_each_whole_number_of_64_bits_is_kept(value: int) -> None:
    shown, handled = versions(answer({"v": value}), version="$.v")
    assert shown == [value if abs(value) < 2**63 else None]
    assert handled.responses.unexpected is None


@pytest.mark.parametrize("shown", [None, True, 1.5, "x", [], {}])
def test_only_a_whole_number_is_a_version(shown: Any) -> None:
    bodies = [answer({"v": shown}), answer({}), answer(b"<html>"), answer(b"[" * 100_000), answer({"v": 7})]
    read, handled = versions(*bodies, version="$.v")
    assert read == [None, None, None, None, 7]
    assert handled.responses.unexpected is None and handled.failed == 0


def test_only_an_expected_response_shows_a_version() -> None:
    sent = [answer({"v": 7}), answer({"v": 7, "id": 1}), answer({"v": 7, "id": 1}, status=404)]
    shown, handled = versions(*sent, version="$.v", expected=Response(fields=["$.id"]))
    assert shown == [None, 7, None]
    assert [example["reason"] for example in handled.responses.examples] == ["missing-field", "status"]


def test_large_responses_show_their_version_after_the_block() -> None:
    large = {"v": 7, "filling": "x" * LARGEST_CHECKED_BODY}
    cut = answer(large, size=10 * LARGEST_CHECKED_BODY)
    assert versions(answer(large), cut, answer({"v": 8}), version="$.v", later_bytes=1 << 20)[0] == [7, None, 8]
    shown, handled = versions(answer(large), cut, version="$.v")  # no room
    assert shown == [None, None] and handled.responses.unchecked == 0  # nothing in them was to be checked
    _, handled = versions(answer(large), cut, version="$.v", expected=Response(fields=["$.v"]))
    assert handled.responses.unchecked == 2


PUT: dict[str, Any] = {"method": "PUT", "body": {"v": "{number}"}, "version": "{number}"}


@pytest.mark.parametrize(
    ("response", "known"),
    [
        (answer({}), True),
        (answer({}, status=500), True),
        (HttpResponse(sent_ns=1, error="timeout"), True),
        (HttpResponse(sent_ns=1, error="reset"), True),
        (HttpResponse(error="connect"), False),
        (HttpResponse(error="dropped"), False),
        (answer({}, retried=True), False),  # its first copy may take effect after the second
    ],
)
def test_a_write_that_was_sent_once_has_its_version(response: HttpResponse, known: bool) -> None:
    written, handled = versions(response, **PUT)
    assert written == [int(handled.schedule.number[0]) if known else None]


def test_a_read_that_was_sent_twice_has_its_version() -> None:
    assert versions(answer({"v": 7}, retried=True), version="$.v")[0] == [7]


def test_a_logs_own_path_is_sent_without_our_number() -> None:
    table = KeyTable(("1",), ("/1/old-value",))
    route = Route(name="w", method="PUT", path="/{key}/{number}", version="{number}")
    origin = Origin.parse("http://h")
    assert RouteTemplate(route, origin, {}).writes_number
    assert not RouteTemplate(route, origin, {}, table=table).writes_number
    with_body = route.model_copy(update={"body": {"v": "{number}"}})
    assert RouteTemplate(with_body, origin, {}, table=table).writes_number
    assert not RouteTemplate(with_body.model_copy(update={"version": None}), origin, {}).writes_number


def test_any_number_may_be_a_version() -> None:
    schedule = closed_schedule(handle([]).workload, 4, 1)
    recorder = RequestRecorder(schedule, ["before"])
    for slot, version in enumerate((-1, 0, 2**63 - 1)):
        recorder.record(slot, 0, answer({}), ResponseSignals(), version)
    recorder.end()
    table = recorder.table()
    assert table["version"].to_pylist() == [-1, 0, 2**63 - 1, None]
    assert np.all(table["slot"].to_numpy() == range(4))

"""Versions in the workload's own requests: what reads showed and writes wrote, in their rows, from real services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_block import check, declare, measure
from versioned_service import VersionedService, in_a_thread

from luckyhit.case.docs.template import new_case
from luckyhit.case.workload import Keys, Response, Route, Workload
from luckyhit.case_run import CaseRun
from luckyhit.judge.stale.background import background_reads, share_beyond
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.inputs import KeyTable
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import Answers
from luckyhit.load.schedule import closed_schedule
from luckyhit.load.signals import Signals

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
def run(tmp_path: Path) -> CaseRun:
    case_file = tmp_path / "some-case.yml"
    case_file.write_text(new_case("some-case"))
    run = CaseRun.create(tmp_path / "runs", case_file, now=datetime(2025, 1, 2), manifest={})
    declare(run, workload=WORKLOAD, expected={"status": 200})
    return run


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[VersionedService]:
    with in_a_thread(VersionedService(**request.param)) as running:
        yield running


def measured(run: CaseRun, service: VersionedService) -> pd.DataFrame:
    return check(run, measure(run, service.base_url, warmup_s=0.2, measure_s=0.8))


@pytest.mark.parametrize("service", [{}], indirect=True)
def test_rows_tell_what_reads_showed_and_writes_wrote(run: CaseRun, service: VersionedService) -> None:
    rows = measured(run, service)
    assert rows.loc[rows["route"] == "plain", "version"].isna().all()
    reads, writes = rows[rows["route"] == "read"], rows[rows["route"] == "write"]
    for key, mine in writes.groupby("key"):
        assert sorted(mine["version"]) == sorted(value for _, value in service.history[str(key)])
    committed = {(key, value) for key, history in service.history.items() for _, value in history}
    shown = set(zip(reads["key"], reads["version"], strict=True))
    assert len(shown) > 10 and shown <= committed | {(str(key), 500) for key in range(1, 5)}


@pytest.mark.parametrize("service", [{"pause_s": 0.004}], indirect=True)
def test_a_service_without_a_cache_has_no_stale_read_in_its_workload(run: CaseRun, service: VersionedService) -> None:
    share = share_beyond(background_reads(measured(run, service), run.case), 0.0)
    assert share.stale == 0 and share.fresh > 100


@pytest.mark.parametrize("service", [{"cached": True}], indirect=True)
def test_a_cache_that_no_write_empties_is_stale_from_the_first_overwrite_on(
    run: CaseRun, service: VersionedService
) -> None:
    found = background_reads(measured(run, service), run.case)
    # The service's own word: what it holds is in its cache, and what was written last stands in its history.
    late = found[found["sent_ns"] > found["sent_ns"].median()]
    assert set(late["outcome"]) == {"stale"} and (late["behind"] > 0).all()
    assert {(key, int(value)) for key, value in zip(late["key"], late["seen_version"], strict=True)} == {
        (key, value) for key, value in service.caches[0].items() if key != "9"
    }


@pytest.mark.parametrize("service", [{"refuse_every": 2}], indirect=True)
def test_a_rejected_write_has_a_version_too_and_its_value_is_never_seen(
    run: CaseRun, service: VersionedService
) -> None:
    rows = measured(run, service)
    refused = rows[(rows["route"] == "write") & (rows["status"] == 409)]
    assert len(refused) > 10 and (refused["error"] == "unexpected").all() and refused["version"].notna().all()
    reads = rows[rows["route"] == "read"]
    seen = set(zip(reads["key"], reads["version"], strict=True))
    assert len(seen & set(zip(refused["key"], refused["version"], strict=True))) <= 1  # a number may come twice
    assert share_beyond(background_reads(rows, run.case), 0.0).stale == 0


@pytest.mark.parametrize("service", [{"field_name": "cost"}], indirect=True)
def test_an_answer_that_shows_no_version_is_not_an_unexpected_one(run: CaseRun, service: VersionedService) -> None:
    rows = measured(run, service)
    assert rows.loc[rows["route"] == "read", "version"].isna().all() and rows["error"].isna().all()
    share = share_beyond(background_reads(rows, run.case), 0.0)
    assert share.reads == 0 and share.share is None and share.unknown > 100


# Answers, one by one


def rows_of(
    *answers: HttpResponse, expected: Response | None = None, later_bytes: int = 0, **route: Any
) -> tuple[Any, Any]:
    """(versions, Answers) of answers to one route."""
    given = Route.model_validate({"name": "r", "path": "/{key}", "keys": Keys(first=1, last=9), **route})
    schedule = closed_schedule(Workload(seed=1, rate="1/s", routes=[given]), 3, 1)  # type: ignore[arg-type]
    rows = RequestRecorder(schedule, ["before"], block=0, warmup_ns=0, directory=None, endless=True)
    templates = [[RouteTemplate(given, Origin.parse("http://h"), {})]]
    checked = Answers(schedule, rows, ["before"], templates, Signals(), expected or Response(), later_bytes=later_bytes)
    for slot, each in enumerate(answers):
        checked.settle(slot, 0, each)
    checked.finish()
    table = rows.table(rows._pending()).to_pandas().set_index("slot").sort_index()
    numbers = [int(schedule.number[slot % 3]) for slot in range(len(answers))]
    versions = [None if pd.isna(version) else int(version) for version in table["version"]]
    return (versions, checked) if given.method == "GET" else (versions, numbers)


def answer(value: Any, *, size: int | None = None, status: int = 200, **other: Any) -> HttpResponse:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return HttpResponse(sent_ns=1, first_byte_ns=2, done_ns=3, status=status, connection=1, body=body, size=size or len(body), **other)  # fmt: skip


@given(st.integers(-(2**65), 2**65))
def test_every_whole_number_of_64_bits_is_kept_exactly(value: int) -> None:
    versions, checked = rows_of(answer({"v": value}), version="$.v")
    assert versions == [value if abs(value) < 2**63 else None]
    assert checked.unexpected is None


@pytest.mark.parametrize("shown", [None, True, 1.5, "x", [], {}])
def test_what_is_no_whole_number_is_no_version(shown: Any) -> None:
    bodies = [answer({"v": shown}), answer({}), answer(b"<html>"), answer(b"[" * 100_000), answer({"v": 7})]
    versions, checked = rows_of(*bodies, version="$.v")
    assert versions == [None, None, None, None, 7]
    assert checked.unexpected is None and checked.rows.accounting()["before"].failed == 0


def test_only_an_answer_as_expected_shows_a_version() -> None:
    shown = [answer({"v": 7}), answer({"v": 7, "id": 1}), answer({"v": 7, "id": 1}, status=404)]
    versions, checked = rows_of(*shown, version="$.v", expected=Response(fields=["$.id"]))
    assert versions == [None, 7, None] and "no $.id" in checked.unexpected


def test_large_answers_show_their_version_when_the_block_is_over_as_far_as_there_is_room() -> None:
    large = {"v": 7, "filling": "x" * LARGEST_CHECKED_BODY}
    cut = answer(large, size=10 * LARGEST_CHECKED_BODY)
    assert rows_of(answer(large), cut, answer({"v": 8}), version="$.v", later_bytes=1 << 20)[0] == [7, None, 8]
    versions, checked = rows_of(answer(large), cut, version="$.v")
    assert versions == [None, None] and checked.unchecked == 0  # nothing was to be checked in them
    assert rows_of(answer(large), cut, version="$.v", expected=Response(fields=["$.v"]))[1].unchecked == 2


PUT: dict[str, Any] = {"method": "PUT", "body": {"v": "{number}"}, "version": "{number}"}


def test_whatever_came_of_it_a_write_that_was_sent_has_its_version() -> None:
    sent = [
        answer({}),
        answer({}, status=500),
        HttpResponse(sent_ns=1, error="timeout"),
        HttpResponse(sent_ns=1, error="reset"),
    ]
    versions, numbers = rows_of(*sent, **PUT)
    assert versions == numbers and len(set(numbers)) == 3
    assert rows_of(HttpResponse(error="connect"), HttpResponse(error="dropped"), **PUT)[0] == [None, None]


def test_a_write_that_was_sent_twice_has_none() -> None:
    assert rows_of(answer({}, retried=True), answer({}), **PUT)[0][0] is None
    assert rows_of(answer({"v": 7}, retried=True), version="$.v")[0] == [7]  # a read is a read


def test_a_logs_own_path_is_sent_without_our_number() -> None:
    table = KeyTable(("1",), ("/1/old-value",))
    route = Route(name="w", method="PUT", path="/{key}/{number}", version="{number}")
    origin = Origin.parse("http://h")
    assert RouteTemplate(route, origin, {}).writes_number
    assert not RouteTemplate(route, origin, {}, table=table).writes_number
    with_body = route.model_copy(update={"body": {"v": "{number}"}})
    assert RouteTemplate(with_body, origin, {}, table=table).writes_number
    assert not RouteTemplate(with_body.model_copy(update={"version": None}), origin, {}).writes_number


def test_rows_take_no_version_for_one_that_is_not_there() -> None:
    schedule = closed_schedule(Workload(seed=1, rate="1/s", routes=[Route(name="r", path="/")]), 4, 1)  # type: ignore[arg-type]
    rows = RequestRecorder(schedule, ["before"], block=0, warmup_ns=0, directory=None)
    for slot, version in enumerate((-1, 0, 2**63 - 1)):
        rows.settle(slot, 0, answer({}), Signals().read([]), version)
    rows.end()
    table = rows.table(rows._pending())
    assert table["version"].to_pylist() == [-1, 0, 2**63 - 1, None]
    assert np.all(table["slot"].to_numpy() == range(4))

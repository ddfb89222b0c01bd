"""Body hashes: equal for equal bodies however they came, null where there is none, and told of a real service."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_block import check, declare, measure
from test_expect import answer
from xxhash import xxh3_64_intdigest

from luckyhit.case.docs.template import new_case
from luckyhit.case.workload import Response, Route, Workload
from luckyhit.case_run import CaseRun
from luckyhit.judge.evidence import Evidence, evidence_of
from luckyhit.judge.findings import FINDERS
from luckyhit.load.bodies.examples import MOST_OF_A_ROUTE, merged_examples
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY
from luckyhit.load.bodies.hashes import hash_of
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import KEPT_FOR_LATER, Answers
from luckyhit.load.schedule import closed_schedule
from luckyhit.load.signals import Signals
from luckyhit.records import Arm
from noted import manifest_with
from tier import examples
from world.paged_service import PagedService

ADDRESSES = ("http://127.0.0.1:8001", "http://127.0.0.1:8002")
ARMS: tuple[Arm, Arm] = ("before", "after")


def settled(
    *answers: tuple[int, HttpResponse], expected: Response | None = None, **route: Any
) -> tuple[list[Any], Answers]:
    """(hashes in the order of the answers, Answers); of each answer, the arm it came from."""
    given = Route.model_validate({"name": "r", "path": "/r", **route})
    schedule = closed_schedule(Workload(seed=1, rate="1/s", routes=[given]), 2, 1)  # type: ignore[arg-type]
    rows = RequestRecorder(schedule, ARMS, block=0, warmup_ns=0, directory=None, endless=True)
    templates = [[RouteTemplate(given, Origin.parse(url), {})] for url in ADDRESSES]
    checked = Answers(schedule, rows, ARMS, templates, Signals(), expected, later_bytes=KEPT_FOR_LATER)
    for slot, (arm, one) in enumerate(answers):
        checked.settle(slot, arm, one)
    checked.finish()
    table = rows.table(rows._pending()).sort_by("slot")
    return table["body_hash"].to_pylist(), checked


@given(st.binary(max_size=3000), st.sampled_from([None, Response(), Response(fields=["$.a"])]))
@settings(max_examples=examples(60), deadline=None)
def test_a_body_has_one_hash_however_it_is_packed(body: bytes, expected: Response | None) -> None:
    packed = [
        (0, answer(body)),
        (1, answer(gzip.compress(body, mtime=1), "Content-Encoding: gzip")),
        (0, answer(gzip.compress(body, 1, mtime=2), "Content-Encoding: gzip")),
        (1, answer(brotli.compress(body), "Content-Encoding: br")),
        (0, answer(body)),
    ]
    hashes, _ = settled(*packed, expected=expected)
    value = xxh3_64_intdigest(body)
    assert hashes == [value - (value >> 63 << 64)] * 5


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=40))
@settings(max_examples=examples(60), deadline=None)
def test_links_to_the_service_itself_are_the_same_in_both_arms(start: bytes, end: bytes) -> None:
    links = [(arm, answer(start + ADDRESSES[arm][7:].encode() + end)) for arm in (0, 1)]
    hashes, _ = settled(*links)
    assert hashes[0] == hashes[1]
    swapped, _ = settled((0, answer(b"a 127.0.0.1:8001")), (0, answer(b"a 127.0.0.1:8002")))
    assert swapped[0] != swapped[1]


@pytest.mark.parametrize(
    ("one", "route"),
    [
        (answer(b"", status=204), {}),
        (answer(b"", status=304), {}),
        (answer(b""), {"method": "HEAD"}),
        (answer(b"half", size=9), {}),
        (HttpResponse(error="timeout"), {}),
    ],
)
@pytest.mark.parametrize("expected", [None, Response()])
def test_what_has_no_whole_body_has_no_hash(
    one: HttpResponse, route: dict[str, Any], expected: Response | None
) -> None:
    assert settled((0, one), expected=expected, **route)[0] == [None]


@pytest.mark.parametrize("expected", [None, Response(), Response(fields=["$.a"]), Response(status=500)])
def test_a_large_packed_body_is_hashed_when_nothing_is_timed(expected: Response | None) -> None:
    body = np.random.default_rng(1).bytes(2 * LARGEST_CHECKED_BODY)
    packed = answer(gzip.compress(body), "Content-Encoding: gzip")
    hashes, checked = settled((0, answer(body)), (1, packed), (1, answer(b"small")), expected=expected)
    assert hashes[0] == hashes[1] == hash_of(body, b"") != hashes[2] is not None
    assert checked.rows.accounting()["after"].scheduled == checked.rows.accounting()["before"].scheduled


def test_an_unexpected_answer_keeps_its_hash() -> None:
    wrong = [(0, answer(b'{"id": 2}', status=status)) for status in (200, 503)]
    hashes, checked = settled(*wrong, expected=Response(values={"$.id": 1}))
    assert hashes == [hash_of(b'{"id": 2}', b"")] * 2
    assert checked.rows.accounting()["before"].failed == 2


kinds = st.tuples(st.sampled_from([200, 404, 503]), st.sampled_from(["HIT", "MISS"]), st.sampled_from(["{}", "<", "1"]))


@given(st.lists(st.tuples(st.integers(0, 1), kinds), max_size=60), st.integers(0, 60))
@settings(max_examples=examples(60), deadline=None)
def test_each_unexpected_answer_is_of_one_kind(given: list[Any], cut: int) -> None:
    sent = [(arm, answer(body.encode(), f"X-Cache: {cache}", status=status)) for arm, (status, cache, body) in given]
    workers = [settled(*part, expected=Response(fields=["$.a"]))[1] for part in (sent[:cut], sent[cut:])]
    told = merged_examples(*(worker.examples for worker in workers))
    kept = {(row["arm"], row["reason"], row["status"], row["cache"]): row["count"] for row in told}
    assert len(kept) == len(told)
    assert max((sum(kind[0] == arm for kind in kept) for arm in ARMS), default=0) <= MOST_OF_A_ROUTE
    reasons = {200: {"{}": "missing-field", "1": "missing-field", "<": "not-json"}}
    expected: dict[Any, int] = {}
    for arm, (status, cache, body) in given:
        kind = (ARMS[arm], reasons.get(status, {}).get(body, "status"), status, cache.lower())
        expected[kind] = expected.get(kind, 0) + 1
    assert kept == expected


# Measured, from real services.

WORKLOAD = {
    "seed": 3, "rate": "250/s", "timeout": "5s",
    "routes": [
        *({"name": name, "path": path, "weight": 4, "keys": {"first": 1, "last": 20}} for name, path in {
            "one": "/things/{key}/pages/1", "two": "/things/{key}/pages/2", "alias": "/t/{key}/1",
            "empty": "/empty/{key}", "clock": "/clock/{key}", "gone": "/gone/{key}",
        }.items()),
        {"name": "write", "method": "PUT", "path": "/things/{key}", "body": {"v": "{number}"},
         "keys": {"first": 1, "last": 20}, "response": {"status": 204}},
    ],
}  # fmt: skip


def measured(folder: Path, before: PagedService, after: PagedService) -> Evidence:
    case_file = folder / "some-case.yml"
    case_file.write_text(new_case("some-case"))
    run = CaseRun.create(folder / "runs", case_file, now=datetime(2025, 1, 2), manifest={})
    declare(run, workload=WORKLOAD, expected={"status": 200})
    with before, after:
        report = measure(run, before, after, measure_s=4.0)
    check(run, report)
    entry = {"block": 0, "stage": "change", "arms": list(ARMS), "pair": 0, **report.as_facts()}
    return evidence_of(run, manifest_with(blocks=[entry]))


def test_wrong_pages_of_a_real_service_are_found(tmp_path: Path) -> None:
    looked_at = measured(tmp_path, PagedService(forgets_page=True), PagedService(packed=True))
    found = {id: finding for id, find in FINDERS.items() if (finding := find(looked_at)) is not None}
    assert set(found) <= {"same-bytes-other-url", "unexpected-answers", "arms-differ"}
    wrong = found["same-bytes-other-url"]
    assert wrong.before is not None and wrong.after is not None
    assert wrong.before.count >= 10 and wrong.after.count == 0 and wrong.facts["misses_wrong"] == 0
    assert {wrong.facts["route"], wrong.facts["other_route"]} <= {"one", "two", "alias"}
    gone = found["unexpected-answers"]
    assert gone.facts["before_good_status"] == 0
    assert {(row["route"], row["reason"], row["status"]) for row in gone.examples} == {("gone", "status", 404)}


def test_a_healthy_real_service_is_not_accused(tmp_path: Path) -> None:
    looked_at = measured(tmp_path, PagedService(packed=True), PagedService())
    assert {id for id, find in FINDERS.items() if find(looked_at) is not None} <= {"unexpected-answers"}

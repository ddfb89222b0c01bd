"""Writes that a service refuses, putting back with more than one try, and polls from every state."""

from __future__ import annotations

from typing import Any

import pytest
from probed import freshness, measure
from versioned_service import VersionedService

from luckyhit.judge.freshness.windows import staleness_windows, worst_windows

BY_STATE = {
    "path": "/things/{key}",
    "body": {"price": "{version}", "id": "{key}"},
    "refused": {"status": [409]},
}
ABSENT: dict[str, Any] = {
    "keys": {"first": 10_000, "last": 10_060},
    "create": {"method": "POST", "path": "/things/{key}", "body": {"price": "{version}"}, "status": 201},
    "remove": {"path": "/things/{key}"},
}
POLLED: dict[str, Any] = {"modes": ["burst"], "rate": "30/s"}


def test_a_declared_refusal_is_left_out_and_counted() -> None:
    measured = measure(VersionedService(refuse_every=3), spec=freshness(write=BY_STATE))
    refused = measured.writes[measured.writes["status"] == 409]
    assert len(refused) >= 5 and refused["acked_ns"].isna().all()
    assert measured.probe.left_out == {"before": len(refused)}
    # The racing read of an in-flight probe went out beside its write; behind the refusal nothing is read.
    behind = measured.classified[measured.reads["probe"].isin(refused["version"])]
    assert not behind["after_ack"].any()
    assert set(behind["prestate"]) <= {"in-flight"}
    assert measured.problems == ""


def test_a_refusal_that_nobody_declared_is_told_and_not_acknowledged() -> None:
    measured = measure(VersionedService(refuse_every=3), spec=freshness())
    refused = measured.writes[measured.writes["status"] == 409]
    assert len(refused) >= 5 and refused["acked_ns"].isna().all()
    assert measured.probe.left_out == {}
    of_them = measured.classified[measured.reads["probe"].isin(refused["version"])]
    assert len(of_them) and not of_them["after_ack"].any()


@pytest.mark.parametrize("retries", [0, 9])
def test_putting_back_is_tried_again(retries: int) -> None:
    service = VersionedService(refuse_every=2)
    arm = {"retry_after_s": (0.0,) * retries}
    measured = measure(service, spec=freshness(prestates=["warm"]), restore=True, arm=arm)
    left = {key for key in service.history if service.stored(key) != service.original}
    assert len(left) == measured.arms["before"].not_put_back
    assert (not left) is (retries == 9)


def test_a_removal_is_tried_again() -> None:
    spec = freshness(absent=ABSENT, rate="80/s", prestates=["warm"])
    measured = measure(VersionedService(), spec=spec, restore=True, arm={"retry_after_s": (0.0,)})
    assert measured.arms["before"].not_put_back == 0


def test_polls_meet_a_race_that_needs_a_read_under_way() -> None:
    spec = freshness(prestates=["warm", "in-flight"], **POLLED)
    measured = measure(VersionedService(load_s=0.02), spec=spec, seconds=1.2)
    windows = worst_windows(staleness_windows(measured.reads, measured.writes))
    stuck = windows.groupby("prestate")["censored"].sum()
    assert stuck["in-flight"] >= 1 and stuck["warm"] == 0


def test_polls_meet_an_absence_that_stays_cached() -> None:
    spec = freshness(prestates=["warm"], absent=ABSENT, **POLLED)
    service = VersionedService(cached_absence=True)
    measured = measure(service, spec=spec, seconds=1.2, restore=True)
    windows = worst_windows(staleness_windows(measured.reads, measured.writes))
    stuck = windows.groupby("prestate")["censored"].agg(["sum", "count"])
    assert stuck.loc["absent", "sum"] == stuck.loc["absent", "count"] >= 2
    assert stuck.loc["warm", "sum"] == 0
    assert all(service.stored(key) is None for key in service.history if int(key) >= service.absent_from)


def test_polls_are_conditional_in_turn_and_ask_with_the_last_answer() -> None:
    measured = measure(VersionedService(cached=True, etags=True), spec=freshness(prestates=["warm"], **POLLED))
    conditional = measured.reads[measured.reads["conditional"]]
    assert 0 < conditional["probe"].nunique() < measured.reads["probe"].nunique()
    assert set(conditional["status"]) == {304}
    told = measured.classified[measured.reads["conditional"]]
    assert set(told["outcome"]) == {"stale"}

"""Each healthy service looks odd in its way, and shows no old read beyond what its case declares."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from luckyhit.case.load import load_case
from luckyhit.case.model import Case
from tier import one_of_many
from waiting import eventually

from . import HEALTHY, truth
from .running import Reading, Running, running

ROW, REFUSED = 7, 30
READERS = 4
WRITES = 6


def _declared(name: str) -> Case:
    return load_case(HEALTHY[name] / "case.yml")


def _plain(service: Running) -> None:
    readings = [service.read(ROW) for _ in range(3)]
    assert [reading.cache for reading in readings] == ["MISS", "HIT", "HIT"]


def _stale_while_revalidate(service: Running) -> None:
    with service.commands() as commands:
        service.write(ROW, 2)
    assert not commands.any("DEL", "UNLINK", "SET", "EXPIRE")
    eventually(lambda: service.read(ROW).cache == "STALE")


def _ttl_jitter(service: Running) -> None:
    rows = range(1, 11)
    for row in rows:
        service.read(row)
    ends = [service.redis.pexpiretime(service.key(row)) for row in rows]
    assert len(set(ends)) == len(rows) and sorted(ends) != ends


def _own_expiry(service: Running) -> None:
    readings = [service.read(ROW) for _ in range(3)]
    assert [reading.cache for reading in readings] == ["MISS", "HIT", "HIT"]
    assert service.redis.ttl(service.key(ROW)) == -1
    assert service.redis.get(f"asked/{ROW}") == "3"


def _tagged_keys(service: Running) -> None:
    before = {*service.redis.keys("minutes:*")} if service.read(ROW) else set()
    with service.commands() as commands:
        service.write(ROW, 2)
    assert not commands.any("DEL", "UNLINK", "EXPIRE")
    assert service.read(ROW).version == 2
    assert before < {*service.redis.keys("minutes:*")}


def _declared_refusals(service: Running) -> None:
    path = service.url + service.truth["write"]["path"].format(id=REFUSED)
    for version in (2, 3):
        service.read(REFUSED)
        assert httpx.put(path, json={service.truth["write"]["body"]: version}).status_code == 409
        assert service.read(REFUSED).version == 1
    assert [httpx.get(f"{service.url}/depots/{depot}/queue").status_code for depot in (3, 4, 4)] == [200, 503, 503]


def _closing_connections(service: Running) -> None:
    with httpx.Client() as client:
        answers = [client.get(service.url + service.truth["read"]["path"].format(id=ROW)) for _ in range(3)]
    assert [answer.headers["connection"] for answer in answers] == ["close"] * 3


def _accepted_writes(service: Running) -> None:
    service.read(ROW)
    path = service.url + service.truth["write"]["path"].format(id=ROW)
    assert httpx.put(path, json={service.truth["write"]["body"]: 2}).status_code == 202
    assert eventually(lambda: service.read(ROW).version == 2)


def _two_workers(service: Running) -> None:
    service.write(ROW, 2)
    versions: dict[str | None, set[int | None]] = {}

    def both() -> bool:
        for reading in _at_once(service, READERS):
            versions.setdefault(reading.worker, set()).add(reading.version)
        return len(versions) == 2

    eventually(both, within_s=120)
    assert list(versions.values()) == [{2}, {2}]


def _languages(service: Running) -> None:
    asked = [None, {"Accept-Language": "fr"}, None, {"Accept-Language": "de"}]
    service.write(ROW, 2)
    answers = [service.answer(ROW, headers).json() for headers in asked]
    assert [(answer["language"], answer["text"]["version"]) for answer in answers] == [
        ("en", 1),
        ("fr", 1),
        ("en", 1),
        ("de", 2),
    ]


def _at_once(service: Running, readers: int) -> list[Reading]:
    with ThreadPoolExecutor(readers) as pool:
        return list(pool.map(service.read, [ROW] * readers))


ODDITIES: dict[str, Callable[[Running], None]] = {
    "plain": _plain,
    "stale-while-revalidate": _stale_while_revalidate,
    "ttl-jitter": _ttl_jitter,
    "own-expiry": _own_expiry,
    "tagged-keys": _tagged_keys,
    "declared-refusals": _declared_refusals,
    "closing-connections": _closing_connections,
    "accepted-writes": _accepted_writes,
    "two-workers": _two_workers,
    "languages": _languages,
}
QUICK = ("plain",)
EACH = [one_of_many(name, quick=name in QUICK) for name in ODDITIES]


def test_all_healthy_services_are_tried() -> None:
    assert set(ODDITIES) == set(HEALTHY)
    assert {truth(name)["class"] for name in HEALTHY} == {"none"}


@pytest.mark.parametrize("name", HEALTHY)
def test_the_case_changes_a_harmless_variable(name: str) -> None:
    change, variable = _declared(name).change, truth(name)["variable"]
    assert (change.name, change.before, change.after) == (variable["name"], variable["before"], variable["after"])


@pytest.mark.parametrize("name", EACH)
def test_a_healthy_service_is_odd_as_described(name: str) -> None:
    with running(name, "before") as service:
        ODDITIES[name](service)


@pytest.mark.parametrize("name", EACH)
def test_no_read_is_older_than_was_declared(name: str) -> None:
    """Each write meets reads that are under way, of an entry that is warm and of one that is not there."""
    declared = _declared(name).freshness
    assert declared is not None
    with running(name, "before", LOAD_MS="30") as service, ThreadPoolExecutor(READERS) as pool:
        for version in range(2, 2 + WRITES):
            if version % 2:
                service.redis.flushall()
            under_way = [pool.submit(service.read, ROW) for _ in range(READERS)]
            service.write(ROW, version)
            bound_s = time.monotonic() + declared.within
            assert all(reading.result().version in (version, version - 1) for reading in under_way)
            while time.monotonic() < bound_s:
                service.read(ROW)
            assert {reading.version for reading in _at_once(service, READERS)} == {version}

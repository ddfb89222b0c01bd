"""What all other tests stand on does what they believe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import world
from luckyhit.case.model import Case
from world.caches import cache
from world.sick import SICK

ROOT = Path(__file__).parents[2]


def test_the_case_is_a_valid_one_and_takes_other_parts() -> None:
    assert Case.model_validate(world.case()).change.kind == "env"
    other = Case.model_validate(world.case(cache=None, title="Another"))
    assert other.title == "Another" and other.cache.clear == []


def test_faults_come_in_place_of_answers_lastingly_or_once() -> None:
    for lasting, statuses in ((True, [503, 503, 200]), (False, [503, 200, 200])):
        with world.Service(lambda _: {"price": 7}, faults={"/a": world.Reply(status=503)}, lasting=lasting) as service:
            responses = [httpx.get(f"{service.url}{path}", trust_env=False) for path in ("/a", "/a", "/b")]
        assert [response.status_code for response in responses] == statuses
        assert responses[-1].json() == {"price": 7} and service.paths("GET") == ["/a", "/a", "/b"]


def test_a_connection_that_is_kept_alive_ends_with_its_service() -> None:
    with httpx.Client(trust_env=False) as client:
        with world.Service() as service:
            url = service.url
            assert client.put(url, content=b"x").status_code == client.request("PURGE", url).status_code == 200
        with pytest.raises(httpx.TransportError):
            client.get(url)
    assert service.methods == ["PUT", "PURGE"] and service.requests[0].body == b"x"


def test_a_cache_is_empty_and_ones_own() -> None:
    with cache() as first, cache() as second, first.client() as client:
        client.set("a", "b")
        with second.client() as other:
            assert other.dbsize() == 0
        first.empty()
        assert client.dbsize() == 0


def test_sick_services_are_listed_and_start_by_name() -> None:
    command = [sys.executable, "-m", "tests.world.sick"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    listed = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(SICK)
    started = [*command, "underspecified-key"]
    with subprocess.Popen(started, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2].rstrip(":")
        pages = [httpx.get(f"{url}/things/7/pages/{page}", trust_env=False).json()["page"] for page in (1, 2)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert pages == ["1", "1"]

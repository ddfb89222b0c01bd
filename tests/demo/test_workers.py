"""Several worker processes on one port."""

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import httpx
import psutil
import pytest
from catalogue_service import Service, poll, service_env


@pytest.fixture(scope="module")
def pair(valkey, tmp_path_factory):
    """Two workers, each with a memory of its own."""
    service = Service(
        tmp_path_factory.mktemp("workers"),
        f"redis://127.0.0.1:{valkey.port}/3",
        CATALOGUE_WORKERS="2",
        CATALOGUE_LOCAL_TTL="300",
    )
    yield service
    service.stop()


@pytest.fixture(scope="module")
def clients(pair):
    """By worker, a client whose one kept connection leads to it."""
    clients = {}

    def find():
        client = httpx.Client(base_url=pair.http.base_url, timeout=10)
        worker = client.get("/health").headers["x-served-by"]
        if clients.setdefault(worker, client) is not client:
            client.close()
        return len(clients) == 2

    poll(find, condition_name="both workers answer")
    yield clients
    for client in clients.values():
        client.close()


def test_an_answer_names_the_worker_that_gave_it(pair, clients):
    pids = {f"catalogue-{child.pid}" for child in psutil.Process(pair.process.pid).children()}
    assert set(clients) == pids
    for worker, client in clients.items():
        for path in ("/products/5", "/products?page=1", "/products/none", "/nowhere"):
            assert client.get(path).headers["x-served-by"] == worker


def test_new_connections_are_spread_evenly(pair):
    def worker(_):
        with closing(HTTPConnection("127.0.0.1", pair.http.base_url.port, timeout=10)) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().headers["x-served-by"]

    with ThreadPoolExecutor(4) as pool:
        workers = list(pool.map(worker, range(100)))
    # Binomial(100, 1/2) leaves [18, 82] about once in 10^11 times.
    assert all(18 <= workers.count(name) <= 82 for name in set(workers)) and len(set(workers)) == 2


def test_writes_of_two_processes_do_not_fail_each_other(pair, clients):
    both = list(clients.values())

    def write(number):
        client = both[number % 2]
        return client.put(f"/products/{101 + number % 20}/price", json={"price_cents": 500_000 + number}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(160))) == {200}
    with closing(sqlite3.connect(pair.database)) as connection:
        written = connection.execute("SELECT price_cents FROM price_changes WHERE price_cents >= 500000")
        assert sorted(price for (price,) in written) == list(range(500_000, 500_160))


def test_an_update_empties_the_memory_of_its_own_worker_only(clients):
    writer, other = clients.values()
    old = [client.get("/products/17").json()["price_cents"] for client in (writer, other)]
    assert old[0] == old[1]
    assert writer.put("/products/17/price", json={"price_cents": 777}).status_code == 200

    assert writer.get("/products/17").json()["price_cents"] == 777, "its own writes it can read"
    assert writer.get("/products/17").headers["cache-status"] == "catalogue; hit; detail=local"
    answer = other.get("/products/17")
    assert answer.json()["price_cents"] == old[1]
    assert answer.headers["cache-status"] == "catalogue; hit; detail=local"
    assert answer.headers["server-timing"].endswith('desc="0"') and int(answer.headers["age"]) >= 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_all_workers_end_with_their_parent(start_service, how):
    service = start_service(CATALOGUE_WORKERS="2")
    workers = psutil.Process(service.process.pid).children()
    assert len(workers) == 2
    service.process.send_signal(how)
    code = service.process.wait(10)
    poll(lambda: not any(_runs(worker) for worker in workers), condition_name="the workers are gone")
    assert code == {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}[how]


def test_where_one_worker_dies_all_end_and_the_log_says_which(start_service):
    service = start_service(CATALOGUE_WORKERS="2")
    first, second = psutil.Process(service.process.pid).children()
    os.kill(first.pid, signal.SIGKILL)
    assert service.process.wait(10) == 1
    assert not _runs(second)
    assert f"a worker ended, and the others with it: {first.pid} (-9)" in service.log_file.read_text()


def test_a_port_that_is_taken_is_not_shared(pair, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "luckyhit.demo", "--port", str(pair.http.base_url.port)],
        env=service_env("redis://127.0.0.1:1", tmp_path / "catalogue.sqlite", CATALOGUE_WORKERS="2"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "ddress already in use" in done.stderr and "Traceback" not in done.stderr


def _runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

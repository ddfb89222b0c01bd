"""What one response shows of caches and the database, for every byte that a service may send.

The responses are as they came from nginx 1.22, Varnish 7.1, Squid 5.7, HAProxy 2.6, Apache 2.4 and Traffic Server 9.2 in
front of a service that writes `X-Cache: MISS` and `X-DB-Calls: 2` itself, and of each other (`tests/proxies`); those of
other products are as their documentation has them.
"""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.target import Target
from luckyhit.load.signals import (
    ResponseSignals,
    SignalReader,
    headers_source,
    offered,
    offered_calls,
    service_ms,
    signals_of,
)
from luckyhit.load.signals.signal_table import CACHE_SOURCES

Headers = list[tuple[bytes, bytes]]


def headers(*lines: str) -> Headers:
    pairs = (line.partition(":") for line in lines)
    return [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs]


def read(*lines: str) -> ResponseSignals:
    return SignalReader().read(headers(*lines))


def cache(*lines: str) -> str:
    return read(*lines).cache


def shown(signals: ResponseSignals) -> list[object]:
    """Cache status, layers and database calls."""
    return [signals.cache, *(signals.layers or "").split(), signals.db_calls]


STATUSES = {
    "hit": """
        Cache-Status: catalogue; hit; ttl=30; detail=mem
        Cache-Status: catalogue; fwd=stale; fwd-status=304
        Cache-Status: origin; fwd=miss, edge; hit
        Cache-Status: origin; hit, edge
        Cache-Status: "a, b; fwd=miss"; hit
        Cache-Status: "a\\", b; fwd=miss"; hit
        X-Cache: RefreshHit from cloudfront
        X-Cache: OriginShieldHit from cloudfront
        X-Cache: TCP_MEM_HIT from edge-1 (Squid)
        X-Cache: TCP_HIT from a23-51-224-170 (AkamaiGHost/11.0) (-)
        X-Cache: TCP_REFRESH_HIT from a1
        X-Cache: TCP_IMS_HIT from a1
        X-Cache: TCP_REMOTE_HIT
        X-Cache: MISS, HIT
        X-Cache: cp3066 miss, cp3066 hit/6
        X-Cache: HIT (miss-node)
        X-Cache: hit-fresh
        X-Cache: REVALIDATE from h
        X-Cache-Detail: "conditional cache hit: entity refreshed" from h
        Akamai-Cache-Status: Hit from child
        CF-Cache-Status: REVALIDATED
        EO-Cache-Status: RefreshHit
        X-Cache-Status: hit-front
        X-Vercel-Cache: PRERENDER
        X-LiteSpeed-Cache: hit,private
        X-Rack-Cache: fresh
        X-Rack-Cache: stale, valid, store
        X-Cache-Hits: 1, 3
        hit_cache: True
        X-Cache-Hit: True
        X-From-Cache: 1
        X-Varnish: 32770 3
        Fastly-Debug-TTL: H cache-jfk1026-JFK 41733294.335 864000.000 2273
        Fastly-Debug-TTL: (H cache-ams1-AMS - - 12) (M cache-lon2-LON - - 0)
        Server-Timing: app;dur=3, cdn-cache; desc=HIT, edge; dur=1
        Server-Timing: cache;desc="hit-front", host;desc="miss1"
        Server-Timing: cdn-cache-refresh, cdn-pop;desc=FRA
        Server-Timing: HIT-CLUSTER, fastly;desc="Edge time";dur=1
        Age: 30
    """,
    "miss": """
        Cache-Status: catalogue; fwd=uri-miss; stored
        Cache-Status: catalogue; fwd=vary-miss
        Cache-Status: catalogue; fwd=stale; fwd-status=200
        Cache-Status: origin; hit, edge; fwd=miss
        X-Cache: Miss from cloudfront
        X-Cache: HIT, MISS
        X-Cache: MISS from hit-1.example.net
        X-Cache: HIT from miss.example.net, MISS from hit.example.net
        X-Cache: TCP_MISS from a23-51-224-170 (AkamaiGHost/11.0) (-)
        X-Cache: TCP_REFRESH_MISS from a1-2-3-4 (AkamaiGHost/1)
        Akamai-Cache-Status: Miss from child, Hit from parent
        X-Cache-Status: EXPIRED
        X-Cache-Status: SCARCE
        X-Cache-Status: Refresh
        X-Sucuri-Cache: EXPIRED
        X-Vercel-Cache: REVALIDATED
        X-Wagtail-Cache: err
        X-Rack-Cache: miss, store
        X-Rack-Cache: stale, invalid, store
        X-Cache-Hits: 0
        X-Cache-Hit: False
        X-Varnish: 5 4, 32770
        Fastly-Debug-TTL: M cache-jfk1026-JFK - - 0
        Fastly-Debug-TTL: (M cache-ams1-AMS - - 12) (H cache-lon2-LON - - 0)
        Server-Timing: cfCacheStatus;desc="MISS"
        Server-Timing: cdn-upstream-layer;desc=EDGE, cdn-cache-miss
        Server-Timing: miss, app;desc="hit"
    """,
    "stale": """
        Cache-Status: catalogue; hit; ttl=-3
        CF-Cache-Status: UPDATING
        X-Cache: TCP_REFRESH_FAIL_HIT from a1
        Akamai-Cache-Status: HitStale from child
        X-NextJS-Cache: STALE
    """,
    "bypass": """
        Cache-Status: catalogue; fwd=method
        CF-Cache-Status: DYNAMIC
        X-Cache: CONFIG_NOCACHE
        X-Cache: PRIVATE_NOSTORE
        X-Cache: skipped
        Akamai-Cache-Status: NotCacheable from child
        X-Rack-Cache: invalidate, pass
        X-Wagtail-Cache: skip
        X-Drupal-Dynamic-Cache: UNCACHEABLE
        Server-Timing: PASS, fastly;desc="Edge time";dur=1
    """,
    "unknown": """
        Cache-Status: catalogue
        Cache-Status: "unclosed; hit
        X-Cache: Error from cloudfront
        X-Cache: LambdaGeneratedResponse from cloudfront
        X-Cache: TCP_DENIED from a1
        X-Cache: white-list
        X-Cache: N/A
        X-Cache-Detail: "Response status 503" from h
        CF-Cache-Status: NONE/UNKNOWN
        X-Cache-Hit: perhaps
        X-Varnish: 1 2 3
        X-Varnish: hit
        Server-Timing: cachet;desc=hit
        Server-Timing: missed, app;desc="hit"
        Content-Type: hit
        Age: 0
    """,
}


@pytest.mark.parametrize(
    ("line", "status"), [(line.strip(), name) for name, text in STATUSES.items() for line in text.strip().splitlines()]
)
def test_cache_status_of_one_header(line: str, status: str) -> None:
    assert cache(line) == status


@pytest.mark.parametrize("source", [source for source in CACHE_SOURCES if source.form == "words"], ids=lambda s: s.name)
def test_each_header_of_words_has_the_plain_words(source: object) -> None:
    name = source.name  # type: ignore[attr-defined]
    assert [cache(f"{name}: {word}") for word in ("HIT", "miss", "STALE", "Bypass", "odd")] == [
        "hit", "miss", "stale", "bypass", "unknown",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        # The nearest counts; a cache that took no part says nothing about those behind it.
        (["X-Drupal-Cache: HIT", "X-Cache: MISS", "Cache-Status: proxy"], "miss"),
        (["X-Cache: MISS", "Cache-Status: proxy", "X-Drupal-Cache: HIT"], "hit"),
        (["Cache-Status: a; fwd=miss", "Cache-Status: b; hit"], "hit"),
        (["CF-Cache-Status: DYNAMIC", "X-Cache: HIT"], "hit"),
        (["CF-Cache-Status: DYNAMIC", "Server: x"], "bypass"),
        (["CF-Cache-Status: HIT", "X-Cache: MISS"], "hit"),
        # Stale only if the lifetime is known.
        (["X-Varnish: 5 3", "Age: 300", "Cache-Control: max-age=0, must-revalidate"], "hit"),
        (["X-Varnish: 5 3", "Age: 300", "Cache-Control: private, max-age=60"], "hit"),
        (["X-Varnish: 5 3", "Age: 300", "Cache-Control: no-cache"], "hit"),
        (["X-Varnish: 5 3", "Age: 300"], "hit"),
        (["X-Varnish: 5 3", "Age: 59", "Cache-Control: max-age=60"], "hit"),
        (["X-Varnish: 5 3", "Age: 60", "Cache-Control: max-age=60"], "stale"),
        (["X-Cache: HIT from h", "Age: 60", "Cache-Control: max-age=60"], "hit"),
        (["X-Cache: HIT from h", "Age: 61", "Cache-Control: max-age=60"], "stale"),
        (["X-Varnish: 5 3", "Age: 61", "Cache-Control: max-age=60, s-maxage=600"], "hit"),
        (["X-Varnish: 5 3", "Age: 61", "Surrogate-Control: max-age=600", "Cache-Control: max-age=60"], "hit"),
        (["X-Cache-Status: HIT", "Age: 61", "Cache-Control: max-age=60"], "hit"),  # nginx would say STALE
        (["Age: 61", "Cache-Control: max-age=60"], "stale"),
        (["Age: 30", "Cache-Control: private, max-age=30"], "unknown"),  # cashews 7.6: the time left
        (["Age: 29", "Cache-Control: private, max-age=30"], "hit"),
    ],
)
def test_cache_status_of_several_headers(lines: list[str], status: str) -> None:
    assert cache(*lines) == status


OWN = ["X-Cache: MISS", "X-DB-Calls: 2", "Cache-Control: max-age=2"]
CALLS, VARNISH = "X-DB-Calls: 2", "Via: 1.1 varnish (Varnish/7.1)"
ATS = "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [%s])"
SQUID = ["X-Cache: HIT from me", "X-Cache-Lookup: HIT from me:1"]


@pytest.mark.parametrize(
    ("lines", "layers", "status", "calls"),
    [
        # nginx over the service
        ([*OWN, "X-Cache-Status: MISS"], "x-cache-status=miss x-cache=miss", "miss", 2),
        ([*OWN, "X-Cache-Status: HIT"], "x-cache-status=hit x-cache=miss", "hit", 0),
        ([*OWN, "X-Cache-Status: REVALIDATED"], "x-cache-status=hit x-cache=miss", "hit", None),
        ([*OWN, "X-Cache-Status: BYPASS"], "x-cache-status=bypass x-cache=miss", "miss", 2),
        # Varnish over the service; its grace; with a word of its VCL, which comes after its Via
        ([*OWN, "X-Varnish: 2", "Age: 0", VARNISH], "x-varnish=miss x-cache=miss", "miss", 2),
        ([*OWN, "X-Varnish: 5 3", "Age: 1", VARNISH], "x-varnish=hit x-cache=miss", "hit", 0),
        ([*OWN, "X-Varnish: 7 3", "Age: 3", VARNISH], "x-varnish=stale x-cache=miss", "stale", 0),
        ([CALLS, "X-Varnish: 5 3", "Age: 1", VARNISH, "X-Cache: HIT", "X-Cache-Hits: 4"], "x-varnish=hit", "hit", 0),
        ([CALLS, "X-Varnish: 5", "Age: 0", VARNISH, "X-Cache: PASS"], "x-varnish=bypass", "bypass", 2),
        # nginx over Varnish, with the same header, and with its own; over HAProxy, which had it and which had not
        ([CALLS, "X-Varnish: 5", "Age: 0", VARNISH, "X-Cache: HIT"], "x-cache=hit x-varnish=miss", "hit", 2),
        ([CALLS, "X-Varnish: 6", "Age: 0", VARNISH, "X-Cache-Status: HIT"], "x-cache-status=hit x-varnish=miss", "hit", 0),
        ([CALLS, "age: 4", "X-Cache-Status: MISS"], "x-cache-status=miss age=hit", "miss", 0),
        ([CALLS, "X-Cache-Status: MISS"], "x-cache-status=miss", "miss", 2),
        # Squid over the service, and over Varnish
        ([*OWN, "X-Cache: MISS from me", SQUID[1]], "x-cache=miss x-cache=miss", "miss", 2),
        ([*OWN, "Age: 0", *SQUID], "x-cache=hit x-cache=miss", "hit", 0),
        ([*OWN, "X-Varnish: 98350", "Age: 1", *SQUID], "x-cache=hit x-varnish=miss x-cache=miss", "hit", 0),
        # Apache over the service: its header replaces the inner one; over Varnish: its detail is at the right place
        (["X-Cache: MISS from h", *OWN[1:]], "x-cache=miss", "miss", 2),
        (["X-Cache: HIT from h", *OWN[1:], "Age: 1"], "x-cache=hit", "hit", 0),
        (["X-Cache: REVALIDATE from h", *OWN[1:]], "x-cache=hit", "hit", None),
        (["X-Cache: HIT from h", *OWN[1:], "Age: 9", 'Warning: 110 h "Response is stale"'], "x-cache=stale", "stale", 0),
        (["X-Cache: HIT from h", *OWN[1:], 'Warning: 111 h "Revalidation failed"'], "x-cache=stale", "stale", 0),
        (["X-Cache: HIT from h", *OWN[1:], "Age: 9"], "x-cache=stale", "stale", 0),
        (["X-Cache: HIT from h", *OWN[1:], "X-Varnish: 98353", "Age: 1", VARNISH, 'X-Cache-Detail: "cache hit" from h'],
         "x-cache=hit x-varnish=miss", "hit", 0),
        # Varnish over Varnish, with an Age of the nearer; over Traffic Server, where an Age of 1 may be a new response's
        ([*OWN, "X-Varnish: 98344", VARNISH, "X-Varnish: 98306 65539", "Age: 1", VARNISH],
         "x-varnish=hit x-varnish=miss x-cache=miss", "hit", 0),
        ([CALLS, "X-Varnish: 32784", "Age: 1", VARNISH], "x-varnish=miss", "miss", 2),
        ([CALLS, "X-Varnish: 32784", "Age: 3", VARNISH], "x-varnish=miss age=hit", "miss", 0),
        # HAProxy over the service, over Varnish, over Squid, and under Varnish: its Age comes after all other headers
        (["x-cache: MISS", CALLS, "age: 1"], "age=hit x-cache=miss", "hit", 0),
        (["x-cache: MISS", CALLS, "x-varnish: 10", VARNISH, "age: 1"], "age=hit x-varnish=miss x-cache=miss", "hit", 0),
        ([CALLS, "x-cache: MISS from squid", "via: 1.1 squid (squid/5.7)", "age: 1"], "age=hit x-cache=miss", "hit", 0),
        ([CALLS, "cache-status: app; fwd=miss; stored", "age: 1"], "age=hit cache-status=miss", "hit", 0),
        (["x-cache: MISS", CALLS, "X-Varnish: 10", "Age: 2", VARNISH], "x-varnish=miss age=hit x-cache=miss", "miss", 0),
        # Traffic Server, with its letters (in full, and the first of them) and without
        ([CALLS, "Age: 1", ATS % "uScMsSfWpSeN:t cCMp sS"], "via=miss", "miss", 2),
        ([CALLS, "Age: 1", ATS % "uScRs f p eN:t cCHp s "], "via=hit", "hit", 0),
        ([*OWN, "Age: 0", ATS % "cMsSfW"], "via=miss x-cache=miss", "miss", 2),
        ([*OWN, "Age: 0", ATS % "cHs f "], "via=hit x-cache=miss", "hit", 0),
        ([*OWN, "Age: 0", ATS % "cWs f "], "via=hit x-cache=miss", "hit", 0),
        ([*OWN, "Age: 0", ATS % "cSsNfU"], "via=hit x-cache=miss", "hit", None),
        ([*OWN, "Age: 0", ATS % "cSsSfU"], "via=miss x-cache=miss", "miss", 2),
        ([*OWN, "Age: 9", ATS % "cSs f "], "via=stale x-cache=miss", "stale", 0),
        ([*OWN, "Age: 2"], "age=hit x-cache=miss", "hit", 0),
        ([*OWN, "Age: 0", "X-Cache: hit-stale"], "x-cache=miss x-cache=miss", "miss", 2),
        (["x-cache: MISS, hit-fresh", CALLS, "Age: 0"], "x-cache=hit x-cache=miss", "hit", 0),
        # Services that report a cache that they ask themselves: their counts are of this request
        (["X-Cache: HIT", 'Server-Timing: db;desc="1"'], "x-cache=hit", "hit", 1),
        (["Cache-Status: catalogue; hit", 'Server-Timing: db;desc="1"'], "cache-status=hit", "hit", 1),
        (['Server-Timing: db;desc="1"', "X-Wagtail-Cache: hit"], "x-wagtail-cache=hit", "hit", 0),
        (["X-Wagtail-Cache: hit", 'Server-Timing: db;desc="1"'], "x-wagtail-cache=hit", "hit", 1),
        # At the edge of the network, at any place
        (["CF-Cache-Status: HIT", "X-Cache: MISS", "X-DB-Calls: 3"], "cf-cache-status=hit x-cache=miss", "hit", 0),
        (["X-Cache: MISS, HIT", "X-Cache-Hits: 0, 3"], "x-cache=hit x-cache=miss", "hit", None),
        (["X-Cache: TCP_HIT from a1 (AkamaiGHost/11.0)", "Server-Timing: cdn-cache; desc=HIT"], "x-cache=hit", "hit", None),
    ],
)  # fmt: skip
def test_layers_are_told_apart(lines: list[str], layers: str, status: str, calls: int | None) -> None:
    assert shown(read(*lines)) == [status, *layers.split(), calls]


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ('Server-Timing: app;dur=4.2, db;dur=3.1;desc="2"', 2),
        ('Server-Timing: db;desc="0";dur=0', 0),
        ("Server-Timing: DB;desc=3", 3),
        ('Server-Timing: db;desc="2 queries"', 2),
        ('Server-Timing: db;desc="1", db;desc="2"', 3),
        ("Server-Timing: DB-Calls;dur=2, app;dur=0.1", 2),
        ("Server-Timing: db-calls;dur=2.0", 2),
        ('Server-Timing: sql-queries;desc="5"', 5),
        ('Server-Timing: SQLPanel_sql_time;dur=3.25;desc="SQL 7 queries"', 7),
        ("Server-Timing: db;dur=3.1", None),
        ("Server-Timing: db-calls;dur=2.5", None),
        ('Server-Timing: app;desc="db;desc=7"', None),
        ("Server-Timing: mydb;desc=7", None),
        ('Server-Timing: db;desc="-1"', None),
        ('Server-Timing: db;desc="9999999999"', 2**31 - 1),
        ("X-DB-Calls: 4", 4),
        ("X-QueryInspect-Num-SQL-Queries: 17", 17),
        ("X-DjangoQueryCount-Count: 5", 5),
        ("X-DB-Query-Count: 0", 0),
        ("X-DB-Calls: many", None),
    ],
)
def test_database_calls(line: str, calls: int | None) -> None:
    assert SignalReader().read(headers(line)).db_calls == calls


def test_a_case_names_where_database_calls_are() -> None:
    lines = headers("x-sql: 4", "x-db-calls: 9", 'server-timing: sql;dur=3, app;dur=1, db;desc="8"')
    assert SignalReader().read(lines).db_calls == 9
    assert SignalReader(db_header="X-SQL").read(lines).db_calls == 4
    assert SignalReader(db_metric="sql").read(lines).db_calls == 3
    assert SignalReader(db_header="x-none").read(lines).db_calls is None
    assert SignalReader(db_metric="none").read(lines).db_calls is None
    several = headers('Server-Timing: pg;dur=4, db;desc="2", PG;desc="1"')
    assert SignalReader(db_metric="Pg").read(several).db_calls == 5


@pytest.mark.parametrize(
    ("metric", "calls"),
    [
        ('ledger;dur=3.4;desc="1"', 1),
        ('ledger;dur=3.0;desc="1"', 1),
        ('ledger;dur=0;desc="0"', 0),
        ('ledger;desc="2 queries";dur=9', 2),
        ('ledger;dur=2;desc="asked"', 2),
        ("ledger;dur=2.0", 2),
        ("ledger;dur=3.4", None),
    ],
)
def test_a_count_beside_a_time_is_the_count(metric: str, calls: int | None) -> None:
    """By the standard `dur` is a time, which is a whole number now and then."""
    assert SignalReader(db_metric="ledger").read(headers(f"Server-Timing: {metric}")).db_calls == calls
    usual = headers(f"Server-Timing: {metric.replace('ledger', 'db-calls')}")
    assert SignalReader().read(usual).db_calls == calls


def test_a_case_names_its_own_header_and_words() -> None:
    reader = SignalReader("X-Shop", {"W": "hit", "none of it": "miss"})
    for lines, status in (
        (["x-shop: w", "X-Cache: MISS"], "hit"),
        (["x-shop: None Of It"], "miss"),
        (["x-shop: stale"], "stale"),
        (["X-Cache: HIT"], "unknown"),
    ):
        assert reader.read(headers(*lines)).cache == status
    listed = SignalReader("Cache-Status").read(headers("Cache-Status: a; hit"))
    chosen = SignalReader("X-Cache").read(headers(*OWN, "X-Cache-Status: HIT"))
    assert listed.cache == "hit" and shown(chosen) == ["miss", "x-cache-status=hit", "x-cache=miss", 0]
    assert shown(reader.read(headers("X-Shop: W", *OWN)))[1:3] == ["x-cache=miss", "x-shop=hit"]


def test_a_target_declares_its_signals() -> None:
    facts = {"url": "http://h", "cache_header": "X-C", "cache_values": {"y": "hit"}, "db_header": "X-N"}
    signals = headers_source(signals_of(Target.model_validate(facts))).read(headers("x-c: Y", "x-n: 3"))
    assert (signals.cache, signals.db_calls) == ("hit", 3)


def test_age_and_the_services_own_duration() -> None:
    left = ["Cache-Control: private, max-age=30", "Age: 30"]
    assert [read(*lines).age_s for lines in (["Age: 12"], ["Age: -1"], left)] == [12.0, None, None]
    timings = [headers(f"Server-Timing: {text}") for text in ("db;dur=1, app;dur=4.25", "app;dur=x")]
    assert [service_ms(timing) for timing in timings] == [4.25, None]


def test_remembered_responses_are_not_mixed_up() -> None:
    reader = SignalReader()
    for age in range(5000):  # more than are remembered
        signals = reader.read(headers(f"Age: {age}", f'Server-Timing: app;dur={age}.5, db;dur=1;desc="{age % 7}"'))
        assert (signals.age_s, signals.db_calls, signals.cache) == (age, age % 7, "hit" if age else "unknown")
    for status in ("hit", "miss"):
        signals = reader.read(headers("Age: 3", f"X-Cache: {status}"))
        assert signals.cache == status
    for calls in (1, 2):
        usual, named = (headers(f"Server-Timing: {name};dur={calls}") for name in ("db-calls", "db"))
        assert reader.read(usual).db_calls == SignalReader(db_metric="db").read(named).db_calls == calls


def test_remembered_responses_stay_small() -> None:
    reader = SignalReader()
    tracemalloc.start()
    try:
        for number in range(5_000):  # more than are remembered
            reader.read([(b"cache-status", b"a; hit; ttl=%d; detail=" % number + b"x" * (900 + number % 2 * 3000))])
        assert tracemalloc.get_traced_memory()[0] < 7_000_000
    finally:
        tracemalloc.stop()


@given(st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1))
def test_counts_of_any_size_are_read_alike(first: int, second: int) -> None:
    reader, most = SignalReader(), 2**31 - 1
    for count in (first, second, first):
        signals = reader.read(headers(f"X-DB-Calls: {count}", "X-Cache: MISS"))
        assert (signals.db_calls, signals.cache, signals.row[1]) == (min(count, most), "miss", min(count, most))
    # Of several headers the usual order decides, at any place; on a stored response none of them counts.
    assert reader.read(headers(f"X-Query-Count: {first}", f"X-DB-Calls: {second}")).db_calls == min(second, most)
    assert reader.read(headers(f"X-DB-Calls: {second}", "X-Wagtail-Cache: hit")).db_calls == 0


words = st.sampled_from(["HIT", "MISS", "STALE", "BYPASS", "odd"])
sources = st.sampled_from([source.name for source in CACHE_SOURCES if source.form == "words" and not source.edge])


@given(st.lists(st.tuples(sources, words), min_size=1, max_size=6, unique_by=lambda pair: pair[0]))
def test_the_latest_that_says_something_is_the_nearest(pairs: list[tuple[str, str]]) -> None:
    signals = SignalReader().read(headers(*(f"{name}: {word}" for name, word in pairs)))
    events = [word.lower() for _, word in pairs if word != "odd"]
    parts = [part.partition("=")[2] for part in (signals.layers or "").split()]
    assert len(parts) <= len(events)
    assert all(status in events for status in parts)
    counted = [word for word in events if word != "bypass"]
    if "x-cache-detail" not in dict(pairs):
        assert signals.cache == (counted[-1] if counted else "bypass" if events else "unknown")


names = [*(source.header for source in CACHE_SOURCES), b"age", b"warning", b"cache-control", b"date", b"x-db-calls"]
hostile_text = st.text('hitmsafwd=,;()[] 0123456789-_"\\ApacheTrafficServer/cHR', max_size=60).map(str.encode)
hostile = st.lists(
    st.tuples(st.sampled_from([*names, b"x-request-id", b"x-shop"]), st.one_of(st.binary(max_size=60), hostile_text)),
    max_size=8,
)


@given(hostile)
def test_no_bytes_of_a_service_are_an_error(lines: Headers) -> None:
    for reader in (SignalReader(), SignalReader("x-shop", {"w": "hit"})):
        signals, mark = reader.inspect(lines)
        assert (signals, mark) == reader.inspect(lines)
        for each_signals in (signals, reader.read(lines), signals.behind("age", "hit")):
            assert each_signals.cache in ("hit", "miss", "stale", "bypass", "unknown")
            assert each_signals.layers is None or all(part.count("=") == 1 for part in each_signals.layers.split(" "))
        assert signals.db_calls is None or 0 <= signals.db_calls < 2**31
        assert signals.age_s is None or signals.age_s >= 0
    assert (service_ms(lines) or 0) >= 0
    assert all(isinstance(name, str) for name, _ in (*offered(lines), *offered_calls(lines)))


@pytest.mark.parametrize(
    ("line", "offered_names"),
    [
        ("X-Shop-Store: hit", ["x-shop-store"]),
        ("X-Shop-Store: HIT-local", ["x-shop-store"]),
        ("X-Shop-Cache: yes", ["x-shop-cache"]),
        ("X-Shop-Cache: pass", ["x-shop-cache"]),
        ("X-Shop-Mode: pass", []),
        ("X-Shop-Note: we hit the road", []),
        ("X-Cache: HIT", []),
        ("Cache-Control: no-cache", []),
        ("X-Cache-Lookup: HIT from h:1", []),
        ("Content-Type: text/html", []),
    ],
)
def test_headers_with_such_words_are_offered(line: str, offered_names: list[str]) -> None:
    assert [name for name, _ in offered(headers(line))] == offered_names


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ('Server-Timing: app;dur=1.2, sql;desc="2";dur=3', [("db_metric", "sql")]),
        ("Server-Timing: sql;dur=2", []),
        ('Server-Timing: db;desc="2"', []),
        ("X-Sql: 2", [("db_header", "x-sql")]),
        ("X-Statements: 12", [("db_header", "x-statements")]),
        ("X-Sql-Time: 2", []),
        ("X-Query-Id: 17", []),
        ("X-Sql: 1.5", []),
        ("X-DB-Calls: 2", []),
        ("Content-Length: 2", []),
    ],
)
def test_what_may_count_database_calls_is_offered(line: str, offers: list[tuple[str, str]]) -> None:
    assert offered_calls(headers(line)) == offers
    for field, name in offers:
        assert SignalReader(**{field: name}).read(headers(line)).db_calls is not None

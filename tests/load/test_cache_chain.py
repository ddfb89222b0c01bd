"""Several caches in a row: who is nearest, what each did, and which counts were stored with the answer.

The answers are as they came from nginx 1.22, Varnish 7.1, Squid 5.7, HAProxy 2.6, Apache 2.4 and Traffic Server 9.2 in
front of a service that writes `X-Cache: MISS` and `X-DB-Calls: 2` itself, and of each other; those of other products
are as their documentation has them.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.load.signals import Signals, offered
from luckyhit.load.signals.signal_table import CACHE_SOURCES

OWN = ["X-Cache: MISS", "X-DB-Calls: 2", "Cache-Control: max-age=2"]
VIA_VARNISH = "Via: 1.1 varnish (Varnish/7.1)"


def headers(*lines: str) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(":") for line in lines)
    return [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs]


@pytest.mark.parametrize(
    ("lines", "layers", "cache", "calls"),
    [
        # nginx over the service
        ([*OWN, "X-Cache-Status: MISS"], "x-cache-status=miss x-cache=miss", "miss", 2),
        ([*OWN, "X-Cache-Status: HIT"], "x-cache-status=hit x-cache=miss", "hit", 0),
        ([*OWN, "X-Cache-Status: REVALIDATED"], "x-cache-status=hit x-cache=miss", "hit", None),
        ([*OWN, "X-Cache-Status: BYPASS"], "x-cache-status=bypass x-cache=miss", "miss", 2),
        # Varnish over the service; its grace
        ([*OWN, "X-Varnish: 2", "Age: 0", VIA_VARNISH], "x-varnish=miss x-cache=miss", "miss", 2),
        ([*OWN, "X-Varnish: 5 3", "Age: 1", VIA_VARNISH], "x-varnish=hit x-cache=miss", "hit", 0),
        ([*OWN, "X-Varnish: 7 3", "Age: 3", VIA_VARNISH], "x-varnish=stale x-cache=miss", "stale", 0),
        # Varnish with a word of its VCL, which stands behind its Via
        (
            ["X-DB-Calls: 2", "X-Varnish: 5 3", "Age: 1", VIA_VARNISH, "X-Cache: HIT", "X-Cache-Hits: 4"],
            "x-varnish=hit",
            "hit",
            0,
        ),
        (["X-DB-Calls: 2", "X-Varnish: 5", "Age: 0", VIA_VARNISH, "X-Cache: PASS"], "x-varnish=bypass", "bypass", 2),
        # nginx over Varnish, with the same header
        (
            ["X-DB-Calls: 2", "X-Varnish: 5", "Age: 0", VIA_VARNISH, "X-Cache: HIT"],
            "x-cache=hit x-varnish=miss",
            "hit",
            2,
        ),
        # Squid over the service, and over Varnish
        ([*OWN, "X-Cache: MISS from me", "X-Cache-Lookup: HIT from me:1"], "x-cache=miss x-cache=miss", "miss", 2),
        (
            [*OWN, "Age: 0", "X-Cache: HIT from me", "X-Cache-Lookup: HIT from me:1"],
            "x-cache=hit x-cache=miss",
            "hit",
            0,
        ),
        (
            [*OWN, "X-Varnish: 98350", "Age: 1", "X-Cache: HIT from me", "X-Cache-Lookup: HIT from me:1"],
            "x-cache=hit x-varnish=miss x-cache=miss",
            "hit",
            0,
        ),
        # Apache over the service: its header takes the place of the inner one
        (["X-Cache: MISS from h", *OWN[1:]], "x-cache=miss", "miss", 2),
        (["X-Cache: HIT from h", *OWN[1:], "Age: 1"], "x-cache=hit", "hit", 0),
        (["X-Cache: REVALIDATE from h", *OWN[1:]], "x-cache=hit", "hit", None),
        (
            ["X-Cache: HIT from h", *OWN[1:], "Age: 9", 'Warning: 110 h "Response is stale"'],
            "x-cache=stale",
            "stale",
            0,
        ),
        (["X-Cache: HIT from h", *OWN[1:], 'Warning: 111 h "Revalidation failed"'], "x-cache=stale", "stale", 0),
        (["X-Cache: HIT from h", *OWN[1:], "Age: 9"], "x-cache=stale", "stale", 0),
        # Apache over Varnish: its detail stands where it belongs
        (
            [
                "X-Cache: HIT from h",
                *OWN[1:],
                "X-Varnish: 98353",
                "Age: 1",
                VIA_VARNISH,
                'X-Cache-Detail: "cache hit" from h',
            ],
            "x-cache=hit x-varnish=miss",
            "hit",
            0,
        ),
        # Varnish over Varnish
        (
            [*OWN, "X-Varnish: 98344", VIA_VARNISH, "X-Varnish: 98306 65539", "Age: 1", VIA_VARNISH],
            "x-varnish=hit x-varnish=miss x-cache=miss",
            "hit",
            0,
        ),
        # HAProxy over the service, and over Varnish
        (["x-cache: MISS", "x-db-calls: 2", "age: 1"], "age=hit x-cache=miss", "hit", 0),
        (
            ["x-cache: MISS", "x-db-calls: 2", "x-varnish: 10", VIA_VARNISH, "age: 1"],
            "age=hit x-varnish=miss x-cache=miss",
            "hit",
            0,
        ),
        # Varnish over HAProxy
        (
            ["x-cache: MISS", "x-db-calls: 2", "X-Varnish: 10", "Age: 2", VIA_VARNISH],
            "x-varnish=miss age=hit x-cache=miss",
            "miss",
            0,
        ),
        # Traffic Server, with its letters and without
        ([*OWN, "Age: 0", "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [cMsSfW])"], "via=miss x-cache=miss", "miss", 2),
        ([*OWN, "Age: 0", "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [cHs f ])"], "via=hit x-cache=miss", "hit", 0),
        ([*OWN, "Age: 2", "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [cRs f ])"], "via=hit x-cache=miss", "hit", 0),
        ([*OWN, "Age: 0", "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [cWs f ])"], "via=hit x-cache=miss", "hit", 0),
        ([*OWN, "Age: 0", "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [cSsNfU])"], "via=hit x-cache=miss", "hit", None),
        ([*OWN, "Age: 0", "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [cSsSfU])"], "via=miss x-cache=miss", "miss", 2),
        (
            [*OWN, "Age: 9", "Via: http/1.1 t (ApacheTrafficServer/9.2.9 [cSs f ])"],
            "via=stale x-cache=miss",
            "stale",
            0,
        ),
        ([*OWN, "Age: 2"], "age=hit x-cache=miss", "hit", 0),
        ([*OWN, "Age: 0", "X-Cache: hit-stale"], "x-cache=miss x-cache=miss", "miss", 2),
        # Services that tell of a cache that they ask themselves: their counts are of this request
        (["X-Cache: HIT", 'Server-Timing: db;desc="1"'], "x-cache=hit", "hit", 1),
        (["Cache-Status: catalogue; hit", 'Server-Timing: db;desc="1"'], "cache-status=hit", "hit", 1),
        (['Server-Timing: db;desc="1"', "X-Wagtail-Cache: hit"], "x-wagtail-cache=hit", "hit", 0),
        (["X-Wagtail-Cache: hit", 'Server-Timing: db;desc="1"'], "x-wagtail-cache=hit", "hit", 1),
        # At the edge of the network, in whatever place
        (["CF-Cache-Status: HIT", "X-Cache: MISS", "X-DB-Calls: 3"], "cf-cache-status=hit x-cache=miss", "hit", 0),
        (["X-Cache: MISS, HIT", "X-Cache-Hits: 0, 3"], "x-cache=hit x-cache=miss", "hit", None),
        (
            ["X-Cache: TCP_HIT from a1 (AkamaiGHost/11.0)", "Server-Timing: cdn-cache; desc=HIT"],
            "x-cache=hit",
            "hit",
            None,
        ),
    ],
)
def test_layers_are_told_apart(lines: list[str], layers: str, cache: str, calls: int | None) -> None:
    seen = Signals().read(headers(*lines))
    assert (seen.layers, seen.cache, seen.db_calls) == (layers, cache, calls)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
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
        (["Age: 30", "Cache-Control: private, max-age=30"], "unknown"),  # cashews 7.6: the time that is left
        (["Age: 29", "Cache-Control: private, max-age=30"], "hit"),
    ],
)
def test_stale_only_where_the_lifetime_is_known(lines: list[str], status: str) -> None:
    assert Signals().cache(headers(*lines)) == status


def test_a_time_that_is_left_is_no_age() -> None:
    assert Signals().read(headers("Cache-Control: private, max-age=30", "Age: 30")).age_s is None


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("X-Wagtail-Cache: hit", "hit"),  # wagtail-cache 3.0, cache.py
        ("X-Wagtail-Cache: miss", "miss"),
        ("X-Wagtail-Cache: skip", "bypass"),
        ("X-Wagtail-Cache: err", "miss"),
        ("X-PULP-CACHE: HIT", "hit"),  # pulpcore 3.123, cache.py
        ("X-PULP-CACHE: MISS", "miss"),
        ("hit_cache: True", "hit"),  # Flask-Caching 2.5
        ("X-Cache-Hit: True", "hit"),
        ("X-Cache-Hit: False", "miss"),
        ("X-From-Cache: 1", "hit"),
        ("X-From-Cache: False", "miss"),
        ("X-Drupal-Dynamic-Cache: HIT", "hit"),  # Drupal 8 and later
        ("X-Drupal-Dynamic-Cache: UNCACHEABLE", "bypass"),
        ("X-QC-Cache: hit", "hit"),  # QUIC.cloud
        ("X-Sucuri-Cache: EXPIRED", "miss"),  # Sucuri
        ("EO-Cache-Status: RefreshHit", "hit"),  # Tencent EdgeOne
        ("Fastly-Debug-TTL: H cache-jfk1026-JFK 41733294.335 864000.000 2273", "hit"),  # Fastly, 2024
        ("Fastly-Debug-TTL: M cache-jfk1026-JFK - - 0", "miss"),
        ("Fastly-Debug-TTL: (H cache-ams1-AMS - - 12) (M cache-lon2-LON - - 0)", "hit"),
        ("Fastly-Debug-TTL: (M cache-ams1-AMS - - 12) (H cache-lon2-LON - - 0)", "miss"),
        ('Server-Timing: HIT-CLUSTER, fastly;desc="Edge time";dur=1', "hit"),
        ('Server-Timing: PASS, fastly;desc="Edge time";dur=1', "bypass"),
        ("X-Cache: skipped", "bypass"),  # Traffic Server 9.2, xdebug
        ("X-Cache: hit-fresh", "hit"),
        ("X-Cache: REVALIDATE from h", "hit"),  # Apache 2.4
        ('X-Cache-Detail: "conditional cache hit: entity refreshed" from h', "hit"),
        ('X-Cache-Detail: "Response status 503" from h', "unknown"),
    ],
)
def test_what_else_tells(line: str, status: str) -> None:
    assert Signals().cache(headers(line)) == status


def test_a_chosen_header_counts_alone_and_the_chain_stays() -> None:
    seen = Signals("X-Cache").read(headers(*OWN, "X-Cache-Status: HIT"))
    assert (seen.cache, seen.layers.split(), seen.db_calls) == ("miss", ["x-cache-status=hit", "x-cache=miss"], 0)
    assert Signals("X-Shop", {"w": "hit"}).read(headers("X-Shop: W", *OWN)).layers.split() == [
        "x-cache=miss",
        "x-shop=hit",
    ]


words = st.sampled_from(["HIT", "MISS", "STALE", "BYPASS", "odd"])
sources = st.sampled_from([source.name for source in CACHE_SOURCES if source.form == "words" and not source.edge])


@given(st.lists(st.tuples(sources, words), min_size=1, max_size=6, unique_by=lambda pair: pair[0]))
def test_the_latest_that_tells_is_the_nearest(pairs: list[tuple[str, str]]) -> None:
    seen = Signals().read(headers(*(f"{name}: {word}" for name, word in pairs)))
    telling = [word.lower() for _, word in pairs if word != "odd"]
    parts = [part.partition("=")[2] for part in (seen.layers or "").split()]
    assert len(parts) <= len(telling)
    assert all(status in telling for status in parts)
    wanted = [word for word in telling if word != "bypass"]
    if "x-cache-detail" not in dict(pairs):
        assert seen.cache == (wanted[-1] if wanted else "bypass" if telling else "unknown")


hostile = st.lists(
    st.tuples(
        st.sampled_from(
            [source.header for source in CACHE_SOURCES]
            + [b"age", b"warning", b"cache-control", b"date", b"x-db-calls", b"x-request-id"]
        ),
        st.one_of(
            st.binary(max_size=40),
            st.text("hitmsafwd=,;()[] 0123456789-_ApacheTrafficServer/cHR", max_size=60).map(str.encode),
        ),
    ),
    max_size=8,
)


@given(hostile)
def test_no_bytes_are_ever_an_error(found: list[tuple[bytes, bytes]]) -> None:
    signals = Signals()
    seen, mark = signals.look(found)
    assert (seen, mark) == signals.look(found)
    answers: list[Any] = [seen, signals.read(found), seen.behind("age", "hit")]
    for answer in answers:
        assert answer.cache in ("hit", "miss", "stale", "bypass", "unknown")
        assert answer.layers is None or all(part.count("=") == 1 for part in answer.layers.split(" "))


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


@given(hostile)
def test_no_bytes_are_an_error_when_headers_are_offered(found: list[tuple[bytes, bytes]]) -> None:
    assert all(isinstance(name, str) for name, _ in offered(found))

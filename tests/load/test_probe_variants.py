"""Which variants of an answer the probe asks for, and what it tells of each."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from probed import freshness, measure
from versioned_service import VersionedService

from luckyhit.case.workload import Route
from luckyhit.judge.freshness.freshness_facts import freshness_facts
from luckyhit.judge.freshness.probed import Probed
from luckyhit.probe.variants import AskedAs, not_asked, variants_of, varies_by

TWO = [
    {"name": "german", "headers": {"Accept-Language": "de"}},
    {"name": "french", "headers": {"Accept-Language": "fr"}},
]
WARM: dict[str, Any] = {"prestates": ["warm"], "variants": TWO}


def route(**other: Any) -> Route:
    return Route.model_validate({"name": "item", "path": "/things/{key}", "keys": {"first": 1, "last": 9}, **other})


def test_each_declared_variant_is_asked_and_recorded() -> None:
    service = VersionedService()
    measured = measure(service, spec=freshness(**WARM))
    assert set(measured.reads["variant"]) == {"german", "french"}
    sent = [headers for headers in service.seen_headers if headers.get("accept-language")]
    assert {headers["accept-language"] for headers in sent} == {"de", "fr"}
    counts = measured.reads.drop_duplicates("probe")["variant"].value_counts()
    assert counts.max() - counts.min() <= 2


def test_only_the_variant_that_no_write_empties_is_stale() -> None:
    service = VersionedService(vary="accept-language", emptied="de")
    measured = measure(service, spec=freshness(**WARM), preflight=True)
    facts = freshness_facts(Probed(measured.reads, measured.writes), 0.05)
    stale, reads = facts.by_variant["french"]
    assert stale == reads >= 5
    fresh = facts.by_variant["german"]
    assert fresh[0] == 0 and fresh[1] >= 5
    assert measured.arms["before"].vary == {"accept-language"}


def test_what_the_workload_sends_is_asked_where_nothing_is_declared() -> None:
    spec = freshness(**{"prestates": ["warm"]})
    routes = [
        route(),
        route(name="german", headers={"Accept-Language": "de", "X-Request": "{number}"}),
        route(name="german-too", headers={"accept-language": "de"}),
        route(name="other", path="/list/{key}", headers={"Accept-Language": "fr"}),
        route(name="write", method="PUT", headers={"Accept-Language": "it"}),
    ]
    assert variants_of(spec, routes) == (AskedAs(), AskedAs("german", {"Accept-Language": "de"}))
    assert variants_of(spec, []) == (AskedAs(),)
    assert [variant.name for variant in variants_of(freshness(**WARM), routes)] == ["german", "french"]
    measured = measure(VersionedService(), spec=spec, arm={"routes": routes})
    assert set(measured.reads["variant"]) == {"default", "german"}


def test_what_is_sent_names_the_usual_headers_as_well() -> None:
    assert AskedAs().sent() == {"accept": "*/*", "accept-encoding": "gzip, deflate, br"}
    assert AskedAs("plain", {"Accept-Encoding": "identity"}).sent()["accept-encoding"] == "identity"


def test_a_header_of_one_value_only_was_not_asked() -> None:
    variants = variants_of(freshness(**WARM), [])
    assert not_asked(["accept-language", "accept-encoding", "cookie"], variants) == ["accept-encoding", "cookie"]
    assert not_asked(["accept-encoding"], [AskedAs(), AskedAs("plain", {"Accept-Encoding": "identity"})]) == []


@given(st.lists(st.sampled_from(["Accept", "Cookie", "accept-language", "*"]), max_size=40), st.booleans())
def test_vary_is_read_from_one_header_or_several(names: list[str], several: bool) -> None:
    told = {name.lower() for name in names}
    headers = [(b"vary", name.encode()) for name in names] if several else [(b"Vary", ", ".join(names).encode())]
    assert varies_by([(b"age", b"1"), *headers]) == tuple(sorted(told))


@given(st.binary(max_size=400))
def test_no_vary_breaks_the_reading_of_it(value: bytes) -> None:
    assert all(name == name.strip().lower() and name.isprintable() for name in varies_by([(b"vary", value)]))


def test_a_cache_that_answers_the_first_read_outlived_the_clear() -> None:
    spec = freshness(prestates=["warm"])
    service = VersionedService(vary="accept-language")
    service.variants[""] = {"200": 500}
    warm = measure(service, spec=spec, preflight=True, seconds=0)
    assert warm.arms["before"].outlived
    empty = measure(VersionedService(vary="accept-language"), spec=spec, preflight=True, seconds=0)
    assert not empty.arms["before"].outlived

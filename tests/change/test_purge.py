from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caching_proxy import Origin, Proxy, Rules, proxied
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luckyhit.case.model import Case
from luckyhit.change.clearing.purge import PurgeReport, purge
from luckyhit.change.journal import Journal
from luckyhit.errors import ArgumentError, GuardError, TargetError
from tier import examples

PRODUCTS = [f"/products/{number}" for number in range(1, 11)]
LISTS = ["/lists?page=1", "/lists?page=2", "/products"]


@pytest.fixture
def front() -> Iterator[tuple[Proxy, Origin]]:
    """A caching proxy with every page in it."""
    with proxied() as (proxy, origin):
        for path in PRODUCTS + LISTS:
            assert not proxy.get(path)[1]
        yield proxy, origin


@pytest.fixture
def send(make_case: Callable[..., Case], journal: Journal) -> Callable[..., PurgeReport]:
    """`send(base_url, entry, ...)`: purge what the entries say."""

    def send(base_url: str, *entries: dict[str, Any], **how: Any) -> PurgeReport:
        cache: dict[str, Any] = {"purge": list(entries), **({} if entries else {"clear": ["product:{id}"]})}
        if "clear_rate" in how:
            cache["clear_rate"] = how.pop("clear_rate")
        return purge(make_case(cache=cache), base_url, journal, **{"environ": {}, "headers": {}, **how})

    return send


def served_from_cache(proxy: Proxy) -> set[str]:
    return {path for path in PRODUCTS + LISTS if proxy.get(path)[1]}


Front = tuple[Proxy, Origin]


def test_exactly_the_purged_pages_are_fetched_again(front: Front, send: Any, journal: Journal) -> None:
    proxy, origin = front
    report = send(proxy.url, {"path": "/products/{key}", "keys": {"first": 3, "last": 5}})
    assert proxy.get("/products/4") == ("/products/4 edition 2", False)
    assert served_from_cache(proxy) == {*PRODUCTS, *LISTS} - {"/products/3", "/products/5"}
    assert {path for path, count in origin.fetched.items() if count == 2} == {f"/products/{n}" for n in (3, 4, 5)}
    assert report.calls == 3 and report.statuses == {"200": 3} and json.dumps(report.as_facts())
    (step,) = journal.steps()
    assert step.step == "purge" and step.inverse == {} and not step.open
    assert step.detail["calls"][0]["path"] == "/products/{key}" and step.outcome["calls"] == 3


def test_bans_and_purges_are_sent_in_their_order(front: Front, send: Any) -> None:
    proxy, _ = front
    lists = {"method": "BAN", "path": "/", "headers": {"X-Ban": "req.url ~ ^/lists\\?page="}}
    by_key = {**lists, "keys": {"first": 1, "last": 2}, "headers": {"X-Ban": "req.url ~ ^/products/{key}$"}}
    assert send(proxy.url, lists).calls == 1 and served_from_cache(proxy) == {*PRODUCTS, "/products"}
    assert send(proxy.url, by_key, {"path": "/products"}).calls == 3
    assert [method for method in proxy.methods if method in ("BAN", "PURGE")] == ["BAN"] * 3 + ["PURGE"]
    assert served_from_cache(proxy) == {*PRODUCTS[2:], *LISTS[:2]}


@pytest.mark.parametrize(
    ("rules", "entry", "status", "hint"),
    [
        (Rules(purgers=frozenset({"10.0.0.1"})), {"keys": {"first": 1, "last": 500}}, "405", "acl purge"),
        (Rules(token="tell-nobody"), {"path": "/products/1"}, "403", "cache.purge.headers_env"),
        (Rules(), {"path": "/products", "method": "BAN"}, "400", "cache.purge.status"),  # without an expression
        (Rules(location="http://127.0.0.1:9/"), {"path": "/products/1"}, "301", "cache.purge.url"),  # is not followed
    ],
)
def test_refused_call_stops_the_purge(
    rules: Rules, entry: dict[str, Any], status: str, hint: str, front: Front, send: Any, journal: Journal
) -> None:
    proxy, _ = front
    proxy.rules = rules
    with pytest.raises(TargetError, match=status) as refused:
        send(proxy.url, {"path": "/products/{key}"} | entry)
    assert hint in refused.value.hint and "luckyhit check" in refused.value.hint
    assert len(proxy.paths("PURGE")) <= 4 and served_from_cache(proxy) == {*PRODUCTS, *LISTS}
    assert [step.inverse for step in journal.open_steps()] == [{}]


def test_calls_before_the_refusal_are_counted(front: Front, send: Any) -> None:
    entries = [{"path": "/products/{key}", "keys": {"first": 1, "last": 2}}, {"path": "/products", "method": "BAN"}]
    with pytest.raises(TargetError, match=r"400 .*2 calls"):
        send(front[0].url, *entries)


def test_token_is_sent_and_never_written(front: Front, send: Any, journal: Journal) -> None:
    proxy, _ = front
    proxy.rules = Rules(token="tell-nobody")
    entry = {"path": "/products/1", "headers_env": {"X-Token": "PURGE_TOKEN"}}
    with pytest.raises(ArgumentError, match="PURGE_TOKEN"):
        send(proxy.url, entry)
    with pytest.raises(ArgumentError, match="X-Token") as broken:
        send(proxy.url, entry, environ={"PURGE_TOKEN": "tell-nobody\r\nHost: elsewhere"})
    assert "tell-nobody" not in str(broken.value)
    assert send(proxy.url, entry, environ={"PURGE_TOKEN": "tell-nobody"}).calls == 1
    assert not proxy.get("/products/1")[1] and "tell-nobody" not in journal.path.read_text()


def test_secrets_of_the_target_go_to_its_address_only(front: Front, send: Any) -> None:
    proxy, _ = front
    secret = {"headers": {"X-Token": "the-services"}}
    send(proxy.url, {"path": "/products/1"}, **secret)
    send("http://127.0.0.1:9", {"path": "/products/2", "url": proxy.url}, **secret)
    purges = [request.headers for request in proxy.requests if request.method == "PURGE"]
    assert [headers.get("x-token") for headers in purges] == ["the-services", None]


def test_cache_without_an_answer_is_an_error(send: Any) -> None:
    with pytest.raises(TargetError) as unanswered:
        send("http://127.0.0.1:9", {"path": "/products/1"})
    assert "cache.purge.url" in unanswered.value.hint


def test_absent_pages_are_counted_apart(front: Front, send: Any) -> None:
    proxy, _ = front
    proxy.rules = Rules(absent=404)
    report = send(proxy.url, {"path": "/products/{key}", "keys": {"first": 10, "last": 11}})
    assert report.statuses == {"200": 1, "404": 1}


def test_cache_that_hangs_up_after_each_answer(front: Front, send: Any) -> None:
    proxy, _ = front
    proxy.rules = Rules(hang_up=True)
    assert send(proxy.url, {"path": "/products/{key}", "keys": {"first": 1, "last": 10}}).calls == 10
    assert served_from_cache(proxy) == set(LISTS)


def test_nothing_is_sent_without_a_journal(front: Front, make_case: Callable[..., Case], tmp_path: Path) -> None:
    proxy, _ = front
    case = make_case(cache={"purge": [{"path": "/products/1"}]})
    with pytest.raises(GuardError, match="journal"):
        purge(case, proxy.url, Journal(tmp_path / "nowhere" / "journal.jsonl"), environ={}, headers={})
    assert proxy.paths("PURGE") == []


def test_calls_keep_the_declared_rate(front: Front, send: Any) -> None:
    proxy, _ = front
    waits: list[float] = []
    entry = {"path": "/products/{key}", "keys": {"first": 1, "last": 5}}
    send(proxy.url, entry, clear_rate="4/s", clock=lambda: 0.0, sleep=waits.append)
    assert sorted(waits) == [0.25, 0.5, 0.75, 1.0]


def test_prefix_of_the_address_belongs_to_the_path(front: Front, send: Any) -> None:
    proxy, _ = front
    send(f"{proxy.url}/shop/", {"path": "/products/{key}", "keys": {"first": 7, "last": 7}})
    send("http://127.0.0.1:9", {"path": "/products/8", "url": f"{proxy.url}/other"})
    assert proxy.paths("PURGE") == ["/shop/products/7", "/other/products/8"]


def test_no_purge_declared(send: Any, journal: Journal) -> None:
    assert send("http://127.0.0.1:9").calls == 0 and journal.steps() == []


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.from_regex(r"/p[!-~]{0,30}", fullmatch=True).filter(lambda path: "#" not in path))
def test_a_path_is_sent_byte_for_byte(path: str, front: Front, send: Any) -> None:
    proxy, _ = front
    proxy.requests.clear()
    send(proxy.url, {"path": path.replace("{", "{{").replace("}", "}}")})
    assert proxy.paths("PURGE") == [path]

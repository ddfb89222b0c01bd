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
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


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


def test_exactly_the_purged_pages_are_fetched_anew(front: tuple[Proxy, Origin], send: Any, journal: Journal) -> None:
    proxy, origin = front
    report = send(proxy.url, {"path": "/products/{key}", "keys": {"first": 3, "last": 5}})
    assert proxy.get("/products/4") == ("/products/4 edition 2", False)
    assert served_from_cache(proxy) == {*PRODUCTS, *LISTS} - {"/products/3", "/products/5"}
    assert {path for path, count in origin.fetched.items() if count == 2} == {f"/products/{n}" for n in (3, 4, 5)}
    assert report.calls == 3 and report.statuses == {"200": 3} and report.detail == "3 purge calls answered (3 x 200)."
    (step,) = journal.steps()
    assert step.step == "purge" and step.inverse == {} and not step.open and "can't be put back" in step.detail["what"]
    assert step.detail["calls"][0]["path"] == "/products/{key}" and step.outcome["calls"] == 3
    assert json.dumps(report.as_facts())


def test_a_ban_takes_what_its_expression_says(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    entry = {"method": "BAN", "path": "/", "headers": {"X-Ban": "req.url ~ ^/lists\\?page="}}
    assert send(proxy.url, entry).calls == 1
    assert served_from_cache(proxy) == {*PRODUCTS, "/products"}


def test_bans_by_key_and_several_entries_in_their_order(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    by_key = {
        "method": "BAN",
        "path": "/",
        "keys": {"first": 1, "last": 2},
        "headers": {"X-Ban": "req.url ~ ^/products/{key}$"},
    }
    report = send(proxy.url, by_key, {"path": "/products"})
    assert served_from_cache(proxy) == {*PRODUCTS[2:], *LISTS} - {"/products"}
    assert report.calls == 3
    assert [method for method in proxy.methods if method in ("BAN", "PURGE")] == ["BAN", "BAN", "PURGE"]


def test_a_cache_that_does_not_allow_it_stops_at_once(front: tuple[Proxy, Origin], send: Any, journal: Journal) -> None:
    proxy, _ = front
    proxy.rules = Rules(purgers=frozenset({"10.0.0.1"}))
    with pytest.raises(TargetError, match="answered 405") as refused:
        send(proxy.url, {"path": "/products/{key}", "keys": {"first": 1, "last": 500}})
    assert "acl purge" in refused.value.hint and "luckyhit check" in refused.value.hint
    assert len(proxy.paths("PURGE")) <= 4 and served_from_cache(proxy) == {*PRODUCTS, *LISTS}
    (step,) = journal.open_steps()
    assert step.inverse == {}


def test_what_went_well_before_the_refusal_is_said(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    entries = [{"path": "/products/{key}", "keys": {"first": 1, "last": 2}}, {"path": "/products", "method": "BAN"}]
    with pytest.raises(TargetError, match=r"answered 400 Bad Request; 200, .* \(before that, 2 calls went well\)"):
        send(proxy.url, *entries)


def test_a_token_comes_from_the_environment_and_is_written_nowhere(
    front: tuple[Proxy, Origin], send: Any, journal: Journal
) -> None:
    proxy, _ = front
    proxy.rules = Rules(token="tell-nobody")
    with pytest.raises(TargetError, match="answered 403") as refused:
        send(proxy.url, {"path": "/products/1"})
    assert "cache.purge.headers_env" in refused.value.hint
    entry = {"path": "/products/1", "headers_env": {"X-Token": "PURGE_TOKEN"}}
    with pytest.raises(ArgumentError, match="not set in the environment: PURGE_TOKEN"):
        send(proxy.url, entry)
    with pytest.raises(ArgumentError, match="X-Token") as broken:
        send(proxy.url, entry, environ={"PURGE_TOKEN": "tell-nobody\r\nHost: elsewhere"})
    assert "tell-nobody" not in str(broken.value)
    assert send(proxy.url, entry, environ={"PURGE_TOKEN": "tell-nobody"}).calls == 1
    assert not proxy.get("/products/1")[1] and "tell-nobody" not in journal.path.read_text()


def test_the_targets_secrets_go_to_the_targets_address_only(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    secret = {"headers": {"X-Token": "the-services"}}
    send(proxy.url, {"path": "/products/1"}, **secret)
    send("http://127.0.0.1:9", {"path": "/products/2", "url": proxy.url}, **secret)
    purges = [request.headers for request in proxy.requests if request.method == "PURGE"]
    assert [headers.get("x-token") for headers in purges] == ["the-services", None]


def test_nobody_there(send: Any) -> None:
    with pytest.raises(TargetError, match="gave no answer") as unanswered:
        send("http://127.0.0.1:9", {"path": "/products/1"})
    assert "cache.purge.url" in unanswered.value.hint


def test_a_redirection_is_not_followed(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    proxy.rules = Rules(location=f"{proxy.url}/products/2")
    with pytest.raises(TargetError, match=r"answered 301.*points elsewhere"):
        send(proxy.url, {"path": "/products/1"})
    assert proxy.paths("PURGE") == ["/products/1"]


def test_that_nothing_was_there_is_said(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    proxy.rules = Rules(absent=404)
    entry = {"path": "/products/{key}"}
    assert "None of them" in send(proxy.url, entry | {"keys": {"first": 90, "last": 91}}).detail
    report = send(proxy.url, entry | {"keys": {"first": 10, "last": 11}})
    assert report.statuses == {"200": 1, "404": 1} and "None of them" not in report.detail


def test_a_cache_that_hangs_up_after_each_answer(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    proxy.rules = Rules(hang_up=True)
    assert send(proxy.url, {"path": "/products/{key}", "keys": {"first": 1, "last": 10}}).calls == 10
    assert served_from_cache(proxy) == set(LISTS)


def test_nothing_is_sent_that_is_not_written_down_first(
    front: tuple[Proxy, Origin], make_case: Callable[..., Case], tmp_path: Path
) -> None:
    proxy, _ = front
    case = make_case(cache={"purge": [{"path": "/products/1"}]})
    with pytest.raises(GuardError, match="journal"):
        purge(case, proxy.url, Journal(tmp_path / "nowhere" / "journal.jsonl"), environ={}, headers={})
    assert proxy.paths("PURGE") == []


def test_no_more_calls_in_a_second_than_declared(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    waits: list[float] = []
    entry = {"path": "/products/{key}", "keys": {"first": 1, "last": 5}}
    send(proxy.url, entry, clear_rate="4/s", clock=lambda: 0.0, sleep=waits.append)
    assert sorted(waits) == [0.25, 0.5, 0.75, 1.0]


def test_a_prefix_of_the_address_belongs_to_the_path(front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    send(f"{proxy.url}/shop/", {"path": "/products/{key}", "keys": {"first": 7, "last": 7}})
    send("http://127.0.0.1:9", {"path": "/products/8", "url": f"{proxy.url}/other"})
    assert proxy.paths("PURGE") == ["/shop/products/7", "/other/products/8"]


def test_no_purge_declared(send: Any, journal: Journal) -> None:
    assert send("http://127.0.0.1:9").calls == 0 and journal.steps() == []


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.from_regex(r"/p[!-~]{0,30}", fullmatch=True).filter(lambda path: "#" not in path))
def test_a_path_is_sent_byte_for_byte(path: str, front: tuple[Proxy, Origin], send: Any) -> None:
    proxy, _ = front
    proxy.requests.clear()
    send(proxy.url, {"path": path.replace("{", "{{").replace("}", "}}")})
    assert proxy.paths("PURGE") == [path]

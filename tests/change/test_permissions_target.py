"""What `luckyhit check` says about the target as a whole: variables, what is allowed, other runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from caching_proxy import Rules, proxied

import world
from luckyhit.case.model import Case
from luckyhit.case.values.variables import refuse_unset
from luckyhit.case_run import CaseRun
from luckyhit.change.journal import Journal
from luckyhit.change.lock import target_lock
from luckyhit.change.permissions import Findings, free_guard, target_guard
from luckyhit.change.permissions.called_routes import look_at_purges
from luckyhit.errors import ArgumentError
from luckyhit.records import Guard

LIVE = {"url": "http://shop.example:8000", "allow_change": True, "environment": "staging"}
PLACEBO = {"kind": "none", "what": "Nothing."}


def test_every_unset_variable_is_named_at_once(make_case: Callable[..., Case]) -> None:
    write = {"sql": "UPDATE p SET price = :version WHERE id = :key", "database_env": "SHOP_DB"}
    case = make_case(
        design="crossover",
        change={
            "kind": "command",
            "what": "It.",
            "smallest": "One.",
            "apply": ["a"],
            "revert": ["b"],
            "verify": ["c"],
            "before": "x",
            "after": "y",
            "pass_env": ["ADMIN_TOKEN"],
        },
        cache={
            "clear": ["product:{id}"],
            "url_env": "SHOP_CACHE",
            "purge": [{"path": "/products/1", "headers_env": {"X-Token": "ADMIN_TOKEN"}}],
        },
        target={
            "start": {"command": ["service", "{port}"], "pass_env": ["SHOP_KEY"]},
            "headers_env": {"Authorization": "SHOP_TOKEN"},
        },
        freshness={
            "write": write,
            "reads": [{"path": "/products/{key}", "version": "$.price"}],
            "keys": {"first": 101, "last": 103},
            "within": "5ms",
        },
    )
    with pytest.raises(ArgumentError) as unset:
        refuse_unset(case, {"SHOP_KEY": "", "SHOP_CACHE": " "})
    assert unset.value.exit_code == 2
    assert unset.value.message == (
        "not set in the environment: ADMIN_TOKEN (named in change.pass_env, cache.purge[0].headers_env); SHOP_CACHE "
        "(named in cache.url_env); SHOP_TOKEN (named in target.headers_env); SHOP_DB (named in freshness)"
    )
    names = {"SHOP_KEY", "SHOP_CACHE", "SHOP_TOKEN", "SHOP_DB", "ADMIN_TOKEN"}
    refuse_unset(case, dict.fromkeys(names, "x"))


def test_what_may_be_done_to_a_service_that_runs(make_case: Callable[..., Case]) -> None:
    guard = target_guard(make_case(target=LIVE, change=PLACEBO, design="crossover"), "prices")
    assert guard is not None and guard.ok
    assert "`luckyhit run prices --environment staging`" in guard.detail
    assert "At most 100 requests/s, and 30 minutes of load in all." in guard.detail
    assert "stops and rolls back where more than 10 % of the requests fail or p99 is above 2s within 5s" in guard.detail
    observed = target_guard(make_case(target={"url": LIVE["url"]}, change=PLACEBO, design="crossover"), "prices")
    assert observed is not None and observed.ok and "is observed only" in observed.detail
    assert target_guard(make_case(), "prices") is None


def test_writes_to_what_is_observed_only(make_case: Callable[..., Case]) -> None:
    routes = [{"name": "update", "method": "PUT", "path": "/products/1", "body": {"price": "{number}"}}]
    workload = {"seed": 7, "rate": "20/s", "routes": routes}
    case = make_case(target={"url": LIVE["url"]}, change=PLACEBO, design="crossover", workload=workload)
    guard = target_guard(case, "prices")
    assert guard is not None and not guard.ok and "`allow_change: true`" in guard.remedy


@pytest.fixture
def shared(make_case: Callable[..., Case]) -> Case:
    return make_case(target=LIVE, change=PLACEBO, design="crossover")


def test_a_run_that_is_under_way(shared: Case, tmp_path: Path) -> None:
    free = free_guard(shared, tmp_path, {})
    assert free is not None and free.ok and "service shop.example:8000" in free.detail
    with target_lock(shared, tmp_path, run="20260102-030405-abcd", environ={}):
        guard = free_guard(shared, tmp_path, {})
        assert guard is not None and not guard.ok
        assert "another run holds the service shop.example:8000: run 20260102-030405-abcd" in guard.detail
    again = free_guard(shared, tmp_path, {})
    assert again is not None and again.ok


def test_a_step_that_an_earlier_run_left_open(shared: Case, tmp_path: Path) -> None:
    case_file = tmp_path / "prices.yml"
    case_file.write_text(json.dumps(world.case()), encoding="utf-8")
    run = CaseRun.create(tmp_path / "runs", case_file, now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), manifest={})
    journal = Journal(run.path / "journal.jsonl")
    step = journal.intend("apply", {"target": ["service shop.example:8000"]}, {"kind": "http"})
    guard = free_guard(shared, tmp_path / "runs", {})
    assert guard is not None and not guard.ok and "left a step open on the service shop.example:8000" in guard.detail
    assert re.search(rf"`luckyhit revert {run.id}`", guard.remedy)
    journal.undo(step)
    after = free_guard(shared, tmp_path / "runs", {})
    assert after is not None and after.ok


def test_a_run_with_everything_for_itself(make_case: Callable[..., Case], tmp_path: Path) -> None:
    assert free_guard(make_case(), tmp_path, {}) is None


def look_at(case: Case, base_url: str, environ: dict[str, str] | None = None) -> Guard:
    found = Findings("purges")
    look_at_purges(case, base_url, environ or {}, Path(), found)
    return found.guard()


def test_purges_are_asked_for_and_never_sent(make_case: Callable[..., Case]) -> None:
    entry: dict[str, Any] = {"path": "/products/{key}", "keys": {"first": 1, "last": 300}}
    case = make_case(cache={"purge": [entry]})
    with proxied() as (proxy, _):
        proxy.get("/products/1")
        guard = look_at(case, proxy.url)
        assert guard.ok and f"Whether PURGE {proxy.url}/products/1 (and 299 more) is let through" in guard.detail
        assert "can't be proven without sending it (OPTIONS answers 200)" in guard.detail
        proxy.rules = Rules(allow="GET, PURGE")
        assert "OPTIONS names PURGE" in look_at(case, proxy.url).detail
        proxy.rules = Rules(allow="GET, HEAD")  # the service's own, from behind the cache
        assert look_at(case, proxy.url).ok and "names GET, HEAD only" in look_at(case, proxy.url).detail
        proxy.rules = Rules(options_status=403)
        guard = look_at(case, proxy.url)
        assert not guard.ok and "cache.purge.headers_env" in guard.remedy
        assert proxy.get("/products/1")[1] and set(proxy.methods) == {"GET", "OPTIONS"}
    guard = look_at(case, proxy.url)
    assert not guard.ok and "has nobody to answer it" in guard.detail

"""What `luckyhit check` says about the target as a whole: variables, what is allowed, other runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from caching_proxy import Rules, proxied

from luckyhit.case.model import Case
from luckyhit.case.values.variables import refuse_unset
from luckyhit.case_run import CaseRun
from luckyhit.change.journal import Journal
from luckyhit.change.lock import target_lock
from luckyhit.change.permissions import Findings, free_guard, target_guard
from luckyhit.change.permissions.called_routes import check_purges
from luckyhit.errors import ArgumentError
from luckyhit.records import Guard

LIVE = {"url": "http://shop.example:8000", "allow_change": True, "environment": "staging"}
PLACEBO = {"kind": "none", "what": "Nothing."}


def test_unset_variables_are_named_with_their_fields(make_case: Callable[..., Case]) -> None:
    commands = {"apply": ["a"], "revert": ["b"], "verify": ["c"], "before": "x", "after": "y"}
    case = make_case(
        design="crossover",
        change={"kind": "command", "what": "It.", "smallest": "One.", **commands, "pass_env": ["ADMIN_TOKEN"]},
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
            "write": {"sql": "UPDATE p SET price = :version WHERE id = :key", "database_env": "SHOP_DB"},
            "reads": [{"path": "/products/{key}", "version": "$.price"}],
            "keys": {"first": 101, "last": 103},
            "within": "5ms",
        },
    )
    with pytest.raises(ArgumentError) as unset:
        refuse_unset(case, {"SHOP_KEY": "", "SHOP_CACHE": " "})
    assert unset.value.exit_code == 2
    assert dict(re.findall(r"(\w+) \(named in ([^)]+)\)", unset.value.message)) == {
        "ADMIN_TOKEN": "change.pass_env, cache.purge[0].headers_env",
        "SHOP_CACHE": "cache.url_env",
        "SHOP_TOKEN": "target.headers_env",
        "SHOP_DB": "freshness",
    }
    refuse_unset(case, dict.fromkeys(("SHOP_KEY", "SHOP_CACHE", "SHOP_TOKEN", "SHOP_DB", "ADMIN_TOKEN"), "x"))


WRITES = {
    "seed": 7,
    "rate": "20/s",
    "routes": [{"name": "update", "method": "PUT", "path": "/products/1", "body": {"price": "{number}"}}],
}


@pytest.mark.parametrize(
    ("target", "workload", "ok", "named"),
    [
        (LIVE, None, True, ("`luckyhit run prices --environment staging`", "100 requests/s", "10 %", "2s within 5s")),
        ({"url": LIVE["url"]}, None, True, ("observed",)),
        ({"url": LIVE["url"]}, WRITES, False, ("`allow_change: true`",)),
    ],
)
def test_what_a_run_may_do_is_said(
    target: Any, workload: Any, ok: bool, named: tuple[str, ...], make_case: Callable[..., Case]
) -> None:
    parts = {"workload": workload} if workload is not None else {}
    guard = target_guard(make_case(target=target, change=PLACEBO, design="crossover", **parts), "prices")
    assert guard is not None and guard.ok is ok
    assert all(part in f"{guard.detail} {guard.remedy}" for part in named)


def test_an_own_service_has_no_target_guard(make_case: Callable[..., Case], tmp_path: Path) -> None:
    assert target_guard(make_case(), "prices") is None and free_guard(make_case(), tmp_path, {}) is None


def test_other_runs_on_the_target_fail(make_case: Callable[..., Case], run: CaseRun, journal: Journal) -> None:
    shared = make_case(target=LIVE, change=PLACEBO, design="crossover")
    runs_dir, name = run.path.parents[1], "service shop.example:8000"

    def guard() -> Guard:
        guard = free_guard(shared, runs_dir, {})
        assert guard is not None and name in guard.detail
        return guard

    assert guard().ok
    with target_lock(shared, runs_dir, run="20260102-030405-abcd", environ={}):
        assert not guard().ok and "20260102-030405-abcd" in guard().detail
    step = journal.intend("apply", {"target": [name]}, {"kind": "http"})
    assert not guard().ok and f"`luckyhit revert {run.id}`" in guard().remedy
    journal.undo(step)
    assert guard().ok


@pytest.mark.parametrize(
    ("rules", "ok", "named"),
    [
        (Rules(), True, "OPTIONS answers 200"),  # can't be proven
        (Rules(allow="GET, PURGE"), True, "OPTIONS names PURGE"),
        (Rules(allow="GET, HEAD"), True, "GET, HEAD"),  # the service's own, from behind the cache
        (Rules(options_status=403), False, "cache.purge.headers_env"),
    ],
)
def test_purge_is_asked_and_never_sent(rules: Rules, ok: bool, named: str, make_case: Callable[..., Case]) -> None:
    case = make_case(cache={"purge": [{"path": "/products/{key}", "keys": {"first": 1, "last": 300}}]})
    with proxied() as (proxy, _):
        proxy.rules = rules
        proxy.get("/products/1")
        guard = purge_guard(case, proxy.url)
        assert guard.ok is ok and f"PURGE {proxy.url}/products/1 (and 299 more)" in guard.detail
        assert named in f"{guard.detail} {guard.remedy}"
        assert proxy.get("/products/1")[1] and set(proxy.methods) == {"GET", "OPTIONS"}
    assert not purge_guard(case, "http://127.0.0.1:9").ok


def purge_guard(case: Case, base_url: str) -> Guard:
    findings = Findings("purges")
    check_purges(case, base_url, {}, Path(), findings)
    return findings.guard()

"""The change, the limits and the purges of a case: what is valid, and which field is named otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from luckyhit.case import Case
from luckyhit.case.docs.template import new_case
from luckyhit.case.load import parse_case
from luckyhit.case.target import LIVE
from luckyhit.errors import CaseError

FLAG = {"method": "PUT", "path": "/flags/x"}
BY_HTTP = {
    "kind": "http",
    "what": "Switch",
    "apply": FLAG,
    "revert": {"method": "DELETE", "path": "/flags/x"},
    "verify": {"path": "/flags", "value": "$.x"},
    "before": "off",
    "after": "on",
    "smallest": "One flag.",
}
BY_COMMAND = {
    "kind": "command",
    "what": "Switch",
    "apply": ["flag", "on", "{base_url}"],
    "revert": ["flag", "off", "{base_url}"],
    "verify": ["flag", "{base_url}"],
    "before": "off",
    "after": "on",
    "smallest": "One flag.",
}
BY_SETTING = {"kind": "cache-setting", "what": "Evict", "name": "maxmemory-samples", "after": "10", "smallest": "One."}
BY_REVISION = {"kind": "revision", "what": "The fix", "after": "fix-branch", "smallest": "One commit."}
BY_SQL = {
    "kind": "sql",
    "what": "Index",
    "url_env": "SHOP_DATABASE",
    "apply": "CREATE INDEX by_price ON product (price)",
    "revert": "DROP INDEX by_price",
    "verify": "SELECT count(*) FROM pg_indexes WHERE indexname = 'by_price'",
    "before": "0",
    "after": "1",
    "smallest": "One index.",
}
LIVE_TARGET = {"url": "http://shop.test", "allow_change": True, "environment": "staging"}


def document(**parts: Any) -> dict[str, Any]:
    return {**YAML(typ="safe").load(new_case("good")), **parts}


def live(**parts: Any) -> dict[str, Any]:
    """A case about a service that runs already."""
    data = document(target=LIVE_TARGET, design="crossover", change=BY_HTTP)
    data["cache"] = {"clear": ["item:{id}"], "url_env": "SHOP_CACHE"}
    data["plan"] = {"baseline": "10s", "block": "10s", "blocks": 4}
    return {**data, **parts}


def problems(parts: dict[str, Any]) -> dict[str, str]:
    """What is expected, by field."""
    try:
        parse_case(json.dumps(parts))
    except CaseError as error:
        return {problem.field: problem.expected for problem in error.problems}
    return {}


@pytest.mark.parametrize("change", [BY_HTTP, BY_COMMAND, BY_SETTING, BY_REVISION], ids=lambda change: change["kind"])
def test_every_kind_fits_a_service_that_the_run_starts(change: dict[str, Any]) -> None:
    parts = document(change=change)
    del parts["target"]["start"]["env"]["CACHE_TTL_SECONDS"]
    assert problems(parts) == {}
    assert Case.model_validate(parts).change.kind == change["kind"]


@pytest.mark.parametrize("change", [BY_HTTP, BY_COMMAND, BY_SETTING, BY_SQL], ids=lambda change: change["kind"])
def test_a_live_service_is_changed_only_if_allowed(change: dict[str, Any]) -> None:
    assert problems(live(change=change)) == {}
    observed = {"url": "http://shop.test"}
    assert "allow_change: true" in problems(live(change=change, target=observed))["target.allow_change"]
    unnamed = {**observed, "allow_change": True}
    assert "such as staging" in problems(live(change=change, target=unnamed))["target.environment"]


def test_a_revision_of_a_live_service_can_not_be_changed() -> None:
    assert list(problems(live(change=BY_REVISION))) == ["change.kind"]


def test_a_change_by_sql_needs_one_stack() -> None:
    parts = document(change=BY_SQL)
    del parts["target"]["start"]["env"]["CACHE_TTL_SECONDS"]
    assert list(problems(parts)) == ["design"]


def test_allow_change_is_for_live_services_only() -> None:
    parts = document()
    parts["target"]["allow_change"] = True
    parts["target"]["environment"] = "staging"
    assert list(problems(parts)) == ["target.allow_change"]


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({**BY_HTTP, "after": "off"}, "change.after", "another value"),
        ({**BY_HTTP, "verify": {"path": "/flags", "value": "x"}}, "change.verify.value", "JSONPath"),
        ({**BY_HTTP, "apply": {**FLAG, "path": "flags"}}, "change.apply.path", "begins with /"),
        ({**BY_HTTP, "apply": {**FLAG, "status": []}}, "change.apply.status", "one"),
        ({**BY_SETTING, "name": "dir"}, "change.name", "maxmemory-policy"),
        ({**BY_SETTING, "name": "requirepass"}, "change.name", "maxmemory-policy"),
        ({**BY_SETTING, "name": "appendonly"}, "change.name", "maxmemory-policy"),
        ({**BY_COMMAND, "verify": ["flag"]}, "change.verify", "{base_url}"),
        ({**BY_COMMAND, "apply": ["flag", "{bas_url}"]}, "change.apply[1]", "{base_url}"),
        ({**BY_SQL, "url_env": "postgresql://shop@db/shop"}, "change.url_env", "name of an environment variable"),
        ({**BY_SQL, "after": "0"}, "change.after", "another value"),
        ({**BY_REVISION, "after": "HEAD"}, "change.after", "another value"),
        ({**BY_REVISION, "after": "--upload-pack=x"}, "change.after", "a Git revision"),
        ({**BY_REVISION, "after": "two words"}, "change.after", "a Git revision"),
    ],
)
def test_a_wrong_change_is_located(change: dict[str, Any], field: str, expected: str) -> None:
    parts = document(change=change, design="crossover" if change["kind"] == "sql" else "side-by-side")
    del parts["target"]["start"]["env"]["CACHE_TTL_SECONDS"]
    by_field = problems(parts)
    assert list(by_field) == [field] and expected in by_field[field], by_field


def test_placeholders_of_a_stack_need_a_started_service() -> None:
    change = {**BY_COMMAND, "apply": ["flag", "{port}", "{base_url}"], "restart": True}
    assert set(problems(live(change=change))) == {"change.apply", "change.restart"}


def test_eviction_settings_of_a_shared_cache_are_refused() -> None:
    change = {**BY_SETTING, "name": "maxmemory", "after": "100mb"}
    assert list(problems(live(change=change))) == ["change.name"]
    parts = live(change=change)
    parts["cache"]["dedicated"] = True
    assert problems(parts) == {}


# Limits


def test_a_live_service_has_default_limits() -> None:
    target = Case.model_validate(live()).target
    assert target.ceilings == LIVE
    assert target.ceilings.watched == {"error_rate": 0.1, "p99_ms": 2000.0, "window_s": 5.0, "fewest": 50}
    own = Case.model_validate(document()).target
    assert own.ceilings.watched == {} and own.ceilings.rate is None


def test_a_load_above_the_limits_is_refused() -> None:
    assert list(problems(live(workload={**live()["workload"], "rate": "101/s"}))) == ["workload.rate"]
    target = {**LIVE_TARGET, "limits": {"rate": "200/s", "p99": "1s"}}
    assert problems(live(target=target, workload={**live()["workload"], "rate": "101/s"})) == {}
    ramp = {**live()["workload"], "stages": [{"rate": "10/s", "to": "150/s", "lasts": "10s"}]}
    del ramp["rate"]
    assert list(problems(live(workload=ramp))) == ["workload.rate"]


def test_the_duration_limit_includes_wash_outs() -> None:
    plan = {"baseline": "10s", "block": "20s", "blocks": 16}
    assert problems(live(plan={**plan, "washout": "0s"})) == {}
    assert list(problems(live(plan={**plan, "washout": "60s"}))) == ["plan.blocks"]
    assert problems(live(plan={**plan, "washout": "60s"}, target={**LIVE_TARGET, "limits": {"duration": "2h"}})) == {}


# Purges


def purging(**purge: Any) -> dict[str, Any]:
    return live(cache={"purge": [purge]})


def test_a_purge_alone_is_enough_to_clear() -> None:
    assert problems(purging(path="/items/{key}", keys={"first": 1, "last": 500})) == {}
    assert "cache.clear" in problems(live(cache={}))


@pytest.mark.parametrize(
    ("purge", "field"),
    [
        ({"path": "/items/{key}"}, "cache.purge[0].keys"),
        ({"path": "/items", "keys": {"first": 1, "last": 5}}, "cache.purge[0].path"),
        ({"path": "/items/{key}", "keys": {"first": 5, "last": 1}}, "cache.purge[0].keys.last"),
        ({"path": "/items/{key}", "keys": {"first": 1, "last": 50_000}}, "cache.purge[0].keys"),
        ({"path": "/"}, "cache.purge[0].path"),
        ({"path": "/*"}, "cache.purge[0].path"),
        ({"path": "/x", "method": "BAN", "headers": {"X-Ban": ".*"}}, "cache.purge[0].path"),
    ],
)
def test_an_invalid_or_unlimited_purge_is_refused(purge: dict[str, Any], field: str) -> None:
    assert list(problems(purging(**purge))) == [field]


def test_a_dedicated_cache_may_be_purged_as_a_whole() -> None:
    assert problems(live(cache={"purge": [{"path": "/*", "method": "BAN"}], "dedicated": True})) == {}

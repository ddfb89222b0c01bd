"""Variables of the environment in the paths of a case: where they may stand, what they hold, who sees them."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from luckyhit.case import load_case
from luckyhit.case.values.path_variables import fill_variables, variable_names
from luckyhit.case.values.placeholders import fill_text, parse_template
from luckyhit.case.values.variables import known_secrets, noted_variables, refuse_unset
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, CaseError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """`write(change)`: a case file, with `change` done to its data."""

    def write(change: Any) -> Path:
        case: dict[str, Any] = YAML(typ="safe").load(ROOT / "data" / "cases" / "stale-price.yml")
        change(case)
        path = tmp_path / "mine.yml"
        with path.open("w") as file:
            YAML().dump(case, file)
        return path

    return write


def in_paths(case: dict[str, Any]) -> None:
    for route in case["workload"]["routes"]:
        route["path"] = f"/${{REGION}}{route['path']}"
    for read in case["freshness"]["reads"]:
        read["path"] = f"/${{REGION}}{read['path']}"
    case["target"]["start"]["command"].append("${SHOP_HOME}/x")
    case["target"]["start"]["pass_env"] = ["REGION", "SHOP_TOKEN", "SHOP_VENV"]


def test_paths_of_requests_are_filled_in_when_the_case_is_loaded(write: Any) -> None:
    path = write(in_paths)
    declared, filled = load_case(path), load_case(path, variables={"REGION": "eu-1"})
    assert declared.workload.routes[0].path == f"/${{REGION}}{filled.workload.routes[0].path.removeprefix('/eu-1')}"
    assert all(route.path.startswith("/eu-1/") for route in filled.workload.routes)
    assert filled.freshness is not None and filled.freshness.reads[0].path.startswith("/eu-1/")
    assert filled.target.start is not None and filled.target.start.command[-1] == "${SHOP_HOME}/x"


def test_unset_variables_are_named_with_their_fields(write: Any) -> None:
    case = load_case(write(in_paths))
    with pytest.raises(ArgumentError) as caught:
        refuse_unset(case, {"SHOP_TOKEN": "x", "SHOP_VENV": "x"})
    assert "REGION (named in" in caught.value.message and "workload.routes[0].path" in caught.value.message
    assert "SHOP_HOME" in caught.value.message and "SHOP_TOKEN" not in caught.value.message


def test_values_in_paths_are_public_other_secrets_are_not(write: Any, tmp_path: Path) -> None:
    case = load_case(write(in_paths))
    environ = {
        "REGION": "moon-base-7", "SHOP_HOME": "/opt/no/such/shop", "SHOP_TOKEN": "abcd1234", "SHOP_VENV": str(tmp_path)
    }  # fmt: skip
    assert known_secrets(case, environ) == {"abcd1234"}
    # A path that leads nowhere may be anything, such as base64.
    assert known_secrets(case, environ | {"SHOP_VENV": "/q83/bm90IGE="}) == {"abcd1234", "/q83/bm90IGE="}
    assert known_secrets(case, environ | {"SHOP_TOKEN": str(tmp_path)}) == {str(tmp_path)}


@pytest.mark.parametrize("where", ["path", "command", "ready"])
def test_a_variable_that_holds_a_secret_is_refused(write: Any, where: str) -> None:
    def change(case: dict[str, Any]) -> None:
        if where == "path":
            case["workload"]["routes"][0]["path"] += "?token=${SHOP_API_TOKEN}"
        elif where == "command":
            case["target"]["start"]["command"].append("${SHOP_API_TOKEN}")
        else:
            case["target"]["start"]["ready"] = "/${SHOP_API_TOKEN}"

    with pytest.raises(CaseError, match=r"\$\{SHOP_API_TOKEN\}"):
        load_case(write(change))


@pytest.mark.parametrize("value", ["a b", "{key}", "é", "x#y", "a\nb", "a?b"])
def test_a_value_that_fits_no_path_is_refused(write: Any, value: str) -> None:
    case = load_case(write(in_paths))
    with pytest.raises(ArgumentError, match="REGION"):
        noted_variables(case, {"REGION": value})


def test_a_run_keeps_the_values_it_was_measured_with(write: Any, tmp_path: Path) -> None:
    path = write(in_paths)
    manifest = {"variables": noted_variables(load_case(path), {"REGION": "eu-1", "SHOP_HOME": "/srv"})}
    assert manifest == {"variables": {"REGION": "eu-1"}}
    run = CaseRun.create(tmp_path / "runs", path, now=datetime(2026, 1, 2), manifest=manifest)
    assert "REGION" not in os.environ
    assert CaseRun(run.path).case.workload.routes[0].path.startswith("/eu-1/")


def test_variables_are_not_filled_in_in_other_fields(write: Any) -> None:
    with pytest.raises(CaseError, match=r"workload\.routes"):
        load_case(write(lambda case: case["workload"]["routes"][0].update(headers={"X-Region": "${REGION}"})))


@given(st.text(st.sampled_from("$${}AB_x{}"), max_size=30), st.text(max_size=5))
def test_a_filled_in_value_is_not_parsed_again(text: str, value: str) -> None:
    values = dict.fromkeys(("A", "B", "AB", "_", "A_", "B_", "AA", "BB"), value)
    filled = fill_variables(text, values)
    assert (filled == text) or set(variable_names(text)) & set(values)
    if filled.count("${") == 0 and not variable_names(text):
        assert filled == text
    assert fill_text(fill_variables("a${A}b", {"A": value}), {}) == f"a{value}b"
    assert parse_template(fill_variables("${A}", {"A": value})) == ([value] if value else [])

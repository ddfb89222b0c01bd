"""Which values of the variables that a case names are secrets; and that a case has none of them in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from luckyhit.case import Case, load_case
from luckyhit.case.values.variables import known_secrets, refuse_quoted
from luckyhit.errors import ArgumentError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    case: dict[str, Any] = YAML(typ="safe").load(ROOT / "data" / "cases" / "placebo.yml")
    case["target"]["start"]["pass_env"] = ["SHOP_TOKEN", "SHOP_REGION"]
    case["target"]["headers_env"] = {"Authorization": "SHOP_AUTH"}
    case["cache"]["url_env"] = "SHOP_CACHE"
    case["cache"]["purge"] = []
    case["design"] = "crossover"
    path = tmp_path / "mine.yml"
    with path.open("w") as file:
        YAML().dump(case, file)
    return path


def secrets(case: Case, **environ: str) -> set[str]:
    return known_secrets(case, environ)


def test_a_value_is_secret_by_what_it_is_for(case_file: Path) -> None:
    case = load_case(case_file)
    assert secrets(case, SHOP_TOKEN="abcd1234", SHOP_AUTH="Bearer xyz987") == {"abcd1234", "Bearer xyz987", "xyz987"}
    assert secrets(case, SHOP_REGION="moon-base-7") == {"moon-base-7"}


def test_a_value_written_in_the_case_is_public(case_file: Path) -> None:
    case = load_case(case_file)
    assert "catalogue" in case.model_dump_json()
    assert secrets(case, SHOP_REGION="catalogue") == set()
    assert secrets(case, SHOP_TOKEN="catalogue") == {"catalogue"}


@pytest.mark.parametrize(
    ("url", "secret_values"),
    [
        ("redis://cache:6379/0", set()),
        ("redis://:p%40ss-word@cache/0", {"redis://:p%40ss-word@cache/0", "p%40ss-word", "p@ss-word"}),
        ("redis://cache/0?password=abcd-efg", {"redis://cache/0?password=abcd-efg", "abcd-efg"}),
    ],
)
def test_credentials_of_a_url_are_secret(url: str, secret_values: set[str], case_file: Path) -> None:
    assert secrets(load_case(case_file), SHOP_CACHE=url) == secret_values


@pytest.mark.parametrize("written", ["it is c4nary+1/x here", "it is c4nary%2B1%2Fx", "in base64: YzRuYXJ5KzEveA=="])
def test_a_case_that_quotes_a_secret_is_refused_with_its_line(written: str, case_file: Path) -> None:
    lines = case_file.read_text().splitlines()
    case_file.write_text("\n".join([*lines, f"# {written}", ""]))
    case = load_case(case_file)
    with pytest.raises(ArgumentError, match=rf"mine.yml:{len(lines) + 1}: .*SHOP_TOKEN") as caught:
        refuse_quoted(case_file, case, {"SHOP_TOKEN": "c4nary+1/x"})
    assert "c4nary" not in str(caught.value)
    refuse_quoted(case_file, case, {"SHOP_TOKEN": "another-one", "SHOP_REGION": "c4nary+1/x"})

"""Every field is described, and what is generated from the descriptions is up to date."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from numbered import numbered_case
from ruamel.yaml import YAML

from luckyhit.case.checks.cross_field import _CHECKS, rules
from luckyhit.case.docs.case_reference import REFERENCE_FILE, SCHEMA_FILE, json_schema, reference_markdown, schema_text
from luckyhit.case.docs.template import new_case
from luckyhit.case.load import parse_case
from luckyhit.case.model import Case
from luckyhit.case.part import Part, parts_in
from luckyhit.errors import ArgumentError

PARTS = parts_in(Case)
CASES = sorted((Path(__file__).parents[2] / "data" / "cases").glob("*.yml"))
RENEW = "out of date: run `make docs`, which is `python -m luckyhit.case.docs.case_reference`"


def as_editors_read_it(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_field_is_described(part: type[Part]) -> None:
    assert part.__doc__
    for name, field in part.model_fields.items():
        assert field.description, f"{part.__name__}.{name} has no description"
        assert field.description.endswith("."), f"the description of {part.__name__}.{name} is no sentence"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_field_is_in_the_reference(part: type[Part]) -> None:
    text = REFERENCE_FILE.read_text(encoding="utf-8")
    for name, field in part.model_fields.items():
        rows = [row for row in text.splitlines() if f"{name}` |" in row and (field.description or "") in row]
        assert rows, f"{part.__name__}.{name} is missing from docs/case-file.md: {RENEW}"


def test_every_check_has_a_rule_in_the_reference() -> None:
    assert len(rules()) == len(_CHECKS)
    assert all(rule.endswith(".") for rule in rules())


def test_the_committed_reference_is_up_to_date() -> None:
    assert REFERENCE_FILE.read_text(encoding="utf-8") == reference_markdown(), RENEW


def test_the_committed_schema_is_up_to_date() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), RENEW


def test_the_schema_accepts_what_the_loader_accepts() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in [new_case("x"), *(path.read_text(encoding="utf-8") for path in CASES)]:
        validator.validate(as_editors_read_it(text))
        validator.validate(parse_case(text).model_dump(mode="json"))


def test_the_schema_shows_mistakes_while_writing() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for old, new in [
        ("block: 7s", "block: 7"),
        ("rate: 100/s", "rate: 100"),
        ("  note:", "  nota:"),
        ("  hit_ratio:", "  hit_ratoi:"),
        ('"300"', "300"),
        ("REDIS_URL:", "REDIS-URL:"),
        ("kind: env", "kind: other"),
    ]:
        text = numbered_case("x")
        assert old in text
        assert list(validator.iter_errors(as_editors_read_it(text.replace(old, new, 1)))), new


def test_defaults_are_shown_as_written_in_a_case() -> None:
    plan = json_schema()["$defs"]["Plan"]["properties"]
    assert plan["block"]["default"] == "7s"
    assert json_schema()["$defs"]["Cache"]["properties"]["largest_share"]["default"] == "50 %"


@pytest.mark.parametrize("name", ["slow-basket", "a", "9lives"])
def test_a_new_case_is_valid(name: str) -> None:
    text = new_case(name)
    case = parse_case(text)
    assert text.splitlines()[0] == "# yaml-language-server: $schema=case.schema.json"
    assert f"luckyhit run {name}" in text
    assert case.target.start is not None
    assert "luckyhit" not in " ".join(case.target.start.command)


def test_a_new_case_comments_on_each_section() -> None:
    lines = new_case("x").splitlines()
    for name in Case.model_fields:
        at = next(number for number, line in enumerate(lines) if line.startswith((f"{name}:", f"# {name}:")))
        above = next(line for line in reversed(lines[:at]) if not line.startswith(("hypothesis:",)))
        assert above.startswith("#"), f"no comment above {name}"


@pytest.mark.parametrize("name", ["", "Slow", "a b", "../x", "a/b", "a\n", "-x", "x" * 61, "é"])
def test_an_invalid_case_name_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError):
        new_case(name)

"""Bodies from schemas and validation errors."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.discover.exploring.bodies import corrected, first_bodies, limit_in, number_places, placed, sample_of
from luckyhit.discover.exploring.json_places import fields_of, place_of, regex_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "document",
    [
        {"detail": [{"loc": ["body", "price"], "type": "missing", "msg": "Field required"}]},
        {"price": ["This field is required."]},
        {"error": "price is required"},
        {"errors": {"price": ["Missing data for required field."]}},
        {"message": "missing field 'price'"},
        {"errors": [{"field": "price", "message": "is required"}]},
        {"errors": [{"pointer": "/data/price", "detail": "is missing"}]},
        {"price": "required"},
    ],
)
def test_a_missing_field_is_added(document: Any) -> None:
    assert corrected({}, document, 7) == {"price": 7}


def test_an_unwanted_field_goes() -> None:
    document = {"detail": [{"loc": ["body", "id"], "type": "extra_forbidden", "msg": "Extra inputs are not permitted"}]}
    assert corrected({"id": 1, "price": 2}, document, 7) == {"price": 2}


def test_a_sample_fits_a_nested_schema() -> None:
    item = {"type": "object", "properties": {"id": {"type": "integer"}, "price": {"type": "integer", "minimum": 5}}}
    schema = {
        "type": "object",
        "properties": {"prices": {"type": "array", "items": item}, "kind": {"enum": ["a", "b"]}},
    }
    assert sample_of(schema) == {"prices": [{"id": 1, "price": 6}], "kind": "a"}


def test_versions_come_before_amounts_and_ids_never() -> None:
    body = {"id": 4, "other": 1, "price": 2, "version": 3, "label": "x"}
    assert number_places(body) == [("version",), ("price",), ("other",)]


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("Input should be less than or equal to 100000", 100_000),
        ("Ensure this value is less than or equal to 32767.", 32_767),
        ("must be at most 10", None),
        ("Field required", None),
    ],
)
def test_a_limit_is_read_where_versions_fit_below(message: str, limit: int | None) -> None:
    assert limit_in({"detail": [{"loc": ["body", "level"], "type": "less_than_equal", "msg": message}]}) == limit


def test_a_field_deeper_in_the_answer_is_tried_alone() -> None:
    answer = {"pair": "EURUSD", "quote": {"ticks": 5}}
    assert {"ticks": 1} in first_bodies(None, None, answer, (), "")


@given(json_values)
def test_any_schema_gives_a_sample(schema: Any) -> None:
    sample_of(schema)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4), json_values)
def test_any_error_leaves_a_body(body: dict[str, Any], document: Any) -> None:
    before = repr(body)
    assert isinstance(corrected(body, document, 7), dict)
    assert repr(body) == before


@given(json_values, json_values)
def test_any_evidence_gives_bodies(example: Any, answer: Any) -> None:
    for body in first_bodies(None, example, answer, ("price",), "stock"):
        for place in number_places(body):
            assert place_of(placed(body, place, 1_700_003), 1_700_003) is not None


@given(json_values)
def test_fields_have_paths(document: Any) -> None:
    assert all(path.startswith("$") for path in fields_of(document))


@pytest.mark.parametrize(
    "page",
    [
        "<h1>Product 7</h1><p>Price: <b>01700003</b> cents</p>",
        "id 7\nprice 1700003\nstock 4\n",
        "1 of 9: 1700003",
    ],
)
def test_a_number_in_a_page_has_a_pattern(page: str) -> None:
    pattern = regex_of(page, 1_700_003)
    other = page.replace("7\n", "8\n").replace("1700003", "55")
    assert [int(text) for text in re.findall(pattern, other)] == [55]


@pytest.mark.parametrize("page", ["", "1700003", "a 1700003 and a 1700003", "a 17000031"])
def test_a_number_that_nothing_stands_before_has_none(page: str) -> None:
    assert regex_of(page, 1_700_003) == ""


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_page_gives_a_pattern_that_matches_or_none(before: str, after: str) -> None:
    page = f"{before}1700003{after}"
    pattern = regex_of(page, 1_700_003)
    assert not pattern or len(re.findall(pattern, page)) == 1

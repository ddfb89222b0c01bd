"""JSON of any shape, walked and rewritten without a guard at each place that reads it."""

import pytest

from luckyhit.text.json_values import as_list, as_object, leaves, map_leaves, map_texts, member, members, value_at

DOCUMENT = {"a": [1, {"b": "x"}], "c": {}, "d": None}


def test_leaves_come_in_order_with_their_paths() -> None:
    assert list(leaves(DOCUMENT)) == [(("a", 0), 1), (("a", 1, "b"), "x"), (("d",), None)]
    assert list(leaves("x", ("at",))) == [(("at",), "x")]


def test_texts_are_changed_and_names_left() -> None:
    assert map_texts({"x": ["x", 1, ("x",)]}, str.upper) == {"x": ["X", 1, ["X"]]}


def test_a_leaf_in_a_list_has_the_name_of_the_field_around_it() -> None:
    assert map_leaves({"a": [1, {"b": 2}]}, lambda name, leaf: f"{name}{leaf}") == {"a": ["a1", {"b": "b2"}]}


@pytest.mark.parametrize(
    ("path", "value"),
    [(("a", 1, "b"), "x"), ((), DOCUMENT), (("a", 2), None), (("a", -1), None), (("a", "b"), None), (("d", "e"), None)],
)
def test_a_path_that_leads_nowhere_gives_none(path: tuple[str | int, ...], value: object) -> None:
    assert value_at(DOCUMENT, path) == value


@pytest.mark.parametrize("value", [None, 1, "text", True])
def test_what_is_no_container_has_nothing_in_it(value: object) -> None:
    assert (list(members(value)), member(value, "a", 0), as_object(value), as_list(value)) == ([], 0, {}, [])

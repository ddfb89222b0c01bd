"""Cache keys of several ids give templates in the names of the route's parameters."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.values.placeholders import fill_text
from luckyhit.discover.exploring.key_templates import Touched, key_templates


def of(make: object, *ids: str, name: str = "id") -> list[tuple[str, bool, bool]]:
    requests = [Touched({name: one}, frozenset({("stored", make(one))})) for one in ids]  # type: ignore[operator]
    return [(use.template, use.hashed, use.guess) for use in key_templates(requests)]


def test_the_id_becomes_the_parameter() -> None:
    assert of(lambda one: f"product:{one}", "1", "10", "50", name="pk") == [("product:{pk}", False, False)]


def test_a_prefix_with_the_number_of_an_id_stays() -> None:
    assert of(lambda one: f":1:organizer_{one}", "1", "2") == [(":1:organizer_{id}", False, False)]


def test_one_id_alone_is_a_guess() -> None:
    assert of(lambda one: f"product:{one}", "7") == [("product:{id}", False, True)]


def test_digests_are_named_as_such() -> None:
    assert of(lambda one: "view/" + hashlib.md5(one.encode()).hexdigest(), "1", "2") == [("view/*", True, False)]


def test_a_shard_is_not_taken_for_the_id() -> None:
    assert of(lambda one: f"links:{int(one) % 4}", "1", "10", "50") == [("links:*", False, False)]


def test_times_in_keys_are_free() -> None:
    times = {"1": "1700000000.25", "2": "1700000009.5"}
    assert of(lambda one: f"issues:{one}:{times[one]}", "1", "2") == [("issues:{id}:*", False, False)]


def test_a_key_of_all_requests_names_no_parameter() -> None:
    requests = [Touched({"id": one}, frozenset({("read", "flags:1"), ("read", f"p:{one}")})) for one in ("1", "2")]
    assert [use.template for use in key_templates(requests)] == ["flags:1", "p:{id}"]


def test_text_ids_and_uuids_are_ids() -> None:
    assert of(lambda one: f"page:{one}:html", "about-us", "jobs") == [("page:{id}:html", False, False)]
    uuids = ("8e6cf2d4-0f5f-4c5b-9c7e-6a44cbd3a9f1", "0aa1c9bb-53c2-44a5-8f5e-2f6a5a7c5a11")
    assert of(lambda one: f"u:{one}", *uuids) == [("u:{id}", False, False)]


def test_braces_in_keys_are_doubled() -> None:
    assert of(lambda one: f"{{shop}}:{one}", "1", "2") == [("{{shop}}:{id}", False, False)]


def test_a_route_without_parameters_keeps_its_key() -> None:
    uses = key_templates([Touched({}, frozenset({("read", "list:1")}))])
    assert [(use.template, use.guess) for use in uses] == [("list:1", False)]


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@given(names.filter(lambda text: not text[-1:].isdigit()), names.filter(lambda text: not text[:1].isdigit()))
def test_templates_fill_in_to_the_keys(before: str, after: str) -> None:
    ids = ("3", "71", "20481")
    requests = [Touched({"id": one}, frozenset({("read", f"{before}{one}{after}")})) for one in ids]
    (use,) = key_templates(requests)
    # With hexadecimal digits around it, a number may be a part of a digest.
    if "*" not in before + after and not use.hashed:
        assert {fill_text(use.template, {"id": one}) for one in ids} == {f"{before}{one}{after}" for one in ids}


@given(st.lists(st.tuples(names, st.frozensets(names, max_size=4)), max_size=4))
def test_any_keys_give_some_templates(requests: list[tuple[str, frozenset[str]]]) -> None:
    touched = [Touched({"id": one}, frozenset(("read", key) for key in keys)) for one, keys in requests]
    assert bool(key_templates(touched)) == any(keys for _, keys in requests)

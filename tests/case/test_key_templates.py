"""Templates that the cache's keys of several requests have in common."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.values.key_templates import common_templates, fits

DIGEST = ("5d41402abc4b2a76b9719d911017c592", "7d793037a0760186574b0282f2f435e7")
TEMPLATES = {
    "the request's key": ([("item:1", "1"), ("item:2", "2")], {"item:{key}"}),
    "a key that other numbers equal": (
        [(":1:item:1", "1"), (":1:item:7", "7"), (":1:item:8", "8")],
        {":1:item:{key}"},
    ),
    "a number that differs": ([("shard:3:item:1", "1"), ("shard:4:item:2", "2")], {"shard:*:item:{key}"}),
    "a number that does not": ([("v2:5:item:1", "1"), ("v2:5:item:2", "2")], {"v2:5:item:{key}"}),
    "a digest": ([(f"page:{DIGEST[0]}", "1"), (f"page:{DIGEST[1]}", "2")], {"page:*"}),
    "a word as key": ([("country:de:x", "de"), ("country:fr:x", "fr")], {"country:{key}:x"}),
    "no key": ([("list:1", ""), ("list:2", ""), ("all", "")], {"list:*", "all"}),
    "a few other words": ([("list:red", ""), ("list:blue", "")], {"list:red", "list:blue"}),
    "many other words": ([(f"user:{chr(97 + n)}{chr(98 + n)}", "") for n in range(20)], {"user:*"}),
    "a declared template": ([("thing:1:de", "1"), ("thing:2:fr", "2"), ("item:3", "3")], {"thing:{id}:{lang}", "item:{key}"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
def test_keys_have_their_template(name: str) -> None:
    keys, expected = TEMPLATES[name]
    templates = common_templates(keys, ["thing:{id}:{lang}"])
    assert templates.keys() == set(keys)
    assert set(templates.values()) == expected


@given(st.lists(st.tuples(st.text("ab1:7*-{}", max_size=9), st.sampled_from(["", "1", "7", "17", "a"])), max_size=30))
def test_each_key_fits_the_template_that_it_gets(keys: list[tuple[str, str]]) -> None:
    for (cache_key, key), template in common_templates(keys, []).items():
        loose = re.escape(template).replace(r"\*", ".*").replace(r"\{key\}", f"(?:{re.escape(key)}|[{{]key[}}])")
        assert re.fullmatch(loose, cache_key, re.DOTALL), (cache_key, key, template)


@pytest.mark.parametrize(
    ("key", "template", "expected"),
    [("a:1", "a:{id}", True), ("a:1:b", "a:{id}", False), ("a", "a", True), ("a:", "a:{id}", False)],
)
def test_a_placeholder_is_one_word(key: str, template: str, expected: bool) -> None:
    assert fits(key, template) is expected

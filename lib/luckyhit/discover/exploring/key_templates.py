"""From the cache keys that requests for several ids touched to templates in the route's parameter names.

A key is taken apart into words. A word that is the same for all ids is part of the name; one that is the id each time
is its parameter; any other is `*`: a digest, a time, a shard.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from luckyhit.case.values.placeholders import escape, key_pattern
from luckyhit.discover.evidence import KeyUse

Verb = Literal["read", "stored", "deleted"]
ANY = "*"
_DIGEST = (
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"  # a UUID
    r"|(?<![0-9A-Za-z])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9a-fA-F]{16,}(?![0-9A-Za-z])"
    # Base64; the words before it are the name of a cache: `flask_cache_`.
    r"|(?<![0-9A-Za-z+/])(?![a-z]+[_-])(?=[\w+/-]*[0-9])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])[\w+/-]{22,}={0,2}"
    r"(?![\w+/-])"
)
_PLACEHOLDER = re.compile(r"(?<!\{)\{[A-Za-z_]\w*\}")
_WORD = r"[^\W\d_]+|\d+|."


@dataclass(frozen=True)
class Touched:
    """The keys that one request touched. `values`: of its route's parameters, by name."""

    values: Mapping[str, str]
    uses: frozenset[tuple[Verb, str]]


@dataclass(frozen=True)
class _Word:
    text: str
    parameters: frozenset[str] = frozenset()
    digest: bool = False


def key_templates(requests: Sequence[Touched]) -> tuple[KeyUse, ...]:
    """The templates behind the keys of `requests`, which differ in one parameter's value; in the order of their names.

    What is supported by one request of several, or by one value alone, is a guess. `{`, `}` of a key are doubled, as
    the case file has them.
    """
    groups: dict[tuple[Verb, tuple[str, ...]], list[tuple[int, list[_Word]]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for verb, key in sorted(request.uses):
            words = _words(key, request.values)
            groups[verb, tuple(_outline(word) for word in words)].append((number, words))
    uses: dict[tuple[str, str], KeyUse] = {}
    for (verb, _), keys in groups.items():
        for template, hashed, numbers in _templates(keys, [request.values for request in requests]):
            distinct = len({tuple(requests[number].values.values()) for number in numbers})
            guess = bool(requests[0].values) and distinct < 2
            known = uses.get((verb, template))
            if known is None or (known.guess and not guess):
                uses[verb, template] = KeyUse(template, verb, hashed=hashed, guess=guess)
    return tuple(sorted(_without_covered(list(uses.values())), key=lambda use: (use.template, use.verb)))


def _templates(
    keys: list[tuple[int, list[_Word]]], values: Sequence[Mapping[str, str]]
) -> list[tuple[str, bool, set[int]]]:
    """Templates of keys of one outline, each with whether it is hashed, and the numbers of its requests. Keys that
    several requests touched as they are come first: they name no parameter."""
    by_name: dict[str, set[int]] = defaultdict(set)
    for number, words in keys:
        by_name["".join(word.text for word in words)].add(number)
    varied = len({tuple(one.values()) for one in values}) > 1
    fixed = {name for name, numbers in by_name.items() if len(numbers) == len(values)} if varied else set()
    templates = [(escape(name), False, by_name[name]) for name in fixed]
    rest = [(number, words) for number, words in keys if "".join(word.text for word in words) not in fixed]
    if rest:
        template, hashed = _aligned([words for _, words in rest])
        templates.append((template, hashed, {number for number, _ in rest}))
    return templates


def _aligned(keys: list[list[_Word]]) -> tuple[str, bool]:
    parts: list[str] = []
    hashed = False
    for words in zip(*keys, strict=True):
        texts = {word.text for word in words}
        shared = frozenset.intersection(*(word.parameters for word in words))
        if len(texts) == 1 and not (shared and len(keys) == 1):
            parts.append(escape(words[0].text))
        elif shared:
            parts.append(f"{{{min(shared)}}}")
        else:
            hashed |= any(word.digest for word in words)
            parts.append(ANY)
    return re.sub(r"\*+(?:[.]\*+)*", ANY, "".join(parts)), hashed


def _words(key: str, values: Mapping[str, str]) -> list[_Word]:
    by_value: dict[str, set[str]] = defaultdict(set)
    for name, value in values.items():
        if value:
            by_value[value].add(name)
    own = "|".join(_bounded(value) for value in sorted(by_value, key=len, reverse=True))
    pattern = re.compile(
        "|".join(filter(None, [f"(?P<own>{own})" if own else "", f"(?P<digest>{_DIGEST})", _WORD])), re.DOTALL
    )
    return [
        _Word(match[0], frozenset(by_value.get(match[0], ())), match.groupdict().get("digest") is not None)
        for match in pattern.finditer(key)
    ]


def _bounded(value: str) -> str:
    """The value as a whole number or word: 1 is not in 12, nor `a` in `cat`."""
    edge = r"\d" if value.isdigit() else r"[^\W_]"
    return f"(?<!{edge}){re.escape(value)}(?!{edge})"


def _outline(word: _Word) -> str:
    """What two keys of one template have in common at this place."""
    if word.digest:
        return "digest"
    if word.parameters or word.text.isdigit():
        return "value"
    return word.text


def without_covered(templates: Iterable[str]) -> list[str]:
    """The templates of a case without those whose keys another one has: `a:{hash}` and `a:1` beside `a:{id}`."""
    listed = list(templates)
    patterns = [key_pattern(template) for template in listed]
    kept: list[str] = []
    for place, template in enumerate(listed):
        filled = _PLACEHOLDER.sub("x", template).replace("{{", "{").replace("}}", "}").encode()
        others = [other for other, pattern in enumerate(patterns) if other != place and pattern.fullmatch(filled)]
        # Of two with the same keys the first is kept.
        if not any(other < place or not _same_keys(listed[other], template) for other in others):
            kept.append(template)
    return kept


def _same_keys(one: str, other: str) -> bool:
    return _PLACEHOLDER.sub("{}", one) == _PLACEHOLDER.sub("{}", other)


def _without_covered(uses: list[KeyUse]) -> list[KeyUse]:
    """Without guesses that a certain template of the same verb covers, and those that another one's `*` does."""
    certain = [(use, re.compile(_loose(use.template, ANY), re.DOTALL)) for use in uses if ANY in use.template]
    filled = [(use, re.compile(_loose(use.template, ANY + "{"), re.DOTALL)) for use in uses]
    return [
        use
        for use in uses
        if not any(_covers(other, loose, use) for other, loose in certain)
        and not (use.guess and any(_covers(other, loose, use) for other, loose in filled))
    ]


def _covers(other: KeyUse, loose: re.Pattern[str], use: KeyUse) -> bool:
    same = other is use or other.verb != use.verb or (other.guess and not use.guess)
    return not same and loose.fullmatch(use.template) is not None


def _loose(template: str, free: str) -> str:
    """A pattern in which placeholders that begin with one of `free` stand for any text."""
    parts = re.split(r"(\{[^{}]*\}|\*)", template)
    return "".join(".+" if part[0] in free else re.escape(part) for part in parts if part)

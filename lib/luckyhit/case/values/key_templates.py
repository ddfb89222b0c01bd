"""Templates of the cache's keys: the declared ones, and those that keys have in common."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

ANY = "*"
"""In a template: what differs from request to request, and is not the request's key."""
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d+(?![0-9A-Za-z])")
_DIGEST = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|(?<![0-9A-Za-z])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9a-fA-F]{16,}(?![0-9A-Za-z])"
    r"|(?<![\w+/-])(?=[\w+/-]*[0-9])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])[\w+/-]{22,}={0,2}(?![\w+/-])"
)
"""A UUID, a hash in hexadecimal or in base64."""
_SEPARATOR = re.compile(r"([:/|.,;?&=])")
MOST_ALIKE = 12
"""More templates with the same number of words are one, with what differs as ANY."""


def key_template(cache_key: str, key: str, templates: Sequence[str]) -> str:
    """The declared template that a cache key fits, or the key with `{key}` for the probe's key."""
    for template in templates:
        if fits(cache_key, template):
            return template
    if not key or key == "*":
        return re.sub(r"(?<![0-9A-Za-z])\d+(?![0-9A-Za-z])", "{key}", cache_key)
    return re.sub(rf"(?<!\d){re.escape(key)}(?!\d)", "{key}", cache_key)


def fits(cache_key: str, template: str) -> bool:
    """Whether a cache key is one of a declared template."""
    parts = re.split(r"\{[^{}]*\}", template)
    return re.fullmatch("[^:]+".join(map(re.escape, parts)), cache_key) is not None


def common_templates(keys: Sequence[tuple[str, str]], declared: Sequence[str]) -> dict[tuple[str, str], str]:
    """By (cache key, key of the request that touched it; empty if it has none): the template.

    A declared template that fits comes first. Else the request's key is `{key}` where that gives the most requests the
    same template, a digest is `*`, and so is a number that differs.
    """
    pairs = list(dict.fromkeys(keys))
    templates = {pair: fit for pair in pairs for fit in declared if fits(pair[0], fit)}
    rest = [pair for pair in pairs if pair not in templates]
    options = {pair: _options(*pair) for pair in rest}
    supporters: dict[str, set[str]] = defaultdict(set)
    for pair, texts in options.items():
        for text in texts:
            supporters[text].add(pair[1])
    chosen = {pair: max(texts, key=lambda text: len(supporters[text])) for pair, texts in options.items()}
    for outline in (lambda text: _NUMBER.sub(ANY, text), _outline):
        alike: dict[str, set[str]] = defaultdict(set)
        for text in chosen.values():
            alike[outline(text)].add(text)
        most = MOST_ALIKE if outline is _outline else 1
        chosen = {
            pair: _aligned(alike[outline(text)]) if len(alike[outline(text)]) > most else text
            for pair, text in chosen.items()
        }
    return templates | chosen


def _options(cache_key: str, key: str) -> list[str]:
    """The templates that a cache key may have: with the request's key at all places, and at each alone."""
    text = _DIGEST.sub(lambda match: match[0] if match[0] == key else ANY, cache_key)
    if not key:
        return [text]
    edge = r"\d" if key.isdigit() else r"[^\W_]"
    places = [match.start() for match in re.finditer(rf"(?<!{edge}){re.escape(key)}(?!{edge})", text)]
    if not places:
        return [text]
    each = [f"{text[:place]}{{key}}{text[place + len(key) :]}" for place in places]
    everywhere = re.sub(rf"(?<!{edge}){re.escape(key)}(?!{edge})", "{key}", text)
    return list(dict.fromkeys([everywhere, *each]))


def _outline(text: str) -> str:
    """The separators, and which words are placeholders."""
    return "".join(
        part if _SEPARATOR.fullmatch(part) or part in ("{key}", ANY) else "w" for part in _SEPARATOR.split(text)
    )


def _aligned(texts: set[str]) -> str:
    words = [_SEPARATOR.split(text) for text in sorted(texts)]
    same = len({len(parts) for parts in words}) == 1
    if not same:
        return ANY
    return "".join(column[0] if len(set(column)) == 1 else _differing(column) for column in zip(*words, strict=True))


def _differing(column: Sequence[str]) -> str:
    """Words that differ in numbers alone keep the rest."""
    numbers = {_NUMBER.sub(ANY, word) for word in column}
    return numbers.pop() if len(numbers) == 1 else ANY

"""The cache's keys of the probed keys: which of them can be watched, by the case's own templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from luckyhit.caches.shapes import Shape
from luckyhit.case import Case
from luckyhit.case.freshness import Freshness
from luckyhit.case.values.placeholders import Placeholder, escape, fill_text, parse_template

MOST_CHANNELS = 20_000
"""Each watched key is a channel that the server has to hold; this many take it some megabytes."""


def cache_keys(case: Case) -> list[str]:
    """Templates of the cache's keys of one probed key, with `{key}` in them.

    Those of `freshness.cache_keys`; else those of `cache.clear` that have one name in braces, with the key in its
    place. Empty where the case has no probe.
    """
    if case.freshness is None:
        return []
    if case.freshness.cache_keys is not None:
        return list(dict.fromkeys(case.freshness.cache_keys))
    keys = []
    for template in case.cache.clear:
        parts = parse_template(template)
        if sum(isinstance(part, Placeholder) for part in parts) == 1:
            keys.append("".join(escape(part) if isinstance(part, str) else "{key}" for part in parts))
    return list(dict.fromkeys(keys))


def watched_shapes(case: Case, learned: Sequence[Shape]) -> tuple[dict[str, str], list[Shape], str]:
    """(the probe's key of each of the cache's keys, patterns for what else is watched, why there is neither).

    `learned`: what reads of probed keys touched. It comes behind `freshness.cache_keys`, and before what follows from
    `cache.clear`: a template of that whose keys turned out to be a group's names no probed key.
    """
    if case.freshness is None or case.freshness.cache_keys is not None or not learned:
        return *_without_patterns(watched_keys(case)), watched_keys(case)[1]
    exact = [shape.template for shape in learned if shape.exact]
    patterns = [shape for shape in learned if not shape.exact]
    names = {_sample(shape) for shape in patterns}
    more = [t for t in cache_keys(case) if not any(re.fullmatch(_loose(t), name, re.DOTALL) for name in names)]
    keys, why_not = _keys_of(case.freshness, list(dict.fromkeys([*exact, *more])))
    return keys, patterns, "" if patterns else why_not


def _without_patterns(watched: tuple[dict[str, str], str]) -> tuple[dict[str, str], list[Shape]]:
    return watched[0], []


def _sample(shape: Shape) -> str:
    return (shape.before if shape.group else f"{shape.before}0{shape.after}").replace("*", "0")


def _loose(template: str) -> str:
    """Any key that the template's text stands in."""
    return "".join(re.escape(part) if isinstance(part, str) else ".+" for part in parse_template(template))


def watched_keys(case: Case) -> tuple[dict[str, str], str]:
    """(the probe's key of each of the cache's keys, why there are none).

    All keys that the case reserves for the probe are watched: which of them a block probes is drawn later. One of the
    two is empty: a part of the keys is never watched, since the others would then look as if nothing happened to them.
    """
    templates = cache_keys(case)
    if case.freshness is None:
        return {}, "the case has no freshness probe"
    if not templates:
        return {}, (
            "no template of cache.clear has exactly one name in braces, so the cache's keys of the "
            "probed keys are not known; say them in freshness.cache_keys"
        )
    return _keys_of(case.freshness, templates)


def _keys_of(freshness: Freshness, templates: Sequence[str]) -> tuple[dict[str, str], str]:
    count = _count(freshness) * len(templates)
    if count > MOST_CHANNELS:
        return {}, (
            f"the reserved keys make {count} cache keys, and at most {MOST_CHANNELS} are watched; reserve "
            "fewer keys in freshness.keys, or name fewer templates in freshness.cache_keys"
        )
    keys: dict[str, str] = {}
    for key in _reserved(freshness):
        for template in templates:
            keys.setdefault(fill_text(template, {"key": key}), key)
    return keys, ""


def reserved(case: Case) -> Callable[[str], bool]:
    """Whether a key is one that the case reserves for the probe."""
    ranges = list(_ranges(case.freshness)) if case.freshness is not None else []
    return lambda key: any(int(key) in keys for keys in ranges)


def _ranges(freshness: Freshness) -> Iterator[range]:
    yield range(freshness.keys.first, freshness.keys.last + 1)
    if freshness.absent is not None:
        yield range(freshness.absent.keys.first, freshness.absent.keys.last + 1)


def _count(freshness: Freshness) -> int:
    return sum(keys.stop - keys.start for keys in _ranges(freshness))


def _reserved(freshness: Freshness) -> Iterator[str]:
    for keys in _ranges(freshness):
        yield from map(str, keys)

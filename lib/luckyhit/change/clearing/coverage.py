"""Whether `cache.clear` names the keys that the service stores: new keys are compared with the templates.

A template that matches nothing clears nothing: every block would start from what the one before it left. So of each new
key that no template matches, the message names the nearest template and what is wrong with it: `conj:{x}` has one colon
fewer than `conj:a:id=1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Literal

from luckyhit.caches import AnyCache
from luckyhit.caches.base import KeySpace
from luckyhit.caches.scope import Scope
from luckyhit.case.values.placeholders import Placeholder, escape, parse_template
from luckyhit.records import Guard, GuardId
from luckyhit.scrub.characters import visible

MOST_KEYS = 50_000
"""A cache with more keys is not listed."""
MOST_LIFETIMES = 500
"""Of so many unmatched keys the time to live is read."""
_MOST_NAMED = 3
_LONGEST_KEY = 80
_LONGEST_TEXT = 32
_LEAST_COMMON = 3
"""Common characters that make a template near to a key."""

Why = Literal["fewer-colons", "more-colons", "text-before", "text-after", "other-text", "no-template-near"]


@dataclass(frozen=True, slots=True)
class UnmatchedKey:
    """A key that no template matches; the nearest template, why it does not match, and by how many colons or what
    text."""

    key: bytes
    why: Why
    template: str = ""
    colons: int = 0
    text: str = ""

    @property
    def near(self) -> bool:
        return self.why != "no-template-near"

    def sentence(self) -> str:
        """`'conj:a:id=1' (conj:{x} has one colon fewer)`."""
        many = "one colon" if self.colons == 1 else f"{self.colons} colons"
        reasons: dict[Why, str] = {
            "fewer-colons": f"{self.template} has {many} fewer",
            "more-colons": f"{self.template} has {many} more",
            "text-before": f"{self.template} does not begin with {self.text!r}",
            "text-after": f"{self.template} does not end with {self.text!r}",
            "other-text": f"{self.template} is nearest, with other text",
            "no-template-near": "no template is similar",
        }
        return f"'{shown_key(self.key)}' ({reasons[self.why]})"


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Keys that appeared while the service was used: how many are in scope, and those that no template matches, by
    whether they expire (`expiring`) or not (`lasting`: they may be the data itself). `matching`: the templates that
    match some."""

    inside: int = 0
    expiring: list[UnmatchedKey] = field(default_factory=list)
    lasting: list[UnmatchedKey] = field(default_factory=list)
    matching: frozenset[str] = frozenset()

    @property
    def outside(self) -> int:
        return len(self.expiring) + len(self.lasting)


def shown_key(key: bytes) -> str:
    """A key of the cache for a sentence."""
    return visible(key.decode("utf-8", "backslashreplace"), longest=_LONGEST_KEY)


def list_keys(cache: AnyCache) -> frozenset[bytes] | None:
    """All keys of a cache; None if more than MOST_KEYS. Raises CacheUnreachable or TargetError."""
    with cache.explained("listing its keys"), cache.keys() as keys:
        return _names(keys)


def any_in_scope(keys: Iterable[bytes], templates: Sequence[str]) -> bool:
    """Whether a template matches any of these keys."""
    scope = Scope(templates)
    return any(key in scope for key in keys)


def find_new_keys(cache: AnyCache, earlier: frozenset[bytes], templates: Sequence[str]) -> NewKeys | None:
    """The keys that are not among `earlier`; None where there are too many to list. Reading their time to live (PTTL)
    moves the cache's counter of hits."""
    scope = Scope(templates)
    with cache.explained("listing its keys"), cache.keys() as keys:
        names = _names(keys)
        if names is None:
            return None
        new = sorted(names - earlier)
        outside = [key for key in new if key not in scope][:MOST_LIFETIMES]
        expiring, lasting = list[UnmatchedKey](), list[UnmatchedKey]()
        for key, ttl_ms in zip(outside, keys.lifetimes_ms(outside), strict=True):
            if ttl_ms != -2:  # not expired meanwhile
                (lasting if ttl_ms == -1 else expiring).append(nearest(key, templates))
    matching = frozenset(template for template in templates if any_in_scope(new, [template]))
    return NewKeys(sum(key in scope for key in new), expiring, lasting, matching)


def coverage_guard(
    new_keys: NewKeys, *, fails: bool, written: bool, id: GuardId = "cache-clear-names-what-is-stored"
) -> Guard | None:
    """Whether the templates match the new keys; None where the new keys prove nothing.

    `fails`: whether no match is a fault, as in a cache of the run's own. `written`: whether the service was written to
    meanwhile: keys that never expire may be what was written, and prove nothing. `id`: of the guard.
    """
    if not new_keys.inside and not new_keys.outside:
        return None
    named = _sentences(new_keys)
    if new_keys.inside:
        rest = (
            f"; {new_keys.outside:,} {_match(new_keys.outside)} no template, and "
            f"{'is' if new_keys.outside == 1 else 'are'} never cleared: {named}"
            if new_keys.outside
            else ""
        )
        return Guard(
            id=id,
            ok=True,
            detail=f"{_keys(new_keys.inside)} that the service stored {_match(new_keys.inside)} a template{rest}",
        )
    conclusive = bool(new_keys.expiring) or (not written and any(key.near for key in new_keys.lasting))
    if not conclusive or not fails:
        return None
    return Guard(
        id=id,
        ok=False,
        detail=f"{_keys(new_keys.outside)} that the service stored {_match(new_keys.outside)} no template of "
        f"cache.clear: {named}. "
        "`{name}` stands for one or more characters other than a colon",
        remedy=_remedy(new_keys),
    )


def hit_elsewhere_guard(variable: str | None) -> Guard:
    """The failed guard of a service that answers from a cache in which no key of `cache.clear` is. `variable`: the one
    that names the cache; None for a cache of the run's own."""
    where = f"the cache that {variable} names" if variable else "the run's own cache"
    remedy = (
        f"Compare server and number of the database in {variable} with the service's own setting. "
        if variable
        else "Have the service take its cache from {cache_url}. "
    )
    return Guard(
        id="cache-clear-names-what-is-stored",
        ok=False,
        detail=f"the service answers hits, but no key in {where} matches a template of cache.clear: "
        "its hits come from elsewhere, and clearing would clear nothing",
        remedy=f"{remedy}If it caches in its own processes, or a cache in front answers, leave cache.clear out, or "
        "name the cache in front in cache.purge.",
    )


def uncovered_keys(new_keys: NewKeys) -> str:
    """A note for where there is no guard; "" where every key is in scope."""
    if not new_keys.inside and not new_keys.outside:
        return "No key appeared in the cache to compare with cache.clear."
    if not new_keys.outside:
        return ""
    unmatched = f"{_keys(new_keys.outside)} that appeared {_match(new_keys.outside)} no template of cache.clear"
    return f"{unmatched}: {_sentences(new_keys)}."


def nearest(key: bytes, templates: Iterable[str]) -> UnmatchedKey:
    """The nearest template of a key that none matches, and why it does not match."""
    candidates = [_compared(key, template) for template in templates]
    ranked = sorted(candidates, key=lambda pair: pair[0], reverse=True)
    return ranked[0][1] if ranked and ranked[0][1].near else UnmatchedKey(key, "no-template-near")


def _compared(key: bytes, template: str) -> tuple[tuple[int, int], UnmatchedKey]:
    """((rank of the reason, common characters), why the template does not match)."""
    parts = parse_template(template)
    beginning = parts[0].encode() if parts and isinstance(parts[0], str) else b""
    common = _common(beginning, key)
    literal = "".join(part for part in parts if isinstance(part, str))
    colons = key.count(b":") - literal.count(":")
    near = len(beginning) >= _LEAST_COMMON or beginning.endswith(b":")
    if colons and near and key.startswith(beginning):
        why: Why = "fewer-colons" if colons > 0 else "more-colons"
        return (3, common), UnmatchedKey(key, why, template, colons=abs(colons))
    loose = b"".join(b"[^:]+" if isinstance(part, Placeholder) else re.escape(part.encode()) for part in parts)
    if len(literal) >= _LEAST_COMMON and (match := re.search(loose, key)):
        before, after = key[: match.start()], key[match.end() :]
        which: Why = "text-before" if before else "text-after"
        return (2, len(literal)), UnmatchedKey(key, which, template, text=shown_key(before or after))
    if common >= _LEAST_COMMON:
        return (1, common), UnmatchedKey(key, "other-text", template)
    return (0, common), UnmatchedKey(key, "no-template-near")


def _common(one: bytes, other: bytes) -> int:
    pairs = zip(one, other, strict=False)
    return next((index for index, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _names(keys: KeySpace) -> frozenset[bytes] | None:
    names: set[bytes] = set()
    for batch in keys.batches():
        names.update(batch)
        if len(names) > MOST_KEYS:
            return None
    return frozenset(names)


def _sentences(new_keys: NewKeys) -> str:
    """The first few of the unmatched keys: those near to a template first, then those that expire."""
    keys = sorted([*new_keys.expiring, *new_keys.lasting], key=lambda key: not key.near)
    shown = [key.sentence() for key in keys[:_MOST_NAMED]]
    more = len(keys) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _remedy(new_keys: NewKeys) -> str:
    """Templates are suggested for keys that expire only: others may be data."""
    if not new_keys.expiring:
        return (
            "None of them has a time to live, so they may be data: name them in cache.clear only where the service can "
            "rebuild them, with cache.rebuildable: true. If it caches in its own process, leave {cache_url} and "
            "cache.clear out."
        )
    suggested = list(dict.fromkeys(suggest_template(key) for key in new_keys.expiring))[:_MOST_NAMED]
    templates = ", ".join(f"`{template}`" for template in suggested)
    return f"Name the keys of the cache in cache.clear, as {templates} would; leave out what is not cached data."


def suggest_template(unmatched: UnmatchedKey) -> str:
    """A template that matches: the beginning of the nearest one, and a name for each piece between colons after it;
    where none is near, the key's own text up to the digits in each piece."""
    key = unmatched.key.decode("utf-8", "replace")
    for longer in (escape(unmatched.text) + unmatched.template, unmatched.template + escape(unmatched.text)):
        if unmatched.text and unmatched.key in Scope([longer]):
            return longer
    parts = parse_template(unmatched.template)
    beginning = parts[0] if parts and isinstance(parts[0], str) else ""
    known = bool(beginning) and key.startswith(beginning)
    pieces = key.removeprefix(beginning).split(":") if known else key.split(":")
    names = iter(ascii_lowercase)
    fitted = [_piece(piece, next(names, "z"), whole=known) for piece in pieces]
    return (escape(beginning) if known else "") + ":".join(fitted)


def _piece(piece: str, name: str, *, whole: bool) -> str:
    text = "" if whole else re.match(r"[^\d=]*", piece)[0][:_LONGEST_TEXT]  # type: ignore[index]
    return escape(text) + ("{" + name + "}" if piece != text else "")


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count:,} keys"


def _match(count: int) -> str:
    return "matches" if count == 1 else "match"

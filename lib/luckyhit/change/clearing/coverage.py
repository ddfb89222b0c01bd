"""Whether `cache.clear` names the keys that the service stores: what its reads made appear, held against the templates.

A template that fits nothing clears nothing, and every block then starts from what the one before it left. So the keys
that appear are listed, and of each that no template fits it is told which template comes nearest, and what is wrong
with it: `conj:{x}` has one colon less than `conj:a:id=1`.
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
from luckyhit.records import Guard
from luckyhit.scrub.characters import visible

MOST_KEYS = 50_000
"""A cache that holds more is not listed whole."""
MOST_ASKED = 500
"""Of so many keys that no template fits it is asked whether they expire."""
_NAMED = 3
_LONGEST_KEY = 80
_LONGEST_TEXT = 32
_SHARED_TEXT = 3
"""So many letters in common, and a template is called near to a key."""

Why = Literal["fewer-colons", "more-colons", "text-before", "text-behind", "other-text", "no-template-near"]


@dataclass(frozen=True, slots=True)
class Missed:
    """A key that no template fits; the nearest template, why it does not fit, and by how many colons or what text."""

    key: bytes
    why: Why
    template: str = ""
    colons: int = 0
    text: str = ""

    @property
    def near(self) -> bool:
        return self.why != "no-template-near"

    def sentence(self) -> str:
        """`'conj:a:id=1' (conj:{x} has one colon less)`."""
        many = "one colon" if self.colons == 1 else f"{self.colons} colons"
        reasons: dict[Why, str] = {
            "fewer-colons": f"{self.template} has {many} less",
            "more-colons": f"{self.template} has {many} more",
            "text-before": f"{self.template} does not begin with {self.text!r}",
            "text-behind": f"{self.template} does not end with {self.text!r}",
            "other-text": f"{self.template} is nearest, and has other text",
            "no-template-near": "no template is like it",
        }
        return f"'{shown_key(self.key)}' ({reasons[self.why]})"


@dataclass(frozen=True, slots=True)
class Appeared:
    """Keys that came to be while the service was used: how many are in scope, and those that no template fits, apart by
    whether they expire (`expiring`) or not (`lasting`: they may be the data itself)."""

    inside: int = 0
    expiring: list[Missed] = field(default_factory=list)
    lasting: list[Missed] = field(default_factory=list)

    @property
    def outside(self) -> int:
        return len(self.expiring) + len(self.lasting)


def shown_key(key: bytes) -> str:
    """A key of the cache for a sentence."""
    return visible(key.decode("utf-8", "backslashreplace"), longest=_LONGEST_KEY)


def names_of(cache: AnyCache) -> frozenset[bytes] | None:
    """All keys of a cache; None where they are more than MOST_KEYS. Raises CacheUnreachable or TargetError."""
    with cache.explained("listing its keys"), cache.keys() as keys:
        return _names(keys)


def appeared(cache: AnyCache, earlier: frozenset[bytes], templates: Sequence[str]) -> Appeared | None:
    """The keys that are there now and were not among `earlier`; None where they are too many to list. Asking whether
    they expire (PTTL) moves the cache's own counter of hits."""
    scope = Scope(templates)
    with cache.explained("listing its keys"), cache.keys() as keys:
        names = _names(keys)
        if names is None:
            return None
        new = sorted(names - earlier)
        outside = [key for key in new if key not in scope][:MOST_ASKED]
        expiring, lasting = list[Missed](), list[Missed]()
        for key, ttl_ms in zip(outside, keys.lifetimes_ms(outside), strict=True):
            if ttl_ms != -2:  # it has expired meanwhile
                (lasting if ttl_ms == -1 else expiring).append(nearest(key, templates))
    return Appeared(sum(key in scope for key in new), expiring, lasting)


def coverage_guard(new_keys: Appeared, *, fails: bool, written: bool) -> Guard | None:
    """Whether the templates fit what appeared; None where nothing appeared that could tell.

    `fails`: whether it is a fault if none does, as in a cache of the run's own. `written`: whether the service was
    written to meanwhile: then keys that never expire may be what was written, and are no sign of anything.
    """
    if not new_keys.inside and not new_keys.outside:
        return None
    named = _sentences(new_keys)
    if new_keys.inside:
        rest = f"; {new_keys.outside:,} fit no template, and are left as they are: {named}" if new_keys.outside else ""
        return Guard(
            id="cache-clear-names-what-is-stored",
            ok=True,
            detail=f"{_keys(new_keys.inside)} that the service stored, and a template fits{rest}",
        )
    telling = bool(new_keys.expiring) or (not written and any(missed.near for missed in new_keys.lasting))
    if not telling or not fails:
        return None
    return Guard(
        id="cache-clear-names-what-is-stored",
        ok=False,
        detail=f"{_keys(new_keys.outside)} that the service stored, and no template of cache.clear fits: {named}. "
        "`{name}` stands for one or more characters other than a colon",
        remedy=_remedy(new_keys),
    )


def left_alone(new_keys: Appeared) -> str:
    """What is worth knowing where no guard can tell: one sentence; "" where every key is in scope."""
    if not new_keys.inside and not new_keys.outside:
        return "No key appeared in the cache, so there is nothing to hold cache.clear against."
    if not new_keys.outside:
        return ""
    return f"{_keys(new_keys.outside)} that appeared fit no template of cache.clear: {_sentences(new_keys)}."


def nearest(key: bytes, templates: Iterable[str]) -> Missed:
    """The template that comes nearest to a key which none fits, and why it does not fit."""
    candidates = [_held_against(key, template) for template in templates]
    ranked = sorted(candidates, key=lambda pair: pair[0], reverse=True)
    return ranked[0][1] if ranked and ranked[0][1].near else Missed(key, "no-template-near")


def _held_against(key: bytes, template: str) -> tuple[tuple[int, int], Missed]:
    """((how telling the reason is, letters in common), why the template does not fit)."""
    parts = parse_template(template)
    beginning = parts[0].encode() if parts and isinstance(parts[0], str) else b""
    common = _common(beginning, key)
    literal = "".join(part for part in parts if isinstance(part, str))
    colons = key.count(b":") - literal.count(":")
    telling = len(beginning) >= _SHARED_TEXT or beginning.endswith(b":")
    if colons and telling and key.startswith(beginning):
        why: Why = "fewer-colons" if colons > 0 else "more-colons"
        return (3, common), Missed(key, why, template, colons=abs(colons))
    loose = b"".join(b"[^:]+" if isinstance(part, Placeholder) else re.escape(part.encode()) for part in parts)
    if len(literal) >= _SHARED_TEXT and (match := re.search(loose, key)):
        before, behind = key[: match.start()], key[match.end() :]
        which: Why = "text-before" if before else "text-behind"
        return (2, len(literal)), Missed(key, which, template, text=shown_key(before or behind))
    if common >= _SHARED_TEXT:
        return (1, common), Missed(key, "other-text", template)
    return (0, common), Missed(key, "no-template-near")


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


def _sentences(new_keys: Appeared) -> str:
    """Some of the keys that no template fits: first those that expire, and near to a template."""
    missed = sorted([*new_keys.expiring, *new_keys.lasting], key=lambda key: not key.near)
    shown = [key.sentence() for key in missed[:_NAMED]]
    more = len(missed) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _remedy(new_keys: Appeared) -> str:
    """A template is offered for what expires alone: what does not may be data."""
    if not new_keys.expiring:
        return (
            "None of them has a time to live, so they may be data: name them in cache.clear only where the service can "
            "rebuild them, with cache.rebuildable: true. If it caches in its own process, leave {cache_url} and "
            "cache.clear out."
        )
    offered = list(dict.fromkeys(fitting(missed) for missed in new_keys.expiring))[:_NAMED]
    templates = ", ".join(f"`{template}`" for template in offered)
    return f"Name the keys of the cache in cache.clear, as {templates} would; leave out what is no cache."


def fitting(missed: Missed) -> str:
    """A template that fits: what the nearest one begins with, and a name for each piece between colons behind it; where
    none is near, the key's own text up to the digits in each piece."""
    key = missed.key.decode("utf-8", "replace")
    for longer in (escape(missed.text) + missed.template, missed.template + escape(missed.text)):
        if missed.text and missed.key in Scope([longer]):
            return longer
    parts = parse_template(missed.template)
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


__all__ = [
    "Appeared", "Missed", "appeared", "coverage_guard", "fitting", "left_alone", "names_of", "nearest",
    "shown_key",
]  # fmt: skip

"""The keys that a case declares: matched byte by byte, whatever a server's globs say; and what became of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.values.placeholders import Placeholder, fill_text, key_pattern, parse_template, placeholder_names
from luckyhit.errors import ScopeRefused

MOST_EXAMPLES = 5
"""So many keys outside the scope are kept by name; the others are only counted."""
Progress = Callable[[int, int], None]
"""Called with the keys dealt with so far, and the keys there are."""
_PLAIN = re.compile(rb"[A-Za-z0-9_:./]")


class Scope:
    """The declared keys: the templates of a case, matched byte by byte."""

    def __init__(self, templates: Iterable[str], keys: Iterable[int] = ()) -> None:
        """`keys`: what the one name in a template stands for, where its keys have to be written out."""
        self.templates, self._keys = tuple(templates), keys
        patterns = [key_pattern(template).pattern for template in self.templates]
        self._fits = re.compile(b"|".join(patterns) if patterns else rb"(?!)").fullmatch

    @classmethod
    def of(cls, spec: CacheSpec) -> Scope:
        """What a case declares."""
        return cls(spec.clear, range(spec.keys.first, spec.keys.last + 1) if spec.keys is not None else ())

    @property
    def listed_keys(self) -> list[bytes]:
        """The keys that the case names one by one, each once."""
        keys: dict[bytes, None] = {}
        for template in self.templates:
            names = list(placeholder_names(template))
            if not names:
                keys[fill_text(template, {}).encode()] = None
            elif len(names) == 1:
                keys.update((fill_text(template, dict.fromkeys(names, key)).encode(), None) for key in self._keys)
        return list(keys)

    @property
    def unlisted_templates(self) -> list[str]:
        """The templates whose keys the case does not name one by one."""
        most = 1 if self._keys else 0
        return [template for template in self.templates if len(list(placeholder_names(template))) > most]

    def __contains__(self, key: bytes) -> bool:
        return self._fits(key) is not None

    @property
    def glob(self) -> bytes | None:
        """A glob that covers at least these keys, by what all templates begin with; None where that is nothing.

        It spares the server from sending what can't match, and decides nothing. It has one star only: a glob with
        several takes the server a long time on a hostile key.
        """
        beginnings = [_literal_beginning(template) for template in self.templates]
        places = [sorted(set(at)) for at in zip(*beginnings, strict=False)]  # the bytes that some template has there
        return b"".join(map(_one_of, places)) + b"*" if places else None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look at all servers found: the keys in scope, and how many keys there are in all. `alive`: whether all of
    them were counted one by one, so that none is among them whose time is over; then `examples` are some outside."""

    inside: list[bytes]
    total: int
    alive: bool = False
    examples: list[bytes] = field(default_factory=list)

    @property
    def outside(self) -> int:
        return self.total - len(self.inside)


@dataclass
class RemovalCounts:
    """What became of the keys so far: see `ClearReport`. `touched`: whether anything may have been removed."""

    cleared: int = 0
    gone: int = 0
    rewritten: int = 0
    contended: int = 0
    unguarded: int = 0
    named: int = 0
    kept: set[bytes] = field(default_factory=set)
    removed_any: bool = False


def refuse_too_much(spec: CacheSpec, listing: Listing, *, owned: bool) -> None:
    """Raise ScopeRefused where the templates cover more of a cache than the case allows."""
    matched = len(listing.inside)
    if spec.dedicated or owned or not matched:
        return
    share = matched / listing.total
    if share > spec.largest_share:
        raise ScopeRefused(
            f"cache.clear covers {matched} of {listing.total} keys ({share:.0%}); "
            f"at most {spec.largest_share:.0%} are allowed (cache.largest_share)",
            hint="Make the templates narrower. If the cache serves this service alone, say so: `dedicated: true`.",
        )


def example_key(template: str, filling: str) -> bytes:
    """A key that fits `template`, with `filling` for each placeholder."""
    return fill_text(template, dict.fromkeys(placeholder_names(template), filling)).encode()


def _literal_beginning(template: str) -> bytes:
    parts = parse_template(template)
    return b"" if not parts or isinstance(parts[0], Placeholder) else parts[0].encode()


def _one_of(values: list[int]) -> bytes:
    """A glob for one byte, any of `values`."""
    escaped = [byte if _PLAIN.fullmatch(byte) else b"\\" + byte for byte in (bytes([value]) for value in values)]
    return escaped[0] if len(escaped) == 1 else b"[" + b"".join(escaped) + b"]"

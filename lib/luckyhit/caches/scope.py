"""The scope of a clear: the keys that a case declares, what became of them, and how fast they are removed.

Keys are matched byte by byte; a server's globs decide nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.values.placeholders import Placeholder, fill_text, key_pattern, parse_template, placeholder_names
from luckyhit.errors import ScopeRefused

MOST_EXAMPLES = 5
"""Keys outside the scope that are kept by name; the others are only counted."""
Progress = Callable[[int, int], None]
"""Called with (keys done, keys in all)."""
_FIRST, _MOST = 16, 128
_LONG_S, _VERY_LONG_S = 0.015, 0.060
_SHORT_S, _RESTS, _LONGEST_REST_S = 0.002, 1.0, 0.02
_PLAIN = re.compile(rb"[A-Za-z0-9_:./]")


class Scope:
    """The declared keys: the templates of a case, matched byte by byte."""

    def __init__(self, templates: Iterable[str], keys: Iterable[int] = ()) -> None:
        """`keys`: what the one placeholder of a template stands for, where its keys have to be listed."""
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

    def within(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of `keys` that are declared."""
        return list(filter(self._fits, keys))

    @property
    def glob(self) -> bytes | None:
        """A glob that covers at least these keys, from what all templates begin with; None where that is nothing.

        It only spares the server from sending what can't match. It has a single star, since a glob with several takes
        the server a long time on a hostile key.
        """
        beginnings = [_literal_beginning(template) for template in self.templates]
        places = [sorted(set(at)) for at in zip(*beginnings, strict=False)]  # the bytes that some template has there
        return b"".join(map(_one_of, places)) + b"*" if places else None


@dataclass(frozen=True, slots=True)
class Listing:
    """The keys in scope on all servers, and the number of all keys. `alive`: all were counted one by one, so that none
    of them has expired; `examples` are then some outside the scope."""

    inside: list[bytes]
    total: int
    alive: bool = False
    examples: list[bytes] = field(default_factory=list)

    @property
    def outside(self) -> int:
        return self.total - len(self.inside)


@dataclass
class RemovalCounts:
    """What became of the keys so far: see `ClearReport`. `removed_any`: whether anything may have been removed."""

    cleared: int = 0
    gone: int = 0
    rewritten: int = 0
    contended: int = 0
    unguarded: int = 0
    named: int = 0
    kept: set[bytes] = field(default_factory=set)
    removed_any: bool = False


class ClearPace:
    """How fast a cache is cleared that others use: batches that its server finishes in a few milliseconds, and rests. A
    Redis or Valkey server does one thing at a time, so the others wait while it works for us.

    `rate`: the most keys per second, None for no limit. `resting`: rest after each batch for as long as it took, unless
    that was no longer than a page of a scan, which the others have to bear anyway.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        resting: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._resting, self._clock, self._sleep = rate, resting, clock, sleep
        self._size = _FIRST
        self._next_s = clock()

    @property
    def size(self) -> int:
        """The most keys in the next batch."""
        return self._size if self._rate is None else max(1, min(self._size, int(self._rate / 10)))

    def took(self, keys: int, seconds: float) -> None:
        """After a batch of `keys` that took `seconds`: rest, and adjust the size of the next one."""
        if seconds > _LONG_S:
            # A few keys take long only where they are large; otherwise the server, or this process, is busy.
            least = 1 if seconds > _VERY_LONG_S else min(_FIRST, self._size)
            self._size = max(least, min(self._size, keys) // 2)
        elif keys >= self._size:
            self._size = min(_MOST, self._size * 2)
        rests = self._resting and seconds > _SHORT_S
        rest_s = min(seconds * _RESTS, _LONGEST_REST_S) if rests else 0.0
        if self._rate is not None:
            now_s = self._clock()
            self._next_s = max(self._next_s, now_s - seconds) + keys / self._rate  # unused time is not saved up
            rest_s = max(rest_s, self._next_s - now_s)
        if rest_s > 0:
            self._sleep(rest_s)


def refuse_too_much(spec: CacheSpec, listing: Listing, *, owned: bool) -> None:
    """Raise ScopeRefused where the templates cover more of a cache than the case allows."""
    matched = len(listing.inside)
    if spec.dedicated or owned or not matched:
        return
    proportion = matched / listing.total
    if proportion > spec.largest_share:
        raise ScopeRefused(
            f"cache.clear covers {matched} of {listing.total} keys ({proportion:.0%}); "
            f"at most {spec.largest_share:.0%} are allowed (cache.largest_share)",
            hint="Make the templates narrower. If the cache serves this service alone, declare `dedicated: true`.",
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

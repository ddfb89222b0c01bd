"""The keys that a case declares, and how they are listed: matched byte by byte, whatever the server's globs say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

import redis
from redis import exceptions as redis_errors

from luckyhit.case.cache import Cache as CacheSpec
from luckyhit.case.placeholders import Placeholder, fill_text, key_pattern, parse_template, placeholder_names
from luckyhit.errors import ScopeRefused
from luckyhit.target.topology import Topology

_SCAN_COUNT = 1000
MOST_EXAMPLES = 5
"""So many keys outside the scope are kept by name; the others are only counted."""
_PLAIN = re.compile(rb"[A-Za-z0-9_:./]")


class Scope:
    """The declared keys: the templates of a case, matched byte by byte."""

    def __init__(self, templates: Iterable[str]) -> None:
        self.templates = tuple(templates)
        patterns = [key_pattern(template).pattern for template in self.templates]
        self._fits = re.compile(b"|".join(patterns) if patterns else rb"(?!)").fullmatch

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


def scan(client: redis.Redis, match: bytes | None = None) -> Iterator[list[bytes]]:
    """All keys in batches, as the server gives them: a key that comes and goes may be missing, or come twice.
    `match` is a glob. A cluster's node gives its own keys."""
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, match=match, count=_SCAN_COUNT)
        yield cast(list[bytes], keys)
        if cursor == 0:
            return


def listing(topology: Topology, scope: Scope, *, every: bool = False) -> Listing:
    """The keys in scope on all servers of the cache. `total` is what the servers say (DBSIZE), which has keys whose
    time is over until they are removed; a server that does not let this user ask is counted key by key. `every`: all
    are counted key by key, since SCAN removes what has expired and leaves it out."""
    inside: dict[bytes, None] = {}
    examples: dict[bytes, None] = {}
    total = 0
    for primary in topology.primaries():
        size = None if every else _size(primary.client)
        if not scope.templates and size is not None:
            total += size
            continue
        counted: set[int] = set()  # SCAN may give a key twice
        for keys in scan(primary.client, scope.glob if size is not None else None):
            inside.update(dict.fromkeys([key for key in keys if key in scope]))
            if size is None:
                counted.update(map(hash, keys))
                others = (key for key in keys if key not in scope)
                examples.update(dict.fromkeys(islice(others, MOST_EXAMPLES - len(examples))))
        total += len(counted) if size is None else size
    return Listing(list(inside), max(total, len(inside)), alive=every, examples=list(examples))


def refuse_too_much(spec: CacheSpec, found: Listing, *, owned: bool) -> None:
    """Raise ScopeRefused where the templates cover more of a cache than the case allows."""
    matched = len(found.inside)
    if spec.dedicated or owned or not matched:
        return
    share = matched / found.total
    if share > spec.largest_share:
        raise ScopeRefused(
            f"cache.clear covers {matched} of {found.total} keys ({share:.0%}); "
            f"at most {spec.largest_share:.0%} are allowed (cache.largest_share)",
            hint="Make the templates narrower. If the cache serves this service alone, say so: `dedicated: true`.",
        )


def example_key(template: str, filling: str) -> bytes:
    """A key that fits `template`, with `filling` for each placeholder."""
    return fill_text(template, dict.fromkeys(placeholder_names(template), filling)).encode()


def _size(client: redis.Redis) -> int | None:
    try:
        return int(client.dbsize())
    except redis_errors.NoPermissionError:
        return None


def _literal_beginning(template: str) -> bytes:
    parts = parse_template(template)
    return b"" if not parts or isinstance(parts[0], Placeholder) else parts[0].encode()


def _one_of(values: list[int]) -> bytes:
    """A glob for one byte, any of `values`."""
    each = [byte if _PLAIN.fullmatch(byte) else b"\\" + byte for byte in (bytes([value]) for value in values)]
    return each[0] if len(each) == 1 else b"[" + b"".join(each) + b"]"

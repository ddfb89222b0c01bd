"""Which keys of the cache belong to a probed key, told by what a read of it touches while nothing else is sent.

Each probed key is read alone, over each read route; the keyspace events that come meanwhile are its own. What several
keys agree in is a template with `{key}` in it and `*` for what differs else (a stamp, a hash of the query). Where reads
of several keys store into one key, or into keys that name none of them, the probed keys share an entry: a group.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from luckyhit.case.values.placeholders import escape, parse_template
from luckyhit.records.manifest import LearnedKeys

_FIELDS = frozenset({"hset", "hincrby", "hsetnx", "zadd", "sadd", "lpush", "rpush", "xadd", "json.set"})
_SHORTEST = 3
"""Of the text that a pattern begins with: a shorter one would watch all."""
AGREEING = 2
"""So many probed keys have to touch keys of one shape."""
Why = Literal["not-of-the-key", "too-broad"]
"""not-of-the-key: nothing in it tells which probed key it is of (a hash of the URL, or one read only touched it);
too-broad: a pattern of it would watch nearly all keys."""


@dataclass(frozen=True)
class Shape:
    """Keys of the cache: `before`, the probed key, `after`; `*` in the two stands for any text. A `group` names no
    probed key: it holds entries of several."""

    before: str
    after: str = ""
    group: bool = False

    @property
    def exact(self) -> bool:
        return "*" not in self.before + self.after and not self.group

    @property
    def template(self) -> str:
        """In the case file's notation."""
        return escape(self.before) + ("" if self.group else "{key}" + escape(self.after))

    @property
    def glob(self) -> str:
        """As PSUBSCRIBE takes it."""
        parts = [self.before] if self.group else [self.before, "*", self.after]
        return "".join(part if part == "*" else _in_glob(part) for part in parts)

    def key_of(self, cache_key: str) -> str | None:
        """The probed key that a key of the cache belongs to: SHARED for a group's; None where it is not of this
        shape."""
        before, after = (".*?".join(map(re.escape, part.split("*"))) for part in (self.before, self.after))
        if self.group:
            return SHARED if re.fullmatch(before, cache_key, re.DOTALL) else None
        match = re.fullmatch(f"{before}(\\d+){after}", cache_key, re.DOTALL)
        return match[1] if match else None


SHARED = "*"
"""Stands for several probed keys in the events of a group."""


@dataclass
class LearnedShapes:
    """What was learned of one cache. `unknown`: keys of the cache that were touched and fit no shape, by the reason."""

    shapes: list[Shape] = field(default_factory=list)
    reads: int = 0
    unknown: dict[str, Why] = field(default_factory=dict)

    def as_facts(self) -> dict[str, Any]:
        shapes = [{"before": s.before, "after": s.after, "group": s.group} for s in self.shapes]
        return {"shapes": shapes, "reads": self.reads, "unknown": self.unknown}


def shapes_of(learned: LearnedKeys) -> list[Shape]:
    """Those that a run noted."""
    return [Shape(shape.before, shape.after, shape.group) for shape in learned.shapes]


def learned_shapes(stored: Mapping[str, Mapping[str, str]], templates: Sequence[str] = ()) -> LearnedShapes:
    """The shapes of what the reads stored. `stored`: by probed key, the event of each of the cache's keys. `templates`:
    of the case, such as `issues:{id}:{modified}`; a key of the cache that fits one has its shape."""
    known = [_Template.of(template) for template in templates]
    readers: dict[Shape, set[str]] = defaultdict(set)
    example: dict[Shape, str] = {}
    alone: set[Shape] = set()  # groups whose keys hold one value each: they have to be shared to be groups
    for key, events in stored.items():
        for cache_key, event in events.items():
            shape = next((fit for template in known if (fit := template.shape(cache_key, key))), None)
            shape = shape or _shape(cache_key, key)
            readers[shape].add(key)
            example.setdefault(shape, cache_key)
            if shape.group and event not in _FIELDS:
                alone.add(shape)
    by_name: dict[str, set[str]] = defaultdict(set)
    for key, events in stored.items():
        for cache_key in events:
            by_name[cache_key].add(key)
    learned = LearnedShapes(reads=len(stored))
    for shape, by in readers.items():
        names = [name for name in by_name if shape.key_of(name) is not None]
        shared = shape not in alone or any(len(by_name[name]) >= AGREEING for name in names)
        broad = not shape.exact and len(shape.before.partition("*")[0]) < _SHORTEST
        if len(by) >= AGREEING and shared and not broad:
            learned.shapes.append(shape)
        else:
            learned.unknown[example[shape]] = "too-broad" if broad else "not-of-the-key"
    return learned


@dataclass(frozen=True)
class _Template:
    """One of the case's templates: what its names stand for in a key of the cache."""

    parts: list[str | None]  # None: a name
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, template: str) -> _Template:
        parts = [part if isinstance(part, str) else None for part in parse_template(template)]
        pattern = "".join("(.+?)" if part is None else re.escape(part) for part in parts)
        return cls(parts, re.compile(pattern, re.DOTALL))

    def shape(self, cache_key: str, key: str) -> Shape | None:
        match = self.pattern.fullmatch(cache_key)
        if match is None:
            return None
        values = list(match.groups())
        names, place = 0, values.index(key) if key in values else None
        sides = ["", ""]
        for part in self.parts:
            if part is None and names == place:
                names += 1
                continue
            behind = place is not None and names > place
            sides[behind] += "*" if part is None else part
            names += part is None
        return Shape(sides[0], sides[1], group=place is None)


def _shape(cache_key: str, key: str) -> Shape:
    """Of a key that fits no template: words with a digit in them may be others the next time (a stamp, a hash)."""
    parts = re.split(rf"(?<!\d){re.escape(key)}(?!\d)", cache_key)
    free = [re.sub(r"\*+", "*", re.sub(r"[^\W_]*\d[^\W_]*", "*", part)) for part in parts]
    if len(parts) == 2:
        return Shape(free[0], free[1])
    return Shape(re.sub(r"[^\W_]*\d[^\W_]*", "*", cache_key), group=True)


def _in_glob(text: str) -> str:
    return re.sub(r"([\[\]?\\])", r"\\\1", text)

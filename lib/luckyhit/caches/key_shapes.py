"""Which keys of the cache belong to a probed key: by the case's templates, or learned from what reads of it store.

To learn, each probed key is read alone over each read route, and the keyspace events that come meanwhile are its own.
What several keys have in common is a template with `{key}` in it and `*` for what else differs (a timestamp, a hash of
the query). Where reads of several keys store into one key, or into keys that name none of them, the probed keys share
an entry: a group.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from luckyhit.case import Case
from luckyhit.case.freshness import Freshness
from luckyhit.case.values.placeholders import Placeholder, escape, fill_text, parse_template
from luckyhit.records.manifest import LearnedKeys

MOST_CHANNELS = 20_000
"""Each watched key is a channel, and this many cost the server some megabytes."""
_FIELDS = frozenset({"hset", "hincrby", "hsetnx", "zadd", "sadd", "lpush", "rpush", "xadd", "json.set"})
_SHORTEST = 3
"""Characters that a pattern has to begin with: a shorter one would watch nearly all keys."""
AGREEING = 2
"""Probed keys that have to touch keys of one shape."""
Why = Literal["not-of-the-key", "too-broad"]
"""not-of-the-key: its name does not tell the probed key (a hash of the URL, or a single read touched it); too-broad:
its pattern would watch nearly all keys."""


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
        # A number ends where its digits do, whatever stands in for a part beside it.
        for key in (r"\d+", ".+?"):
            if match := re.fullmatch(f"{before}({key}){after}", cache_key, re.DOTALL):
                return match[1]
        return None


SHARED = "*"
"""Stands for several probed keys in the events of a group."""


@dataclass
class LearnedShapes:
    """What was learned about one cache. `unknown`: touched keys that fit no shape, each with the reason."""

    shapes: list[Shape] = field(default_factory=list)
    reads: int = 0
    unknown: dict[str, Why] = field(default_factory=dict)

    def as_facts(self) -> dict[str, Any]:
        shapes = [{"before": s.before, "after": s.after, "group": s.group} for s in self.shapes]
        return {"shapes": shapes, "reads": self.reads, "unknown": self.unknown}


def shapes_of(learned: LearnedKeys) -> list[Shape]:
    """The shapes in a run's manifest."""
    return [Shape(shape.before, shape.after, shape.group) for shape in learned.shapes]


def learned_shapes(stored: Mapping[str, Mapping[str, str]], templates: Sequence[str] = ()) -> LearnedShapes:
    """The shapes of what the reads stored. `stored`: by probed key, the event of each of the cache's keys. `templates`:
    those of the case, such as `issues:{id}:{modified}`; a key that fits one has its shape."""
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
    """One of the case's templates, as a pattern."""

    parts: list[str | None]  # None: a placeholder
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
            after = place is not None and names > place
            sides[after] += "*" if part is None else part
            names += part is None
        return Shape(sides[0], sides[1], group=place is None)


def _shape(cache_key: str, key: str) -> Shape:
    """For a key that fits no template. Words with a digit may differ the next time (a timestamp, a hash)."""
    edge = r"\d" if key.isdigit() else r"[^\W_]"
    parts = re.split(rf"(?<!{edge}){re.escape(key)}(?!{edge})", cache_key)
    free = [re.sub(r"\*+", "*", re.sub(r"[^\W_]*\d[^\W_]*", "*", part)) for part in parts]
    if len(parts) == 2:
        return Shape(free[0], free[1])
    return Shape(re.sub(r"[^\W_]*\d[^\W_]*", "*", cache_key), group=True)


def _in_glob(text: str) -> str:
    return re.sub(r"([\[\]?\\])", r"\\\1", text)


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
    """(the probed key of each of the cache's keys, patterns for what else is watched, why there is neither).

    `learned`: what reads of probed keys touched. `freshness.cache_keys` takes precedence over it, and it takes
    precedence over `cache.clear`: a template whose keys turned out to be a group's names no probed key.
    """
    if case.freshness is None or case.freshness.cache_keys is not None or not learned:
        keys, why_not = watched_keys(case)
        return keys, [], why_not
    exact = [shape.template for shape in learned if shape.exact]
    patterns = [shape for shape in learned if not shape.exact]
    names = {_sample(shape) for shape in patterns}
    more = [t for t in cache_keys(case) if not any(re.fullmatch(_loose(t), name, re.DOTALL) for name in names)]
    keys, why_not = _keys_of(case.freshness, list(dict.fromkeys([*exact, *more])))
    return keys, patterns, "" if patterns else why_not


def _sample(shape: Shape) -> str:
    return (shape.before if shape.group else f"{shape.before}0{shape.after}").replace("*", "0")


def _loose(template: str) -> str:
    """Any key that the template's text stands in."""
    return "".join(re.escape(part) if isinstance(part, str) else ".+" for part in parse_template(template))


def watched_keys(case: Case) -> tuple[dict[str, str], str]:
    """(the probed key of each of the cache's keys, why there are none); one of the two is empty.

    All reserved keys are watched, since the probed ones are drawn later. They are never watched in part: the others
    would look as if nothing happened to them.
    """
    templates = cache_keys(case)
    if case.freshness is None:
        return {}, "the case has no freshness probe"
    if not templates:
        return {}, (
            "no template of cache.clear has exactly one name in braces, so the cache's keys of the "
            "probed keys are not known; name them in freshness.cache_keys"
        )
    return _keys_of(case.freshness, templates)


def _keys_of(freshness: Freshness, templates: Sequence[str]) -> tuple[dict[str, str], str]:
    count = sum(len(keys) for keys in _ranges(freshness)) * len(templates)
    if count > MOST_CHANNELS:
        return {}, (
            f"the reserved keys make {count} cache keys, and at most {MOST_CHANNELS} are watched; reserve "
            "fewer keys in freshness.keys, or name fewer templates in freshness.cache_keys"
        )
    keys: dict[str, str] = {}
    for key in (str(key) for reserved_keys in _ranges(freshness) for key in reserved_keys):
        for template in templates:
            keys.setdefault(fill_text(template, {"key": key}), key)
    return keys, ""


def reserved(case: Case) -> Callable[[str], bool]:
    """A function that tells whether a key is reserved for the probe."""
    keys = list(_ranges(case.freshness)) if case.freshness is not None else []
    texts = frozenset(key for several in keys if not isinstance(several, range) for key in several)
    ranges = [several for several in keys if isinstance(several, range)]
    return lambda key: key in texts or (key.isdecimal() and any(int(key) in several for several in ranges))


def _ranges(freshness: Freshness) -> Iterator[Sequence[int | str]]:
    yield freshness.keys.values
    if freshness.absent is not None:
        yield freshness.absent.keys.values

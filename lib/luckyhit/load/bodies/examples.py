"""Unexpected responses, one example of each kind: a cached error differs from an honest one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from luckyhit.load.bodies.expected import MismatchReason
from luckyhit.records import Arm, CacheStatus

MOST_OF_A_ROUTE, MOST_KINDS = 8, 64
"""Kinds that are told apart: in one arm of a route, and in a block. Any others are counted in the rows alone."""


@dataclass(frozen=True)
class Example:
    """An unexpected response, without secrets: `request` is its line, `wrong` half a sentence, `body` the first 500
    characters. `reason`: what differed first; `cache`: the cache status that it showed."""

    arm: Arm
    route: str
    request: str
    status: int
    wrong: str
    body: str
    reason: MismatchReason
    cache: CacheStatus


class ExampleKind(NamedTuple):
    """What distinguishes examples; `arm` and `route` are numbers of the block."""

    route: int
    arm: int
    reason: MismatchReason
    status: int
    cache: CacheStatus


class Examples:
    """The first response of each kind, and how many there were."""

    def __init__(self) -> None:
        self._first: dict[ExampleKind, Example] = {}
        self._counts: Counter[ExampleKind] = Counter()
        self._of_route: Counter[tuple[int, int]] = Counter()

    def note(self, kind: ExampleKind, example: Callable[[], Example]) -> None:
        """Count one; `example` is made only for the first of its kind."""
        if kind not in self._first:
            place = kind.route, kind.arm
            if self._of_route[place] >= MOST_OF_A_ROUTE or len(self._first) >= MOST_KINDS:
                return
            self._of_route[place] += 1
            self._first[kind] = example()
        self._counts[kind] += 1

    @property
    def first(self) -> Example | None:
        """The first of all."""
        return next(iter(self._first.values()), None)

    def rows(self) -> list[dict[str, Any]]:
        """By route and arm: the fields of `Example`, and the `count` of the kind."""
        kinds = sorted(self._first, key=lambda kind: (kind.route, kind.arm))
        return [{**asdict(self._first[kind]), "count": self._counts[kind]} for kind in kinds]


def merged_examples(*workers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The examples of a block from those of its workers: the first of each kind, with the counts added."""
    whole: dict[tuple[Any, ...], dict[str, Any]] = {}
    for example in (one for worker in workers for one in worker):
        kind = tuple(example[name] for name in ("route", "arm", "reason", "status", "cache"))
        count = whole[kind]["count"] if kind in whole else 0
        whole[kind] = {**whole.get(kind, example), "count": count + example["count"]}
    return list(whole.values())

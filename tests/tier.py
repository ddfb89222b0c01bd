"""How thorough the tests are: `make test-all` asks for all of it, `make test` has minutes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import pytest

ALL = os.environ.get("LUCKYHIT_TESTS") == "all"


def examples(many: int) -> int:
    """How many examples hypothesis is asked for: `many`, or a fifth of them where minutes count."""
    return many if ALL else max(many // 5, 5)


def seeds(many: int) -> range:
    """As many seeds, or a quarter of them (two at least) where minutes count."""
    return range(many if ALL else min(many, max(many // 4, 2)))


def in_turn(first: Iterable[Any], *others: Sequence[Any]) -> list[Any]:
    """All combinations, to be parameters. Those that are not slow have each value of `first` once, and the values of
    the others in turn beside it: wherever `first` is the longest, none of them is left out."""
    return [
        one_of_many(value, *(other[at] for other, at in zip(others, places, strict=True)), quick=quick)
        for number, value in enumerate(first)
        for places in product(*(range(len(other)) for other in others))
        for quick in [all(at == number % len(other) for other, at in zip(others, places, strict=True))]
    ]


def one_of_many(*values: Any, quick: bool) -> Any:
    """Values of parameters that are tried by `make test-all` only, where they are not among the quick ones."""
    return pytest.param(*values, marks=() if quick else pytest.mark.slow)

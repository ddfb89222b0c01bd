"""Rounds: each client has several short turns, in an order that alternates, so that a noisy minute hits them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def in_rounds(turns: Mapping[str, Callable[[int], T]], rounds: int) -> dict[str, list[T]]:
    """What each turn gave in each round; a turn gets the round's number, from 1 on."""
    found: dict[str, list[T]] = {name: [] for name in turns}
    for number in range(1, rounds + 1):
        for name in list(turns) if number % 2 else reversed(list(turns)):
            found[name].append(turns[name](number))
    return found

"""The designs: one file and one row each. No other code compares a design's id; callers ask the design a question.

To add one: a file with its `Design`, and its row in `DESIGNS`. Pure: no file, no socket, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from luckyhit.designs.before_after import BEFORE_AFTER
from luckyhit.designs.crossover import CROSSOVER
from luckyhit.designs.design import BOTH, Design, Words, pair_numbers
from luckyhit.designs.side_by_side import SIDE_BY_SIDE

DESIGNS: dict[str, Design] = {design.id: design for design in (SIDE_BY_SIDE, CROSSOVER, BEFORE_AFTER)}
"""All designs by their ids, the strongest first."""
DEFAULT_DESIGN = SIDE_BY_SIDE.id

if TYPE_CHECKING:
    DesignId = str
else:
    DesignId = Literal[tuple(DESIGNS)]
    """The ids, for the case's field and its schema."""


class Designed(Protocol):
    """A case, or a result."""

    @property
    def design(self) -> str:
        """The id."""


def design_of(designed: Designed) -> Design:
    """The design of a case. Raises KeyError for an id that is not in DESIGNS."""
    return DESIGNS[designed.design]


def design_ids(wanted: Callable[[Design], bool]) -> str:
    """The ids of the wanted designs as text: `crossover or before-after`."""
    return " or ".join(design.id for design in DESIGNS.values() if wanted(design))


__all__ = [
    "BOTH",
    "DEFAULT_DESIGN",
    "DESIGNS",
    "Design",
    "DesignId",
    "Words",
    "design_ids",
    "design_of",
    "pair_numbers",
]

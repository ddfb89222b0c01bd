"""The units of metrics, and those of margins and limits, a row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MarginUnit = Literal["%", "ms", "bytes", "calls"]
Unit = Literal["share", "ms", "bytes/request", "calls/request"]


@dataclass(frozen=True, slots=True)
class AmountKind:
    """A unit of margins and limits. `words`, `example`: for messages. `scales`: the factor of each suffix; an empty
    suffix is a bare number. `suffix`: the one used for output, with a leading space if any. `most`: the largest amount,
    `most_words`: for messages. `step`: by which a suggested margin is widened."""

    words: str
    example: str
    scales: Mapping[str, float]
    suffix: str
    most: float
    most_words: str
    step: float

    @property
    def bare(self) -> bool:
        """Whether it is written as a number without a unit."""
        return "" in self.scales

    def __str__(self) -> str:
        return f"{self.words} (`{self.example}`)"


AMOUNTS: dict[MarginUnit, AmountKind] = {
    "%": AmountKind("a percentage", "2 %", {"%": 0.01}, " %", 1e300, "a smaller percentage", 0.01),
    "ms": AmountKind(
        "a duration",
        "5ms",
        {"ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6},
        "ms",
        86_400_000.0,
        "a duration of at most 24h",
        1.0,
    ),
    "bytes": AmountKind(
        "a size", "500B", {"B": 1.0, "kB": 1e3, "MB": 1e6}, "B", 1e12, "a size of at most 1,000,000MB", 100.0
    ),
    "calls": AmountKind(
        "a bare number of database calls", "0.2", {"": 1.0}, "", 1e300, "a smaller number of database calls", 0.1
    ),
}
"""`%` is a share (0.05) in code; the others are amounts in their own unit."""


@dataclass(frozen=True, slots=True)
class UnitKind:
    """A unit of metrics. `amount`: the unit of an absolute margin. `suffix`: after a number. `in_name`: the metric's
    name contains the unit, so that a difference is a number and the name."""

    amount: MarginUnit
    suffix: str
    in_name: bool = False


UNITS: dict[Unit, UnitKind] = {
    "share": UnitKind("%", " points"),
    "ms": UnitKind("ms", " ms"),
    "bytes/request": UnitKind("bytes", " bytes", in_name=True),
    "calls/request": UnitKind("calls", "", in_name=True),
}
"""Shares are shown as percentages, their differences in points."""


__all__ = ["AMOUNTS", "UNITS", "AmountKind", "MarginUnit", "Unit", "UnitKind"]

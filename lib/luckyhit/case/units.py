"""Quantities with units, as people write them in a case file: `300ms`, `150/s`, `5 %`.

A bare number is refused: `5` says neither five seconds nor five milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_duration(value: object) -> float:
    """`300ms`, `1.5 s`, `2m`, `1h` as seconds. Raises ValueError for anything else, bare numbers included."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError("a duration with its unit: ms, s, m or h (for example 300ms)")


def parse_rate(value: object) -> float:
    """`150/s`, `30/m` as requests per second. Raises ValueError for anything else."""
    if isinstance(value, str) and (match := _RATE.fullmatch(value.strip())):
        return float(match[1]) / _SECONDS[match[2]]
    raise ValueError("a rate with its unit: /s or /m (for example 150/s)")


def parse_share(value: object) -> float:
    """`5 %` as 0.05. Raises ValueError for anything else, so that 5 and 0.05 are never mixed up."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value.strip())):
        return float(match[1]) / 100
    raise ValueError("a percentage with its sign (for example 5 %)")


def format_duration(seconds: float) -> str:
    """The shortest exact way to write `seconds`: 0.3 -> `300ms`, 90 -> `90s`."""
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


def format_rate(per_second: float) -> str:
    return f"{per_second:g}/s"


def format_share(share: float) -> str:
    return f"{share * 100:g} %"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h)$", "examples": ["300ms", "5s"]}),
]
"""Seconds, written as `300ms`, `5s`, `2m` or `1h`."""

Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(format_rate, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*/\s*(s|m)$", "examples": ["150/s"]}),
]
"""Per second, written as `150/s` or `30/m`."""

Share = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(format_share, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$", "examples": ["5 %"]}),
]
"""A share from 0 to 1, written as `5 %`."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A margin or limit, with the unit it was written in: `%` (amount is a share), `ms`, or `calls`."""

    amount: float
    unit: Literal["%", "ms", "calls"]

    def __str__(self) -> str:
        if self.unit == "%":
            return format_share(self.amount)
        return f"{self.amount:g}ms" if self.unit == "ms" else f"{self.amount:g}"


def parse_amount(value: object) -> Amount:
    """`5 %`, `5ms` or a bare count such as 0.2 (database calls per request)."""
    if isinstance(value, Amount):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return Amount(float(value), "calls")
    for parse, unit, scale in ((parse_share, "%", 1), (parse_duration, "ms", 1000)):
        try:
            return Amount(parse(value) * scale, unit)  # type: ignore[arg-type]
        except ValueError:
            continue
    raise ValueError("a percentage (5 %), a duration (5ms), or a number of database calls (0.2)")


Quantity = Annotated[
    Amount,
    BeforeValidator(parse_amount),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(%|ms|s|m|h)$", "examples": ["5 %", "5ms"]},
                {"type": "number", "minimum": 0},
            ]
        }
    ),
]
"""An amount with its unit, written as `5 %`, `5ms` or a bare number of database calls."""

"""Quantities with units, as people write them in a case file: `300ms`, `150/s`, `5 %`.

A bare number is refused: `5` could be seconds or milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from luckyhit.records import AMOUNTS, MarginUnit

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile(_NUMBER + r"\s*(ms|s|m|h)")
_PER_SECOND = {"ms": 1000, "s": 1, "m": 1 / 60, "h": 1 / 3600}
_RATE = re.compile(_NUMBER + r"\s*/\s*(s|m)")
_PERCENT = re.compile(_NUMBER + r"\s*%")
_LONG = 6
"""Digits of a rate by the second that people still read."""
LONGEST_S = 86_400.0
HIGHEST_PER_S = 100_000.0


def _plain(number: float) -> str:
    """A number without an exponent, at the precision it has: 0.0000001, 1500, 0.3."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_duration(value: object) -> float:
    """`300ms`, `1.5 s`, `2m`, `1h` as seconds. Raises ValueError for anything else, bare numbers included."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) / _PER_SECOND[match[2]]
        if seconds > LONGEST_S:
            raise ValueError("a duration of at most 24h")
        return seconds
    raise ValueError("a duration with its unit (ms, s, m or h), such as 300ms or 5s")


def parse_rate(value: object) -> float:
    """`150/s`, `30/m` as requests per second. Raises ValueError for anything else."""
    if isinstance(value, str) and (match := _RATE.fullmatch(value.strip())):
        rate = float(match[1]) / (1 if match[2] == "s" else 60)
        if rate > HIGHEST_PER_S:
            raise ValueError(f"a rate of at most {HIGHEST_PER_S:.0f}/s")
        return rate
    raise ValueError("a rate with its unit (/s or /m), such as 150/s")


def parse_share(value: object) -> float:
    """`5 %` as 0.05. Raises ValueError for anything else, so that 5 and 0.05 are never mixed up."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value.strip())):
        share = float(match[1]) / 100
        if not math.isfinite(share):
            raise ValueError("a smaller percentage")
        return share
    raise ValueError("a percentage with its sign, such as 5 %")


def format_duration(seconds: float) -> str:
    """A duration as it is written in a case file: 0.3 -> `300ms`, 90 -> `90s`."""
    return f"{_plain(float(f'{seconds * 1000:.12g}'))}ms" if 0 < seconds < 1 else f"{_plain(seconds)}s"


def format_rate(per_second: float) -> str:
    """A rate as it is written in a case file: 150 -> `150/s`, a sixtieth -> `1/m`."""
    by_second, by_minute = _plain(per_second), _plain(float(f"{per_second * 60:.12g}"))
    return (
        f"{by_second}/s" if len(by_second) <= _LONG or parse_rate(f"{by_minute}/m") != per_second else f"{by_minute}/m"
    )


def rate_of_at_least(per_second: float) -> str:
    """A rate to advise, not below this one: whole requests a second, or a minute where it is less than one."""
    return f"{ceil(per_second)}/s" if per_second > 1 else f"{max(1, ceil(per_second * 60 - 1e-9))}/m"


def rate_of_at_most(per_second: float) -> str:
    """The same, not above it."""
    return f"{floor(per_second)}/s" if per_second >= 1 else f"{max(1, floor(per_second * 60 + 1e-9))}/m"


def format_share(share: float) -> str:
    """A share as it is written in a case file: 0.05 -> `5 %`."""
    return f"{_plain(float(f'{share * 100:.12g}'))} %"


def _above_zero(unit: str) -> Callable[[float], float]:
    def check(value: float) -> float:
        if value <= 0:
            raise ValueError(f"{unit} greater than 0")
        return value

    return check


def _at_most_all(share: float) -> float:
    if not 0 < share <= 1:
        raise ValueError("a percentage greater than 0 % and at most 100 %")
    return share


def _written(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


def _checked(parse: Callable[[object], float], check: Callable[[float], float]) -> BeforeValidator:
    return BeforeValidator(lambda value: check(parse(value)))


_DURATION_WRITTEN = _written(r"^\s*\d+(\.\d+)?\s*(ms|s|m|h)\s*$", "300ms", "5s")

Duration = Annotated[
    float,
    _checked(parse_duration, _above_zero("a duration")),
    PlainSerializer(format_duration, when_used="json"),
    _DURATION_WRITTEN,
]
"""Seconds greater than 0, written as `300ms`, `5s`, `2m` or `1h`."""

Bound = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    _DURATION_WRITTEN,
]
"""Seconds that may be 0, written as `0s`, `300ms`, `5s`, `2m` or `1h`."""

Rate = Annotated[
    float,
    _checked(parse_rate, _above_zero("a rate")),
    PlainSerializer(format_rate, when_used="json"),
    _written(r"^\s*\d+(\.\d+)?\s*/\s*(s|m)\s*$", "150/s"),
]
"""Per second, written as `150/s` or `30/m`."""

Share = Annotated[
    float,
    _checked(parse_share, _at_most_all),
    PlainSerializer(format_share, when_used="json"),
    _written(r"^\s*\d+(\.\d+)?\s*%\s*$", "5 %"),
]
"""A share greater than 0 and at most 1, written as `5 %`."""

_AMOUNTS = {
    unit: re.compile(_NUMBER + r"\s*(" + "|".join(map(re.escape, kind.scales)) + ")")
    for unit, kind in AMOUNTS.items()
    if not kind.bare
}


@dataclass(frozen=True, slots=True)
class Amount:
    """A margin or limit, with the unit it was written in: one of `records.AMOUNTS` (of `%` the amount is a share)."""

    amount: float
    unit: MarginUnit

    def __str__(self) -> str:
        kind = AMOUNTS[self.unit]
        return _plain(float(f"{self.amount / kind.scales[kind.suffix.strip()]:.12g}")) + kind.suffix


def parse_amount(value: object) -> Amount:
    """One of `records.AMOUNTS`: `5 %`, `5ms`, or a bare count such as 0.2 (database calls per request). Raises
    ValueError for anything else, and for more than a unit has at most."""
    if isinstance(value, Amount):
        return value
    for unit, kind in AMOUNTS.items():
        amount = _bare(value) if kind.bare else _with_suffix(value, unit)
        if amount is not None and not amount <= kind.most:
            raise ValueError(kind.most_words)
        if amount is not None:
            return Amount(amount, unit)
    ways = [f"{kind.words} ({kind.example})" for kind in AMOUNTS.values()]
    raise ValueError(f"{', '.join(ways[:-1])}, or {ways[-1]}")


def _bare(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    return None


def _with_suffix(value: object, unit: MarginUnit) -> float | None:
    if isinstance(value, str) and (match := _AMOUNTS[unit].fullmatch(value.strip())):
        return float(f"{float(match[1]) * AMOUNTS[unit].scales[match[2]]:.12g}")
    return None


def _json_amount(amount: Amount) -> Any:
    return amount.amount if AMOUNTS[amount.unit].bare else str(amount)


_SUFFIXES = "|".join(suffix for kind in AMOUNTS.values() for suffix in kind.scales if suffix)

Quantity = Annotated[
    Amount,
    BeforeValidator(parse_amount),
    PlainSerializer(_json_amount, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": rf"^\s*\d+(\.\d+)?\s*({_SUFFIXES})\s*$",
                    "examples": [kind.example for kind in AMOUNTS.values() if not kind.bare],
                },
                {"type": "number", "minimum": 0},
            ]
        }
    ),
]
"""An amount with its unit, written as `5 %`, `5ms` or a bare number of database calls."""

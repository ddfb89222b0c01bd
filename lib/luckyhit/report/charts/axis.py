"""One axis of a chart: where a value lies on it, its ticks, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Scale = Literal["linear", "log", "symlog"]
Form = Literal["number", "percent", "signed"]
LEAST, MOST = 1e-9, 1e15
"""On a log axis nothing is less; what is greater makes no room for itself on any axis."""
MOST_POWERS = 8
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_FEW_DECADES = 2.6
"""Up to here a log axis has ticks between the powers of ten."""


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, in the units of `label`; `low` may be the greater one. `near`: a symlog axis is linear up
    to there, on both sides of 0. `ticks`: (value, text); None for round values. Values outside lie beyond the ends."""

    low: float
    high: float
    label: str = ""
    scale: Scale = "linear"
    form: Form = "number"
    ticks: Sequence[tuple[float, str]] | None = None
    grid: bool = True
    near: float = 1.0
    many: int = 5
    """How many round ticks are wanted, about."""

    @classmethod
    def around(
        cls, values: Sequence[float], label: str = "", *, scale: Scale = "linear", form: Form = "number",
        from_zero: bool = False, many: int = 5,
    ) -> Axis:  # fmt: skip
        """With room for finite `values`; of a log axis for those above 0."""
        good = [float(value) for value in values if abs(value) <= MOST and (scale != "log" or value > 0)]
        low, high = (min(good), max(good)) if good else (0.0, 1.0) if scale != "log" else (1.0, 10.0)
        if scale == "log":
            low, high = max(low, LEAST), max(high, LEAST)
            room = max((high / low) ** 0.05, 1.12)
            return cls(low / room, high * room, label, scale, form, many=many)
        low = min(low, 0.0) if from_zero else low
        room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low if from_zero and low == 0 else low - room, high + room, label, scale, form, many=many)

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        low, high = self._bent(self.low), self._bent(self.high)
        return (self._bent(value) - low) / (high - low) if high != low else 0.5

    def _bent(self, value: float) -> float:
        if self.scale == "log":
            return math.log10(max(value, LEAST))
        if self.scale == "symlog" and abs(value) > self.near:
            return math.copysign(self.near * (1 + math.log10(abs(value) / self.near)), value)
        return value

    def marked(self) -> list[tuple[float, str]]:
        """(value, text) of each tick inside."""
        low, high = sorted((self.low, self.high))
        room = 1e-9 * (high - low)
        if self.ticks is not None:
            return [(value, text) for value, text in self.ticks if low - room <= value <= high + room]
        values = _log_ticks(low, high) if self.scale == "log" else _round_ticks(low, high, self.many)
        return [(value, tick_text(value, self.form)) for value in values if low - room <= value <= high + room]

    def with_ticks(self, *values: float) -> Axis:
        return replace(self, ticks=[(value, tick_text(value, self.form)) for value in values])


def tick_text(value: float, form: Form) -> str:
    if form == "percent":
        return f"{value * 100:,.4g}\u00a0%"
    text = f"{value:+,.4g}" if form == "signed" and value else f"{value:,.12g}" if abs(value) < 1e6 else f"{value:,.4g}"
    return text.replace("-", "\u2212")


def _round_ticks(low: float, high: float, many: int) -> list[float]:
    span = high - low
    if not span > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / many))
    step = next((power * part for part in _STEPS if span / (power * part) <= many), power * 10)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = range(first, last + 1, -(-(last - first) // MOST_POWERS) or 1)
    parts = (1.0,) if math.log10(high / low) > _FEW_DECADES else (1.0, 2.0, 5.0)
    ticks = [10.0**power * part for power in powers for part in parts]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) > 1 else _round_ticks(low, high, 3)

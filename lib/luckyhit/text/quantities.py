"""Format metrics: names, values, differences and intervals, each in its unit."""

from __future__ import annotations

from luckyhit.records import UNITS, GoalName, kind_of, route_of_goal
from luckyhit.text.numbers import decimals_of, hundredths, number, percent, points


def name_of(name: GoalName) -> str:
    """A metric's name in a sentence: `hit ratio`; for one route `hit ratio of stores`."""
    route = route_of_goal(name)
    return f"{kind_of(name).words} of {route}" if route else kind_of(name).words


def value_text(name: GoalName, value: float) -> str:
    """A metric's value in one arm: `58 %`, `12.1 ms`, `1.4`."""
    unit = kind_of(name).unit
    return percent(value) if unit == "share" else f"{number(value)}{UNITS[unit].suffix}"


def amount_text(name: GoalName, value: float) -> str:
    """A difference, as in "a cost of ...": `14 points of hit ratio`, `0.4 database calls per request`."""
    if UNITS[kind_of(name).unit].in_name:
        return f"{number(value)} {name_of(name)}"
    return f"{difference_text(name, value)} of {name_of(name)}"


def difference_text(name: GoalName, value: float) -> str:
    """A difference without the metric's name: `14 points`, `1.2 ms`, `0.4`."""
    unit = kind_of(name).unit
    return points(value) if unit == "share" else f"{number(value)}{UNITS[unit].suffix}"


def interval_text(name: GoalName, low: float | None, high: float | None) -> str:
    """`−100 to −93 points`; `at most` or `at least` if a bound is missing."""
    if low is None and high is None:
        return "no bounds"
    if low is None or high is None:
        bound, side = (high, "at most") if low is None else (low, "at least")
        return f"{side} {difference_text(name, bound)}"  # type: ignore[arg-type]
    if kind_of(name).unit == "share":
        decimals = min(decimals_of(low), decimals_of(high))
        bounds = [(value, hundredths(value, decimals)) for value in (low, high)]
    else:
        bounds = [(low, number(low)), (high, number(high))]
    unit = UNITS[kind_of(name).unit].suffix
    if all(_off_zero(*bound) for bound in bounds):
        return f"{bounds[0][1]} to {bounds[1][1]}{unit}"
    first, second = (text if _off_zero(value, text) else _beside_zero(value) for value, text in bounds)
    return f"{first}{unit if _off_zero(*bounds[0]) else ''} to {second}{unit if _off_zero(*bounds[1]) else ''}"


def _off_zero(bound: float, text: str) -> bool:
    """Whether the text still shows that the bound is not 0, which a verdict may depend on."""
    return not bound or float(text.replace("−", "-").replace(",", "")) != 0


def _beside_zero(bound: float) -> str:
    return f"just {'below' if bound < 0 else 'above'} 0"


def signed_difference(name: GoalName, value: float) -> str:
    """`+14 points`, `−1.2 ms`, `0 ms`."""
    text = difference_text(name, value)
    return f"+{text}" if value > 0 and not text.startswith("0 ") and text != "0" else text

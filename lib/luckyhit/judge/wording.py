"""Numbers and metrics in words: three digits at most, and the unit a reader expects."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.records import GoalName, kind_of, route_of_goal


def name_of(name: GoalName) -> str:
    """A metric as in a sentence: `hit ratio`; of one route `hit ratio of stores`."""
    route = route_of_goal(name)
    return f"{kind_of(name).words} of {route}" if route else kind_of(name).words


def number(value: float) -> str:
    """Three digits, two decimals at most, no exponent: 12345 -> `12,300`, 0.004 -> `0.004`, 0.0001 -> `0`."""
    size = abs(value)
    if not size < float("inf"):
        return "unbounded"
    if size < 0.0005:
        return "0"
    if size >= 1000:
        text = f"{float(f'{value:.3g}'):,.0f}"
    elif size < 0.01:
        text = f"{value:.1g}"
    else:
        text = f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


def percent(share: float) -> str:
    """0.584 -> `58 %`, 0.0123 -> `1.2 %`, 0.996 -> `99.6 %`: as many digits as tell it from 0 and from 1."""
    near = min(abs(share), abs(1 - abs(share))) * 100
    return f"{_hundredths(share, 0 if near >= 2 or near == 0 else 1 if near >= 0.2 else 2)} %"


def points(share: float) -> str:
    """A difference of shares in percentage points: -0.14 -> `−14 points`."""
    text = _hundredths(share, _decimals(share))
    return f"{text} point{'' if text in ('1', '−1') else 's'}"


def _decimals(share: float) -> int:
    size = abs(share) * 100
    return 0 if size >= 10 else 1 if size >= 1 else 2


def _hundredths(share: float, decimals: int) -> str:
    text = f"{share * 100:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return ("0" if text == "-0" else text).replace("-", "−")


def value_text(name: GoalName, value: float) -> str:
    """A metric's value in one arm: `58 %`, `12.1 ms`, `1.4`."""
    if kind_of(name).unit == "share":
        return percent(value)
    return f"{number(value)} ms" if kind_of(name).unit == "ms" else number(value)


def amount_text(name: GoalName, value: float) -> str:
    """A difference, as in "a cost of ...": `14 points of hit ratio`, `0.4 database calls per request`."""
    if kind_of(name).unit == "share":
        return f"{points(value)} of {name_of(name)}"
    if kind_of(name).unit == "ms":
        return f"{number(value)} ms of {name_of(name)}"
    return f"{number(value)} {name_of(name)}"


def difference_text(name: GoalName, value: float) -> str:
    """A difference without the metric's name: `14 points`, `1.2 ms`, `0.4`."""
    if kind_of(name).unit == "share":
        return points(value)
    return f"{number(value)} ms" if kind_of(name).unit == "ms" else number(value)


def interval_text(name: GoalName, low: float | None, high: float | None) -> str:
    """`−100 to −93 points`; a side without a bound is said to have none."""
    if low is None and high is None:
        return "no bounds"
    if low is None or high is None:
        bound, side = (high, "at most") if low is None else (low, "at least")
        return f"{side} {difference_text(name, bound)}"  # type: ignore[arg-type]
    if kind_of(name).unit == "share":
        decimals = min(_decimals(low), _decimals(high))
        bounds = [(value, _hundredths(value, decimals)) for value in (low, high)]
    else:
        bounds = [(low, number(low)), (high, number(high))]
    unit = {"share": " points", "ms": " ms"}.get(kind_of(name).unit, "")
    if all(_off_zero(*bound) for bound in bounds):
        return f"{bounds[0][1]} to {bounds[1][1]}{unit}"
    first, second = (text if _off_zero(value, text) else _beside_zero(value) for value, text in bounds)
    return f"{first}{unit if _off_zero(*bounds[0]) else ''} to {second}{unit if _off_zero(*bounds[1]) else ''}"


def _off_zero(bound: float, text: str) -> bool:
    """Whether the text keeps that the bound is not 0, which is what a verdict may hang on."""
    return not bound or float(text.replace("−", "-").replace(",", "")) != 0


def _beside_zero(bound: float) -> str:
    return f"just {'below' if bound < 0 else 'above'} 0"


def listed(texts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""


def sentence(text: str) -> str:
    """With a capital at its start and a full stop at its end."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def minutes(seconds: float) -> str:
    """`40 seconds`, `3 minutes`, `2 hours`, roughly."""
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= 1.5 * size or unit == "second":
            count = max(1, round(seconds / size))
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    raise AssertionError("unreachable")

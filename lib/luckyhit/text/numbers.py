"""Format numbers and lists for sentences: at most three digits, with units."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.records.parts.block_numbers import block_after

DASH = "–"
"""For values that are not visible, which are never shown as 0."""


def number(value: float) -> str:
    """At most three digits and two decimals, no exponent: 12345 -> `12,300`, 0.004 -> `0.004`, 0.0001 -> `0`."""
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
    """0.584 -> `58 %`, 0.0123 -> `1.2 %`, 0.996 -> `99.6 %`: enough digits to differ from 0 and 1."""
    near = min(abs(share), abs(1 - abs(share))) * 100
    return f"{hundredths(share, 0 if near >= 2 or near == 0 else 1 if near >= 0.2 else 2)} %"


def points(share: float) -> str:
    """A difference of proportions in percentage points: -0.14 -> `−14 points`."""
    text = hundredths(share, decimals_of(share))
    return f"{text} point{'' if text in ('1', '−1') else 's'}"


def decimals_of(share: float) -> int:
    size = abs(share) * 100
    return 0 if size >= 10 else 1 if size >= 1 else 2


def hundredths(share: float, decimals: int) -> str:
    text = f"{share * 100:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return ("0" if text == "-0" else text).replace("-", "−")


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


def sentence_case(text: str) -> str:
    """With a capital at its start."""
    return text[:1].upper() + text[1:]


def plural(count: int, one: str, many: str = "") -> str:
    """`1 block`, `1,200 blocks`; `many`: an irregular plural."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def block_name(number: int) -> str:
    """`block 12`; of a stretch of load that nobody counts, `a wash-out before block 12`."""
    after = block_after(number)
    return f"block {number}" if after is None else f"a wash-out before block {after}"

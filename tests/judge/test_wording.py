"""Numbers as a reader wants them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.text.numbers import minutes, number, percent, points
from luckyhit.text.quantities import interval_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12.1234, "12.1"), (5.1, "5.1"), (5.137, "5.14"), (123.4, "123"), (12345.0, "12,300"), (0.0041, "0.004"), (-3.0, "−3"), (1e-9, "0")],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.584, "58 %"), (0.0123, "1.2 %"), (0.996, "99.6 %"), (0.0004, "0.04 %")],
)
def test_shares(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("share", "text"), [(-0.14, "−14 points"), (0.01, "1 point"), (0.0123, "1.2 points"), (0.0, "0 points")]
)
def test_points(share: float, text: str) -> None:
    assert points(share) == text


@pytest.mark.parametrize(
    ("name", "low", "high", "text"),
    [
        ("stale_reads", -1.0, -0.93, "−100 to −93 points"),
        ("latency_p95_ms", -0.5, 1.25, "−0.5 to 1.25 ms"),
        ("latency_p95_ms", None, 1.25, "at most 1.25 ms"),
        ("stale_reads", -0.18, -1e-12, "−18 points to just below 0"),
        ("stale_reads", 1e-12, 0.18, "just above 0 to 18 points"),
        ("stale_reads", 0.0, 0.18, "0 to 18 points"),
        ("latency_p95_ms", None, None, "no bounds"),
    ],
)
def test_intervals(name: str, low: float | None, high: float | None, text: str) -> None:
    assert interval_text(name, low, high) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_is_long(value: float) -> None:
    text = number(value)
    assert "e" not in text and len(text.partition(".")[2]) <= 4


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1 second"), (40, "40 seconds"), (170, "3 minutes"), (9000, "2 hours")]
)
def test_durations(seconds: float, text: str) -> None:
    assert minutes(seconds) == text

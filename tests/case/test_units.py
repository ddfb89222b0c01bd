"""Quantities are read with their unit, written as they can be read again, and refused with the right form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.values.units import (
    Amount,
    format_duration,
    format_rate,
    format_share,
    parse_amount,
    parse_duration,
    parse_rate,
    parse_share,
)

numbers = st.decimals(min_value=0, max_value=20, places=4).map(lambda number: format(number, "f"))


@pytest.mark.parametrize(("text", "seconds"), [("300ms", 0.3), ("1.5 s", 1.5), ("2m", 120), (" 1h ", 3600), ("0s", 0)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "right"),
    [(5, "5s or 5ms"), (0.5, "0.5s or 0.5ms"), ("5", "5s or 5ms"), ("5 sec", "that is 5s"), ("7 minutes", "that is 7m"),
     ("20 msec", "that is 20ms"), ("1 Hour", "that is 1h"), ("5 days", "300ms or 5s"), (None, "300ms or 5s"), (True, "300ms"),
     (float("nan"), "300ms"), ("1e3s", "300ms"), ("１s", "300ms or 5s"), ("1s1s", "300ms or 5s")],
)  # fmt: skip
def test_what_is_no_duration(value: object, right: str) -> None:
    with pytest.raises(ValueError, match=right):
        parse_duration(value)


def test_rates_and_shares() -> None:
    assert (parse_rate("30/m"), parse_rate("150 / s")) == (0.5, 150)
    assert parse_share("2.5%") == 0.025
    with pytest.raises(ValueError, match="that is 150/s"):
        parse_rate("150 rps")
    with pytest.raises(ValueError, match=r"that is 5 % or 0\.05 %"):
        parse_share(0.05)
    with pytest.raises(ValueError, match="that is 5 %"):
        parse_share("5 percent")


def test_amounts_carry_their_unit() -> None:
    assert parse_amount("5 %") == Amount(0.05, "%")
    assert parse_amount("1.5s") == Amount(1500, "ms")
    assert parse_amount(0.2) == Amount(0.2, "calls")
    assert [str(parse_amount(text)) for text in ("5 %", "5ms", 2)] == ["5 %", "5ms", "2"]
    for wrong in (-1, "0.2", True, None, "5 calls", float("inf"), float("nan")):
        with pytest.raises(ValueError, match="database calls"):
            parse_amount(wrong)


@given(numbers, st.sampled_from(["ms", "s", "m", "h"]))
def test_durations_are_written_as_they_can_be_read(number: str, unit: str) -> None:
    seconds = parse_duration(number + unit)
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-9)


@given(numbers)
def test_rates_shares_and_amounts_are_written_as_they_can_be_read(number: str) -> None:
    for unit in ("/s", "/m"):
        assert parse_rate(format_rate(parse_rate(number + unit))) == parse_rate(number + unit)
    assert parse_share(format_share(parse_share(number + "%"))) == pytest.approx(parse_share(number + "%"), rel=1e-9)
    for unit in ("%", "ms", "h"):
        amount = parse_amount(number + unit)
        again = parse_amount(str(amount))
        assert again.unit == amount.unit
        assert again.amount == pytest.approx(amount.amount, rel=1e-9)

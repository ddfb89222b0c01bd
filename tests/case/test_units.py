"""Quantities are read with their unit, and written so that they can be read again."""

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


@pytest.mark.parametrize("value", [5, 0.5, "5", "5 sec", "25h", None, True, float("nan"), "1e3s", "１s", "1s1s"])
def test_an_invalid_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_duration(value)


def test_rates_and_shares() -> None:
    assert (parse_rate("30/m"), parse_rate("150 / s")) == (0.5, 150)
    assert parse_share("2.5%") == 0.025
    for parse, value in ((parse_rate, "150 rps"), (parse_rate, "200000/s"), (parse_share, 0.05), (parse_share, "5")):
        with pytest.raises(ValueError):
            parse(value)


def test_amounts_carry_their_unit() -> None:
    assert parse_amount("5 %") == Amount(0.05, "%")
    assert parse_amount("1.5s") == Amount(1500, "ms")
    assert parse_amount(0.2) == Amount(0.2, "calls")
    assert [str(parse_amount(text)) for text in ("5 %", "5ms", 2)] == ["5 %", "5ms", "2"]
    for wrong in (-1, "0.2", True, None, "5 calls", float("inf"), float("nan")):
        with pytest.raises(ValueError, match="database calls"):
            parse_amount(wrong)


@given(numbers, st.sampled_from(["ms", "s", "m", "h"]))
def test_durations_can_be_read_as_written(number: str, unit: str) -> None:
    seconds = parse_duration(number + unit)
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-9)


@given(numbers)
def test_rates_shares_and_amounts_can_be_read_as_written(number: str) -> None:
    for unit in ("/s", "/m"):
        assert parse_rate(format_rate(parse_rate(number + unit))) == parse_rate(number + unit)
    assert parse_share(format_share(parse_share(number + "%"))) == pytest.approx(parse_share(number + "%"), rel=1e-9)
    for unit in ("%", "ms", "h"):
        amount = parse_amount(number + unit)
        again = parse_amount(str(amount))
        assert again.unit == amount.unit
        assert again.amount == pytest.approx(amount.amount, rel=1e-9)

"""What was predicted for the after arm, before it was measured: the report says whether it came true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from luckyhit.case.findings import Finding
from luckyhit.case.part import Part

if TYPE_CHECKING:
    from luckyhit.case.model import Case


class Forecast(Part):
    """A prediction for one metric, in its unit (shares from 0 to 1)."""

    low: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="The lower bound of the prediction.")
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="The predicted value.")
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="The upper bound of the prediction.")


def in_order(case: Case) -> Iterator[Finding]:
    """The bounds of a prediction lie on both sides of its value."""
    for name, forecast in case.predicted.items():
        if not forecast.low <= forecast.value <= forecast.high:
            actual = f"{forecast.low:g}, {forecast.value:g}, {forecast.high:g}"
            yield Finding(("predicted", name), actual, "low, value and high in ascending order")

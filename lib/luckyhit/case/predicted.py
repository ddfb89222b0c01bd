"""What was predicted for the after arm, before it was measured: the report says whether it came true."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from luckyhit.case.part import Part


class PredictedMetric(Part):
    """A prediction for one metric, in its unit (shares from 0 to 1)."""

    low: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="The lower bound of the prediction.")
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="The predicted value.")
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="The upper bound of the prediction.")

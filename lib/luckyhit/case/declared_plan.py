"""How long a case is measured: declared, or planned within a time limit (`plan: auto`)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from luckyhit.case.part import Part
from luckyhit.case.values.units import Bound, Duration
from luckyhit.designs import design_ids

AUTO = "auto"
USUAL_CEILING_S = 120.0
MOST_BLOCKS = 200
SIZED = ("baseline", "block", "blocks", "after_rollback")
"""The fields that `auto` fills in where they are left out; `freshness.rate` as well."""
_NOT_EARLY = design_ids(lambda design: not design.may_stop_early)
_WASHED_OUT = design_ids(lambda design: design.washes_out)


class Plan(Part):
    """How long to measure. `plan: auto` is short for `plan: {auto: true}`."""

    auto: bool = Field(
        default=False,
        description="Choose what is left out of `baseline`, `block`, `blocks`, `after_rollback` and `freshness.rate`: "
        "before the run from the goals, and after its baseline from the measured noise (see docs/power.md). The run's "
        "copy of the case has the numbers.",
    )
    at_most: Duration | None = Field(
        default=None,
        description="auto: the maximum duration of load, warm-ups included (wash-outs come on top). Default: 120s, so "
        "that a run takes about three minutes.",
    )
    baseline: Duration = Field(default=10.0, description="Measured part of the baseline.")
    warmup: Duration = Field(default=2.0, description="Warm-up at the start of each block.")
    block: Duration = Field(default=7.0, description="Measured part of each block.")
    blocks: Annotated[int, Field(ge=2, le=MOST_BLOCKS)] = Field(
        default=4, description="Blocks of the comparison, each in both arms."
    )
    stop_early: bool | None = Field(
        default=None,
        description="End the comparison after the first block (pair of blocks, if arms take turns) at which every goal "
        "is decided. Side by side, up to a quarter of `blocks`, or a minute of blocks, are added at the end if they "
        "are expected to decide the open goals; otherwise `blocks` is the maximum. Intervals hold for all these looks "
        f"together, and are wider for it. Default: yes, except for {_NOT_EARLY}, where nothing is known until the end.",
    )
    washout: Bound = Field(
        default=30.0,
        description=f"{_WASHED_OUT}, and a running service: the maximum time to wait before each block until the hit "
        "ratio no longer moves. `0s`: only the warm-up.",
    )
    after_rollback: Duration = Field(default=5.0, description="Measured part of the last block, after the rollback.")
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.01, description="The acceptable probability of a false verdict, over all goals together."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, written: Any) -> Any:
        return {"auto": True} if written == AUTO else written

    @property
    def left_out(self) -> tuple[str, ...]:
        """The fields of SIZED that `auto` has to fill in, in that order; none without `auto`."""
        return tuple(name for name in SIZED if name not in self.model_fields_set) if self.auto else ()

    @property
    def ceiling(self) -> float:
        """Maximum seconds of load of a plan with `auto`."""
        return USUAL_CEILING_S if self.at_most is None else self.at_most

    def seconds(self, blocks: int) -> float:
        """Seconds of load in a run with this number of blocks of the change, warm-ups included."""
        return self.warmup + self.baseline + blocks * (self.warmup + self.block) + self.warmup + self.after_rollback


def either_way(schema: dict[str, Any]) -> None:
    """The JSON Schema of a field that holds a plan: a mapping, or `auto`."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"const": AUTO}]


__all__ = ["AUTO", "MOST_BLOCKS", "SIZED", "Plan", "either_way"]

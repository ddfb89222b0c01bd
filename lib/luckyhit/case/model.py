"""The case: everything an engineer declares about one misbehaving cache, before anything is measured.

Every field has a description; the case-file reference and the JSON Schema are generated from this module.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from luckyhit.case.cache import Cache
from luckyhit.case.changes import Change
from luckyhit.case.checks import findings_in, inside_alone
from luckyhit.case.findings import field_name
from luckyhit.case.freshness import Freshness
from luckyhit.case.part import Part
from luckyhit.case.target import Target
from luckyhit.case.texts import Line, Text
from luckyhit.case.units import Bound, Duration, Quantity
from luckyhit.case.workload import Response, Workload
from luckyhit.records import MetricName


class Owner(Part):
    """Who answers for this case."""

    name: Line = Field(description="The person or team that decides what happens with the result.")
    contact: Line = Field(description="Where they can be reached: an address or a channel.")


class Expected(Part):
    """What should happen once the cache behaves."""

    result: Text = Field(description="What the user should see, in one or two sentences.")
    response: Response = Field(description="What a right answer of the route looks like.")


class RollbackPlan(Part):
    """How to get back, written down before anything changes."""

    note: Text = Field(description="What to do to undo the change, in words another engineer can follow.")
    notice: Text = Field(description="How one would notice that the change has to be rolled back.")


class Goal(Part):
    """What one metric has to do for the change to be a success."""

    want: Literal["better", "no-worse"] = Field(
        description="better: it has to improve; no-worse: it may get worse by the margin at most."
    )
    margin: Quantity = Field(
        description="The difference that matters. For shares (hit ratio, error rate, stale reads) in percentage "
        "points (`2 %`); for latencies relative to before (`10 %`) or absolute (`5ms`); for database calls "
        "relative (`10 %`) or in calls per request (`0.2`)."
    )
    at_most: Quantity | None = Field(
        default=None, description="A hard limit for the after arm, whatever the before arm did (never relative)."
    )


class Plan(Part):
    """How long to measure."""

    baseline: Duration = Field(default=10.0, description="Measured part of the baseline.")
    warmup: Duration = Field(default=2.0, description="Warm-up at the start of each block.")
    block: Duration = Field(default=7.0, description="Measured part of each block.")
    blocks: Annotated[int, Field(ge=2, le=200)] = Field(
        default=4, description="Blocks of the comparison, each in both arms."
    )
    stop_early: bool | None = Field(
        default=None,
        description="End the comparison after the first block (pair of blocks, where arms take turns) at which every "
        "goal is decided; `blocks` is the most there will be. Intervals hold for all these looks together, and are "
        "wider for it. Default: yes, except for before-after, where nothing can be told until the end.",
    )
    washout: Bound = Field(
        default=30.0,
        description="crossover, and a service that runs already: how long to wait at most, before each block, until "
        "the hit ratio no longer moves. `0s`: the warm-up has to do.",
    )
    after_rollback: Duration = Field(default=5.0, description="Measured part of the last block, after the rollback.")
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.01, description="The chance of a false verdict that is acceptable, over all goals together."
    )


class Case(Part):
    """One case file."""

    title: Line = Field(description="What is wrong, in one line, as the user would say it.")
    owner: Owner = Field(description="Who answers for this case.")
    route: Line = Field(description="The route in question, for example `GET /products/{id}`.")
    input: Text = Field(description="The expected input of that route.")
    suspect: Text = Field(description="The slow query or the failing command.")
    noticed: Text = Field(description="The exact place where the user notices.")
    expected: Expected = Field(description="What should happen once the cache behaves.")
    hypothesis: Text = Field(description="Why it happens, as far as one believes now.")
    failure_mode: Text = Field(description="What goes wrong if the change is wrong, and how far that reaches.")
    assumptions: list[Text] = Field(min_length=1, description="What is taken for granted, one sentence each.")
    change: Change = Field(description="The one change.")
    cache: Cache = Field(
        default_factory=Cache,
        description="The cache, and the keys that may be cleared. Left out where the service caches inside its own "
        "processes: these are started anew before each block.",
    )
    rollback: RollbackPlan = Field(description="How to get back.")
    target: Target = Field(description="The system under test.")
    workload: Workload = Field(description="The requests.")
    freshness: Freshness | None = Field(
        default=None,
        description="The freshness probe. Without it, stale reads are not visible, and the report says so.",
    )
    goals: dict[MetricName, Goal] = Field(
        min_length=1, description="What has to improve, and what may not get worse, with the margin that matters."
    )
    design: Literal["side-by-side", "crossover", "before-after"] = Field(
        default="side-by-side",
        description="side-by-side: two isolated stacks, each request sent to both. crossover: one stack, blocks "
        "of both arms in random order. before-after: the change can't be toggled; weaker.",
    )
    plan: Plan = Field(default_factory=Plan, description="How long to measure.")

    @property
    def caches_inside(self) -> bool:
        """Whether the only cache is inside the service's processes: the run starts them, tells them of no other, and
        has nothing to clear."""
        return inside_alone(self)

    @property
    def stops_early(self) -> bool:
        """Whether the comparison may end before its last block."""
        if self.plan.stop_early is None:
            return self.design != "before-after"
        return self.plan.stop_early

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        findings = findings_in(self)
        if findings:
            raise ValueError("; ".join(f"{field_name(f.path)}: {f.expected}" for f in findings))
        return self

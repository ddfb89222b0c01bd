"""The case: everything an engineer declares about one misbehaving cache before measuring.

The reference of the case file and the JSON Schema are generated from the descriptions of the fields.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from luckyhit.case.cache_spec import Cache
from luckyhit.case.changes import Change
from luckyhit.case.declared_plan import Plan, either_way
from luckyhit.case.freshness import Freshness
from luckyhit.case.part import Part
from luckyhit.case.predicted import PredictedMetric
from luckyhit.case.target import Target
from luckyhit.case.values.path_variables import without_variables
from luckyhit.case.values.placeholders import placeholder_names
from luckyhit.case.values.texts import CACHE_NAMES, Line, Text
from luckyhit.case.values.units import Quantity
from luckyhit.case.workload import Response, Workload
from luckyhit.designs import DEFAULT_DESIGN, DESIGNS, DesignId, design_of
from luckyhit.records import GoalName


class Owner(Part):
    """Who is responsible for this case."""

    name: Line = Field(description="The person or team that decides what to do with the result.")
    contact: Line = Field(description="How to reach them: an address or a channel.")


class Expected(Part):
    """What should happen when the cache works correctly."""

    result: Text = Field(description="What the user should see, in one or two sentences.")
    response: Response = Field(description="What a correct response of the route looks like.")


class RollbackPlan(Part):
    """How to roll back, written down before anything changes."""

    note: Text = Field(description="How to undo the change, in words that another engineer can follow.")
    notice: Text = Field(description="How to notice that the change has to be rolled back.")


class Goal(Part):
    """What one metric has to do for the change to count as a success."""

    want: Literal["better", "no-worse"] = Field(
        description="better: it has to improve; no-worse: it may get worse by at most the margin."
    )
    margin: Quantity = Field(
        description="The smallest difference that matters: for proportions (hit ratio, error rate, stale reads) in "
        "percentage points (`2 %`); for latencies relative to before (`10 %`) or absolute (`5ms`); for database "
        "calls relative (`10 %`) or in calls per request (`0.2`)."
    )
    at_most: Quantity | None = Field(
        default=None, description="A hard limit for the after arm, whatever the before arm shows (never relative)."
    )


class Case(Part):
    """One case file."""

    # The loader checks what has to hold between the fields.

    title: Line = Field(description="What is wrong, in one line, in the words of a user.")
    owner: Owner = Field(description="Who is responsible for this case.")
    route: Line = Field(description="The route in question, for example `GET /products/{id}`.")
    input: Text = Field(description="The usual input of the route.")
    suspect: Text = Field(description="The slow query or the failing command.")
    noticed: Text = Field(description="Where exactly the user notices it.")
    expected: Expected = Field(description="What should happen when the cache works correctly.")
    hypothesis: Text = Field(description="Why it happens, as far as is known now.")
    failure_mode: Text = Field(description="What goes wrong if the change is wrong, and who is affected.")
    assumptions: list[Text] = Field(min_length=1, description="Assumptions, one sentence each.")
    change: Change = Field(description="The one change.")
    cache: Cache = Field(
        default_factory=Cache,
        description="The cache, and the keys that may be cleared. Leave it out if the service caches only in its own "
        "processes, which are restarted before each block.",
    )
    rollback: RollbackPlan = Field(description="How to roll back.")
    target: Target = Field(description="The system under test.")
    workload: Workload = Field(description="The requests.")
    freshness: Freshness | None = Field(
        default=None,
        description="The freshness probe. Without it, stale reads are not visible.",
    )
    goals: dict[GoalName, Goal] = Field(
        min_length=1, description="What has to improve, and what must not get worse, with the margins that matter."
    )
    controls: dict[GoalName, Quantity] = Field(
        default_factory=dict,
        description="Negative controls: metrics of requests that the change can't affect, named like goals, each with "
        "the margin beyond which it counts as moved (`status.latency_p50_ms: 20 %`). If one moves, the arms differed "
        "by more than the change, and the run is INVALID.",
    )
    predicted: dict[GoalName, PredictedMetric] = Field(
        default_factory=dict,
        description="What was predicted for the after arm, by metric, in the metric's unit; `luckyhit whatif --prove` "
        "writes it. The report says whether it came true.",
    )
    design: DesignId = Field(
        default=DEFAULT_DESIGN,
        description=" ".join(f"{design.id}: {design.words.summary}." for design in DESIGNS.values()),
    )
    plan: Plan = Field(
        default_factory=Plan,
        description="How long to measure. `auto`: planned within a time limit.",
        json_schema_extra=either_way,
    )

    @property
    def start_names(self) -> set[str]:
        """The placeholders in what the service is started with, in both arms."""
        start = self.target.start
        if start is None:
            return set()
        texts = [*start.command, *start.env.values(), *self.change.start_texts()]
        return _names_in(texts)

    @property
    def caches_inside(self) -> bool:
        """Whether the only cache is in the service's own processes: the run starts the service, the case names no other
        cache, and nothing is to be cleared."""
        if self.target.start is None or self.cache.url_env is not None or self.cache.clear:
            return False
        texts = [text for fact in self.target.facts.values() for text in fact]
        change, probe = self.change, self.freshness
        texts += change.templates()
        for write in (probe.write, probe.refused, probe.absent and probe.absent.create) if probe is not None else ():
            texts += [*(write.command or ()), write.database or ""] if write else []
        return change.cache_setting is None and not (self.start_names | _names_in(texts)) & {*CACHE_NAMES}

    @property
    def stops_early(self) -> bool:
        """Whether the comparison may end before its last block."""
        if self.plan.stop_early is None:
            return design_of(self).may_stop_early
        return self.plan.stop_early

    @property
    def passes_password(self) -> bool:
        """Whether the service gets the password of the run's own cache, by `{cache_url}` or `{cache_password}`. A
        service that takes only host and port gets a cache without a password."""
        return bool({"cache_url", "cache_password"} & self.start_names)


def _names_in(texts: list[str]) -> set[str]:
    """The placeholders in these texts, without `${NAME}`."""
    return {name for text in texts for name in placeholder_names(without_variables(text))}

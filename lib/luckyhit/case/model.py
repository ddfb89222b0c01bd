"""The case: everything an engineer declares about one misbehaving cache, before anything is measured.

Every field has a description; the case-file reference and the JSON Schema are generated from this module.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from luckyhit.case.cache_spec import Cache
from luckyhit.case.changes import Change
from luckyhit.case.declared_plan import Plan, either_way
from luckyhit.case.freshness import Freshness
from luckyhit.case.part import Part
from luckyhit.case.target import Target
from luckyhit.case.values.path_variables import without_variables
from luckyhit.case.values.placeholders import placeholder_names
from luckyhit.case.values.texts import CACHE_NAMES, Line, Text
from luckyhit.case.values.units import Quantity
from luckyhit.case.workload import Response, Workload
from luckyhit.designs import DEFAULT_DESIGN, DESIGNS, DesignId, design_of
from luckyhit.records import GoalName


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


class Case(Part):
    """One case file."""

    # Its fields are right by themselves; what has to hold between them is checked by the loader.

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
    goals: dict[GoalName, Goal] = Field(
        min_length=1, description="What has to improve, and what may not get worse, with the margin that matters."
    )
    controls: dict[GoalName, Quantity] = Field(
        default_factory=dict,
        description="Negative controls: metrics that the change can't touch, each with the margin "
        "beyond which it counts as moved (`status.latency_p50_ms: 20 %`). Where one moves, the arms differed by more "
        "than the change, and the run is INVALID. Of what requests show; named as goals are.",
    )
    design: DesignId = Field(
        default=DEFAULT_DESIGN,
        description=" ".join(f"{design.id}: {design.words.summary}." for design in DESIGNS.values()),
    )
    plan: Plan = Field(
        default_factory=Plan,
        description="How long to measure. `auto`: sized within a time ceiling.",
        json_schema_extra=either_way,
    )

    @property
    def start_names(self) -> set[str]:
        """The placeholders in what the service is started with, in either arm."""
        start = self.target.start
        if start is None:
            return set()
        texts = [*start.command, *start.env.values(), *self.change.start_texts()]
        return _names_in(texts)

    @property
    def caches_inside(self) -> bool:
        """Whether the only cache is inside the service's own processes: the run starts the service, nothing in the
        case names another cache, and nothing is to be cleared."""
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
    def tells_password(self) -> bool:
        """Whether the service is told the password of a cache of the run's own: by `{cache_url}` or
        `{cache_password}` in what it is started with. One that takes host and port alone gets a cache without."""
        return bool({"cache_url", "cache_password"} & self.start_names)


def _names_in(texts: list[str]) -> set[str]:
    """The placeholders in some texts, those of `${NAME}` left out."""
    return {name for text in texts for name in placeholder_names(without_variables(text))}

"""The case: everything an engineer declares about one misbehaving cache, before anything is measured.

Every field has a description; the case-file reference and the JSON Schema are generated from this module.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from luckyhit.case.checks import findings_in
from luckyhit.case.findings import field_name
from luckyhit.case.freshness import Freshness
from luckyhit.case.part import Part, Port
from luckyhit.case.texts import (
    BaseUrl,
    EnvName,
    HeaderName,
    KeyTemplate,
    Line,
    PlainPath,
    StartText,
    Text,
)
from luckyhit.case.units import Duration, Quantity, Share
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


class EnvChange(Part):
    """One environment variable of a service that the case starts."""

    kind: Literal["env"] = Field(description="The kind of change: an environment variable.")
    what: Line = Field(description="What the change does, in one line.")
    name: EnvName = Field(description="The variable's name.")
    before: StartText | None = Field(
        description="Its value before the change, filled in like `target.start.env`; null where it is not set."
    )
    after: StartText | None = Field(
        description="Its value after the change, filled in like `target.start.env`; null where it is not set."
    )
    smallest: Text = Field(description="Why this is the smallest safe change.")


class ArgumentChange(Part):
    """One argument of the command of a service that the case starts."""

    kind: Literal["argument"] = Field(description="The kind of change: an argument of the start command.")
    what: Line = Field(description="What the change does, in one line.")
    before: StartText = Field(description="The argument as it stands in `target.start.command`.")
    after: StartText = Field(description="What stands in its place after the change, filled in the same way.")
    smallest: Text = Field(description="Why this is the smallest safe change.")


class NoChange(Part):
    """Nothing is changed: the whole run is a comparison of the service with itself."""

    kind: Literal["none"] = Field(description="The kind of change: none (both arms are the same service).")
    what: Line = Field(description="Why the service is compared with itself, in one line.")
    smallest: Text = Field(default="Nothing is changed.", description="Why this is the smallest safe change.")


Change = Annotated[EnvChange | ArgumentChange | NoChange, Field(discriminator="kind")]


class Cache(Part):
    """The cache, and how much of it may be cleared."""

    url_env: EnvName | None = Field(
        default=None,
        description="Name of the environment variable that holds the cache's URL (never the URL itself). "
        "Without it, a cache server of the run's own is started for each arm.",
    )
    clear: list[KeyTemplate] = Field(
        min_length=1,
        description="Templates of the keys that may be cleared: `{name}` stands for one or more characters "
        "other than a colon. Nothing else is ever touched.",
    )
    dedicated: bool = Field(
        default=False, description="True where the cache serves this service alone, so that every key may be in scope."
    )
    largest_share: Share = Field(
        default=0.5,
        description="The largest share of all keys that the templates may cover; more is refused "
        "(unless the cache is dedicated).",
    )
    rebuildable: bool = Field(
        default=False,
        description="True where keys without a time to live may be cleared too: they can be rebuilt. "
        "Otherwise they are left alone, since they may be the data itself.",
    )


class RollbackPlan(Part):
    """How to get back, written down before anything changes."""

    note: Text = Field(description="What to do to undo the change, in words another engineer can follow.")
    notice: Text = Field(description="How one would notice that the change has to be rolled back.")


class Start(Part):
    """A service that the run starts itself, once for each arm, and stops whatever happens."""

    command: list[StartText] = Field(
        min_length=1,
        description="Program and arguments. `{port}` (where it has to listen), `{cache_url}`, `{workdir}` (an empty "
        "directory of its own) and `{python}` (the interpreter that runs Lucky Hit) are filled in.",
    )
    env: dict[EnvName, StartText] = Field(
        default_factory=dict,
        description="Environment variables, filled in the same way. Values are texts: quote numbers.",
    )
    pass_env: list[EnvName] = Field(
        default_factory=list,
        description="Names of environment variables handed on from the shell (the place for secrets).",
    )
    cwd: Line = Field(default=".", description="Working directory, relative to the project.")
    port: Port | None = Field(
        default=None, description="A fixed port, where a free one will not do. Only one arm can run at a time then."
    )
    ready: PlainPath = Field(default="/health", description="A path that answers 200 once the service can serve.")
    ready_within: Duration = Field(default=20.0, description="How long the service may take to get ready.")


class Target(Part):
    """The system under test: a service the run starts, or one that already runs."""

    start: Start | None = Field(default=None, description="The service to start. Either this or `url`.")
    url: BaseUrl | None = Field(
        default=None,
        description="Base URL of a service that already runs: it is observed, never changed. "
        "Credentials don't belong here.",
    )
    config: PlainPath | None = Field(
        default=None, description="A path that tells the effective configuration as JSON; part of the fingerprint."
    )
    headers_env: dict[HeaderName, EnvName] = Field(
        default_factory=dict,
        description="Request headers whose values come from environment variables (tokens, cookies): the header's "
        "name, then the variable's.",
    )
    cache_header: HeaderName | None = Field(
        default=None,
        description="The response header that tells the cache status, where it is none of the usual ones.",
    )
    cache_values: dict[str, Literal["hit", "miss", "stale", "bypass"]] = Field(
        default_factory=dict,
        description="What the values of `cache_header` mean, where they are none of the usual words.",
    )
    db_header: HeaderName | None = Field(
        default=None,
        description="The response header that holds the number of database calls, where it is none of the usual ones.",
    )
    worker_header: HeaderName | None = Field(
        default=None,
        description="The response header that names the worker process (or instance) that answered: then the probe "
        "tells which of them disagree.",
    )
    db_metric: HeaderName | None = Field(
        default=None,
        description="The metric in `Server-Timing` that holds the number of database calls (as `dur` or `desc`), where "
        "it is none of the usual ones.",
    )
    http: Literal["auto", "1.1", "2"] = Field(
        default="auto",
        description="The HTTP version. auto: 1.1, or what TLS leads to where the service doesn't speak it; 2 without "
        "TLS: from the first byte on (prior knowledge).",
    )
    ca_file: Line | None = Field(
        default=None,
        description="A PEM file with the authorities to trust instead of the system's, relative to the project.",
    )


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
    cache: Cache = Field(description="The cache, and the keys that may be cleared.")
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        findings = findings_in(self)
        if findings:
            raise ValueError("; ".join(f"{field_name(f.path)}: {f.expected}" for f in findings))
        return self

"""The case: everything an engineer declares about one misbehaving cache, before anything is measured.

Every field has a description; the case-file reference and the JSON Schema are generated from this module.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from luckyhit.case.units import Duration, Quantity, Rate, Share
from luckyhit.records import MetricName

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\n]*$")]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Path = Annotated[str, StringConstraints(pattern=r"^/[^\s#]*$", max_length=2000)]
KeyTemplate = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
# `{key}` and friends are filled in; a string that is nothing but `{version}` becomes the number itself.
Json = dict[str, Any]


class Part(BaseModel):
    """A part of a case file: unknown fields are refused, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Owner(Part):
    """Who answers for this case."""

    name: Line = Field(description="The person or team that decides what happens with the result.")
    contact: Line = Field(description="Where they can be reached: an address or a channel.")


class Response(Part):
    """What a right answer looks like; every timed answer is checked against it."""

    status: Annotated[int, Field(ge=100, le=599)] = Field(200, description="The HTTP status of a right answer.")
    headers: dict[str, str] = Field(
        {}, description="Headers a right answer carries; a value matches when the header's value contains it."
    )
    fields: list[str] = Field(
        [], description="JSON fields a right answer has, as paths such as `$.price_cents`."
    )


class Expected(Part):
    """What should happen once the cache behaves."""

    result: Text = Field(description="What the user should see, in one or two sentences.")
    response: Response = Field(description="What a right answer of the route looks like.")


class EnvChange(Part):
    """One environment variable of a service that the case starts."""

    kind: Literal["env"] = Field(description="The kind of change: an environment variable.")
    what: Line = Field(description="What the change does, in one line.")
    name: EnvName = Field(description="The variable's name.")
    before: str | None = Field(description="Its value before the change; null where it is not set.")
    after: str | None = Field(description="Its value after the change; null where it is not set.")
    smallest: Text = Field(description="Why this is the smallest safe change.")

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if self.before == self.after:
            raise ValueError("before and after that differ (a change that changes nothing is kind: none)")
        return self


class ArgumentChange(Part):
    """One argument of the command of a service that the case starts."""

    kind: Literal["argument"] = Field(description="The kind of change: an argument of the start command.")
    what: Line = Field(description="What the change does, in one line.")
    before: str = Field(description="The argument as it stands in `target.start.command`.")
    after: str = Field(description="What stands in its place after the change.")
    smallest: Text = Field(description="Why this is the smallest safe change.")

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if self.before == self.after:
            raise ValueError("before and after that differ (a change that changes nothing is kind: none)")
        return self


class NoChange(Part):
    """Nothing is changed: the whole run is a comparison of the service with itself."""

    kind: Literal["none"] = Field(description="The kind of change: none (both arms are the same service).")
    what: Line = Field(description="Why the service is compared with itself, in one line.")
    smallest: Text = Field("Nothing is changed.", description="Why this is the smallest safe change.")


Change = Annotated[EnvChange | ArgumentChange | NoChange, Field(discriminator="kind")]


class Cache(Part):
    """The cache, and how much of it may be cleared."""

    url_env: EnvName | None = Field(
        None,
        description="Name of the environment variable that holds the cache's URL (never the URL itself). "
        "Without it, a cache server of the run's own is started for each arm.",
    )
    clear: list[KeyTemplate] = Field(
        min_length=1,
        description="Templates of the keys that may be cleared: `{name}` stands for one or more characters "
        "other than a colon. Nothing else is ever touched.",
    )
    dedicated: bool = Field(
        False, description="True where the cache serves this service alone, so that every key may be in scope."
    )
    largest_share: Share = Field(
        0.5,
        description="The largest share of all keys that the templates may cover; more is refused "
        "(unless the cache is dedicated)."
    )
    rebuildable: bool = Field(
        False,
        description="True where keys without a time to live may be cleared too: they can be rebuilt. "
        "Otherwise they are left alone, since they may be the data itself.",
    )


class RollbackPlan(Part):
    """How to get back, written down before anything changes."""

    note: Text = Field(description="What to do to undo the change, in words another engineer can follow.")
    notice: Text = Field(description="How one would notice that the change has to be rolled back.")


class Start(Part):
    """A service that the run starts itself, once for each arm, and stops whatever happens."""

    command: list[str] = Field(
        min_length=1,
        description="Program and arguments. `{port}`, `{cache_url}`, `{workdir}` and `{python}` are filled in.",
    )
    env: dict[EnvName, str] = Field(
        {}, description="Environment variables, filled in the same way. Values are texts: quote numbers."
    )
    pass_env: list[EnvName] = Field(
        [], description="Names of environment variables handed on from the shell (the place for secrets)."
    )
    cwd: str = Field(".", description="Working directory, relative to the project.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="A fixed port, where a free one will not do. Only one arm can run at a time then."
    )
    ready: Path = Field("/health", description="A path that answers 200 once the service can serve.")
    ready_within: Duration = Field(
        20.0, description="How long the service may take to get ready."
    )


class Target(Part):
    """The system under test: a service the run starts, or one that already runs."""

    start: Start | None = Field(None, description="The service to start. Either this or `url`.")
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$")] | None = Field(
        None,
        description="Base URL of a service that already runs: it is observed, never changed. "
        "Credentials don't belong here.",
    )
    config: Path | None = Field(
        None, description="A path that tells the effective configuration as JSON; part of the fingerprint."
    )
    headers_env: dict[str, EnvName] = Field(
        {}, description="Request headers whose values come from environment variables (tokens, cookies)."
    )
    cache_header: str | None = Field(
        None,
        description="The response header that tells the cache status, where it is none of the usual ones.",
    )
    cache_values: dict[str, Literal["hit", "miss", "stale", "bypass"]] = Field(
        {}, description="What the values of `cache_header` mean, where they are none of the usual words."
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.start is None) == (self.url is None):
            raise ValueError("exactly one of start (a command) and url (a service that already runs)")
        return self


class Keys(Part):
    """Which keys a route is asked for, and how often each."""

    first: int = Field(description="The first key.")
    last: int = Field(description="The last key.")
    popularity: Literal["uniform", "zipf"] = Field(
        "zipf", description="uniform: every key as often; zipf: a few keys take most of the requests."
    )
    exponent: Annotated[float, Field(gt=0, le=4)] = Field(
        1.0, description="How uneven: the k-th key gets a share proportional to 1 / k ** exponent (zipf only)."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last < self.first:
            raise ValueError("last at or after first")
        return self


class Route(Part):
    """One kind of request in the workload."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)] = Field(
        description="A short name, used in tables and figures."
    )
    method: Method = Field("GET", description="The HTTP method.")
    path: Path = Field(description="The path; `{key}` is filled in, and `{number}` with a seeded random number.")
    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="How often, against the other routes.")
    keys: Keys | None = Field(None, description="The keys for `{key}`.")
    body: Json | None = Field(None, description="A JSON body, filled in like the path.")
    headers: dict[str, str] = Field({}, description="Request headers (no secrets: see `target.headers_env`).")
    response: Response | None = Field(
        None, description="What a right answer looks like, where it isn't `expected.response`."
    )

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if self.keys is None and "{key}" in self.path:
            raise ValueError("keys, since the path has {key} in it")
        return self


class Workload(Part):
    """The requests, made before the run from a seed, the same for both arms."""

    seed: int = Field(description="Seed of the schedule: the same seed makes the same requests, to the byte.")
    rate: Rate = Field(description="Requests per second sent to each arm (open loop: never held back).")
    arrivals: Literal["poisson", "constant"] = Field(
        "poisson", description="poisson: independent users; constant: evenly spaced."
    )
    timeout: Duration = Field(5.0, description="After this, a request counts as timed out.")
    routes: list[Route] = Field(min_length=1, description="The kinds of request, with their weights.")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [route.name for route in self.routes]
        if len(set(names)) != len(names):
            raise ValueError("a name of its own for each route")
        return self


class VersionWrite(Part):
    """How the probe writes a version."""

    method: Method = Field("PUT", description="The HTTP method.")
    path: Path = Field(description="The path, with `{key}` in it.")
    body: Json | None = Field(None, description="JSON body; a text that is just `{version}` becomes the number.")
    status: Annotated[int, Field(ge=100, le=599)] = Field(200, description="The status of an accepted write.")


class VersionRead(Part):
    """Where the probe reads the version back."""

    path: Path = Field(description="The path, with `{key}` in it.")
    version: Annotated[str, StringConstraints(pattern=r"^\$(\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\])+$")] = Field(
        description="Where the version stands in the JSON answer, for example `$.price_cents`."
    )


class ProbeKeys(Part):
    """Keys reserved for the probe."""

    first: int = Field(description="The first reserved key.")
    last: int = Field(description="The last reserved key.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last < self.first:
            raise ValueError("last at or after first")
        return self


class Freshness(Part):
    """The probe that writes versions and looks when readers see them."""

    write: VersionWrite = Field(description="How to write a version.")
    read: VersionRead = Field(description="Where to read it back.")
    keys: ProbeKeys = Field(description="Keys that only the probe uses; the workload must not.")
    within: Duration = Field(description="Declared bound: staleness up to this after a write is acceptable.")
    horizon: Duration = Field(
        2.0, description="The longest delay between a write and its read."
    )
    rate: Rate = Field(5.0, description="Probe writes per second.")

    @model_validator(mode="after")
    def _reaches(self) -> Self:
        if self.horizon <= self.within:
            raise ValueError("a horizon longer than `within`: reads past the bound are what counts")
        return self


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
        None, description="A hard limit for the after arm, whatever the before arm did (never relative)."
    )


class Plan(Part):
    """How long to measure."""

    baseline: Duration = Field(10.0, description="Measured part of the baseline.")
    warmup: Duration = Field(2.0, description="Warm-up at the start of each block.")
    block: Duration = Field(7.0, description="Measured part of each block.")
    blocks: Annotated[int, Field(ge=2, le=200)] = Field(4, description="Blocks of the comparison, each in both arms.")
    after_rollback: Duration = Field(
        5.0, description="Measured part of the last block, after the rollback."
    )
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.01, description="The chance of a false verdict that is acceptable, over all goals together."
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
        None, description="The freshness probe. Without it, stale reads are not visible, and the report says so."
    )
    goals: dict[MetricName, Goal] = Field(
        min_length=1, description="What has to improve, and what may not get worse, with the margin that matters."
    )
    design: Literal["side-by-side", "crossover", "before-after"] = Field(
        "side-by-side",
        description="side-by-side: two isolated stacks, each request sent to both. crossover: one stack, blocks "
        "of both arms in random order. before-after: the change can't be toggled; weaker.",
    )
    plan: Plan = Field(Plan(), description="How long to measure.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.freshness is None and {"stale_reads", "staleness_p99_ms"} & set(self.goals):
            problems.append("freshness, since a goal is set for stale reads")
        if self.target.url is not None and self.change.kind in ("env", "argument"):
            problems.append("target.start, since an environment variable or argument can only be changed there")
        if self.freshness is not None:
            probe = self.freshness.keys
            for route in self.workload.routes:
                if route.keys and route.keys.first <= probe.last and probe.first <= route.keys.last:
                    problems.append(f"freshness.keys that workload route {route.name!r} does not use")
        if problems:
            raise ValueError("; ".join(problems))
        return self

"""The system under test, as a case declares it: a service that is started, or one that runs; and what limits a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from luckyhit.case.part import Part, Port
from luckyhit.case.values.texts import (
    BaseUrl,
    Directory,
    EnvName,
    HeaderName,
    Interpreter,
    Line,
    Name,
    PlainPath,
    StartText,
)
from luckyhit.case.values.units import Duration, Rate, Share


class Start(Part):
    """A service that the run starts itself, once for each arm, and stops whatever happens."""

    command: list[StartText] = Field(
        min_length=1,
        description="Program and arguments. `{port}` (where it has to listen), `{cache_url}` (or `{cache_host}`, "
        "`{cache_port}` and `{cache_password}`), `{workdir}` (an empty directory of its own) and `{python}` (`python`, "
        "or the interpreter that runs Lucky Hit) are filled in; so is `${NAME}`, a variable of the environment.",
    )
    python: Interpreter | None = Field(
        default=None,
        description="The interpreter that `{python}` stands for, where the service has one of its own: "
        "`venv/bin/python`, relative to the project, or an absolute path, or a name on PATH such as `python3.12`.",
    )
    env: dict[EnvName, StartText] = Field(
        default_factory=dict,
        description="Environment variables, filled in the same way. Values are texts: quote numbers.",
    )
    pass_env: list[EnvName] = Field(
        default_factory=list,
        description="Names of environment variables handed on from the shell (the place for secrets).",
    )
    cwd: Directory = Field(
        default=".",
        description="Working directory, relative to the project; or `{workdir}`, for a service that writes where it is "
        "started.",
    )
    port: Port | None = Field(
        default=None, description="A fixed port, where a free one will not do. Only one arm can run at a time then."
    )
    ready: PlainPath = Field(default="/health", description="A path that answers 200 once the service can serve.")
    ready_within: Duration = Field(default=20.0, description="How long the service may take to get ready.")

    @property
    def in_workdir(self) -> bool:
        """Whether the service is started in the directory of its own, and not in its source."""
        return self.cwd.startswith("{workdir}")


class Limits(Part):
    """What a run may do to its target, and what it must not do to the target's users.

    A service that runs already (`target.url`) always has limits: those named with a default are meant for it. A
    service that the run starts has those that are declared.
    """

    rate: Rate | None = Field(
        default=None, description="The most requests per second, the probe's included. Default for a url: 100/s."
    )
    duration: Duration | None = Field(
        default=None, description="The longest time of load in the whole run. Default for a url: 30m."
    )
    error_rate: Share | None = Field(
        default=None,
        description="Where more requests than this fail within `window`, the run stops and rolls back. "
        "Default for a url: 10 %.",
    )
    p99: Duration | None = Field(
        default=None,
        description="Where the 99th percentile of the latency within `window` is above this, the run stops and rolls "
        "back. Default for a url: 2s.",
    )
    window: Duration = Field(default=5.0, description="How far back the last two look.")
    fewest: Annotated[int, Field(ge=5, le=100_000)] = Field(
        default=50, description="Requests that a window must hold before it can stop the run."
    )

    @property
    def watched(self) -> dict[str, float]:
        """What the load engine watches: `error_rate` (share), `p99_ms`, `window_s`, `fewest`; empty without a limit."""
        limits: dict[str, float] = {}
        if self.error_rate is not None:
            limits["error_rate"] = self.error_rate
        if self.p99 is not None:
            limits["p99_ms"] = self.p99 * 1000
        return {**limits, "window_s": self.window, "fewest": self.fewest} if limits else {}


class Target(Part):
    """The system under test: a service the run starts, or one that already runs."""

    start: Start | None = Field(default=None, description="The service to start. Either this or `url`.")
    url: BaseUrl | None = Field(
        default=None,
        description="Base URL of a service that already runs: it is observed, and changed only with `allow_change`. "
        "Credentials don't belong here.",
    )
    allow_change: bool = Field(
        default=False,
        description="True where the service at `url` may be changed, and its cache cleared; `environment` names it "
        "then, and the command line has to repeat that name.",
    )
    environment: Name | None = Field(
        default=None, description="What `url` belongs to: `staging`, `production`, `my-laptop`."
    )
    limits: Limits = Field(default_factory=Limits, description="What a run may do to its target.")
    config: PlainPath | None = Field(
        default=None, description="A path that tells the effective configuration as JSON; part of the fingerprint."
    )
    facts: dict[Name, list[StartText]] = Field(
        default_factory=dict,
        description="Commands that print a version that both arms must share, such as the database's migrations; what "
        "they print is part of the fingerprint. Filled in and run like `start.command`.",
    )
    headers_env: dict[HeaderName, EnvName] = Field(
        default_factory=dict,
        description="Request headers whose values come from environment variables (tokens, cookies): the header's "
        "name, then the variable's.",
    )
    cache_header: HeaderName | None = Field(
        default=None,
        description="The response header that tells the cache status, where it is none of the usual ones, or not "
        "that of the nearest cache.",
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

    @property
    def ceilings(self) -> Limits:
        """The limits that hold: of a service that runs already, the defaults where none are declared."""
        if self.url is None:
            return self.limits
        given = {name: value for name, value in dict(self.limits).items() if value is not None}
        return LIVE.model_copy(update=given)


LIVE = Limits(rate="100/s", duration="30m", error_rate="10 %", p99="2s")  # type: ignore[arg-type]

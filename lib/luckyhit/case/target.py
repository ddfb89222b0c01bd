"""The system under test as a case declares it: a service to start or a running one, and the limits of a run."""

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
    LogField,
    LogPath,
    Name,
    PlainPath,
    StartText,
)
from luckyhit.case.values.units import Duration, Rate, Share


class Start(Part):
    """A service that the run starts, once per arm, and always stops."""

    command: list[StartText] = Field(
        min_length=1,
        description="Program and arguments. Filled in are `{port}` (where it has to listen), `{cache_url}` (or "
        "`{cache_host}`, `{cache_port}` and `{cache_password}`), `{workdir}` (an empty directory of its own), "
        "`{python}` (`python`, or the interpreter of Lucky Hit) and `${NAME}`, an environment variable.",
    )
    python: Interpreter | None = Field(
        default=None,
        description="The interpreter for `{python}`, if the service has its own: a path relative to the project "
        "(`venv/bin/python`), an absolute path, or a name on PATH such as `python3.12`.",
    )
    env: dict[EnvName, StartText] = Field(
        default_factory=dict,
        description="Environment variables, filled in the same way. Values are texts: quote numbers. `PATH`, `HOME`, "
        "`LANG` and the like come from the shell: a virtual environment that is first on `PATH` there is the "
        "service's; for another one, write `PATH` in here.",
    )
    pass_env: list[EnvName] = Field(
        default_factory=list,
        description="Names of environment variables passed on from the shell (the place for secrets).",
    )
    cwd: Directory = Field(
        default=".",
        description="Working directory, relative to the project; or `{workdir}`, for a service that writes to its "
        "working directory.",
    )
    port: Port | None = Field(
        default=None, description="A fixed port instead of a free one. Then only one arm can run at a time."
    )
    ready: PlainPath = Field(default="/health", description="A path that answers 200 when the service is ready.")
    ready_within: Duration = Field(default=20.0, description="How long the service may take to become ready.")
    trace: bool = Field(
        default=False,
        description="True: before the baseline, the service is started once more with its libraries watched, and asked "
        "one request at a time: which statements and cache keys each route uses ([visibility.md](visibility.md)).",
    )

    @property
    def in_workdir(self) -> bool:
        """Whether the service is started in `{workdir}`, and not in its source."""
        return self.cwd.startswith("{workdir}")


class Limits(Part):
    """What a run may do to its target, to protect the target's users.

    A running service (`target.url`) always has limits: the defaults named below are for it. A service that the run
    starts has only the declared ones.
    """

    rate: Rate | None = Field(
        default=None, description="Maximum requests per second, including the probe's. Default for a url: 100/s."
    )
    duration: Duration | None = Field(
        default=None, description="Maximum duration of load in the whole run. Default for a url: 30m."
    )
    error_rate: Share | None = Field(
        default=None,
        description="If more requests than this fail within `window`, the run stops and rolls back. Default for a url: "
        "10 %.",
    )
    p99: Duration | None = Field(
        default=None,
        description="If the 99th percentile of the latency within `window` exceeds this, the run stops and rolls "
        "back. Default for a url: 2s.",
    )
    window: Duration = Field(default=5.0, description="The window of `error_rate` and `p99`.")
    fewest: Annotated[int, Field(ge=5, le=100_000)] = Field(
        default=50, description="Minimum number of requests in a window that can stop the run."
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


class LogLines(Part):
    """The service's own structured log, for what its headers don't show: a JSON object or `name=value` pairs a line."""

    file: LogPath = Field(
        default="{workdir}/service.log",
        description="The log: a path relative to the project, with `{workdir}` filled in. Default: what a service that "
        "the run starts writes to its standard output and standard error.",
    )
    header: HeaderName = Field(
        default="X-Request-Id", description="The request header in which each request gets an id of its own."
    )
    id: LogField = Field(default="request_id", description="The field with that id. Dots lead into nested objects.")
    cache: LogField = Field(
        default="cache", description="The field with the cache status: a usual word, or a truth value (hit or not)."
    )
    values: dict[str, Literal["hit", "miss", "stale", "bypass"]] = Field(
        default_factory=dict, description="What the values of `cache` mean, if they are not the usual words."
    )
    cache_hits: LogField = Field(
        default="cache_hits",
        description="Where there is no status: the field with the number of lookups that found something.",
    )
    cache_misses: LogField = Field(
        default="cache_misses", description="And the field with the number of lookups that did not."
    )
    db_calls: LogField = Field(default="db_calls", description="The field with the number of database calls.")


class Target(Part):
    """The system under test: a service that the run starts, or one that is already running."""

    start: Start | None = Field(default=None, description="The service to start. Either `start` or `url`.")
    url: BaseUrl | None = Field(
        default=None,
        description="Base URL of a running service, without credentials. It is observed, and changed only with "
        "`allow_change`.",
    )
    allow_change: bool = Field(
        default=False,
        description="True if the service at `url` may be changed, and its cache cleared. Needs `environment`, which "
        "the command line has to repeat.",
    )
    environment: Name | None = Field(
        default=None, description="The environment of `url`: `staging`, `production`, `my-laptop`."
    )
    limits: Limits = Field(default_factory=Limits, description="What a run may do to its target.")
    config: PlainPath | None = Field(
        default=None, description="A path that returns the effective configuration as JSON; part of the fingerprint."
    )
    config_ignore: list[LogField] = Field(
        default=[],
        description="Entries of `config` that are left out, since they differ from process to process: by their path "
        "in the answer, such as `worker` or `pool.id`, with all below. What is usual (pids, times of start, uptime, "
        "hostname, open connections) is left out anyway, and named by the check.",
    )
    facts: dict[Name, list[StartText]] = Field(
        default_factory=dict,
        description="Commands that print something both arms must share, such as the version of the database schema; "
        "the output is part of the fingerprint. Filled in and run like `start.command`.",
    )
    headers_env: dict[HeaderName, EnvName] = Field(
        default_factory=dict,
        description="Request headers whose values come from environment variables (tokens, cookies): the header's "
        "name, then the variable's.",
    )
    cache_header: HeaderName | None = Field(
        default=None,
        description="The response header with the cache status, if it is not a usual one, or not that of the nearest "
        "cache.",
    )
    cache_values: dict[str, Literal["hit", "miss", "stale", "bypass"]] = Field(
        default_factory=dict,
        description="What the values of `cache_header` mean, if they are not the usual words.",
    )
    db_header: HeaderName | None = Field(
        default=None,
        description="The response header with the number of database calls, if it is not a usual one.",
    )
    worker_header: HeaderName | None = Field(
        default=None,
        description="The response header that names the worker process or instance; with it the probe reports which "
        "of them disagree.",
    )
    db_metric: HeaderName | None = Field(
        default=None,
        description="The metric in `Server-Timing` with the number of database calls, if it is not a usual one. Read "
        'is its `desc` where that begins with a whole number (`"2"`, `"2 queries"`), else a whole `dur`, which is '
        'a time by the standard: `ledger;dur=3.4;desc="1"` tells 1.',
    )
    log: LogLines | None = Field(
        default=None,
        description="The service's own structured log, joined to the requests by their id. `{}`: with the usual names.",
    )
    http: Literal["auto", "1.1", "2"] = Field(
        default="auto",
        description="The HTTP version. auto: 1.1, or what TLS negotiates if the service doesn't speak it. 2 without "
        "TLS: with prior knowledge.",
    )
    ca_file: Line | None = Field(
        default=None,
        description="A PEM file with the certificate authorities to trust instead of the system's, relative to the "
        "project.",
    )

    @property
    def ceilings(self) -> Limits:
        """The effective limits: for a running service, the defaults unless others are declared."""
        if self.url is None:
            return self.limits
        given = {name: value for name, value in dict(self.limits).items() if value is not None}
        return LIVE.model_copy(update=given)


LIVE = Limits(rate="100/s", duration="30m", error_rate="10 %", p99="2s")  # type: ignore[arg-type]

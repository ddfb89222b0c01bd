"""The workload of a case: which requests, for which keys, how fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from luckyhit.case.part import Json, Key, Method, Part, Statuses, each_status
from luckyhit.case.values.texts import (
    CookieValue,
    HeaderName,
    HeaderValue,
    JsonPath,
    Line,
    Name,
    Sha256,
    ShownVersion,
    WorkloadHeader,
    WorkloadPath,
)
from luckyhit.case.values.units import Duration, Rate, Share


class Response(Part):
    """What a correct response looks like; every timed response is checked against it."""

    status: Statuses = Field(
        default=200,
        description="The HTTP status of a correct response, or a list of statuses: `[200, 409]`. If the list has 2xx "
        "statuses, headers and body are expected only with these.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        description="Headers of a correct response; a value matches if the header's value contains it.",
    )
    fields: list[JsonPath] = Field(
        default_factory=list, description="JSON fields of a correct response, as paths such as `$.price_cents`."
    )
    values: dict[JsonPath, str | int | float | bool | None] = Field(
        default_factory=dict,
        description="JSON fields with a known value: path and value (numbers are compared by value).",
    )
    sha256: Sha256 | None = Field(default=None, description="SHA-256 of the decoded body, in hexadecimal.")

    @property
    def statuses(self) -> list[int]:
        """The statuses of a correct response."""
        return each_status(self.status)

    @property
    def full_statuses(self) -> list[int]:
        """Those of responses whose headers and body are checked as well."""
        return [status for status in self.statuses if 200 <= status < 300] or self.statuses


class Keys(Part):
    """Which keys a route requests, and how often each."""

    first: Key | None = Field(
        default=None,
        description="The first key, a whole number, filled in without leading zeros (ids such as `0042` are put into a "
        "file). Either `first` and `last`, or `file`.",
    )
    last: Key | None = Field(default=None, description="The last key, included.")
    file: Line | None = Field(
        default=None,
        description="A text file of keys (UTF-8, one per line, the most popular first), relative to the project, not "
        "to the case file; an absolute path stays as it is.",
    )
    popularity: Literal["uniform", "zipf", "hot-set"] = Field(
        default="zipf",
        description="uniform: every key equally often; zipf: a few keys get most of the requests; hot-set: the hot "
        "keys share `hot_share` of the requests evenly, the others share the rest.",
    )
    exponent: Annotated[float, Field(gt=0, le=4)] = Field(
        default=1.0, description="The k-th key gets a share proportional to 1 / k ** exponent (zipf only)."
    )
    hot: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="Number of hot keys (hot-set only)."
    )
    hot_share: Share = Field(default=0.9, description="The share of requests for hot keys (hot-set only).")


class Route(Part):
    """One kind of request in the workload."""

    name: Name = Field(description="A short name for tables and figures.")
    method: Method = Field(default="GET", description="The HTTP method.")
    path: WorkloadPath = Field(
        description="The path. `{key}` is filled in, and `{number}` with a random whole number from 1 to 20,000: the "
        "same in both arms, as it comes from the seed."
    )
    weight: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        default=1.0, description="How often, relative to the other routes."
    )
    keys: Keys | None = Field(default=None, description="The values of `{key}`.")
    body: Json | str | None = Field(
        default=None,
        description="A JSON body. Texts in it are filled in like the path; a text that is just `{key}` or `{number}` "
        "becomes the number. A body that is a text itself is sent as that text, filled in.",
    )
    headers: dict[HeaderName, WorkloadHeader] = Field(
        default_factory=dict,
        description="Request headers, filled in like the path (no secrets: see `target.headers_env`). A template with "
        "a generated number is none: with `Cookie: uid=m{number}` each request is one of many users.",
    )
    response: Response | None = Field(
        default=None,
        description="What a correct response looks like, if it differs from `expected.response`; it replaces all of "
        "that.",
    )
    version: ShownVersion | None = Field(
        default=None,
        description="For a GET: where the JSON response has the value that is written for its key (`$.price_cents`). "
        "For a write: `{number}`, which is that value. With both, stale reads of the workload itself are counted.",
    )


class Stage(Part):
    """A stage of the workload: a step or a ramp."""

    lasts: Duration = Field(description="Duration. The stages follow each other from the start of each block.")
    rate: Rate = Field(description="Requests per second; for a ramp, at its start.")
    to: Rate | None = Field(default=None, description="Requests per second at the end of a ramp.")


class Replay(Part):
    """A real access log as the workload."""

    file: Line = Field(
        description="The access log (also `.gz`), relative to the project. Time, method and path of a line are used."
    )
    format: Literal[
        "auto",
        "combined",
        "uvicorn",
        "json",
        "ecs",
        "otel",
        "granian",
        "hypercorn",
        "daphne",
        "haproxy",
        "alb",
        "squid",
        "uwsgi",
        "sanic",
        "tornado",
        "cloudfront",
    ] = Field(  # those of luckyhit.load.access_logs.FORMS
        default="auto",
        description="Format of the access log (docs/measurement.md has examples); auto: detected.",
    )
    timing: Literal["log", "rate"] = Field(
        default="log",
        description="log: with the gaps of the log; rate: in the log's order, at `workload.rate` or `workload.stages`.",
    )
    speed: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.0, description="2: twice as fast as the log (with `timing: log` only)."
    )
    methods: list[Method] = Field(
        default=["GET", "HEAD"], min_length=1, description="Lines with other methods are left out."
    )
    others: bool = Field(
        default=False,
        description="Send also lines that match no route; they count as the first route of their method. Otherwise "
        "they are left out and counted.",
    )


MOST_SENDERS = 96
"""Sending processes on all hosts: their connections are numbered apart."""
MEASURED_PER_S = 20_000.0
"""Requests a second that one sending process was measured to send on a schedule, with 0.1 ms added in the median
(decision 20)."""
MOST_PER_S = 100_000.0
"""It sends no more without a schedule either: a request takes 10 µs of a processor at best (decision 20)."""


class Workload(Part):
    """The requests, generated before the run from a seed, the same for both arms."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        description="Seed of the schedule: the same seed gives the same requests, byte for byte."
    )
    rate: Rate | None = Field(
        default=None,
        description="Requests per second sent to each arm (open loop). Either `rate` or `stages`.",
    )
    stages: list[Stage] = Field(
        default_factory=list,
        description="Steps and ramps instead of one rate. They start with each block (warm-up included); after the "
        "last one its last rate holds.",
    )
    arrivals: Literal["poisson", "constant"] = Field(
        default="poisson", description="poisson: independent users; constant: evenly spaced."
    )
    replay: Replay | None = Field(
        default=None, description="An access log to replay; its lines are matched to the routes."
    )
    timeout: Duration = Field(default=5.0, description="Time after which a request counts as timed out.")
    connections: Literal["keep-alive", "fresh"] = Field(
        default="keep-alive", description="fresh: a new connection for each request."
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Number of sending processes, if one core isn't enough."
    )
    hosts: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Number of hosts that send, if one machine isn't enough: each has its share of the slots "
        "(docs/measurement.md, Load from several hosts).",
    )
    cookies: dict[HeaderName, CookieValue] = Field(
        default_factory=dict,
        description="Cookies sent with each request (no secrets: see `target.headers_env`).",
    )
    routes: list[Route] = Field(min_length=1, description="The kinds of request, with their weights.")

    @property
    def senders(self) -> int:
        """The sending processes, on all hosts."""
        return self.hosts * self.workers

    @property
    def peak_rate(self) -> float | None:
        """The highest declared rate in requests per second; None if a log sets the pace."""
        rates = [rate for stage in self.stages for rate in (stage.rate, stage.to) if rate is not None]
        return self.rate if self.rate is not None else max(rates, default=None)

    def sent_per_s(self, arms: int) -> float | None:
        """The highest rate of one sending process, where so many arms are measured at once; None if a log sets the
        pace."""
        return None if self.peak_rate is None else self.peak_rate * arms / self.senders

    def requests_in(self, seconds: float) -> float | None:
        """Expected number of requests in the first `seconds` of a block; None if a log sets the pace."""
        if self.rate is not None:
            return self.rate * seconds
        total, at, rate = 0.0, 0.0, 0.0
        for stage in self.stages:
            rate = stage.rate if stage.to is None else stage.to
            part = min(stage.lasts, max(0.0, seconds - at))
            total += part * (stage.rate + (rate - stage.rate) * part / stage.lasts / 2)
            at += stage.lasts
        return total + rate * max(0.0, seconds - at) if self.stages else None

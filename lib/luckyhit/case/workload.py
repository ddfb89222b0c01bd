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
    """What a right answer looks like; every timed answer is checked against it."""

    status: Statuses = Field(
        default=200,
        description="The HTTP status of a right answer, or a list of those that are right: `[200, 409]`. Of a list "
        "with some of 2xx, headers and body are expected of these alone.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        description="Headers a right answer carries; a value matches when the header's value contains it.",
    )
    fields: list[JsonPath] = Field(
        default_factory=list, description="JSON fields a right answer has, as paths such as `$.price_cents`."
    )
    values: dict[JsonPath, str | int | float | bool | None] = Field(
        default_factory=dict, description="JSON fields whose value is known: path and value (numbers equal by value)."
    )
    sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of the decoded body, in hexadecimal, where every byte of it is known."
    )

    @property
    def statuses(self) -> list[int]:
        """Every status of a right answer."""
        return each_status(self.status)

    @property
    def full_statuses(self) -> list[int]:
        """Those of answers whose headers and body are expected as well."""
        return [status for status in self.statuses if 200 <= status < 300] or self.statuses


class Keys(Part):
    """Which keys a route is asked for, and how often each."""

    first: Key | None = Field(
        default=None, description="The first key, a whole number. Either first and last, or file."
    )
    last: Key | None = Field(default=None, description="The last key; it counts too.")
    file: Line | None = Field(
        default=None,
        description="A text file of keys (UTF-8, one a line, the most popular first), relative to the project.",
    )
    popularity: Literal["uniform", "zipf", "hot-set"] = Field(
        default="zipf",
        description="uniform: every key as often; zipf: a few keys take most of the requests; hot-set: some keys share "
        "`hot_share` of the requests evenly, all others the rest.",
    )
    exponent: Annotated[float, Field(gt=0, le=4)] = Field(
        default=1.0, description="How uneven: the k-th key gets a share proportional to 1 / k ** exponent (zipf only)."
    )
    hot: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="How many keys are hot (hot-set only)."
    )
    hot_share: Share = Field(default=0.9, description="The share of requests for hot keys (hot-set only).")


class Route(Part):
    """One kind of request in the workload."""

    name: Name = Field(description="A short name, used in tables and figures.")
    method: Method = Field(default="GET", description="The HTTP method.")
    path: WorkloadPath = Field(
        description="The path; `{key}` is filled in, and `{number}` with a seeded random number."
    )
    weight: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        default=1.0, description="How often, against the other routes."
    )
    keys: Keys | None = Field(default=None, description="The keys for `{key}`.")
    body: Json | str | None = Field(
        default=None,
        description="A JSON body. Texts in it are filled in like the path; a text that is just `{key}` or `{number}` "
        "becomes the number. A body that is a text itself is sent as that text, filled in.",
    )
    headers: dict[HeaderName, WorkloadHeader] = Field(
        default_factory=dict,
        description="Request headers, filled in like the path (no secrets: see `target.headers_env`).",
    )
    response: Response | None = Field(
        default=None, description="What a right answer looks like, where it isn't `expected.response`."
    )
    version: ShownVersion | None = Field(
        default=None,
        description="Of a GET: where its JSON answer shows the value that is written for its key (`$.price_cents`). Of "
        "a write: `{number}`, which is then that value. With both, stale reads in the workload itself are counted.",
    )


class Stage(Part):
    """A stretch of the workload's pace: a step, or a ramp."""

    lasts: Duration = Field(description="How long it lasts. Stages follow each other from the start of each block.")
    rate: Rate = Field(description="Requests per second; of a ramp, at its start.")
    to: Rate | None = Field(default=None, description="Requests per second at the end of a ramp.")


class Replay(Part):
    """A real access log as the workload."""

    file: Line = Field(
        description="The access log (a `.gz` too), relative to the project. Of a line, time, method and path are used."
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
        description="Whose access log it is (docs/measurement.md has a line of each); auto: found out.",
    )
    timing: Literal["log", "rate"] = Field(
        default="log",
        description="log: with the log's own gaps; rate: in the log's order, at `workload.rate` or `workload.stages`.",
    )
    speed: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.0, description="2: twice as fast as the log (its own gaps only)."
    )
    methods: list[Method] = Field(
        default=["GET", "HEAD"], min_length=1, description="Lines with other methods are left out."
    )
    others: bool = Field(
        default=False,
        description="Send lines that match no route as well; they count as the first route of their method. "
        "Otherwise they are left out, and counted.",
    )


class Workload(Part):
    """The requests, made before the run from a seed, the same for both arms."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        description="Seed of the schedule: the same seed makes the same requests, to the byte."
    )
    rate: Rate | None = Field(
        default=None,
        description="Requests per second sent to each arm (open loop: never held back). Either this or stages.",
    )
    stages: list[Stage] = Field(
        default_factory=list,
        description="Steps and ramps instead of one rate. They begin with each block (warm-up included); behind the "
        "last one its last rate holds.",
    )
    arrivals: Literal["poisson", "constant"] = Field(
        default="poisson", description="poisson: independent users; constant: evenly spaced."
    )
    replay: Replay | None = Field(
        default=None, description="A real access log, whose lines are matched to the routes, instead of drawing them."
    )
    timeout: Duration = Field(default=5.0, description="After this, a request counts as timed out.")
    connections: Literal["keep-alive", "fresh"] = Field(
        default="keep-alive", description="fresh: a new connection for each request."
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Processes that send, where one core isn't enough."
    )
    cookies: dict[HeaderName, CookieValue] = Field(
        default_factory=dict,
        description="Cookies sent with each request (no secrets: see `target.headers_env`).",
    )
    routes: list[Route] = Field(min_length=1, description="The kinds of request, with their weights.")

    @property
    def peak_rate(self) -> float | None:
        """The most requests per second that are asked for; None where a log sets the pace."""
        rates = [rate for stage in self.stages for rate in (stage.rate, stage.to) if rate is not None]
        return self.rate if self.rate is not None else max(rates, default=None)

    def requests_in(self, seconds: float) -> float | None:
        """How many requests are due in the first `seconds` of a block, on average; None where a log sets the pace."""
        if self.rate is not None:
            return self.rate * seconds
        total, at, rate = 0.0, 0.0, 0.0
        for stage in self.stages:
            rate = stage.rate if stage.to is None else stage.to
            part = min(stage.lasts, max(0.0, seconds - at))
            total += part * (stage.rate + (rate - stage.rate) * part / stage.lasts / 2)
            at += stage.lasts
        return total + rate * max(0.0, seconds - at) if self.stages else None

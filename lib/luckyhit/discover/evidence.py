"""What the sources say about a service, and what was found out by asking it; each value with where it was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Place = Literal["path", "query", "header"]
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a route. `kind`: the JSON type it is declared or looks like."""

    name: str
    place: Place = "path"
    kind: Literal["integer", "number", "string", "boolean"] = "string"
    required: bool = True
    choices: tuple[str, ...] = ()
    """Values from an enum."""
    examples: tuple[str, ...] = ()
    """Values seen in logs, samples or examples, most frequent first; at most 1,000."""


@dataclass(frozen=True)
class Body:
    """A request body. `schema`: its JSON Schema with references resolved (cycles cut); `example`: one that was seen or
    declared, without secrets."""

    media_type: str = "application/json"
    schema: dict[str, Any] | None = None
    example: Any = None


@dataclass(frozen=True)
class ServiceRoute:
    """A route as the sources know it. `path` has its parameters in braces, without a converter: `/items/{id}`."""

    method: str
    path: str
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    name: str = ""
    response_schema: dict[str, Any] | None = None
    """JSON Schema of the successful response, references resolved."""
    weight: float | None = None
    """Its proportion of all requests of a log or an archive."""
    risk: str = ""
    """Why it isn't tried even on a stack of our own (it deletes, pays, sends mail, ...); empty where it may be."""
    needs_credentials: bool = False
    where: tuple[str, ...] = ()
    """Where it was seen: `openapi.json paths./items/{id}.get`, `access.log (1,204 lines)`."""


@dataclass(frozen=True)
class Setting:
    """A setting that the service reads from its environment. `default`: as text, None if unknown."""

    name: str
    default: str | None = None
    kind: Literal["text", "number", "duration", "boolean", "url"] = "text"
    where: str = ""
    choices: tuple[str, ...] = ()
    """Texts that the code compares it with."""
    about_cache: bool = False
    """Whether its name or use is about a cache: TTL, size, namespace, invalidation."""


@dataclass(frozen=True)
class ServiceEvidence:
    """What one or more sources say."""

    routes: tuple[ServiceRoute, ...] = ()
    settings: tuple[Setting, ...] = ()
    rate: float | None = None
    """Requests per second of a log, over its busy minutes."""
    notes: tuple[str, ...] = ()
    """What a source could not tell, one sentence each."""


@dataclass(frozen=True)
class KeyUse:
    """Keys that a request touched, as a template in the names of the route's path parameters: `product:{id}`."""

    template: str
    verb: Literal["read", "stored", "deleted"]
    hashed: bool = False
    """Whether a part of it looks like a hash, so that no template can name it; `template` has `*` there."""
    guess: bool = False
    """Whether one id alone supports it."""


@dataclass(frozen=True)
class ReadRoute:
    """A GET route that answered on our own stack, or at `--url`."""

    route: ServiceRoute
    path: str
    """The path to ask, with the query that it needs: `/items/{id}?currency=EUR`."""
    ids: tuple[str, ...] = ()
    """Values of its one varying parameter that answered 200, in order; empty without a parameter."""
    status: int = 200
    fields: tuple[str, ...] = ()
    """JSON paths of the scalar fields of the answer."""
    cache_header: str = ""
    """The header that shows the cache status, as `name: value` seen; empty where none does."""
    db_header: str = ""
    db_offer: tuple[str, str] | None = None
    """Where no usual header shows the number of database calls: the field of `target` and the name of what may."""
    hits: bool | None = None
    """Whether the second request for the same id was a hit; None where no status shows it."""
    keys: tuple[KeyUse, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Shows:
    """A read that shows what a write wrote: its place, and after how long. `cached_before`: whether the old value
    was still served right after the acknowledgement, up to `stale_s` seconds (None: fresh at once)."""

    read: str
    """The read's `path`."""
    json_path: str
    """Empty where the answer is no JSON."""
    stale_s: float | None = None
    guess: bool = False
    regex: str = ""
    """Matches the number in an answer that is no JSON, or in the text at `json_path`."""


@dataclass(frozen=True)
class WriteRoute:
    """A write route that was accepted on our own stack."""

    route: ServiceRoute
    path: str
    body: Any
    """The body with the version in place: `{"price": "{version}"}`; other fields constant, their braces doubled."""
    statuses: tuple[int, ...] = (200,)
    shows: tuple[Shows, ...] = ()
    keys: tuple[KeyUse, ...] = ()
    where: str = ""
    first_version: int | None = None
    """The first number that was sent, where the service takes none of the usual size."""
    media_type: str = "application/json"
    """`FORM` where the fields of the body are those of a form."""


@dataclass(frozen=True)
class Launch:
    """How the service is started: the case's `target.start`. `cache_env`: environment name → text with placeholders
    (`{cache_url}`, `{cache_host}`, ...)."""

    command: tuple[str, ...]
    python: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    cwd: str = "."
    ready: str = "/health"
    port: int | None = None
    """A fixed port, where no variable and no argument sets it."""
    cache_env: tuple[str, ...] = ()
    """Names in `env` through which the service takes its cache, as seen by a connection; empty where none was found."""
    where: dict[str, str] = field(default_factory=dict)
    """For `port`, `cache`, `ready`: how it was found out."""


@dataclass(frozen=True)
class Discovery:
    """All that was found out, from which the case is written."""

    evidence: ServiceEvidence
    launch: Launch | None = None
    url: str | None = None
    reads: tuple[ReadRoute, ...] = ()
    writes: tuple[WriteRoute, ...] = ()
    config_path: str | None = None
    """A route that answers with settings in effect."""
    config_ignore: tuple[str, ...] = ()
    """Entries of that answer which two processes of the service show with different values."""
    cache_kind: Literal["redis", "none", "unknown"] = "unknown"
    skipped: tuple[tuple[str, str], ...] = ()
    """Routes that were not tried, each with the reason."""
    unknown: tuple[str, ...] = ()
    """What could not be found out, one sentence each, with what would tell it."""
    headers_env: dict[str, str] = field(default_factory=dict)
    """Request headers that were sent, each with the name of the environment variable that holds its value."""
    headers: dict[str, str] = field(default_factory=dict)
    """Request headers that its routes need, as they were sent."""
    change: tuple[str, str] | None = None
    """The environment variable to be changed and its value after that, where they were named."""
    requests_sent: int = 0
    partial: bool = False
    """Whether it was interrupted."""

    @property
    def usual_path(self) -> str:
        """What is asked for where no read is known."""
        return self.launch.ready if self.launch is not None else "/"

    @property
    def started(self) -> bool:
        """Whether the service was started here, and may be written to."""
        return self.launch is not None

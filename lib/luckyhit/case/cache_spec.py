"""The caches of a case, and what of them may be cleared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from luckyhit.case.freshness import ProbeKeys
from luckyhit.case.part import HttpStatus, Part
from luckyhit.case.values.texts import BaseUrl, EnvName, HeaderName, KeyTemplate, PurgeHeader, PurgePath
from luckyhit.case.values.units import Rate, Share


class Purge(Part):
    """A call that purges pages from an HTTP cache in front of the service (Varnish, nginx, a CDN)."""

    method: Literal["PURGE", "BAN", "REFRESH", "DELETE", "POST", "PUT", "GET"] = Field(
        default="PURGE", description="The HTTP method."
    )
    url: BaseUrl | None = Field(default=None, description="Base URL of the cache, if it differs from the target's.")
    path: PurgePath = Field(description="The path. `{key}` is filled in with each of `keys`.")
    keys: ProbeKeys | None = Field(default=None, description="The values of `{key}`, one call each.")
    headers: dict[HeaderName, PurgeHeader] = Field(
        default_factory=dict,
        description="Request headers, filled in like the path, such as a ban expression (no secrets: see "
        "`headers_env`).",
    )
    headers_env: dict[HeaderName, EnvName] = Field(
        default_factory=dict,
        description="Request headers whose values come from environment variables: the header's name, then the "
        "variable's.",
    )
    status: list[HttpStatus] = Field(
        default=[200, 202, 204, 404, 410, 412],
        min_length=1,
        description="Statuses that mean that nothing old is left in the cache.",
    )


class Cache(Part):
    """The cache, and what of it may be cleared."""

    url_env: EnvName | None = Field(
        default=None,
        description="Name of the environment variable with the cache's URL (never the URL itself). Without it, the run "
        "starts a cache server of its own for each arm. URLs: `redis://`, `rediss://` (TLS), `unix://`; the URL of a "
        "node stands for the whole cluster; `redis+sentinel://host:26379,host:26379/service/0` asks Sentinels for the "
        "primary; `memcached://host:11211`.",
    )
    server: Literal["redis", "memcached"] = Field(
        default="redis", description="Kind of server that the run starts if there is no `url_env`."
    )
    clear: list[KeyTemplate] = Field(
        default_factory=list,
        description="Templates of the keys that may be cleared: `{name}` stands for one or more characters other than "
        "a colon. Other keys are never touched.",
    )
    keys: ProbeKeys | None = Field(
        default=None,
        description="Values of the one placeholder in a template of `clear`: needed for a cache that can't list its "
        "keys (memcached). Other keys are not cleared there.",
    )
    purge: list[Purge] = Field(
        default_factory=list,
        description="Calls that purge an HTTP cache in front of the service, sent after the keys are cleared. Purged "
        "pages can't be restored; the next reader fetches them again.",
    )
    clear_rate: Rate | None = Field(
        default=None, description="Maximum number of keys per second to clear from a shared cache."
    )
    dedicated: bool = Field(
        default=False, description="True if only this service uses the cache, so that every key may be in scope."
    )
    largest_share: Share = Field(
        default=0.5,
        description="The largest share of all keys that the templates may match; more is refused (unless the cache is "
        "dedicated).",
    )
    rebuildable: bool = Field(
        default=False,
        description="True if keys without a time to live can be rebuilt, so that they may be cleared too. Otherwise "
        "they are kept, since they may be the data itself.",
    )

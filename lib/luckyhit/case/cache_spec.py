"""The caches of a case, and how much of them may be cleared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from luckyhit.case.freshness import ProbeKeys
from luckyhit.case.part import HttpStatus, Part
from luckyhit.case.values.texts import BaseUrl, EnvName, HeaderName, KeyTemplate, PurgeHeader, PurgePath
from luckyhit.case.values.units import Rate, Share


class Purge(Part):
    """A call that makes an HTTP cache in front of the service (Varnish, nginx, a CDN) forget certain pages."""

    method: Literal["PURGE", "BAN", "REFRESH", "DELETE", "POST", "PUT", "GET"] = Field(
        default="PURGE", description="The HTTP method."
    )
    url: BaseUrl | None = Field(
        default=None, description="Base URL of the cache, where it is not the one at the target's own address."
    )
    path: PurgePath = Field(description="The path; `{key}` is filled in with each of `keys`.")
    keys: ProbeKeys | None = Field(default=None, description="What `{key}` stands for: one call for each.")
    headers: dict[HeaderName, PurgeHeader] = Field(
        default_factory=dict,
        description="Request headers, filled in like the path: a ban expression, say (no secrets: see `headers_env`).",
    )
    headers_env: dict[HeaderName, EnvName] = Field(
        default_factory=dict,
        description="Request headers whose values come from environment variables: the header's name, then the "
        "variable's.",
    )
    status: list[HttpStatus] = Field(
        default=[200, 202, 204, 404, 410, 412],
        min_length=1,
        description="Statuses that mean that nothing old is left there.",
    )


class Cache(Part):
    """The cache, and how much of it may be cleared."""

    url_env: EnvName | None = Field(
        default=None,
        description="Name of the environment variable that holds the cache's URL (never the URL itself). "
        "Without it, a cache server of the run's own is started for each arm. `redis://`, `rediss://` (TLS), "
        "`unix://`; a node of a cluster stands for the cluster; "
        "`redis+sentinel://host:26379,host:26379/service/0` asks Sentinels for the primary; `memcached://host:11211`.",
    )
    server: Literal["redis", "memcached"] = Field(
        default="redis", description="Kind of the server that the run starts for itself, where there is no `url_env`."
    )
    clear: list[KeyTemplate] = Field(
        default_factory=list,
        description="Templates of the keys that may be cleared: `{name}` stands for one or more characters "
        "other than a colon. Nothing else is ever touched.",
    )
    keys: ProbeKeys | None = Field(
        default=None,
        description="Numbers that the one name in a template of `clear` stands for: needed where the cache does not "
        "list its keys (memcached). Keys beyond them are not cleared there.",
    )
    purge: list[Purge] = Field(
        default_factory=list,
        description="Calls that purge an HTTP cache in front of the service, sent after the keys were cleared. What "
        "they purge can't be put back: it is fetched again by the next reader.",
    )
    clear_rate: Rate | None = Field(
        default=None, description="The most keys per second that are cleared from a cache that others use too."
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

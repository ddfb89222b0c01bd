"""The freshness probe of a case: how to write a version, where to read it back, for which keys, how long to look."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from luckyhit.case.part import HttpStatus, Json, Key, Method, Part, Statuses, each_status
from luckyhit.case.values.texts import (
    CommandText,
    EnvName,
    HeaderName,
    HeaderValue,
    KeyedTemplate,
    Name,
    ReadPath,
    Statement,
    VersionPath,
    VersionPattern,
    WriteHeader,
    WritePath,
)
from luckyhit.case.values.units import Bound, Duration, Rate

Prestate = Literal["warm", "cold", "in-flight", "absent", "refused"]
Mode = Literal["once", "burst"]
EXPOSED: tuple[Prestate, ...] = ("warm", "in-flight", "absent")
"""Prestates with something old that a cache may hold. Keys that nobody had read (cold) are a control, and a write that
is refused makes nothing old."""


class Refusal(Part):
    """A refusal that depends on the state of the thing: no error, and no acknowledgement either."""

    status: list[HttpStatus] = Field(min_length=1, description="The statuses of 4xx that say so, such as `[409]`.")


class VersionWrite(Part):
    """How the probe writes a version: through the service (`path`), or round it (`command`, or `sql`)."""

    method: Method = Field(default="PUT", description="The HTTP method.")
    path: WritePath | None = Field(default=None, description="The path. `{key}` and `{version}` are filled in.")
    body: Json | str | None = Field(
        default=None,
        description="A JSON body. Texts in it are filled in like the path; a text that is just `{version}` or `{key}` "
        "becomes the number. A body that is a text itself is sent as that text, filled in.",
    )
    headers: dict[HeaderName, WriteHeader] = Field(
        default_factory=dict,
        description="Request headers, filled in like the path (no secrets: see `target.headers_env`).",
    )
    status: Statuses = Field(
        default=200, description="The status of an accepted write, or a list of those that say so: `[200, 201]`."
    )
    refused: Refusal | None = Field(
        default=None,
        description="What the service answers where the state of the thing does not allow the write (with `path`). "
        "Such a probe is left out and counted.",
    )
    command: list[CommandText] | None = Field(
        default=None,
        min_length=1,
        description="A write that goes round the service: program and arguments. `{key}`, `{version}`, and what "
        "`target.start.command` knows are filled in. Exit status 0: it was written.",
    )
    sql: Statement | None = Field(
        default=None,
        description="A write that goes round the service: one statement with `:key` and `:version` in it, committed by "
        "itself. It has to change one row or more. Needs SQLAlchemy (`pip install 'luckyhit[sql]'`).",
    )
    database: CommandText | None = Field(
        default=None,
        description="The database of `sql`, as SQLAlchemy's URL, filled in like `target.start.command` (no secrets).",
    )
    database_env: EnvName | None = Field(
        default=None, description="Name of the environment variable that holds the URL instead."
    )

    @property
    def statuses(self) -> list[int]:
        """Every status that says that a write was accepted."""
        return each_status(self.status)


class VersionRead(Part):
    """Where the probe reads the version back. One of `version`, `header` and `regex`, or a regex for the header."""

    name: Name = Field(default="read", description="A short name, used in tables: `detail`, `list`, `search`.")
    path: ReadPath = Field(description="The path; `{key}` is filled in (here, or in `version` or `regex`).")
    version: VersionPath | None = Field(
        default=None,
        description="Where the version stands in the JSON answer: a JSONPath (RFC 9535) such as `$.price_cents` or "
        "`$.items[?@.id == {key}].price_cents`. It has to lead to one whole number.",
    )
    header: HeaderName | None = Field(default=None, description="The response header that holds the version.")
    regex: VersionPattern | None = Field(
        default=None,
        description="A regular expression for the answer's text (or for the header's value); its one group is the "
        "version. `{key}` stands for the key.",
    )


class Variant(Part):
    """One way of asking: a cache may keep an answer for each, by the request headers that `Vary` names."""

    name: Name = Field(description="A short name, used in tables: `plain`, `german`.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        description="Request headers; they replace those that every request has (no secrets: see "
        "`target.headers_env`).",
    )


class ProbeKeys(Part):
    """Keys reserved for the probe."""

    first: Key = Field(description="The first reserved key, a whole number.")
    last: Key = Field(description="The last reserved key; it counts too.")


class SharedKeys(ProbeKeys):
    """Keys that exist, and that the probe writes to and puts back."""

    shared: bool = Field(
        default=False,
        description="True where the workload reads these keys as well. Nothing else may ever write them.",
    )


class Removal(Part):
    """How to remove what the probe created."""

    method: Method = Field(default="DELETE", description="The HTTP method.")
    path: ReadPath = Field(description="The path, with `{key}` in it.")
    status: Statuses = Field(default=204, description="The status of an accepted removal, or a list of them.")

    @property
    def statuses(self) -> list[int]:
        """Every status that says that a removal was accepted."""
        return each_status(self.status)


class Absent(Part):
    """Keys that do not exist yet: read (nothing there), created, read again, removed. Finds cached absence."""

    keys: ProbeKeys = Field(description="Keys under which there is nothing.")
    create: VersionWrite = Field(description="How to create one, with its first version.")
    remove: Removal = Field(description="How to remove it again.")


class Freshness(Part):
    """The probe that writes versions and looks when readers see them."""

    write: VersionWrite = Field(description="How to write a version.")
    reads: list[VersionRead] = Field(
        min_length=1, description="Where to read it back: one route, or several that should agree (detail, list)."
    )
    variants: list[Variant] = Field(
        default=[],
        description="The variants to ask for, in turn: a read before a write and those behind it are of the same one. "
        "Left out: what the workload's clients send, by the GET routes of `workload.routes` with the path of a read.",
    )
    keys: SharedKeys = Field(description="Keys that exist and that only the probe uses; the workload must not.")
    within: Bound = Field(
        description="Declared bound: staleness up to this after a write is acceptable (`0s`: none is)."
    )
    horizon: Duration = Field(default=2.0, description="The longest delay between a write and its read.")
    rate: Rate | None = Field(
        default=None,
        description="Probes per second. Left out: as many as fit into 2 % of the workload's requests; with "
        "`plan: auto` what the goals need, up to three tenths of them.",
    )
    modes: list[Mode] = Field(
        default=["once", "burst"],
        min_length=1,
        description="once: one read of a freshly written key after a preset delay (the freshness curve). burst: poll "
        "one key until it is lastingly fresh (staleness windows); one probe in ten.",
    )
    prestates: list[Literal["warm", "cold", "in-flight"]] = Field(
        default=["warm", "cold", "in-flight"],
        min_length=1,
        description="What a key has behind it when it is written. warm: it was just read. cold: nobody read it in this "
        "block (a control: an old copy can't be there). in-flight: a read is under way. Beside warm, the others take "
        "one probe in ten each.",
    )
    absent: Absent | None = Field(
        default=None, description="Keys that are created by the probe: finds an absence that stays cached."
    )
    refused: VersionWrite | None = Field(
        default=None,
        description="A write that the service has to reject, `status` being the rejection: its value must never be "
        "seen.",
    )
    first_version: Annotated[int, Field(ge=1, le=10**15)] = Field(
        default=1_000_000, description="The probe counts up from here: above every value that its keys hold."
    )
    cache_keys: list[KeyedTemplate] | None = Field(
        default=None,
        description="The cache's keys of one probed key, with `{key}` in them: what happens to them is watched. Left "
        "out: what reads of probed keys store in a cache of the run's own; else the templates of `cache.clear` that "
        "have one name in braces, with the key in its place.",
    )
    watch_cache: bool = Field(
        default=True,
        description="Watch the cache's keyspace events around each probed write, where permissions allow; the server's "
        "setting (`notify-keyspace-events`) is put back after each block.",
    )

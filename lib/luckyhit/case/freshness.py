"""The freshness probe of a case: how to write a version, where to read it back, for which keys, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from luckyhit.case.part import HttpStatus, Json, Key, Method, Part, Statuses, each_status
from luckyhit.case.values.texts import (
    CommandText,
    EnvName,
    HeaderName,
    KeyedTemplate,
    KeyName,
    Name,
    ReadPath,
    Statement,
    VariantHeader,
    VersionPath,
    VersionPattern,
    WriteHeader,
    WritePath,
)
from luckyhit.case.values.units import Bound, Duration, Rate

Prestate = Literal["warm", "cold", "in-flight", "absent", "refused"]
Mode = Literal["once", "burst"]
EXPOSED: tuple[Prestate, ...] = ("warm", "in-flight", "absent")
"""Initial cache states in which a cache may hold something old. Cold keys are a control, and a refused write makes
nothing old."""
FINISH_S = 0.35
"""Time for the requests of one probe, without its delay."""
MOST_PROBES = 4_900
"""Of one block, since each uses two of its 10,000 versions."""


class Refusal(Part):
    """A refusal that depends on the state of the data: neither an error nor an acknowledgement."""

    status: list[HttpStatus] = Field(min_length=1, description="The 4xx statuses that mean a refusal, such as `[409]`.")


class VersionWrite(Part):
    """How the probe writes a version: through the service (`path`), or around it (`command` or `sql`)."""

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
        default=200, description="The status of an accepted write, or a list of statuses: `[200, 201]`."
    )
    refused: Refusal | None = Field(
        default=None,
        description="How the service answers if the state of the data does not allow the write (with `path`). Such a "
        "probe is left out and counted.",
    )
    command: list[CommandText] | None = Field(
        default=None,
        min_length=1,
        description="A write around the service: program and arguments. `{key}`, `{version}` and the placeholders of "
        "`target.start.command` are filled in. Exit status 0 means success.",
    )
    sql: Statement | None = Field(
        default=None,
        description="A write around the service: one statement with `:key` and `:version`, in a transaction of its "
        "own. It has to change at least one row. Needs SQLAlchemy (`pip install 'luckyhit[sql]'`).",
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
    """Where the probe reads the version back: by `version`, `header` or `regex`, or by a regex for the text of one of
    the others."""

    name: Name = Field(default="read", description="A short name for tables: `detail`, `list`, `search`.")
    path: ReadPath = Field(description="The path; `{key}` is filled in (here, or in `version` or `regex`).")
    version: VersionPath | None = Field(
        default=None,
        description="The version in the JSON response: a JSONPath (RFC 9535) such as `$.price_cents` or "
        "`$.items[?@.id == {key}].price_cents`. It has to give one whole number: 104, 104.0 or "
        '`"104"`, but not 104.5. With `regex`, it has to give one text.',
    )
    header: HeaderName | None = Field(default=None, description="The response header with the version.")
    regex: VersionPattern | None = Field(
        default=None,
        description="A regular expression with one group, the version: for the response's text, for the text at "
        "`version` (null and a missing member are an empty one), or for the header's value. A group that takes no part "
        r"is version 0: `^(?:v(\d+))?` where another text stands before the first write. `{key}` stands for the key.",
    )


class Variant(Part):
    """One variant of a request: a cache may store a response for each, by the request headers in `Vary`."""

    name: Name = Field(description="A short name for tables: `plain`, `german`.")
    headers: dict[HeaderName, VariantHeader] = Field(
        default_factory=dict,
        description="Request headers; they replace the common ones (no secrets: see `target.headers_env`). `{key}` is "
        "filled in: with `Cookie: uid=m{key}` each key is read by a user of its own, before its write and after it.",
    )


class ProbeKeys(Part):
    """A range of keys that are reserved for the probe."""

    first: Key = Field(description="The first reserved key, a whole number.")
    last: Key = Field(description="The last reserved key, included.")

    @property
    def values(self) -> Sequence[int | str]:
        """The keys as they are filled in, in order."""
        return range(self.first, self.last + 1)


class SharedKeys(ProbeKeys):
    """Existing keys that the probe writes to and restores."""

    first: Key = Field(
        default=1, description="The first reserved key, a whole number. Either `first` and `last`, or `names`."
    )
    last: Key = Field(default=0, description="The last reserved key, included. With `names`: their number.")
    names: list[KeyName] | None = Field(
        default=None,
        min_length=1,
        max_length=1_000,
        description="The reserved keys one by one, where they are no whole numbers: `[about, contact]`.",
    )
    shared: bool = Field(
        default=False,
        description="True if the workload reads these keys too. Nothing else may write them.",
    )

    @model_validator(mode="before")
    @classmethod
    def _numbered(cls, written: Any) -> Any:
        """Names are numbered by their places, from 1."""
        if not isinstance(written, dict):
            return written
        names = written.get("names")
        given = [name for name in ("first", "last") if name in written]
        if names is None and len(given) < 2:
            raise ValueError("first and last, or names")
        if names is not None and given and (written.get("first"), written.get("last")) != (1, len(names)):
            raise ValueError(f"either names, or first and last (got names and {given[0]})")
        return written if names is None or not isinstance(names, list) else {**written, "first": 1, "last": len(names)}

    @property
    def values(self) -> Sequence[int | str]:
        """The keys as they are filled in, in order."""
        return self.names if self.names is not None else range(self.first, self.last + 1)


class Removal(Part):
    """How to remove what the probe created."""

    method: Method = Field(default="DELETE", description="The HTTP method.")
    path: ReadPath = Field(description="The path, with `{key}` in it.")
    status: Statuses = Field(default=204, description="The status of an accepted removal, or a list of them.")

    @property
    def statuses(self) -> list[int]:
        """The statuses of an accepted removal."""
        return each_status(self.status)


class Absent(Part):
    """Keys that don't exist yet: read, created, read again, removed. Finds cached absence."""

    keys: ProbeKeys = Field(description="Keys that don't exist.")
    create: VersionWrite = Field(description="How to create one with its first version.")
    remove: Removal = Field(description="How to remove it again.")


class Freshness(Part):
    """The probe that writes versions and measures when readers see them."""

    write: VersionWrite = Field(description="How to write a version.")
    reads: list[VersionRead] = Field(
        min_length=1, description="Where to read it back: one route, or several that should agree (detail, list)."
    )
    variants: list[Variant] = Field(
        default=[],
        description="The variants to request, in turn: the reads before and after a write use the same one. Default: "
        "what the workload sends, by the GET routes of `workload.routes` with the path of a read.",
    )
    keys: SharedKeys = Field(description="Existing keys that only the probe uses, not the workload.")
    within: Bound = Field(
        description="The acceptable staleness after a write (`0s`: none, so that each read behind its acknowledgement "
        "counts)."
    )
    horizon: Duration = Field(default=2.0, description="The longest delay between a write and its read.")
    rate: Rate | None = Field(
        default=None,
        description="Probes per second. Default: as many as fit into 2 % of the workload's requests; with `plan: auto` "
        "what the goals need, up to 30 % of them.",
    )
    modes: list[Mode] = Field(
        default=["once", "burst"],
        min_length=1,
        description="once: one read of a freshly written key after a preset delay (the freshness curve). burst: poll "
        "one key until it stays fresh (staleness windows); one probe in ten.",
    )
    prestates: list[Literal["warm", "cold", "in-flight"]] = Field(
        default=["warm", "cold", "in-flight"],
        min_length=1,
        description="The initial cache state of a key when it is written. warm: it was just read. cold: it was not "
        "read in this block (a control, since there can't be an old copy). in-flight: a read is in progress. Of ten "
        "probes two are in-flight and one is cold.",
    )
    absent: Absent | None = Field(
        default=None, description="Keys that the probe creates: finds an absence that stays cached."
    )
    refused: VersionWrite | None = Field(
        default=None,
        description="A write that the service has to reject with `status`; its value must never be read.",
    )
    first_version: Annotated[int, Field(ge=1, le=10**15)] = Field(
        default=1_000_000,
        description="The first version, which has to be greater than every value of the keys; the probe counts up.",
    )
    cache_keys: list[KeyedTemplate] | None = Field(
        default=None,
        description="Templates with `{key}` for the cache keys of a probed key, whose events are watched. Default: "
        "what reads of probed keys store in the run's own cache; in other caches the templates of `cache.clear` with "
        "one placeholder.",
    )
    watch_cache: bool = Field(
        default=True,
        description="Watch the cache's keyspace events of the probed keys, if permissions allow; the server's setting "
        "(`notify-keyspace-events`) is restored after each block.",
    )

"""The probe's reads of one arm: which version a read route shows for a key, in which variant, on which connection.

A cache may keep an answer for each value of the request headers that `Vary` names (RFC 9110, section 12.5.5), so what
is fresh for one client may be old for another: the probe asks for each variant in turn.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from luckyhit.case.freshness import Freshness, VersionRead
from luckyhit.case.values.placeholders import Placeholder, fill_text, parse_template
from luckyhit.case.workload import Route
from luckyhit.load.bodies.versions import VersionMissing, VersionReader
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.request_head import DEFAULT_HEADERS
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.signals import ResponseSignals, SignalReader
from luckyhit.records import CacheStatus

GONE = (404, 410)
CONNECTIONS = 256
DEFAULT = "default"
"""Name of the variant without headers of its own."""
_NOT_VARIED = ("user-agent",)
_MAX_VARY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class RequestVariant:
    """Request headers beyond those of every request, and their name in tables."""

    name: str = DEFAULT
    headers: Mapping[str, str] = field(default_factory=dict)

    def filled(self, key: str) -> dict[str, str]:
        """The headers of a request for one key."""
        return filled_headers(self.headers, key)

    def sent(self) -> dict[str, str]:
        """All headers that may tell variants apart, by lower-case name: those that every client sends as well."""
        usual = {name: value for name, value in DEFAULT_HEADERS.items() if name not in _NOT_VARIED}
        return {**usual, **{name.lower(): value for name, value in self.headers.items()}}


PLAIN = RequestVariant()


@dataclass(frozen=True, slots=True)
class Validator:
    """What a later conditional read sends, and the version of the answer that it came with."""

    header: str
    value: str
    version: int | None


@dataclass(frozen=True, slots=True)
class ProbeRead:
    """What one read showed. Times are raw nanoseconds; `done_ns` is None without a whole answer (see `error`).

    `version`: None where the answer shows none; `problem` then says what it showed instead. `absent`: the answer was
    404 or 410. `layers`: what each cache on the way reported. `vary`: the request headers that its `Vary` names.
    """

    sent_ns: int = 0
    done_ns: int | None = None
    version: int | None = None
    problem: str = ""
    absent: bool = False
    error: str | None = None
    status: int | None = None
    connection: int | None = None
    new_connection: bool = False
    conditional: bool = False
    cache: CacheStatus = "unknown"
    worker: str | None = None
    validator: Validator | None = None
    variant: str | None = None
    layers: str | None = None
    vary: tuple[str, ...] = ()

    @property
    def shows_absence(self) -> bool:
        """The answer says that the thing does not exist, or lists others without it. An error (5xx) says nothing."""
        listed = self.status is not None and 200 <= self.status < 300
        return self.error is None and self.version is None and (self.absent or listed)

    @property
    def server_error(self) -> bool:
        return self.status is not None and self.status >= 500


class ProbeReader:
    """Reads the routes of the service at `base_url`.

    `client` keeps its connections; they are numbered from `first_connection` on. `headers` are sent with each read and
    override those of its variant. `worker_header`: the response header that names the worker that answered.
    """

    def __init__(
        self,
        base_url: str,
        reads: Sequence[VersionRead],
        headers: Mapping[str, str],
        *,
        first_connection: int = 0,
        http: str = "auto",
        tls: ssl.SSLContext | None = None,
        signals: SignalReader | None = None,
        worker_header: str | None = None,
        variants: Sequence[RequestVariant] = (RequestVariant(),),
    ) -> None:
        self.client, self._fresh_client = (
            Client(base_url, limit=CONNECTIONS, first_connection=number, http=http, ssl_context=tls, fresh=fresh)
            for number, fresh in ((first_connection, False), (first_connection + 1_000_000, True))
        )
        self.routes = [VersionReader(read) for read in reads]
        self.variants, self._signals = tuple(variants), signals
        self._headers = dict(headers)
        self._worker_header = worker_header.lower().encode() if worker_header else None

    async def read(
        self,
        route: int,
        key: str,
        timeout_s: float,
        *,
        validator: Validator | None = None,
        new_connection: bool = False,
        variant: int = 0,
    ) -> ProbeRead:
        """Read `key` by one of the routes. Never raises for what the service does."""
        reader, headers = self.routes[route], {**self.variants[variant].filled(key), **self._headers}
        path = reader.path(key)
        if validator is not None:
            headers = {**headers, validator.header: validator.value}
        called_ns = time.monotonic_ns()
        client = self._fresh_client if new_connection else self.client
        response = await client.request("GET", path, headers=headers, timeout_s=timeout_s)
        version, problem = version_shown(reader, key, path, response, validator)
        signals = self._signals.read(response.headers) if self._signals else ResponseSignals()
        return ProbeRead(
            sent_ns=response.sent_ns or called_ns,
            done_ns=response.done_ns if response.error is None else None,
            version=version,
            problem=problem,
            absent=response.error is None and response.status in GONE,
            error=response.error,
            status=response.status,
            connection=response.connection,
            new_connection=new_connection,
            conditional=validator is not None,
            cache=signals.cache,
            worker=self._worker(response),
            validator=_validator(response, version),
            variant=self.variants[variant].name,
            layers=signals.layers,
            vary=vary_names(response.headers),
        )

    async def close(self) -> None:
        for client in (self.client, self._fresh_client):
            await client.close()

    def _worker(self, response: HttpResponse) -> str | None:
        if self._worker_header is None:
            return None
        worker = next((value for name, value in response.headers if name.lower() == self._worker_header), None)
        return worker.decode("latin-1")[:100] if worker is not None else None


def version_shown(
    reader: VersionReader, key: str, path: str, response: HttpResponse, validator: Validator | None = None
) -> tuple[int | None, str]:
    """The version that a response shows, or None and what it showed instead. `validator`: what the read asked with."""
    if response.status is None or response.error is not None:
        return None, f"GET {path} gave no answer ({response.error})"
    if response.status == 304 and validator is not None:
        return validator.version, ""
    if not 200 <= response.status < 300:
        return None, f"GET {path} answered {response.status}"
    try:
        return reader.version(key, response), ""
    except VersionMissing as missing:
        return None, f"GET {path} answered {response.status} with {missing}"


def _validator(response: HttpResponse, version: int | None) -> Validator | None:
    """What a conditional read of the same thing sends: the entity tag, else the time of the last change."""
    if version is None:
        return None
    for name, header in ((b"etag", "if-none-match"), (b"last-modified", "if-modified-since")):
        for sent_name, value in response.headers:
            text = value.decode("latin-1").strip()
            if sent_name.lower() == name and text.isascii() and text.isprintable():
                return Validator(header, text, version)
    return None


def variants_of(freshness: Freshness, routes: Sequence[Route]) -> tuple[RequestVariant, ...]:
    """The variants that the case declares, else those that the workload's clients send, each named after the first
    route that sends it. At least one."""
    if freshness.variants:
        return tuple(RequestVariant(variant.name, variant.headers) for variant in freshness.variants)
    paths = {read.path for read in freshness.reads}
    distinct: dict[frozenset[tuple[str, str]], RequestVariant] = {}
    for route in routes:
        if route.method == "GET" and route.path in paths:
            # A header that changes from request to request is no variant: it can't be asked for again.
            headers = {name: text for name, text in route.headers.items() if not _has_placeholder(text)}
            sent = frozenset((name.lower(), text) for name, text in headers.items())
            distinct.setdefault(sent, RequestVariant(route.name if headers else DEFAULT, headers))
    return tuple(distinct.values()) or (RequestVariant(),)


def filled_headers(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """Headers of a variant with `{key}` filled in, %-encoded."""
    return {
        name: fill_text(text, {"key": quote(key, safe="")}) if "{" in text else text for name, text in headers.items()
    }


def vary_names(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """The request headers that an answer's `Vary` names, in lower case; `*` stands for all."""
    joined = b",".join(value for name, value in headers if name.lower() == b"vary")[:_MAX_VARY_BYTES]
    names = (name.strip().lower() for name in joined.decode("latin-1").split(","))
    return tuple(sorted({name for name in names if name.isascii() and name.isprintable() and name}))


def not_varied(vary: Iterable[str], variants: Sequence[RequestVariant]) -> list[str]:
    """The request headers of `vary` that all variants send with the same value."""
    return [name for name in sorted(set(vary)) if len({variant.sent().get(name) for variant in variants}) < 2]


def _has_placeholder(text: str) -> bool:
    return any(isinstance(part, Placeholder) for part in parse_template(text))

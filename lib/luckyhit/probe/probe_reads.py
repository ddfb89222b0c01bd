"""The probe's looks at one arm: which version a read route shows for a key, plain or conditional, on which
connection."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from luckyhit.case.freshness import VersionRead
from luckyhit.load.bodies.versions import VersionMissing, VersionReader
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.signals import Seen, Signals
from luckyhit.probe.variants import AskedAs, varies_by
from luckyhit.records import CacheStatus

GONE = (404, 410)
CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Validator:
    """What a later conditional read sends, and the version of the answer that it came with."""

    header: str
    value: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one read showed. Times are raw nanoseconds. `version`: None where it showed none; `where`: then, what was
    there instead, for a sentence. `absent`: the answer said that there is no such thing. `error`: no whole answer.
    `layers`: what each cache on the way said. `vary`: the request headers that its `Vary` names."""

    sent_ns: int
    done_ns: int | None
    version: int | None
    where: str
    absent: bool
    error: str | None
    status: int | None
    connection: int | None
    new_connection: bool
    conditional: bool
    cache: CacheStatus
    worker: str | None
    validator: Validator | None
    variant: str | None = None
    layers: str | None = None
    vary: tuple[str, ...] = ()

    @property
    def nothing_there(self) -> bool:
        """There is no such thing: said so, or an answer (a list) without it. An error of the service says nothing."""
        listed = self.status is not None and 200 <= self.status < 300
        return self.error is None and self.version is None and (self.absent or listed)


class Door:
    """One arm's read routes. `clients`: one that keeps its connections, one that opens a new one for each read.

    `headers` are sent with each read, above those of its variant. `worker_header`: the response header that names the
    worker that answered.
    """

    def __init__(
        self,
        clients: tuple[Client, Client],
        reads: Sequence[VersionRead],
        headers: Mapping[str, str],
        *,
        signals: Signals | None = None,
        worker_header: str | None = None,
        variants: Sequence[AskedAs] = (AskedAs(),),
    ) -> None:
        self.kept, self._fresh = clients
        self.readers = [VersionReader(read) for read in reads]
        self.variants, self._signals = tuple(variants), signals
        self._headers = [{**variant.headers, **headers} for variant in self.variants]
        self._worker_header = worker_header.lower().encode() if worker_header else None

    @classmethod
    def to(
        cls,
        base_url: str,
        reads: Sequence[VersionRead],
        headers: Mapping[str, str],
        *,
        first_connection: int = 0,
        http: str = "auto",
        tls: ssl.SSLContext | None = None,
        signals: Signals | None = None,
        worker_header: str | None = None,
        variants: Sequence[AskedAs] = (AskedAs(),),
    ) -> Door:
        """A door to the service at `base_url`; connections are numbered from behind `first_connection`."""
        kept = Client(base_url, limit=CONNECTIONS, first_connection=first_connection, http=http, ssl_context=tls)
        fresh = Client(
            base_url,
            limit=CONNECTIONS,
            first_connection=first_connection + 1_000_000,
            http=http,
            ssl_context=tls,
            fresh=True,
        )
        settings = {"signals": signals, "worker_header": worker_header, "variants": variants}
        return cls((kept, fresh), reads, headers, **settings)  # type: ignore[arg-type]

    async def look(
        self,
        route: int,
        key: str,
        timeout_s: float,
        *,
        validator: Validator | None = None,
        new_connection: bool = False,
        variant: int = 0,
    ) -> Look:
        """Read `key` by one of the routes. Never raises for what the service does."""
        reader, headers = self.readers[route], self._headers[variant]
        path = reader.path(key)
        if validator is not None:
            headers = {**headers, validator.header: validator.value}
        called_ns = time.monotonic_ns()
        client = self._fresh if new_connection else self.kept
        answer = await client.request("GET", path, headers=headers, timeout_s=timeout_s)
        version, where, absent = self._shown(reader, key, path, answer, validator)
        signals = self._signals.read(answer.headers) if self._signals else Seen()
        return Look(
            answer.sent_ns or called_ns,
            answer.done_ns if answer.error is None else None,
            version,
            where,
            absent,
            answer.error,
            answer.status,
            answer.connection,
            new_connection,
            validator is not None,
            signals.cache,
            self._worker(answer),
            _validator(answer, version),
            self.variants[variant].name,
            signals.layers,
            varies_by(answer.headers),
        )

    async def close(self) -> None:
        for client in (self.kept, self._fresh):
            await client.close()

    def _shown(
        self, reader: VersionReader, key: str, path: str, answer: HttpResponse, validator: Validator | None
    ) -> tuple[int | None, str, bool]:
        """(version, what was there instead, absent)."""
        if answer.status is None or answer.error is not None:
            return None, f"GET {path} gave no answer ({answer.error})", False
        if answer.status == 304 and validator is not None:
            return validator.version, "", False
        if not 200 <= answer.status < 300:
            return None, f"GET {path} answered {answer.status}", answer.status in GONE
        try:
            return reader.version(key, answer), "", False
        except VersionMissing as missing:
            return None, f"GET {path} answered {answer.status} with {missing}", False

    def _worker(self, answer: HttpResponse) -> str | None:
        if self._worker_header is None:
            return None
        worker = next((value for name, value in answer.headers if name.lower() == self._worker_header), None)
        return worker.decode("latin-1")[:100] if worker is not None else None


def _validator(answer: HttpResponse, version: int | None) -> Validator | None:
    """What a conditional read of the same thing would send: the entity tag, else the time of the last change."""
    if version is None:
        return None
    for name, header in ((b"etag", "if-none-match"), (b"last-modified", "if-modified-since")):
        for sent_name, value in answer.headers:
            text = value.decode("latin-1").strip()
            if sent_name.lower() == name and text.isascii() and text.isprintable():
                return Validator(header, text, version)
    return None

"""The reads and the write of a diagnosis, from the case's probe, or from its workload where it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from luckyhit.case import Case
from luckyhit.case.freshness import VersionRead, VersionWrite
from luckyhit.case.values.placeholders import fill_text
from luckyhit.case.workload import Route
from luckyhit.load.bodies.versions import VersionReader
from luckyhit.probe.probe_reads import variants_of

Key = int | str
"""Value of `{key}`."""
_MOST_KEYS = 20_000


@dataclass(frozen=True)
class DiagnosedRead:
    """A GET with `{key}` in its path. `reader`: None where its answers have no version. `headers`: may have `{key}`."""

    name: str
    template: str
    reader: VersionReader | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def path(self, key: Key) -> str:
        return fill_text(self.template, {"key": str(key)})

    @classmethod
    def of_route(cls, route: Route, reader: VersionReader | None = None) -> DiagnosedRead:
        """As the workload sends it; a header with a `{number}`, which changes from request to request, is left out."""
        headers = {name: text for name, text in route.headers.items() if "{number}" not in text}
        return cls(route.name, route.path, reader, headers)


@dataclass(frozen=True)
class Routes:
    """`reads`: the probe's reads first, then other GET routes of the workload. `write`: None where none is declared, or
    where it goes round the service. `keys`: those that nobody else reads, in order. `workload_keys`: those of the
    workload."""

    reads: tuple[DiagnosedRead, ...]
    write: VersionWrite | None
    keys: Sequence[Key]
    first_version: int
    workload_keys: Sequence[Key]

    @property
    def diagnosable(self) -> tuple[DiagnosedRead, ...]:
        """The reads in which a written version shows."""
        return tuple(read for read in self.reads if read.reader is not None)


def routes_of(case: Case) -> Routes:
    """What a case declares. Keys from a file are left out: what has to be written are whole numbers."""
    probe, workload = case.freshness, case.workload.routes
    keyed = [route for route in workload if route.keys is not None and route.keys.first is not None]
    ranges = [range(route.keys.first, (route.keys.last or route.keys.first) + 1) for route in keyed]  # type: ignore
    reads = [route for route in workload if route.method == "GET" and (route.keys is None or route in keyed)]
    if probe is not None:
        first, *_ = variants_of(probe, workload)  # a write may show in one variant alone
        own = [
            DiagnosedRead(read.name, read.path, VersionReader(read), first.headers)
            for read in probe.reads
            if "{key}" in read.path
        ]
        keys: Sequence[Key] = probe.keys.values[:_MOST_KEYS]
        write = probe.write if probe.write.path is not None else None
        first_version = probe.first_version
    else:
        own = [_shown(route) for route in reads if route.version and "{key}" in route.path]
        keys = max(ranges, key=len, default=range(0))[:_MOST_KEYS]
        write, first_version = _write_of(workload), 1_000_000
    known = [(read.template, read.headers) for read in own]
    others: list[DiagnosedRead] = []
    for route in reads:
        read = DiagnosedRead.of_route(route)
        if (read.template, read.headers) not in known and "{number}" not in route.path:
            known.append((read.template, read.headers))
            others.append(read)
    return Routes((*own, *others), write, keys, first_version, max(ranges, key=len, default=keys)[:_MOST_KEYS])


def _shown(route: Route) -> DiagnosedRead:
    read = VersionRead(name=route.name, path=route.path, version=route.version)
    return DiagnosedRead.of_route(route, VersionReader(read))


def _write_of(workload: list[Route]) -> VersionWrite | None:
    """The first write whose value is the workload's `{number}`, as the probe's write; its texts keep that name."""
    for route in workload:
        if route.method != "GET" and route.version and "{key}" in route.path:
            status = route.response.status if route.response is not None else [200, 201, 202, 204]
            return VersionWrite.model_construct(
                method=route.method, path=route.path, body=route.body, headers=dict(route.headers), status=status
            )
    return None

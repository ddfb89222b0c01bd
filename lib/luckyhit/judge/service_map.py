"""What a service does with its cache, from the case, the recorded cache events and the trace of the service.

Nodes are routes and key templates; edges say what a route does to a key. Each edge has its source: `recorded` (the
cache reported it), `inferred` (the cache reported it of a key, and several routes may have done it) or `traced` (the
service's own libraries did it for a request of that route). A part that was not visible is a gap with an id, never a
missing edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from luckyhit.case import Case
from luckyhit.case.freshness import EXPOSED
from luckyhit.case.values.key_templates import key_template
from luckyhit.judge.cache_events.keyspace_log import FLUSHED
from luckyhit.judge.cache_events.write_events import events_around_writes
from luckyhit.records.trace import Trace, TracedRoute

NodeKind = Literal["read", "write", "key"]
EdgeKind = Literal["reads", "stores", "deletes", "keeps", "rewrites"]
Source = Literal["recorded", "inferred", "traced"]
Gap = Literal["events-off", "no-probe", "write-not-watched"]
Problem = Literal["deletes-nothing", "key-mismatch"]
_FATES: Mapping[str, EdgeKind] = {
    "deleted": "deletes", "set-old": "deletes", "flushed": "deletes", "kept": "keeps", "rewritten": "rewrites",
    "set-anew": "rewrites",
}  # fmt: skip
_NOT_STORED = frozenset(
    {"del", "expired", "evicted", "expire", "persist", "keymiss", "rename_from", "move_from", FLUSHED}
)


@dataclass(frozen=True)
class Node:
    """`id` is unique in a map: the kind and the label."""

    kind: NodeKind
    label: str

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.label}"


@dataclass(frozen=True)
class Edge:
    """`route` and `key` are ids of nodes. `count`: events, writes, or lookups that found something; `watched`: of how
    many writes, lookups or traced requests (None: not counted)."""

    route: str
    key: str
    kind: EdgeKind
    source: Source
    count: int = 0
    watched: int | None = None


@dataclass(frozen=True)
class ServiceMap:
    """`problems`: (id, id of the write's node). `traced`: by id of a route's node, what the trace has of it; `unknown`:
    what the trace as a whole does not know (`luckyhit.records.trace.UnknownId`)."""

    nodes: Sequence[Node] = ()
    edges: Sequence[Edge] = ()
    gaps: Sequence[Gap] = ()
    problems: Sequence[tuple[Problem, str]] = ()
    traced: Mapping[str, TracedRoute] = field(default_factory=dict)
    unknown: Sequence[str] = ()

    def of_kind(self, kind: NodeKind) -> list[Node]:
        return [node for node in self.nodes if node.kind == kind]


def service_map(
    case: Case, reads: pd.DataFrame, writes: pd.DataFrame, events: pd.DataFrame, trace: Trace | None = None
) -> ServiceMap:
    """The map of one run. The frames have the columns of `luckyhit.records`."""
    nodes = dict.fromkeys(
        Node("read" if route.method in ("GET", "HEAD") else "write", f"{route.method} {route.path}")
        for route in case.workload.routes
    )
    gaps: list[Gap] = []
    edges: list[Edge] = []
    probe_write = ""
    templates = list(case.cache.clear) if case.cache else []
    if case.freshness is None:
        gaps.append("no-probe")
    else:
        probe_reads = [_known(nodes, "read", f"GET {read.path}") for read in case.freshness.reads]
        path = case.freshness.write.path
        name = f"{case.freshness.write.method} {path}" if path else "a write around the service"
        probe_write = _known(nodes, "write", name)
        if not len(events):
            gaps.append("events-off")
        else:
            edges += _stored(events, probe_reads, templates)
            of_write, visible = _after_writes(reads, writes, events, probe_write, edges, templates)
            edges += of_write
            if not visible:
                gaps.append("write-not-watched")
    traced = {_known(nodes, _kind(route), route.route): route for route in (trace.routes if trace else ())}
    edges += [edge for name, route in traced.items() for edge in _traced(name, route, edges)]
    if any(edge.source == "traced" for edge in edges):
        gaps = [gap for gap in gaps if gap == "write-not-watched" and probe_write not in traced]
    keys = dict.fromkeys([Node("key", template) for template in templates])
    keys |= dict.fromkeys(Node("key", edge.key.removeprefix("key:")) for edge in edges)
    nodes |= keys
    problems = _problems(probe_write, edges, traced.get(probe_write))
    return ServiceMap(list(nodes), edges, gaps, problems, traced, trace.unknown if trace else ())


def _kind(route: TracedRoute) -> NodeKind:
    return "read" if route.route.split(" ")[0] in ("GET", "HEAD") else "write"


def _traced(name: str, route: TracedRoute, known: Sequence[Edge]) -> Iterator[Edge]:
    """What a route was traced to do, without what the cache reported of it anyway."""
    recorded = {(edge.route, edge.key, edge.kind) for edge in known if edge.source == "recorded"}
    stores: EdgeKind = "stores" if _kind(route) == "read" else "rewrites"
    for read in route.cache_reads:
        yield Edge(name, f"key:{read.key}", "reads", "traced", read.hits, read.hits + read.misses)
    for write in route.cache_writes:
        kind: EdgeKind = stores if write.verb == "stored" else "deletes"
        if (name, f"key:{write.key}", kind) not in recorded:
            yield Edge(name, f"key:{write.key}", kind, "traced", write.calls)


def _known(nodes: dict[Node, None], kind: NodeKind, label: str) -> str:
    """The id of a route's node, which is added where the workload has no such route."""
    node = Node(kind, label)
    nodes.setdefault(node)
    return node.id


def _stored(events: pd.DataFrame, routes: Sequence[str], templates: Sequence[str]) -> list[Edge]:
    """With one probed read route, that one stores; with several, each may have: inferred, and no count is known."""
    stored = events[[_stores(str(event)) for event in events["event"]]]
    counts: dict[str, int] = {}
    for key, cache_key in zip(stored["key"], stored["cache_key"], strict=True):
        template = key_template(str(cache_key), str(key), templates)
        counts[template] = counts.get(template, 0) + 1
    return [
        Edge(route, f"key:{template}", "stores", *(("recorded", count) if len(routes) == 1 else ("inferred", 0)))
        for template, count in counts.items()
        for route in routes
    ]


def _stores(event: str) -> bool:
    return event not in _NOT_STORED and not event.startswith("(")


def _after_writes(
    reads: pd.DataFrame, writes: pd.DataFrame, events: pd.DataFrame, write: str, stored: Sequence[Edge],
    templates: Sequence[str],
) -> tuple[list[Edge], bool]:  # fmt: skip
    """What the probed writes did to the entries, and whether any of it was visible."""
    around = events_around_writes(writes, reads, events)
    around = around[around["prestate"].isin(EXPOSED) & around["fate"].isin(_FATES)]
    counts: dict[tuple[str, EdgeKind], int] = {}
    read_keys = list(dict.fromkeys(edge.key for edge in stored))
    for fate, deleted_key, key in zip(around["fate"], around["deleted_key"], around["key"], strict=True):
        kind = _FATES[str(fate)]
        if isinstance(deleted_key, str) and deleted_key:
            targets = [f"key:{key_template(deleted_key, str(key), templates)}"]
        else:
            targets = read_keys
        for target in targets:
            counts[target, kind] = counts.get((target, kind), 0) + 1
    total = len(around)
    edges = [Edge(write, target, kind, "recorded", count, total) for (target, kind), count in counts.items()]
    return edges, total > 0


def _problems(write: str, edges: Sequence[Edge], traced: TracedRoute | None) -> list[tuple[Problem, str]]:
    """Of the probe's write: one that deletes nothing that readers use, or another key. Traced requests that wrote to no
    key say so, too, unless a part of the cache was not visible."""
    used = {edge.key for edge in edges if edge.kind in ("reads", "stores") and edge.route.startswith("read:")}
    own = [edge for edge in edges if edge.route == write]
    deleted = {edge.key for edge in own if edge.kind == "deletes"}
    renewed = {edge.key for edge in own if edge.kind == "rewrites"}
    if deleted and used and not deleted & used and not renewed & used:
        return [("key-mismatch", write)]
    untouched = traced is not None and traced.requests > 0 and not traced.unknown
    if not deleted and not renewed and ((untouched and used) or any(edge.kind == "keeps" for edge in own)):
        return [("deletes-nothing", write)]
    return []

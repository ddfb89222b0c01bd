"""What a service does with its cache, from the case and the recorded cache events.

Nodes are routes and key templates; edges say what a route does to a key. Each edge has its source: `recorded` (the
cache reported it) or `inferred` (the cache reported it of a key, and several routes may have done it). A part that was
not visible is a gap with an id, never a missing edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from luckyhit.case import Case
from luckyhit.case.freshness import EXPOSED
from luckyhit.case.values.key_templates import key_template
from luckyhit.judge.cache_events.keyspace_log import FLUSHED
from luckyhit.judge.cache_events.write_events import events_around_writes

NodeKind = Literal["read", "write", "key"]
EdgeKind = Literal["stores", "deletes", "keeps", "rewrites"]
Source = Literal["recorded", "inferred"]
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
    """`route` and `key` are ids of nodes. `count`: events, or writes; `of`: the watched writes (None: not counted)."""

    route: str
    key: str
    kind: EdgeKind
    source: Source
    count: int = 0
    watched: int | None = None


@dataclass(frozen=True)
class ServiceMap:
    """`problems`: (id, id of the write's node)."""

    nodes: Sequence[Node] = ()
    edges: Sequence[Edge] = ()
    gaps: Sequence[Gap] = ()
    problems: Sequence[tuple[Problem, str]] = ()

    def of_kind(self, kind: NodeKind) -> list[Node]:
        return [node for node in self.nodes if node.kind == kind]


def service_map(case: Case, reads: pd.DataFrame, writes: pd.DataFrame, events: pd.DataFrame) -> ServiceMap:
    """The map of one run. The frames have the columns of `luckyhit.records`."""
    nodes = dict.fromkeys(
        Node("read" if route.method in ("GET", "HEAD") else "write", f"{route.method} {route.path}")
        for route in case.workload.routes
    )
    gaps: list[Gap] = []
    edges: list[Edge] = []
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
    keys = dict.fromkeys([Node("key", template) for template in templates])
    keys |= dict.fromkeys(Node("key", edge.key.removeprefix("key:")) for edge in edges)
    nodes |= keys
    return ServiceMap(list(nodes), edges, gaps, _problems(list(nodes), edges))


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


def _problems(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[tuple[Problem, str]]:
    """A write whose watched entries were all kept deletes nothing that readers use; one may delete another key."""
    used = {edge.key for edge in edges if edge.kind == "stores" and edge.route.startswith("read:")}
    problems: list[tuple[Problem, str]] = []
    for node in nodes:
        own = [edge for edge in edges if node.kind == "write" and edge.route == node.id]
        deleted = {edge.key for edge in own if edge.kind == "deletes"}
        renewed = {edge.key for edge in own if edge.kind == "rewrites"}
        if deleted and used and not deleted & used and not renewed & used:
            problems.append(("key-mismatch", node.id))
        elif not deleted and not renewed and any(edge.kind == "keeps" for edge in own):
            problems.append(("deletes-nothing", node.id))
    return problems

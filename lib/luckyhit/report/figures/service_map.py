"""The map of reads, writes and keys: what each route does to the keys of the cache, before any change."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from luckyhit.judge.facade import Edge, Node, NodeKind, ServiceMap, service_map
from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import Arrow, Box, Chart, Dashes, Label, Mark, Panel, Tone
from luckyhit.report.figures.facts.verdict_words import INVALID
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import listed, number, plural
from luckyhit.text.trace_words import unknown_sentence

MOST_ON_A_SIDE = 6
"""Routes, and keys: more are one node."""
LONGEST = 26
GAP_WORDS = {
    "events-off": "Keys not visible: no cache events were recorded",
    "no-probe": "Keys not visible: the case has no freshness probe",
    "write-not-watched": "What a write does to the keys was not visible",
}
PROBLEM_WORDS = {
    "deletes-nothing": "{} deletes no key that the reads use",
    "key-mismatch": "{} deletes another key than the reads use",
}
_EDGES: Mapping[str, tuple[Tone, Dashes, str]] = {
    "reads": ("soft", "", "reads"),
    "stores": ("after", "", "stores"),
    "rewrites": ("after", "dash", "sets anew"),
    "deletes": ("before", "", "deletes"),
    "keeps": ("before", "dot", "✗ keeps"),
}
"""Colour, dashes and words: each kind of edge is told apart by its words alone."""


_KIND_WORDS: Mapping[NodeKind, str] = {"read": "read", "write": "write", "key": "key"}


def data(recorded: Recorded) -> ServiceMap:
    if recorded.case is None:
        return ServiceMap()
    frames = (*recorded.probe, recorded.probe_events)
    # The service as it is: with the change in place, another write may delete another key.
    reads, writes, events = (frame[(frame["arm"] == "before").to_numpy(dtype=bool)] for frame in frames)
    return service_map(recorded.case, reads, writes, events, recorded.trace)


def draw(shown: ServiceMap) -> Chart:
    """Routes on the left (reads above writes), keys on the right, an arrow for each thing that a route does."""
    routes = _grouped([*shown.of_kind("read"), *shown.of_kind("write")], shown, Node("read", "more routes"))
    keys = _grouped(shown.of_kind("key"), shown, Node("key", "more keys"))
    unseen = [line for gap in shown.gaps for line in textwrap.wrap(GAP_WORDS[gap], 30)]
    rows = max(len(routes), len(keys) + bool(unseen), 2)
    known = {edge.route for edge in shown.edges} | {edge.key for edge in shown.edges} | shown.traced.keys()
    problems = {node for _, node in shown.problems}
    boxes: list[Mark] = []
    at: dict[str, tuple[float, float]] = {}
    for index, node in enumerate(routes):
        at[node.id] = (3.6, -float(index))
        bad = node.id in problems
        boxes += _box(0.0, -index, node, "before" if bad else "ink", strong=bad, known=node.id in known)
        if node.id in shown.traced:
            calls = calls_words(shown.traced[node.id].database_calls)
            boxes.append(Label(1.8, -index - 0.38, calls, "soft", "middle", size=10.5, dy=5))
    for index, node in enumerate(keys):
        at[node.id] = (6.4, -float(index))
        boxes += _box(6.4, -index, node, "ink", strong=False, known=node.id in known)
    arrows: list[Mark] = []
    lanes: dict[tuple[str, str], int] = {}
    for edge in shown.edges:
        start = at.get(edge.route, at.get(f"{edge.route.split(':')[0]}:more routes", at.get("read:more routes")))
        end = at.get(edge.key, at.get("key:more keys"))
        if start is not None and end is not None:
            lane = lanes[edge.route, edge.key] = lanes.get((edge.route, edge.key), -1) + 1
            arrows.append(_arrow(start, end, edge, lane))
    gaps: list[Mark] = [
        Label(8.2, -len(keys), line, "soft", "middle", size=10.5, dy=13.0 * place - 4, italic=True)
        for place, line in enumerate(unseen)
    ]
    x, y = Axis(0.0, 10.0), Axis(-rows + 0.35, 0.45)
    return Chart([Panel(x, y, [*arrows, *boxes, *gaps], height=58.0 * rows, framed=False)], keys=False)


def _grouped(nodes: Sequence[Node], shown: ServiceMap, rest: Node) -> list[Node]:
    """The nodes with a problem first, then those with an edge; `rest` stands for those beyond MOST_ON_A_SIDE."""
    if len(nodes) <= MOST_ON_A_SIDE:
        return list(nodes)
    in_use = {edge.route for edge in shown.edges} | {edge.key for edge in shown.edges}
    faulty = {node for _, node in shown.problems}
    faulty |= {edge.key for edge in shown.edges if edge.route in faulty}
    ranked = sorted(nodes, key=lambda node: (node.id not in faulty, node.id not in in_use))
    ranked = ranked[: max(MOST_ON_A_SIDE - 1, sum(node.id in faulty for node in nodes))]
    kept = [node for node in nodes if node in ranked]
    return [*kept, rest]


def _box(x: float, y: float, node: Node, tone: Tone, *, strong: bool, known: bool) -> list[Mark]:
    """Dashed and in words where nothing is known: without an arrow it would look as if it touched nothing."""
    dashes: Dashes = "" if known else "short"
    ends = (x, x + _WIDE, y - 0.27, y + 0.27)
    box = Box(*ends, _short(node.label), tone, filled=node.kind == "key", strong=strong, dashes=dashes)
    if known:
        return [box]
    return [box, Label(x + _WIDE / 2, y - 0.38, "not visible", "soft", "middle", size=10.5, dy=5)]


_WIDE = 3.6


def _arrow(start: tuple[float, float], end: tuple[float, float], edge: Edge, lane: int) -> Arrow:
    tone, dashes, words = _EDGES[edge.kind]
    words += f" {edge.count:,} of {edge.watched:,}" if edge.watched else "?" if edge.source == "inferred" else ""
    places = (start[0], start[1] - 0.14 * lane), (end[0], end[1] - 0.14 * lane)
    return Arrow(*places, words, tone, dashes, text_at=0.3 + 0.35 * (lane % 2))


def calls_words(calls: float | None) -> str:
    """Database calls per request."""
    if calls is None:
        return "database calls unknown"
    return f"{number(calls)} database {'call' if calls == 1 else 'calls'}"


def _short(text: str) -> str:
    plain = "".join(sign if sign.isprintable() and ord(sign) < 0x2500 else "?" for sign in text)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"


def say(shown: ServiceMap, result: Result | None) -> str:
    if not shown.nodes:
        return "The case of this run can't be read, so there is no map."
    sentences = [PROBLEM_WORDS[problem].format(node.split(":", 1)[1]) + "." for problem, node in shown.problems]
    fates = [
        f"{edge.route.split(':', 1)[1]} {_EDGES[edge.kind][2].removeprefix('✗ ')} {edge.key.removeprefix('key:')} "
        f"for {edge.count:,} of {edge.watched:,} watched writes"
        for edge in shown.edges
        if edge.watched and edge.source == "recorded"
    ]
    if fates:
        sentences.append(f"By the cache's own events: {listed(fates)}.")
    if shown.traced:
        calls = [f"{route.route} {calls_words(route.database_calls)} a request" for route in shown.traced.values()]
        sentences.append(f"Traced one request at a time, from an empty cache: {listed(calls)}.")
    sentences += [f"Trace: {unknown_sentence(unknown)}." for unknown in shown.unknown]
    sentences += [f"{GAP_WORDS[gap]}." for gap in shown.gaps]
    if any(edge.source == "inferred" for edge in shown.edges):
        sentences.append("Which of the probed reads stores a key is inferred (?).")
    sizes = listed([plural(len(shown.of_kind(kind)), words) for kind, words in _KIND_WORDS.items()])
    text = " ".join([f"The map has {sizes}.", *sentences])
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def is_empty(shown: ServiceMap) -> bool:
    return not shown.nodes

"""What each route does with the cache, one row for each route and key."""

from __future__ import annotations

from luckyhit.judge.facade import ServiceMap
from luckyhit.report.figures.service_map import GAP_WORDS, PROBLEM_WORDS
from luckyhit.text.numbers import DASH

HEADINGS = ("Route", "What it does", "Key", "How often", "Known from")
_VERBS = {
    "stores": "stores",
    "rewrites": "sets anew",
    "deletes": "deletes",
    "keeps": "leaves as it was",
}
_SOURCES = {"recorded": "cache events", "inferred": "inferred"}


def service_map_rows(shown: ServiceMap) -> list[tuple[str, str, str, str, str]]:
    """A row for each edge, one for each route or key about which nothing is known, and one for each problem."""
    names = {node.id: node.label for node in shown.nodes}
    rows = []
    for problem, write in shown.problems:
        rows.append((names[write], PROBLEM_WORDS[problem].format("it"), DASH, DASH, "cache events"))
    for edge in shown.edges:
        count = (
            f"{edge.count:,} of {edge.watched:,} writes"
            if edge.watched
            else f"{edge.count:,} times"
            if edge.count
            else DASH
        )
        rows.append((names[edge.route], _VERBS[edge.kind], names[edge.key], count, _SOURCES[edge.source]))
    known = {edge.route for edge in shown.edges} | {edge.key for edge in shown.edges}
    for node in shown.nodes:
        if node.id not in known and node.kind == "key":
            rows.append((DASH, "not visible", node.label, DASH, "the case"))
        elif node.id not in known:
            rows.append((node.label, "not visible", DASH, DASH, "the case"))
    rows += [(DASH, GAP_WORDS[gap], DASH, DASH, DASH) for gap in shown.gaps]
    return rows

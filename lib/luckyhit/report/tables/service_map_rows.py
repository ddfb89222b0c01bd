"""What each route does with the cache and asks of the database, one row for each route and key, or statement."""

from __future__ import annotations

from collections.abc import Iterator

from luckyhit.judge.facade import Edge, ServiceMap
from luckyhit.records.trace import TracedRoute
from luckyhit.report.figures.service_map import GAP_WORDS, PROBLEM_WORDS, calls_words
from luckyhit.text.numbers import DASH, number
from luckyhit.text.trace_words import unknown_sentence

HEADINGS = ("Route", "What it does", "Key or statement", "How often", "Known from")
_VERBS = {
    "reads": "reads",
    "stores": "stores",
    "rewrites": "sets anew",
    "deletes": "deletes",
    "keeps": "leaves as it was",
}
_SOURCES = {"recorded": "cache events", "inferred": "inferred", "traced": "trace"}
MOST_STATEMENTS = 5
"""Of each route: more are one row."""
Row = tuple[str, str, str, str, str]


def service_map_rows(shown: ServiceMap) -> list[Row]:
    """A row for each problem, each edge, each statement, and each route or key about which nothing is known."""
    names = {node.id: node.label for node in shown.nodes}
    rows: list[Row] = []
    for problem, write in shown.problems:
        by_events = any(edge.route == write and edge.source == "recorded" for edge in shown.edges)
        source = _SOURCES["recorded" if by_events else "traced"]
        rows.append((names[write], PROBLEM_WORDS[problem].format("it"), DASH, DASH, source))
    for edge in shown.edges:
        rows.append((names[edge.route], _VERBS[edge.kind], names[edge.key], _often(edge), _SOURCES[edge.source]))
    for route in shown.traced.values():
        rows += _asked(route)
    known = {edge.route for edge in shown.edges} | {edge.key for edge in shown.edges} | shown.traced.keys()
    for node in shown.nodes:
        if node.id not in known and node.kind == "key":
            rows.append((DASH, "not visible", node.label, DASH, "the case"))
        elif node.id not in known:
            rows.append((node.label, "not visible", DASH, DASH, "the case"))
    rows += [(DASH, f"not known: {unknown_sentence(unknown)}", DASH, DASH, "trace") for unknown in shown.unknown]
    rows += [(DASH, GAP_WORDS[gap], DASH, DASH, DASH) for gap in shown.gaps]
    return rows


def _often(edge: Edge) -> str:
    if edge.kind == "reads":
        return f"{edge.count:,} of {edge.watched:,} found"
    if edge.watched:
        return f"{edge.count:,} of {edge.watched:,} writes"
    return f"{edge.count:,} times" if edge.count else DASH


def _asked(route: TracedRoute) -> Iterator[Row]:
    """What a route asks of the database, and what is not known of it."""
    yield route.route, calls_words(route.database_calls), DASH, f"in {route.requests:,} requests", "trace"
    for statement in route.statements[:MOST_STATEMENTS]:
        often = f"{number(statement.calls / route.requests)} a request" if route.requests else DASH
        yield route.route, "asks the database", statement.text, often, "trace"
    if (more := len(route.statements) - MOST_STATEMENTS) > 0:
        yield route.route, "asks the database", f"{more} other statements", DASH, "trace"
    for unknown in route.unknown:
        yield route.route, f"not known: {unknown_sentence(unknown)}", DASH, DASH, "trace"

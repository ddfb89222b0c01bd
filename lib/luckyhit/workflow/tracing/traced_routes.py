"""From the calls of each request to what each route asks for: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from luckyhit.case import Case
from luckyhit.case.values.key_templates import common_templates, fits
from luckyhit.records.trace import KeyVerb, Trace, TracedRead, TracedRoute, TracedStatement, TracedWrite
from luckyhit.visibility.libraries import CACHES, DATABASES, UNWATCHED_DRIVERS
from luckyhit.workflow.tracing.asked import Asked, AskedRequest
from luckyhit.workflow.tracing.call_lines import ServiceCall, ServiceFacts

_LAYERS = {"sqlalchemy", "django.db"}
"""What goes through them is counted, whatever the driver."""
_CACHE_LAYERS = {"django.core.cache", "cachelib", "aiocache", "cashews"}
_BLIND = {"not-started", "not-loaded"}
MOST_STATEMENTS = 50


def trace_of(case: Case, asked: Asked, facts: ServiceFacts) -> Trace:
    """The trace of one pass. A number that may be too low is None, and the route says why."""
    no_database, no_cache = _database_unknown(facts), _cache_unknown(facts)
    blind = [unknown for unknown in asked.unknown if unknown in _BLIND]
    declared = list(case.cache.clear)
    scoped = any(_in_scope(call, declared) for request in asked.requests for call in request.calls)
    routes = []
    for route in dict.fromkeys([*(request.route for request in asked.requests), *asked.unanswered]):
        of_route = [request for request in asked.requests if request.route == route]
        unknown = [*blind, *no_database, *no_cache]
        if any(call.event == "script" for request in of_route for call in request.calls):
            unknown.append("script")
        if asked.unanswered[route]:
            unknown.append("no-answer")
        calls = _per_request(of_route, "statement") if not blind and not no_database else None
        ratio = _hit_ratio(of_route, declared if scoped else [])
        if blind or (no_cache and not scoped):
            ratio = None
        routes.append(
            TracedRoute(
                route=route,
                requests=len(of_route),
                database_calls=calls,
                hit_ratio=ratio,
                statements=_statements(of_route),
                cache_reads=_reads(of_route, declared),
                cache_writes=_writes(of_route, declared),
                unknown=unknown,
            )
        )
    return Trace(routes=routes, libraries=dict(sorted(facts.libraries.items())), unknown=asked.unknown)


def _database_unknown(facts: ServiceFacts) -> list[str]:
    """Why no number of calls is known."""
    failed = sorted(facts.failed & DATABASES)
    covered = set(UNWATCHED_DRIVERS) if _LAYERS & facts.libraries.keys() else set()
    missed = sorted(name for name, kind in facts.unwatched.items() if kind == "database" and name not in covered)
    reasons = [f"failed:{name}" for name in failed] + [f"unwatched-database:{name}" for name in missed]
    return reasons or ([] if DATABASES & facts.libraries.keys() else ["no-database"])


def _cache_unknown(facts: ServiceFacts) -> list[str]:
    failed = sorted(facts.failed & CACHES)
    missed = sorted(name for name, kind in facts.unwatched.items() if kind == "cache")
    if _CACHE_LAYERS & facts.libraries.keys():
        missed = []
    reasons = [f"failed:{name}" for name in failed] + [f"unwatched-cache:{name}" for name in missed]
    return reasons or ([] if CACHES & facts.libraries.keys() else ["no-cache"])


def _per_request(requests: Sequence[AskedRequest], event: str) -> float | None:
    if not requests:
        return None
    return sum(call.event == event for request in requests for call in request.calls) / len(requests)


def _in_scope(call: ServiceCall, declared: Sequence[str]) -> bool:
    return call.event == "lookup" and any(fits(call.key, template) for template in declared)


def _hit_ratio(requests: Sequence[AskedRequest], declared: Sequence[str]) -> float | None:
    """Of the requests that looked up a key (one of the declared templates, if any), those that found each."""
    looked_up = [
        [call.hit for call in request.calls if call.event == "lookup" and (not declared or _in_scope(call, declared))]
        for request in requests
    ]
    statuses = [all(hits) for hits in looked_up if hits]
    return sum(statuses) / len(statuses) if statuses else None


def _statements(requests: Sequence[AskedRequest]) -> list[TracedStatement]:
    counts = Counter(call.shape for request in requests for call in request.calls if call.event == "statement")
    return [TracedStatement(text=shape, calls=calls) for shape, calls in counts.most_common(MOST_STATEMENTS)]


def _reads(requests: Sequence[AskedRequest], declared: Sequence[str]) -> list[TracedRead]:
    pairs = [
        ((call.key, request.key), call.hit) for request in requests for call in request.calls if call.event == "lookup"
    ]
    templates = common_templates([pair for pair, _ in pairs], declared)
    hits = Counter(templates[pair] for pair, hit in pairs if hit)
    misses = Counter(templates[pair] for pair, hit in pairs if not hit)
    return [TracedRead(key=key, hits=hits[key], misses=misses[key]) for key in sorted({*hits, *misses})]


def _writes(requests: Sequence[AskedRequest], declared: Sequence[str]) -> list[TracedWrite]:
    pairs = [
        ((call.key, request.key), call.verb) for request in requests for call in request.calls if call.event == "write"
    ]
    templates = common_templates([pair for pair, _ in pairs], declared)
    counts = Counter((templates[pair], verb) for pair, verb in pairs)
    verbs: dict[str, KeyVerb] = {"stored": "stored", "deleted": "deleted"}
    return [TracedWrite(key=key, verb=verbs[verb], calls=counts[key, verb]) for key, verb in sorted(counts)]

"""Which variants of an answer the probe asks for: those that the case declares, else what the workload's clients
send.

A cache may keep an answer for each value of the request headers that `Vary` names (RFC 9110, section 12.5.5), so what
is fresh for one client may be old for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from luckyhit.case.freshness import Freshness
from luckyhit.case.values.placeholders import Placeholder, parse_template
from luckyhit.case.workload import Route
from luckyhit.load.http1.request_head import DEFAULT_HEADERS

DEFAULT = "default"
"""The name of what every request has, where the workload sends nothing else."""
_OURS = ("user-agent",)
_MOST_VARY = 4096


@dataclass(frozen=True, slots=True)
class AskedAs:
    """Request headers, beside those of every request, and their name in tables."""

    name: str = DEFAULT
    headers: Mapping[str, str] = field(default_factory=dict)

    def sent(self) -> dict[str, str]:
        """What is sent to tell variants apart, by lower-case names: the usual headers as well."""
        usual = {name: value for name, value in DEFAULT_HEADERS.items() if name not in _OURS}
        return {**usual, **{name.lower(): value for name, value in self.headers.items()}}


def variants_of(freshness: Freshness, routes: Sequence[Route]) -> tuple[AskedAs, ...]:
    """One or more. Those of the workload have the name of the first route that sends such headers."""
    if freshness.variants:
        return tuple(AskedAs(variant.name, variant.headers) for variant in freshness.variants)
    paths = {read.path for read in freshness.reads}
    distinct: dict[frozenset[tuple[str, str]], AskedAs] = {}
    for route in routes:
        if route.method == "GET" and route.path in paths:
            # What changes from request to request is no variant that could be asked for again.
            headers = {name: text for name, text in route.headers.items() if not _changing(text)}
            sent = frozenset((name.lower(), text) for name, text in headers.items())
            distinct.setdefault(sent, AskedAs(route.name if headers else DEFAULT, headers))
    return tuple(distinct.values()) or (AskedAs(),)


def varies_by(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """The request headers that an answer's `Vary` names, in lower case; `*` stands for all."""
    joined = b",".join(value for name, value in headers if name.lower() == b"vary")[:_MOST_VARY]
    names = (name.strip().lower() for name in joined.decode("latin-1").split(","))
    return tuple(sorted({name for name in names if name.isascii() and name.isprintable() and name}))


def not_asked(vary: Iterable[str], variants: Sequence[AskedAs]) -> list[str]:
    """The request headers of `vary` of which the variants have one value only."""
    return [name for name in sorted(set(vary)) if len({variant.sent().get(name) for variant in variants}) < 2]


def _changing(text: str) -> bool:
    return any(isinstance(part, Placeholder) for part in parse_template(text))


__all__ = ["DEFAULT", "AskedAs", "not_asked", "variants_of", "varies_by"]

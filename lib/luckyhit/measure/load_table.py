"""What `luckyhit load` reports: as data, and as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from luckyhit.measure.load_summary import QUANTILES, Curve, Group
from luckyhit.measure.plan import EngineCheck
from luckyhit.records import Accounting

CLOSED_CAUTION = (
    "closed loop: a slow answer holds the next request back, so these latencies hide what independent users would wait"
)
_COLUMNS = [*QUANTILES, "max"]


@dataclass(frozen=True)
class LoadSummary:
    """What one load showed. Latencies in ms, of the completed requests, counted from the instant they were due.

    `warnings`: why the numbers are to be read with care, the gravest first. `closed`: connections of a closed loop, 0
    in an open one; `rate`: None where something else sets the pace. `accounting` and all numbers leave the warm-up
    out, which had `warmup` requests. `latency_ms` has p50 to p99.99, max and mean, or nothing where no request
    completed; `cache` and `routes` the same for each cache status and route, `layers` requests by what each cache on
    the way did; `db_calls`: per request, None where the service doesn't show them. `curves`: latency by percentile, for
    a plot.
    """

    url: str
    trustworthy: bool
    warnings: list[str]
    loop: str
    pace: str
    rate: float | None
    seconds: float
    warmup_s: float
    closed: int
    seed: int
    accounting: Accounting
    warmup: int
    errors: dict[str, int]
    unexpected: str | None
    statuses: dict[str, int]
    latency_ms: dict[str, float]
    completed_per_s: float
    cache: dict[str, Group]
    layers: dict[str, int]
    routes: dict[str, Group]
    db_calls: float | None
    engine: EngineCheck
    digest: str
    retried: int
    notes: list[str]
    out: str | None
    curves: dict[str, Curve] = field(repr=False, compare=False)

    def as_facts(self) -> dict[str, Any]:
        """For `--json`."""
        names = [name for name in self.__dataclass_fields__ if name not in ("curves", "accounting", "engine")]
        facts = {name: getattr(self, name) for name in names}
        groups = {name: {key: asdict(group) for key, group in facts[name].items()} for name in ("cache", "routes")}
        return {**facts, **groups, "accounting": self.accounting.model_dump(), "engine": asdict(self.engine)}

    def table(self) -> str:
        """For people."""
        return _table_of(self)

    def title(self) -> str:
        """Of a plot: the URL without its query, the pace, and whether the numbers can be trusted."""
        what = self.url.partition("?")[0]
        flags = (" · CLOSED LOOP" if self.closed else "") + ("" if self.trustworthy else " · timings NOT trustworthy")
        return f"{what[:70]} · {self.pace[:70]}, {self.seconds:g} s{flags}"


def _table_of(summary: LoadSummary) -> str:
    """Many lines. The first one tells where the engine's timings can't be trusted, and where nothing was measured."""
    account = summary.accounting
    warmed = f" after {summary.warmup_s:g} s of warm-up" if summary.warmup_s else ""
    lines = [f"CAUTION    {warning}" for warning in summary.warnings]
    lines += [
        summary.url,
        f"  {summary.pace}, {summary.seconds:g} s{warmed}",
        f"  requests   scheduled {account.scheduled:,} = completed {account.completed:,} + failed {account.failed:,} "
        f"+ timed out {account.timed_out:,} + dropped {account.dropped:,}"
        + (f" ({summary.warmup:,} more in the warm-up)" if summary.warmup else ""),
    ]
    if summary.errors:
        lines.append("  errors     " + ", ".join(f"{name} {count:,}" for name, count in summary.errors.items()))
    if summary.unexpected:
        lines.append(f"  unexpected {summary.unexpected}")
    if summary.statuses:
        lines.append("  status     " + ", ".join(f"{name}: {count:,}" for name, count in summary.statuses.items()))
    lines.append(f"  completed  {summary.completed_per_s:,.1f}/s{' (closed loop)' if summary.closed else ''}")
    if summary.latency_ms:
        lines.append(f"  cache      {CACHE_LINES[cache_told(summary)](summary)}")
    lines += _latencies(summary)
    if summary.db_calls is not None:
        lines.append(f"  database   {summary.db_calls:.3f} calls/request")
    if summary.retried:
        lines.append(f"  retried    {summary.retried:,} (their kept-alive connection was closed under them)")
    lines += [f"  note       {note}" for note in summary.notes]
    lines.append(f"  engine     {summary.engine.detail if summary.trustworthy else 'see the first line'}")
    if summary.out:
        lines.append(f"  records    {summary.out}")
    return "\n".join(lines)


def cache_told(summary: LoadSummary) -> str:
    """What the answers told of the cache: an id of CACHE_LINES."""
    statuses = set(summary.cache) - {"unknown"}
    if not statuses:
        return "nothing"
    if statuses == {"bypass"}:
        return "no-part"
    nearest = {chain.partition("=")[0] for chain in summary.layers}
    return "by-itself" if nearest <= LONE_LAYERS and nearest else "headers"


def _shares(summary: LoadSummary) -> str:
    return ", ".join(f"{name} {group.share:.1%}" for name, group in summary.cache.items())


LONE_LAYERS = frozenset({"age", "date", "expires", "replay"})
"""Layers that no header of their own tells."""
CACHE_LINES: dict[str, Callable[[LoadSummary], str]] = {
    "headers": _shares,
    "by-itself": lambda summary: f"{_shares(summary)} (no header tells it; told from {_lone(summary)})",
    "no-part": lambda summary: "not visible, because the answers only tell that a cache took no part (bypass)",
    "nothing": lambda summary: "not visible, because no header of the answers tells a cache status",
}


def _lone(summary: LoadSummary) -> str:
    words = {
        "age": "Age",
        "date": "a Date that stands still",
        "expires": "an Expires that stands still",
        "replay": "what comes again of an earlier answer",
    }
    return " and ".join(words[name] for name in sorted({chain.partition("=")[0] for chain in summary.layers}))


def _latencies(summary: LoadSummary) -> list[str]:
    """A line for all, for each cache status, and for each route where there are several."""
    if not summary.latency_ms:
        return ["  latency    none: no request completed"]
    rows: list[tuple[str, str, Mapping[str, float]]] = [("all", "", summary.latency_ms)]
    if set(summary.cache) != {"unknown"}:
        rows += [(name, f"{group.share:.1%}", group.latency_ms) for name, group in summary.cache.items()]
    if len(summary.routes) > 1:
        rows += [(f"/{name}"[:20], f"{group.share:.1%}", group.latency_ms) for name, group in summary.routes.items()]
    width = max(len(name) for name, _, _ in rows)
    kind = "latency ms (closed loop)" if summary.closed else "latency ms"
    lines = [f"  {kind}", "    " + " " * (width + 8) + "".join(f"{name:>10}" for name in _COLUMNS)]
    for name, share, values in rows:
        lines.append(f"    {name:<{width}}{share:>8}" + "".join(f"{values[column]:>10.3f}" for column in _COLUMNS))
    count = summary.accounting.completed
    few = [name for name, share in QUANTILES.items() if count * (1 - share) < 1 - 1e-9]
    if few:
        lines.append(f"    {' and '.join(few[-2:])}: the slowest of only {count:,} requests")
    return lines

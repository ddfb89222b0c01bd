"""The whole answer to "what if": the grid under each rule, today's point on it, and what to take from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from luckyhit.errors import ArgumentError
from luckyhit.whatif.counting.cache_trace import CacheTrace, WriteRule, rules
from luckyhit.whatif.counting.exact_grid import Grid, check_grid, exact_counts, ttl_in_ns
from luckyhit.whatif.counting.grid_counts import GridCounts
from luckyhit.whatif.counting.replays import POLICIES, replayed_counts
from luckyhit.whatif.counting.sampling import Sample, rate_for, sample_of
from luckyhit.whatif.knee_and_pareto import HotKey, Knee, ParetoPoint, hot_keys, knee_of, pareto
from luckyhit.whatif.recorded.cache_recording import Recording
from luckyhit.whatif.settings_now import size_text, ttl_text
from luckyhit.whatif.surfaces import VALUE, Surface, surface_of
from luckyhit.whatif.today import Fit, Measured, SettingsNow, best_fit, measured

SIZES, TTLS = 20, 8
MOST_ROWS = 20_000_000
"""Rows that are counted exactly; a longer trace is counted by a sample of its entries."""
MOST_REPLAYED = 40_000_000
"""Steps of all replays of one policy; a longer trace is sampled for them."""
_NICE = (1, 2, 5)


@dataclass(frozen=True)
class WhatIfQuestion:
    """What is asked. Empty: by default. `rule`: the one to look at (empty: the one that today's point shows);
    `delay_s`: of a late deletion."""

    ttls_s: Sequence[float] = ()
    sizes: Sequence[int] = ()
    policies: Sequence[str] = ("lru",)
    rule: str = ""
    delay_s: float | None = None
    now_ttl_s: float | None = None
    now_ttl_from: str = "--now-ttl"
    now_size: int | None = None
    most_rows: int = MOST_ROWS


@dataclass(frozen=True)
class WhatIf:
    """`surfaces`: by rule, for LRU; `others`: by policy, under the rule looked at. `now`: None where today's time to
    live is not known; `fit`: None without it. `delay_s`: of the rule `delayed`. `one_in`: 1 where every entry
    was counted."""

    recording: Recording
    grid: Grid
    rule: WriteRule
    surfaces: dict[str, Surface]
    others: dict[str, Surface]
    now: SettingsNow | None
    fact: Measured
    fit: Fit | None
    knee_size: Knee | None
    knee_ttl: Knee | None
    pareto: list[ParetoPoint]
    hot_misses: list[HotKey]
    hot_stale: list[HotKey]
    delay_s: float = 1.0
    one_in: int = 1
    limits: tuple[str, ...] = field(default=())

    @property
    def surface(self) -> Surface:
        """That of the rule looked at, for LRU."""
        return self.surfaces[self.rule.id]

    @property
    def by_bytes(self) -> bool:
        return self.recording.trace.by_bytes


def default_ttls(seconds: float, now_ttl_s: float | None) -> tuple[float, ...]:
    """Times to live as people set them, up to the length of the trace; today's; and none."""
    nice = [digit * 10.0**power for power in range(-3, 8) for digit in _NICE]
    inside = [ttl_s for ttl_s in nice if seconds / 150 <= ttl_s <= seconds]
    chosen = {*inside[-(TTLS - 1) :], inf}
    if now_ttl_s is not None:
        chosen.add(now_ttl_s)
    return tuple(sorted(chosen))


def default_sizes(trace: CacheTrace, now_size: int | None) -> tuple[int, ...]:
    """Sizes on a logarithmic scale, up to one that holds everything."""
    whole = trace.read_weight
    least = max(int(trace.weight.max()), whole // 200, 1)
    sizes = {int(size) for size in np.rint(np.geomspace(least, max(whole, least), SIZES))}
    sizes |= {max(whole, least)} | ({now_size} if now_size is not None and now_size >= least else set())
    return tuple(sorted(sizes))


def ask(recording: Recording, question: WhatIfQuestion) -> WhatIf:
    """Count it. Raises ArgumentError for a question that makes no sense."""
    trace = recording.trace
    _refuse_unknown(question)
    now_ttl_s = question.now_ttl_s if question.now_ttl_s is not None else recording.ttl_s
    ttls = question.ttls_s or default_ttls(trace.seconds, now_ttl_s)
    sizes = question.sizes or default_sizes(trace, question.now_size)
    grid = Grid(tuple(sorted({*sizes})), tuple(sorted({*ttls, *([now_ttl_s] if now_ttl_s is not None else [])})))
    check_grid(grid, trace)
    fact = measured(recording)
    now = fit = None
    candidates = rules(question.delay_s if question.delay_s is not None else 1.0)
    chosen = next((rule for rule in candidates if rule.id == question.rule), None)
    if now_ttl_s is not None:
        whole = max(trace.read_weight, grid.sizes[-1])
        now = SettingsNow(
            now_ttl_s,
            question.now_size if question.now_size is not None else whole,
            question.now_ttl_from if question.now_ttl_s is not None else recording.ttl_from,
            "--now-size" if question.now_size is not None else "",
        )
        if recording.is_told:
            wanted = [chosen] if chosen is not None else list(candidates)
            fit = best_fit(recording, now, fact, wanted, find_delay=question.delay_s is None and chosen is None)
    rule = chosen or (fit.rule if fit is not None else candidates[1])
    if rule.id == "delayed":
        candidates = (*candidates[:2], rule)
    sample = sample_of(trace, rate_for(trace, question.most_rows)) if trace.rows > question.most_rows else None
    surfaces = {one.id: _surface(recording, sample, grid, one) for one in candidates}
    others = {policy: _replayed(recording, grid, rule, policy) for policy in question.policies if policy != "lru"}
    return replace(
        _advised(recording, grid, rule, surfaces, others, now, fact, fit, sample), delay_s=candidates[2].delay_ns / 1e9
    )


def _refuse_unknown(question: WhatIfQuestion) -> None:
    for policy in question.policies:
        if policy not in POLICIES:
            raise ArgumentError(f"unknown policy {policy!r}", hint=f"Choose from {', '.join(POLICIES)}.")
    known = [rule.id for rule in rules(1)]
    if question.rule and question.rule not in known:
        raise ArgumentError(f"unknown rule {question.rule!r}", hint=f"Choose from {', '.join(known)}.")


def _surface(recording: Recording, sample: Sample | None, grid: Grid, rule: WriteRule) -> Surface:
    trace = recording.trace
    load_ns = recording.costs.load_ns
    if sample is None:
        counts = exact_counts(trace, grid, rule, load_ns)
    else:
        counts = sample.whole(exact_counts(sample.trace, grid, rule, np.tile(load_ns, 2), checked=True))
    return surface_of(
        counts, recording.costs, grid, rule=rule.id, policy="lru", seconds=trace.seconds, weight=trace.read_weight
    )


def _replayed(recording: Recording, grid: Grid, rule: WriteRule, policy: str) -> Surface:
    trace, load_ns = recording.trace, recording.costs.load_ns
    points = len(grid.sizes) * len(grid.ttls_s)
    one_in = rate_for(trace, max(MOST_REPLAYED // points, 1))
    sample = sample_of(trace, one_in, certain=2000) if one_in > 1 else None
    replayed = trace if sample is None else sample.trace
    loads = load_ns if sample is None else np.tile(load_ns, 2)
    made = [
        [replayed_counts(policy, replayed, rule, loads, size, ttl_in_ns(ttl_s)) for ttl_s in grid.ttls_s]
        for size in grid.sizes
    ]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.concatenate([getattr(one, name) for one in row], axis=3) for row in made], axis=2)

    counts = GridCounts(
        made[0][0].reads, joined("hits"), joined("stale"), joined("loads"), np.full((len(made), len(made[0])), np.inf)
    )
    return surface_of(
        counts if sample is None else sample.whole(counts),
        recording.costs, grid, rule=rule.id, policy=policy, seconds=trace.seconds, weight=trace.read_weight,
    )  # fmt: skip


def _advised(
    recording: Recording,
    grid: Grid,
    rule: WriteRule,
    surfaces: dict[str, Surface],
    others: dict[str, Surface],
    now: SettingsNow | None,
    fact: Measured,
    fit: Fit | None,
    sample: Sample | None,
) -> WhatIf:
    surface = surfaces[rule.id]
    column = grid.ttls_s.index(now.ttl_s) if now is not None else len(grid.ttls_s) - 1
    row = _row_of(grid, now)
    finite = [place for place, ttl_s in enumerate(grid.ttls_s) if ttl_s < inf]
    knee_ttl = knee_of([grid.ttls_s[place] for place in finite], surface.hit_ratio[VALUE, row, finite])
    at = (grid.sizes[row], ttl_in_ns(grid.ttls_s[column]))
    return WhatIf(
        recording,
        grid,
        rule,
        surfaces,
        others,
        now,
        fact,
        fit,
        knee_of(grid.sizes, surface.hit_ratio[VALUE, :, column]),
        knee_ttl,
        pareto(surface),
        hot_keys(recording, rule, *at),
        hot_keys(recording, rule, *at, by="stale"),
        one_in=sample.one_in if sample is not None else 1,
        limits=tuple(_limits(recording, now, grid)),
    )


def _row_of(grid: Grid, now: SettingsNow | None) -> int:
    """The row of today's size: the largest one that is no larger."""
    if now is None:
        return len(grid.sizes) - 1
    return max((row for row, size in enumerate(grid.sizes) if size <= now.size), default=0)


def _limits(recording: Recording, now: SettingsNow | None, grid: Grid) -> list[str]:
    """What the answer can't know, in sentences."""
    trace = recording.trace
    once = _asked_once(trace)
    lines = [
        f"Only {trace.read_entries:,} entries were asked for, in {trace.seconds:,.0f} s: keys that were never asked "
        "for, and a larger catalogue, are not in it.",
        *([f"{once:,} entries were read once only: in a longer recording some of them would be hits."] if once else []),
        "The cache began empty, and the first read of each entry is a miss: in a short recording that is much.",
        "The load does not react: users who wait less may ask for more, and a slower database makes misses slower.",
    ]
    long = [ttl_s for ttl_s in grid.ttls_s if trace.seconds / max(len(trace.segments), 1) <= ttl_s < inf]
    if long:
        lines.append(
            f"A time to live of {ttl_text(long[0])} or more is longer than the recording: all of these look alike."
        )
    if trace.by_bytes:
        lines.append(
            f"Sizes are bytes of answers; what the cache needs beside them for each entry is not in it "
            f"({size_text(trace.read_weight, by_bytes=True)} of answers in all)."
        )
    if trace.writes:
        lines.append(
            "Stale reads are a share of all reads here. Those of a report are a share of the reads that came after a "
            "write of their key, so they are more."
        )
    if now is None:
        lines.append("Today's time to live is not known, so today's point is not drawn: name it with --now-ttl.")
    elif not now.size_from:
        lines.append("Today's size is taken as unlimited: name it with --now-size, if the cache makes room.")
    return lines


def _asked_once(trace: CacheTrace) -> int:
    count = np.zeros(len(trace.weight), np.int64)
    for segment in trace.segments:
        count += np.bincount(segment.entry[segment.kind == 0], minlength=len(count))
    return int(np.count_nonzero(count == 1))

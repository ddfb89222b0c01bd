"""What the probe found, as rows of text: what readers saw, and whether the keys were restored.

A dash stands for what was not visible in one arm; rows that are empty in all arms are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from luckyhit.records import FreshnessFacts
from luckyhit.report.figures.late_reads import seconds_text, short
from luckyhit.report.figures.staleness_windows import quantile_text
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import DASH, number, percent, plural

NOT_VISIBLE = "not visible"
MOST_NAMES = 12
"""Routes, initial states and the like in one table."""
_INITIAL_STATES = {
    "warm": "key just read",
    "in-flight": "a read in progress",
    "absent": "nothing there before",
    "cold": "key not read before; a control, not counted above",
}
_CACHE = {
    "hit": "from the cache",
    "stale": "from the cache, past its lifetime",
    "miss": "not in the cache, fetched from behind it",
    "bypass": "past the cache",
    "unknown": "no cache status",
}
Cell = Callable[[FreshnessFacts], str | None]


@dataclass(frozen=True)
class ReadersTable:
    """Rows of (name, cell of each label)."""

    labels: list[str]
    rows: list[tuple[str, list[str]]]


def readers(recorded: Recorded) -> ReadersTable | None:
    """What readers saw, by the facts of the result; None without any."""
    facts = dict(recorded.result.freshness) if recorded.result else {}
    shown = [(recorded.label(arm), facts[arm]) for arm in ARMS if arm in facts]
    if not shown:
        return None
    rows = []
    for name, cell in _rows(recorded, [fact for _, fact in shown]):
        cells = [cell(fact) for _, fact in shown]
        if any(text is not None for text in cells):
            rows.append((name, [DASH if text is None else text for text in cells]))
    asked = requested_variants(recorded)
    if asked is not None:
        rows.append(("Requested as", [asked.text] * len(shown)))
        unasked = asked.not_asked
        if unasked:
            rows.append(("Responses also vary by these, requested in one way only", [", ".join(unasked)] * len(shown)))
    back = put_back(recorded)
    if back is not None:
        rows.append(("Keys restored (whole run)", [_back(back.get(arm)) for arm in ARMS if arm in facts]))
    return ReadersTable([label for label, _ in shown], rows)


def _rows(recorded: Recorded, facts: list[FreshnessFacts]) -> Iterable[tuple[str, Cell]]:
    later = f", later than {seconds_text(recorded.within_s)}" if recorded.within_s else ""
    bound = f", for longer than {seconds_text(recorded.within_s)}" if recorded.within_s else ""
    yield "Probes / acknowledged writes / reads", _counts
    yield f"Stale single reads of the probe{later} after the write", _stale
    yield ("No stale read: still possible (metric stale reads)", lambda fact: _share(fact.zero_bound, "up to "))
    for field in ("by_prestate", "by_route", "by_variant", "by_layer", "by_connection", "by_kind"):
        yield from _split(field, _INITIAL_STATES if field == "by_prestate" else {}, facts)
    yield from _split("by_cache", _CACHE, facts)
    yield "Reads without a version", lambda fact: f"{fact.unknown:,}" if fact.unknown else None
    yield "Writes that were polled", lambda fact: f"{fact.windows:,}" if fact.windows else None
    for level in (50, 95, 99):
        yield f"The old value lasted, p{level}", _window(level)
    yield "Stuck: stale until the polling ended", lambda fact: _of(fact.stuck, fact.windows)
    yield "Versions behind, of a stale read", _behind
    yield f"Read-your-writes violations{bound}", lambda fact: _visible(fact.read_your_writes, fact.reads)
    yield "Monotonic-read violations", lambda fact: _visible(fact.monotonic_reads, fact.reads)
    for kind in dict.fromkeys(name for fact in facts for name in fact.disagreements) or ("readers",):
        yield f"Probes in which {short(str(kind))} disagreed", _disagreed(str(kind))
    yield "Reads of a value never committed", lambda fact: _any(fact.never_committed, fact.reads)
    yield "Writes left out: not allowed in the key's state", _left_out
    yield "Reads of a refused value", _refused
    yield "Workers that responded", lambda fact: None if fact.workers is None else f"{fact.workers:,}"
    yield (
        f"Stale reads of the workload itself, every read counted{bound}",
        lambda fact: _of(fact.background_stale, fact.background_reads),
    )
    if recorded.within_s:
        yield (
            "… stale, but within that",
            lambda fact: _any(fact.background_agreed or 0, fact.background_reads or 0),
        )
    yield from _split("background_by_cache", _CACHE, facts)
    yield "Added to the load by the probe (all arms)", _added


def _counts(fact: FreshnessFacts) -> str | None:
    return f"{fact.probes:,} / {fact.writes:,} / {fact.reads:,}" if fact.probes or fact.reads else None


def _stale(fact: FreshnessFacts) -> str | None:
    text = _of(fact.stale, fact.stale + fact.fresh)
    if text is None or fact.low is None or fact.high is None or fact.zero_bound is not None:
        return text  # of none, the next row has the bound
    return f"{text}, interval {percent(fact.low)} to {percent(fact.high)}"


def _split(field: str, names: Mapping[str, str], facts: list[FreshnessFacts]) -> Iterable[tuple[str, Cell]]:
    kind = {"by_route": "route ", "by_variant": "variant ", "by_layer": "answered by "}.get(field, "")
    ends = {"by_connection": " connections", "by_kind": " reads"}.get(field, "")
    groups = list(dict.fromkeys(str(name) for fact in facts for name in getattr(fact, field)))
    groups.sort(key=lambda name: [*names].index(name) if name in names else len(names))
    for name in groups[:MOST_NAMES]:
        text = f"{name}: {names[name]}" if name in names else f"{kind}{short(name)}{ends}"
        yield f"… {text}", _pair(field, name)


def _pair(field: str, name: str) -> Cell:
    def cell(fact: FreshnessFacts) -> str | None:
        pair = getattr(fact, field).get(name)
        return None if pair is None else _of(pair[0], pair[1])

    return cell


def _window(level: int) -> Cell:
    def cell(fact: FreshnessFacts) -> str | None:
        ends = getattr(fact, f"window_p{level}_ms")
        return quantile_text(ends, stuck=fact.stuck > 0) if fact.windows else None

    return cell


def _disagreed(kind: str) -> Cell:
    def cell(fact: FreshnessFacts) -> str | None:
        if not fact.probes:
            return None
        compared = fact.probes if fact.probes_compared is None else fact.probes_compared
        return f"{fact.disagreements.get(kind, 0):,} of {compared:,}" if compared else NOT_VISIBLE

    return cell


def _behind(fact: FreshnessFacts) -> str | None:
    if fact.versions_behind_mean is None:
        return None
    return f"{number(fact.versions_behind_mean)} on average, {fact.versions_behind_max or 0:,} at most"


def _left_out(fact: FreshnessFacts) -> str | None:
    return f"{fact.left_out:,}" if fact.left_out else None


def _refused(fact: FreshnessFacts) -> str | None:
    if not fact.refused_writes:
        return None
    return f"{fact.refused_seen:,}, of {fact.refused_writes:,} writes that were refused, as they should be"


def _added(fact: FreshnessFacts) -> str | None:
    if fact.added_requests is None:
        return None
    return f"{fact.added_requests:,} requests" + (_share(fact.added_share, " (", ")") or "")


def _of(count: int | None, total: int | None) -> str | None:
    if count is None or not total:
        return None
    return f"{count:,} of {total:,} ({percent(count / total)})"


def _any(count: int, reads: int) -> str | None:
    return f"{count:,}" if reads else None


def _visible(count: int | None, reads: int) -> str | None:
    """`not visible` where there were reads, and none of them could show it."""
    return None if not reads else NOT_VISIBLE if count is None else f"{count:,}"


def _share(share: float | None, before: str = "", after: str = "") -> str | None:
    return None if share is None else f"{before}{percent(share)}{after}"


@dataclass(frozen=True)
class RequestedVariants:
    """The variants that the probe requested, with their headers, and the names in `Vary` with one value only."""

    text: str
    not_asked: list[str]


def requested_variants(recorded: Recorded) -> RequestedVariants | None:
    """As the blocks noted; None for a run of an older version."""
    variants: dict[str, str] = {}
    unasked: set[str] = set()
    for block in recorded.blocks:
        for name, headers in block.probe.variants.items():
            variants[short(name)] = "; ".join(f"{header}: {value}" for header, value in headers.items())
        unasked |= set(block.probe.not_asked)
    if not variants:
        return None
    shown = list(variants.items())[:MOST_NAMES]
    return RequestedVariants("; ".join(f"{name} ({headers})" for name, headers in shown), sorted(unasked)[:MOST_NAMES])


def put_back(recorded: Recorded) -> dict[str, tuple[int, int]] | None:
    """By arm: (keys restored, keys not restored) in the whole run. None if a block with a probe did not note it: then
    nothing shows it."""
    counts: dict[str, tuple[int, int]] = {}
    for block in recorded.blocks:
        probe = block.probe
        if not probe:
            continue
        if probe.put_back is None or probe.not_put_back is None:
            return None
        for arm in ARMS:
            back, left = probe.put_back.get(arm, 0), probe.not_put_back.get(arm, 0)
            if back is None or left is None:
                return None
            before = counts.get(arm, (0, 0))
            counts[arm] = (before[0] + back, before[1] + left)
    return counts or None


def _back(counts: tuple[int, int] | None) -> str:
    if counts is None:
        return DASH
    back, left = counts
    return f"{back:,}" if not left else f"{back:,}; NOT restored: {left:,}"


@dataclass(frozen=True)
class ProbedKeys:
    """Whether the probed keys are as they were. `ok` is None where it was not noted."""

    ok: bool | None
    text: str


def probed_keys(recorded: Recorded) -> ProbedKeys | None:
    """For the checklist and the rollback; None where the run probed nothing."""
    if not any(block.probe for block in recorded.blocks):
        return None
    counts = put_back(recorded)
    if counts is None:
        return ProbedKeys(None, "Whether the keys that the probe wrote were restored was not noted.")
    back, left = (sum(pair[index] for pair in counts.values()) for index in (0, 1))
    if left:
        text = f"{plural(left, 'key')} that the probe wrote could not be restored; {back:,} were."
        return ProbedKeys(False, f"{text} Check the keys that the case reserves for the probe.")
    return ProbedKeys(True, f"The keys that the probe wrote were restored after each block: {back:,} in all.")

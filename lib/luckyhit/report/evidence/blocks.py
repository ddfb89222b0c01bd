"""Each block as it was prepared: what was cleared, purged and washed out before it; and the limits it was kept to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import DASH, listed, number, percent

MOST_BLOCKS = 80
HEADINGS = ("Block", "Stage", "Arm", "Keys looked at", "In scope", "Cleared", "Purge calls", "Washed out")


def cleared(found: Recorded) -> list[tuple[str, str, str, int, int, int]]:
    """(block, stage, arm, keys looked at, in scope, cleared) of each clear that was noted."""
    rows = []
    for entry in found.blocks:
        reports = entry.get("clear")
        for arm, report in reports.items() if isinstance(reports, Mapping) else ():
            if isinstance(report, Mapping):
                counts = [_count(report.get(name)) or 0 for name in ("scanned", "matched", "cleared")]
                rows.append((str(entry["block"]), str(entry["stage"]), str(arm), *counts))
    return rows  # type: ignore[return-value]


def prepared(found: Recorded) -> list[tuple[str, ...]]:
    """A row of texts (see `HEADINGS`) for each arm of each block before which anything was done."""
    rows = []
    for entry in found.blocks:
        clears, purges = (_mapping(entry.get(name)) for name in ("clear", "purge"))
        washed = washout_text(entry.get("washout"))
        arms = entry.get("arms")
        for arm in map(str, arms if isinstance(arms, list) else []):
            clear, purge = _mapping(clears.get(arm)), _mapping(purges.get(arm))
            counts = [_shown(clear.get(name)) for name in ("scanned", "matched", "cleared")]
            cells = (*counts, _shown(purge.get("calls")), washed)
            if any(cell != DASH for cell in cells):
                rows.append((str(entry["block"]), str(entry["stage"]), arm, *cells))
    return rows


def washout_text(facts: Any) -> str:
    """`20 s in 4 stretches, the hit ratio stood still at 83 %`; a dash where nothing was washed out."""
    washed = _mapping(facts)
    stretches, seconds = _count(washed.get("stretches")), _number(washed.get("seconds"))
    if not stretches or seconds is None:
        return DASH
    ratios = washed.get("ratios")
    last = _number(ratios[-1]) if isinstance(ratios, list) and ratios else None
    at = f" at {percent(last)}" if last is not None and 0 <= last <= 1 else ""
    settled = washed.get("settled")
    how = "the cache status was not visible"
    if isinstance(settled, bool):
        how = f"the hit ratio {'stood still' if settled else 'STILL MOVED'}{at}"
    return f"{number(seconds)} s in {stretches} {'stretch' if stretches == 1 else 'stretches'}, {how}"


@dataclass(frozen=True)
class Limits:
    """The limits that were watched for the target's users: what they are, and what stopped the run (None: nothing)."""

    text: str
    stopped: str | None


def limits(found: Recorded) -> Limits | None:
    """None where nothing was watched, or noted of it."""
    watched, stopped = dict[str, Any](), None
    blocks = found.manifest.get("blocks")
    # All of them: a wash-out can stop a run, too.
    for entry in blocks if isinstance(blocks, list) else []:
        noted = _mapping(entry.get("limits")) if isinstance(entry, Mapping) else {}
        watched |= {name: value for name, value in noted.items() if name != "stopped"}
        if noted.get("stopped"):
            stopped = str(noted["stopped"])
    stops, ceilings = list(_watched(watched)), list(_ceilings(found))
    if not stops and not ceilings and stopped is None:
        return None
    window, fewest = (_number(watched.get(name)) for name in ("window_s", "fewest"))
    inside = f" within {number(window)} s" if window is not None else ""
    least = f", of at least {number(fewest)} requests" if fewest is not None else ""
    text = f"The run stops and rolls back by itself where {' or '.join(stops)}{inside}{least}. " if stops else ""
    return Limits((text + (f"It may send {listed(ceilings)}." if ceilings else "")).strip(), stopped)


def _watched(noted: Mapping[str, Any]) -> Iterator[str]:
    share, p99 = (_number(noted.get(name)) for name in ("error_rate", "p99_ms"))
    if share is not None:
        yield f"more than {percent(share)} of the requests fail"
    if p99 is not None:
        yield f"their p99 is above {number(p99)} ms"


def _ceilings(found: Recorded) -> Iterator[str]:
    if found.case is None:
        return
    ceilings = found.case.target.ceilings
    if ceilings.rate is not None:
        yield f"at most {number(ceilings.rate)} requests a second"
    if ceilings.duration is not None:
        yield f"load for at most {number(ceilings.duration / 60)} minutes"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _shown(value: Any) -> str:
    count = _count(value)
    return DASH if count is None else f"{count:,}"

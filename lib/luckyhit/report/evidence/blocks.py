"""How each block was prepared (cleared, purged, washed out), and the limits that the run kept to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from luckyhit.records.manifest import LimitNotes, PurgeNotes, WashoutNotes
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import DASH, listed, number, percent, plural

MOST_BLOCKS = 80
HEADINGS = ("Block", "Stage", "Arm", "Keys looked at", "In scope", "Cleared", "Purge calls", "Washed out")


def prepared(recorded: Recorded) -> list[tuple[str, ...]]:
    """A row under HEADINGS for each arm of each block that was prepared in any way."""
    rows = []
    for block in recorded.blocks:
        washed = washout_text(block.washout)
        for arm in block.arms:
            clear, purge = block.cleared(arm), block.purge.get(arm, PurgeNotes())
            counts = [_shown(count) for count in (clear.scanned, clear.matched, clear.cleared, purge.calls)]
            cells = (*counts, washed)
            if any(cell != DASH for cell in cells):
                rows.append((str(block.block), str(block.stage), arm, *cells))
    return rows[:MOST_BLOCKS]


def washout_text(washed: WashoutNotes) -> str:
    """`20 s in 4 stretches, the hit ratio was stable at 83 %`; a dash without a wash-out."""
    stretches, seconds = washed.stretches, washed.seconds
    if not stretches or seconds is None:
        return DASH
    last = washed.ratios[-1] if washed.ratios else None
    at = f" at {percent(last)}" if last is not None and last <= 1 else ""
    how = "the cache status was not visible"
    if washed.settled is not None:
        how = f"the hit ratio {'was stable' if washed.settled else 'STILL MOVED'}{at}"
    return f"{number(seconds)} s in {plural(stretches, 'stretch', 'stretches')}, {how}"


@dataclass(frozen=True)
class LimitsFacts:
    """The limits that protect the target's users, and what stopped the run (None: nothing)."""

    text: str
    stopped: str | None


def limits(recorded: Recorded) -> LimitsFacts | None:
    """None without limits."""
    watched, stopped = LimitNotes(), None
    # All of them: a wash-out can stop a run, too.
    for block in recorded.manifest.blocks:
        noted = block.limits
        watched = watched.model_copy(update=noted.model_dump(exclude_unset=True, exclude={"stopped"}))
        stopped = noted.stopped or stopped
    stops, ceilings = list(_watched(watched)), list(_ceilings(recorded))
    if not stops and not ceilings and stopped is None:
        return None
    inside = f" within {number(watched.window_s)} s" if watched.window_s is not None else ""
    least = f", of at least {number(watched.fewest)} requests" if watched.fewest is not None else ""
    text = f"The run stops and rolls back by itself when {' or '.join(stops)}{inside}{least}. " if stops else ""
    return LimitsFacts((text + (f"It may send {listed(ceilings)}." if ceilings else "")).strip(), stopped)


def _watched(noted: LimitNotes) -> Iterator[str]:
    if noted.error_rate is not None:
        yield f"more than {percent(noted.error_rate)} of the requests fail"
    if noted.p99_ms is not None:
        yield f"their p99 is above {number(noted.p99_ms)} ms"


def _ceilings(recorded: Recorded) -> Iterator[str]:
    if recorded.case is None:
        return
    ceilings = recorded.case.target.ceilings
    if ceilings.rate is not None:
        yield f"at most {number(ceilings.rate)} requests a second"
    if ceilings.duration is not None:
        yield f"load for at most {number(ceilings.duration / 60)} minutes"


def _shown(count: int | None) -> str:
    return DASH if count is None else f"{count:,}"

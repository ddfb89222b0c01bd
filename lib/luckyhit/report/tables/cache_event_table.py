"""What the cache did around the probed writes, in sentences and as a table, by its own events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from luckyhit.judge.facade import EXPOSED, SHARED, events_around_writes
from luckyhit.report.figures.late_reads import short
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.report.tables.freshness_tables import ReadersTable
from luckyhit.text.numbers import DASH, listed, number

FATE_WORDS = {
    "deleted": "deleted",
    "set-old": "deleted, then set again to the old value, which stayed",
    "flushed": "gone with all the others: the cache was flushed",
    "rewritten": "set to the new value",
    "set-anew": "set anew, to an unknown value",
    "expired": "expired or evicted",
    "kept": "still there, as it was",
    "no-entry": "not known: the cache reported no event for its watched keys",
    "not-visible": "not visible: the watch had a gap",
}
"""What became of the entry, by the ids of `luckyhit.judge.cache_events.write_events.FATES`."""
MOST_NAMES = 4
_TIMES = (("after_ack_ms", "acknowledged"), ("after_send_ms", "sent"))


@dataclass(frozen=True)
class CacheFacts:
    """What the cache reported of the probed writes: a sentence for each arm, and a table (fate, number of writes)."""

    sentences: list[str]
    table: ReadersTable


def cache_event_table(recorded: Recorded) -> CacheFacts | None:
    """By the cache's keyspace events; None for a run without any."""
    if not len(recorded.probe_events):
        return None
    reads, writes = recorded.probe
    around = events_around_writes(writes, reads, recorded.probe_events)
    around = around[around["prestate"].isin(EXPOSED)]
    if not len(around):
        return None
    arms = [arm for arm in ARMS if (around["arm"] == arm).any()]
    counts = around.groupby(["fate", "arm"], sort=False, observed=True).size()
    rows = []
    for fate, words in FATE_WORDS.items():
        if any((fate, arm) in counts.index for arm in arms):
            rows.append((words, [f"{int(counts.get((fate, arm), 0)):,}" for arm in arms]))
    for column, instant in _TIMES:
        cells = [_times(around.loc[around["arm"] == arm, column]) for arm in arms]
        if any(cell is not None for cell in cells):
            rows.append((f"Deleted, against when the write was {instant}", [cell or DASH for cell in cells]))
    shared = _shared(recorded.probe_events)
    if shared and (around["fate"] == "no-entry").all():
        return CacheFacts(shared, ReadersTable([recorded.label(arm) for arm in arms], rows))
    sentences = [f"{_label(recorded, arm)}: {events_sentence(around[around['arm'] == arm])}" for arm in arms]
    sentences += shared
    return CacheFacts(sentences, ReadersTable([recorded.label(arm) for arm in arms], rows))


def _shared(events: pd.DataFrame) -> list[str]:
    """The events of cache keys that several probed keys share."""
    group = events[events["key"] == SHARED]
    if not len(group):
        return []
    names = sorted(set(group["cache_key"]))
    shown = f"{listed([short(name) for name in names[:MOST_NAMES]])}{', …' if len(names) > MOST_NAMES else ''}"
    expiries = int((group["event"] == "expire").sum())
    return [
        f"The probed keys share keys of the cache ({shown}), {len(names):,} in all: {len(group) - expiries:,} events "
        f"stored into or removed them, and {expiries:,} set their expiry. Which entry it was, the events don't say."
    ]


def _label(recorded: Recorded, arm: str) -> str:
    return arm.capitalize() if recorded.changed else "In the baseline"


def events_sentence(around: pd.DataFrame) -> str:
    """What the cache did around one arm's writes, in one sentence; `around`: see `events_around_writes`."""
    counts = around["fate"].value_counts()

    def count(*fates: str) -> int:
        return sum(int(counts.get(fate, 0)) for fate in fates)

    writes = f"{len(around)} probed write{'s' if len(around) != 1 else ''}"
    if count("not-visible") == len(around):
        return f"what the cache did around {writes} was not visible."
    if count("no-entry", "not-visible") == len(around):
        return (
            f"the cache reported no event for the watched keys of {writes}, so what became of the entries is not known."
        )
    deleted = count("deleted", "set-old")
    parts = [f"of {writes} the cache's entry was deleted for {deleted}"]
    if deleted and (when := _when(around["after_ack_ms"].dropna())):
        parts[0] += f" ({when})"
    more: list[tuple[str, Callable[[int], str]]] = [
        ("set-old", lambda n: f"for {n:,} of these the old value was set again, and stayed"),
        ("flushed", lambda n: f"for {n:,} all keys of the cache were flushed"),
        ("kept", lambda n: f"{n:,} {'entry' if n == 1 else 'entries'} stayed as {'it was' if n == 1 else 'they were'}"),
        ("rewritten", lambda n: f"for {n:,} the new value was set over it"),
        ("set-anew", lambda n: f"for {n:,} an unknown value was set over it"),
        ("expired", lambda n: f"for {n:,} it expired or was evicted"),
        ("no-entry", lambda n: f"for {n:,} there was no event"),
        ("not-visible", lambda n: f"for {n:,} it was not visible"),
    ]
    for fate, words in more:
        if number_of := count(fate):
            left_ms = around.loc[around["fate"] == fate, "left_ms"].dropna() if fate == "kept" else pd.Series()
            parts.append(f"{words(number_of)}{_left(left_ms)}")
    return "; ".join(parts) + "."


def signed_ms(value: float) -> str:
    """`+43 ms`, `−0.4 ms`."""
    return f"{'−' if value < 0 else '+'}{number(abs(value))} ms"


def _when(after_ms: pd.Series) -> str:
    """When entries were deleted, in the median, and by a single one."""
    if not len(after_ms):
        return ""
    median = float(after_ms.median())
    when = "before" if median < 0 else "after"
    ends = f"from {signed_ms(float(after_ms.min()))} to {signed_ms(float(after_ms.max()))}"
    return f"{number(abs(median))} ms {when} the write was acknowledged in the median" + (
        f"; {ends}" if len(after_ms) > 1 else ""
    )


def _times(after_ms: pd.Series) -> str | None:
    after_ms = after_ms.dropna()
    if not len(after_ms):
        return None
    ends = [signed_ms(float(value)) for value in (after_ms.median(), after_ms.min(), after_ms.max())]
    return ends[0] if len(after_ms) == 1 else f"{ends[0]} in the median, {ends[1]} to {ends[2]}"


def _left(left_ms: pd.Series) -> str:
    if not len(left_ms):
        return ""
    if (left_ms == -1).all():
        return " (without expiry)"
    return f" (about {number(float(left_ms[left_ms >= 0].median()) / 1000)} s left to live)"

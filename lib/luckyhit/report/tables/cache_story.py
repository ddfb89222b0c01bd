"""What the cache did around the probed writes, in sentences and as a table, by its own events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from luckyhit.judge.facade import EXPOSED, SHARED, probe_stories
from luckyhit.report.figures.late_reads import short
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.report.tables.freshness_tables import ReadersTable
from luckyhit.text.numbers import DASH, listed, number

FATE_WORDS = {
    "deleted": "deleted",
    "set-old": "deleted, then the old value was set again, and nothing deleted it behind that",
    "flushed": "gone with all the others: the cache was flushed",
    "rewritten": "set to the new value",
    "set-anew": "set anew, to which value is not known",
    "expired": "gone by itself, expired or evicted",
    "kept": "still there, as it was",
    "unseen": "never seen: no event told of one under the watched keys",
    "not-visible": "not visible: the watch had a gap",
}
"""What became of the entry, by the ids of `luckyhit.judge.cache_events.stories.FATES`."""
MOST_NAMES = 4
_TIMES = (("after_ack_ms", "acknowledged"), ("after_send_ms", "sent"))


@dataclass(frozen=True)
class CacheStory:
    """What the cache told of the probed writes: a sentence for each label, and a table (fate, number of writes)."""

    sentences: list[str]
    table: ReadersTable


def cache_story(recorded: Recorded) -> CacheStory | None:
    """The cache's side, by its keyspace events; None where the run has none."""
    if not len(recorded.probe_events):
        return None
    reads, writes = recorded.probe
    stories = probe_stories(writes, reads, recorded.probe_events)
    stories = stories[stories["prestate"].isin(EXPOSED)]
    if not len(stories):
        return None
    arms = [arm for arm in ARMS if (stories["arm"] == arm).any()]
    counts = stories.groupby(["fate", "arm"], sort=False, observed=True).size()
    rows = []
    for fate, words in FATE_WORDS.items():
        if any((fate, arm) in counts.index for arm in arms):
            rows.append((words, [f"{int(counts.get((fate, arm), 0)):,}" for arm in arms]))
    for column, instant in _TIMES:
        cells = [_times(stories.loc[stories["arm"] == arm, column]) for arm in arms]
        if any(cell is not None for cell in cells):
            rows.append((f"Deleted, against when the write was {instant}", [cell or DASH for cell in cells]))
    shared = _shared(recorded.probe_events)
    if shared and (stories["fate"] == "unseen").all():
        return CacheStory(shared, ReadersTable([recorded.label(arm) for arm in arms], rows))
    sentences = [f"{_label(recorded, arm)}: {story_sentence(stories[stories['arm'] == arm])}" for arm in arms]
    sentences += shared
    return CacheStory(sentences, ReadersTable([recorded.label(arm) for arm in arms], rows))


def _shared(events: pd.DataFrame) -> list[str]:
    """What was told of keys of the cache that several probed keys share."""
    group = events[events["key"] == SHARED]
    if not len(group):
        return []
    names = sorted(set(group["cache_key"]))
    shown = f"{listed([short(name) for name in names[:MOST_NAMES]])}{', …' if len(names) > MOST_NAMES else ''}"
    expiries = int((group["event"] == "expire").sum())
    return [
        f"The probed keys share keys of the cache ({shown}), {len(names):,} in all: {len(group) - expiries:,} events "
        f"stored into them or removed them, and {expiries:,} set their expiry. Whose entry it was, they don't tell."
    ]


def _label(recorded: Recorded, arm: str) -> str:
    return arm.capitalize() if recorded.changed else "In the baseline"


def story_sentence(stories: pd.DataFrame) -> str:
    """The stories of one arm's writes, in one sentence. `stories` has the columns of `probe_stories`."""
    counts = stories["fate"].value_counts()

    def count(*fates: str) -> int:
        return sum(int(counts.get(fate, 0)) for fate in fates)

    writes = f"{len(stories)} probed write{'s' if len(stories) != 1 else ''}"
    if count("not-visible") == len(stories):
        return f"what the cache did around {writes} could not be seen."
    if count("unseen", "not-visible") == len(stories):
        return f"no event told of an entry of {writes} under the keys that were watched, so nothing is known of them."
    deleted = count("deleted", "set-old")
    parts = [f"of {writes} the cache's entry was deleted for {deleted}"]
    if deleted and (when := _when(stories["after_ack_ms"].dropna())):
        parts[0] += f" ({when})"
    more: list[tuple[str, Callable[[int], str]]] = [
        ("set-old", lambda n: f"for {n:,} of these the old value was set again, and nothing deleted it behind that"),
        ("flushed", lambda n: f"for {n:,} all keys of the cache were flushed"),
        ("kept", lambda n: f"{n:,} {'entry' if n == 1 else 'entries'} stayed as {'it was' if n == 1 else 'they were'}"),
        ("rewritten", lambda n: f"for {n:,} the new value was set over it"),
        ("set-anew", lambda n: f"for {n:,} something was set over it, and no read tells what"),
        ("expired", lambda n: f"for {n:,} it went by itself (expired or evicted)"),
        ("unseen", lambda n: f"for {n:,} no event told of an entry"),
        ("not-visible", lambda n: f"for {n:,} it could not be seen"),
    ]
    for fate, words in more:
        if number_of := count(fate):
            left_ms = stories.loc[stories["fate"] == fate, "left_ms"].dropna() if fate == "kept" else pd.Series()
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
        return " (without an end to their life)"
    return f" (about {number(float(left_ms[left_ms >= 0].median()) / 1000)} s left to live)"


__all__ = ["FATE_WORDS", "CacheStory", "cache_story", "signed_ms", "story_sentence"]

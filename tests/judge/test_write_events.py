"""What the cache did around each probed write, from its own events."""

from __future__ import annotations

from typing import Any

import freshness_rows
import pandas as pd
import pytest
from freshness_rows import MS, Row, event, event_frame, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.cache_events.write_events import events_around_writes
from tier import examples

COLUMNS = [
    "arm", "block", "key", "version", "prestate", "deleted", "deleted_key", "after_send_ms",
    "after_ack_ms", "set_again", "set_old", "flushed_by_write", "ttl_ms", "left_ms", "expired", "fate",
]  # fmt: skip
WATCHED = (0, 10_000)
"""Times in these tests are in milliseconds. A probed write is sent at 1000 and acknowledged at 1010."""


def write(at: float = 1000, acked: float | None = 1010, *, version: int = 100, **other: Any) -> Row:
    acked_ns = None if acked is None else int(acked * MS)
    return freshness_rows.write(version=version, sent=int(at * MS), acked=acked_ns, **other)


def read(at: float, seen: int | None, *, probe: int = 100, took: float = 2, **other: Any) -> Row:
    return freshness_rows.read(sent=int(at * MS), done=int((at + took) * MS), seen=seen, probe=probe, **other)


def mark(at: float, name: str) -> Row:
    return event(at, name, key="", cache_key="")


def around(
    writes: list[Row], reads: list[Row], events: list[Row], watched: tuple[tuple[float, float], ...] = (WATCHED,)
) -> pd.DataFrame:
    marks = []
    for number, (start, end) in enumerate(watched, 1):
        marks += [mark(start, "(watching)"), mark(end, "(watched)" if number == len(watched) else "(lost)")]
    read_frame, write_frame = frames(reads, writes)
    rows = events_around_writes(write_frame, read_frame, event_frame([*events, *marks]))
    assert list(rows.columns) == COLUMNS
    return rows


def the_row(*args: Any, **options: Any) -> Row:
    (row,) = around(*args, **options).to_dict("records")
    return {name: None if value is pd.NA else value for name, value in row.items()}


WARMED = [event(100, "set", 300_000), event(100.01, "expire")]
W, STALE, FRESH = [write()], [read(1100, 99)], [read(1100, 100)]
RACE = [write(900, 910, version=99, prestate="in-flight", probe=100), write(prestate="in-flight")]
LATE_WARMING = [event(1000.8, "set", 300_000), event(1000.8, "expire")]
"""The read that warmed the key was answered just before the write was sent; its event reached us just after."""
IN_A_WORKER = [*WARMED, event(1004, "del"), event(1021, "set", 300_000)]
ABSENT = [write(prestate="absent")]
GONE = read(1100, None, absent=True, status=404)
REMOVED = event(1150, "del")
"""By the probe, which removes what it created."""
KIND = [event(50 + n, "set", 300_000 - n, key=str(n)) for n in range(3)]
"""Entries of one kind, with one lifetime."""
CASES: dict[str, tuple[list[Row], list[Row], list[Row], Row]] = {
    "no deletion": (
        W, STALE, WARMED,
        {"fate": "kept", "deleted": False, "set_again": False, "expired": False, "ttl_ms": 300_000, "left_ms": 299_100,
         "after_send_ms": None},
    ),
    "deletion, then a fresh fill": (
        W, FRESH, [*WARMED, event(1004.5, "del"), event(1101, "set", 300_000)],
        {"fate": "deleted", "deleted_key": "product:7", "after_send_ms": 4.5, "after_ack_ms": -5.5, "set_again": True,
         "set_old": False},
    ),
    "deletion after the acknowledgement": (
        W, FRESH, [*WARMED, event(1052, "del")], {"fate": "deleted", "after_send_ms": 52, "after_ack_ms": 42},
    ),
    "one of several keys deleted": (
        W, STALE, [*WARMED, event(200, "set", cache_key="page:7"), event(1004, "del", cache_key="page:7")],
        {"fate": "deleted", "deleted_key": "page:7"},
    ),
    "old value set again before the commit": (
        W, [read(1100, 99), read(1500, 99)], [*WARMED, event(1002, "del"), event(1006, "set", 250_000)],
        {"fate": "set-old", "set_again": True, "set_old": True, "ttl_ms": 250_000},
    ),
    "old value deleted again, with a delay": (
        W, [read(1100, 99), read(1600, 100)],
        [*WARMED, event(1002, "del"), event(1006, "set", 250_000), event(1500, "del")],
        {"fate": "deleted", "set_old": True},
    ),
    "race whose second DEL met nothing": (
        RACE, [read(950, 99, took=100), read(1100, 99)], [*WARMED, event(905, "del"), event(1049, "set", 300_000)],
        {"fate": "set-old", "set_old": True, "after_send_ms": None},
    ),
    "race whose second DEL met the old entry": (
        RACE, [read(950, 99, took=100), read(1100, 99)],
        [*WARMED, event(905, "del"), event(1004, "del"), event(1049, "set", 300_000)],
        {"fate": "set-old", "set_old": True, "after_send_ms": 4},
    ),
    "race against a fast write": (
        [RACE[0], write(1000, 1000.5, prestate="in-flight")], [read(950, 99, took=51), read(1100, 99)],
        [*WARMED, event(905, "del"), event(1000.9, "set")], {"fate": "set-old"},
    ),
    "race won": (
        RACE, [read(950, 99, took=12), read(1100, 100)],
        [*WARMED, event(905, "del"), event(960, "set"), event(1004, "del"), event(1101, "set")],
        {"fate": "deleted", "set_old": False, "after_send_ms": 4},
    ),
    "deletion that may be the first write's": (
        [write(998, 999.5, version=99, prestate="in-flight", probe=100), write(prestate="in-flight")], FRESH,
        [*WARMED, event(1000.4, "del"), event(1101, "set")], {"fate": "deleted", "after_send_ms": None},
    ),
    "first write's late deletion": (
        [write(980, 990, version=99, prestate="in-flight", probe=100), write(1000, 1040, prestate="in-flight")], STALE,
        [*WARMED, event(1033, "del")], {"deleted": True, "after_ack_ms": None},
    ),
    "race on the wrong key": (RACE, [read(950, 98), read(1100, 98)], WARMED, {"fate": "kept"}),
    "old copy in a worker process": (
        [write(mode="burst")], [read(1020, 100), read(1030, 99), read(1040, 100), read(1050, 99)], IN_A_WORKER,
        {"fate": "deleted", "set_old": False},
    ),
    "old copy in a worker process, read first": (
        [write(mode="burst")], [read(1011, 99), read(1020, 100)], IN_A_WORKER, {"fate": "deleted", "set_again": False},
    ),
    "refill deleted before the stale read": (
        W, STALE, [*WARMED, event(1004, "del"), event(1020, "set"), event(1050, "del")],
        {"fate": "deleted", "set_old": False},
    ),
    "value set before the deletion": (
        W, STALE, [*WARMED, event(1003, "set"), event(1006, "del")], {"fate": "deleted", "set_again": False},
    ),
    "write-through": (
        W, FRESH, [*WARMED, event(1008, "set", 300_000), event(1008.01, "expire")],
        {"fate": "rewritten", "deleted": False},
    ),
    "write-through of a cold key": (
        [write(prestate="cold")], FRESH, [event(1008, "set")], {"fate": "rewritten"},
    ),
    "late event of the warming read": (
        W, STALE, LATE_WARMING, {"fate": "kept", "set_again": False, "ttl_ms": 300_000, "left_ms": 300_000},
    ),
    "late event, of a read or of the write": (W, FRESH, LATE_WARMING, {"fate": "no-entry"}),
    "late event of the warming read, deleted": (
        W, STALE, [*LATE_WARMING, event(1004, "del")], {"fate": "deleted", "set_again": False},
    ),
    "fill by a reader, of a cold key": (
        [write(prestate="cold")], [read(1100, 100), read(1200, 100)], [event(1101, "set")], {"fate": "no-entry"},
    ),
    "late rewriting with fresh reads": (
        W, [read(1100, 99), read(1400, 100)], [*WARMED, event(1300, "set")], {"fate": "rewritten"},
    ),
    "late rewriting with stale reads": (
        W, [read(1100, 99), read(1400, 99)], [*WARMED, event(1300, "set")], {"fate": "set-anew"},
    ),
    "expired": (
        W, [read(1100, 99), read(1500, 100)], [event(100, "set", 1300), event(1400, "expired")],
        {"fate": "expired", "expired": True, "deleted": False},
    ),
    "evicted": (
        W, [read(1100, 99), read(1500, 100)], [event(100, "set", 1300), event(1400, "evicted")],
        {"fate": "expired", "expired": True, "deleted": False},
    ),
    "expired after the last read": (W, STALE, [*WARMED, event(1400, "expired")], {"fate": "kept"}),
    "cached absence, set again": (
        ABSENT, [GONE], [*WARMED, event(1002, "del"), event(1006, "set"), REMOVED], {"fate": "set-old"},
    ),
    "flush by the write": (
        W, FRESH, [*WARMED, mark(1005, "flushed")],
        {"fate": "flushed", "deleted": True, "flushed_by_write": True, "after_ack_ms": -5},
    ),
    "flush after the write": (
        W, FRESH, [*WARMED, mark(1050, "flushed")], {"fate": "flushed", "flushed_by_write": False},
    ),
    "flush before the write": (W, FRESH, [*WARMED, mark(500, "flushed")], {"fate": "no-entry", "left_ms": None}),
    "flushes not reported, no deletion": (
        W, STALE, [*WARMED, mark(0, "(flushes not told)")], {"fate": "not-visible"},
    ),
    "flushes not reported, deletion": (
        W, FRESH, [*WARMED, mark(0, "(flushes not told)"), event(1005, "del")], {"fate": "deleted"},
    ),
    "no event of an entry": (W, STALE, [], {"fate": "no-entry"}),
    "lifetime set by its own command": (
        W, STALE, [event(100, "hset", -1), event(100.1, "expire", 60_000)], {"ttl_ms": 60_000, "left_ms": 59_100},
    ),
    "lifetime set, not asked": (
        W, STALE, [event(100, "hset", -1), event(100.1, "expire")], {"ttl_ms": None, "left_ms": None},
    ),
    "no lifetime": (W, STALE, [event(100, "set", -1)], {"ttl_ms": -1, "left_ms": -1}),
    # Valkey 8.1 reports `EXPIRE key 0` as `expired`.
    "expired long before its time": (W, FRESH, [event(100, "set", 300_000), event(1005, "expired")], {"fate": "deleted"}),
    "expired without a lifetime": (W, FRESH, [event(100, "set", -1), event(1005, "expired")], {"fate": "deleted"}),
    "expired in time": (W, FRESH, [event(100, "set", 930), event(1005, "expired")], {"fate": "expired"}),
    "expired, lifetime not known": (W, FRESH, [event(100, "set"), event(1005, "expired")], {"fate": "expired"}),
    "expired before the time of its kind": (
        W, FRESH, [*KIND, event(100, "set"), event(1005, "expired")], {"fate": "deleted"},
    ),
    "expired, lifetimes of its kind differ": (
        W, FRESH, [*KIND, event(60, "set", 500, key="9"), event(100, "set"), event(1005, "expired")],
        {"fate": "expired"},
    ),
    "expired, lifetime cut short": (
        W, FRESH, [event(100, "set", 300_000), event(900, "expire"), event(1005, "expired")], {"fate": "expired"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_became_of_the_entry(name: str) -> None:
    writes, reads, events, expected = CASES[name]
    row = the_row(writes, reads, events)
    assert {column: row[column] for column in expected} == expected


OTHER_KEY = [write(2000, 2010, version=102, key="8"), read(2500, 102, key="8", probe=102)]


@pytest.mark.parametrize(
    ("writes", "reads", "events", "fates"),
    [
        ([*ABSENT, OTHER_KEY[0]], [GONE, OTHER_KEY[1]], [*WARMED, REMOVED], {100: "kept", 102: "no-entry"}),
        # A deletion after the key's last read counts, while the block goes on.
        ([*W, OTHER_KEY[0]], [read(1015, 99), OTHER_KEY[1]], [*WARMED, event(1400, "del")],
         {100: "deleted", 102: "no-entry"}),
        # What the next write of the key does is its own.
        ([*W, write(2000, 2010, version=102)], [*STALE, read(2100, 102, probe=102)], [*WARMED, event(2004, "del")],
         {100: "kept", 102: "deleted"}),
        # Only acknowledged writes of a probe have a row.
        ([*RACE, write(3000, None, version=104, prestate="refused", status=422)], [read(1100, 98)], WARMED,
         {100: "kept"}),
        # Blocks and arms have their own events.
        ([*W, write(block=2, version=102), write(arm="after", version=104)],
         [*STALE, read(1100, 102, block=2, probe=102), read(1100, 104, arm="after", probe=104)],
         [*WARMED, event(100, "set", block=2), event(1004, "del", block=2), event(1004, "del", arm="after")],
         {100: "kept", 102: "deleted", 104: "deleted"}),
        ([], [], [], {}),
    ],
    ids=["created key", "late deletion", "next write", "refused write", "blocks and arms", "nothing"],
)  # fmt: skip
def test_each_write_has_its_own_events(
    writes: list[Row], reads: list[Row], events: list[Row], fates: dict[int, str]
) -> None:
    rows = around(writes, reads, events, watched=() if len(fates) == 3 or not fates else (WATCHED,))
    assert dict(zip(rows.version, rows.fate, strict=True)) == fates


@pytest.mark.parametrize(
    "watched",
    [(), ((0, 500),), ((1005, 9000),), ((0, 1050), (1060, 9000)), ((0, 999), (999.5, 9000))],
    ids=["no watch", "ended before", "began after", "broken in between", "broken behind the warming"],
)
def test_a_gap_in_the_watch_makes_it_not_visible(watched: tuple[tuple[float, float], ...]) -> None:
    row = the_row(W, STALE, WARMED if watched else [], watched=watched)
    assert (row["fate"], row["deleted"], row["set_again"], row["expired"]) == ("not-visible", False, False, False)


def test_events_without_marks_count_as_watched() -> None:
    assert the_row(W, STALE, WARMED, watched=())["fate"] == "kept"


_NAMES = st.sampled_from(
    ["set", "expire", "del", "expired", "evicted", "hset", "keymiss", "flushed", "(watching)", "(lost)"]
)
_TIMES = st.integers(0, 3000)


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.tuples(_TIMES, _NAMES, st.sampled_from([None, -1, 0, 5000])), max_size=12),
    st.lists(st.tuples(_TIMES, st.sampled_from([None, 98, 99, 100, 101])), max_size=5),
    st.sampled_from(["warm", "cold", "in-flight", "absent"]),
)
def test_the_columns_agree_whatever_happened(
    happened: list[tuple[int, str, int | None]], versions: list[tuple[int, int | None]], prestate: str
) -> None:
    events = [event(at, name, ttl) for at, name, ttl in happened]
    row = the_row([write(prestate=prestate)], [read(at, version) for at, version in versions], events)
    assert row["deleted"] == (row["fate"] in ("deleted", "set-old", "flushed")) == (row["deleted_key"] is not None)
    assert row["set_old"] <= row["set_again"]
    assert (row["deleted"] and row["set_old"]) or row["fate"] != "set-old"
    assert row["expired"] or row["fate"] != "expired"
    end = max([1010, *(at for at, _ in versions)])  # nothing is claimed of what came after the probe's last read
    sent_or_later = {name for at, name, _ in happened if 1002 < at <= end}
    assert row["fate"] != "kept" or not sent_or_later & {"set", "hset", "del", "flushed"}
    stale = any(version is not None and version < 100 and at >= 1010 for at, version in versions)
    assert stale or not row["set_old"]
    names = {name for _, name, _ in happened}
    assert names & {"del", "flushed", "expired"} or not row["deleted"]
    assert names & {"set", "hset"} or row["fate"] in ("no-entry", "not-visible", "deleted", "flushed", "expired")

"""What the cache did around each probed write, told from its own events."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.cache_events.stories import probe_stories
from luckyhit.records import EVENTS, READS, WRITES
from tier import examples

MS = 1_000_000
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}
Row = dict[str, Any]
COLUMNS = [
    "arm", "block", "key", "version", "prestate", "deleted", "deleted_key", "after_send_ms",
    "after_ack_ms", "set_again", "set_old", "flushed_by_write", "ttl_ms", "left_ms", "expired", "fate",
]  # fmt: skip
WATCHED = (0, 10_000)
"""Times in these tests are in milliseconds. A probed write is sent at 1000 and acknowledged at 1010."""


def write(at: float = 1000, acked: float | None = 1010, *, version: int = 100, **other: Any) -> Row:
    row = {"arm": "before", "block": 1, "key": "7", "probe": version, "mode": "once", "prestate": "warm"}
    row |= {"version": version, "sent_ns": int(at * MS), "acked_ns": None if acked is None else int(acked * MS)}
    return {**row, "status": 200, "connection": 1, **other}


def read(at: float, seen: int | None, *, probe: int = 100, took: float = 2, **other: Any) -> Row:
    row = {"arm": "before", "block": 1, "key": "7", "probe": probe, "mode": "once", "route": "read", "delay_ns": 0}
    row |= {"sent_ns": int(at * MS), "done_ns": int((at + took) * MS), "seen_version": seen}
    row |= {"conditional": False, "absent": False, "connection": 1, "fresh_connection": False, "cache": "unknown"}
    return {**row, "status": 200, **other}


def event(at: float, name: str, ttl: int | None = None, **other: Any) -> Row:
    row = {"arm": "before", "block": 1, "at_ns": int(at * MS), "key": "7", "cache_key": "product:7", "event": name}
    return {**row, "ttl_ms": ttl, **other}


def marks(*stretches: tuple[float, float]) -> list[Row]:
    found = []
    for number, (start, end) in enumerate(stretches, 1):
        found.append(event(start, "(watching)", key="", cache_key=""))
        found.append(event(end, "(watched)" if number == len(stretches) else "(lost)", key="", cache_key=""))
    return found


def stories(
    writes: list[Row], reads: list[Row], events: list[Row], watched: tuple[tuple[float, float], ...] = (WATCHED,)
) -> pd.DataFrame:
    def frame(rows: list[Row], schema: pa.Schema) -> pd.DataFrame:
        return pa.Table.from_pylist(rows, schema=schema).to_pandas(types_mapper=_NULLABLE.get)

    return probe_stories(
        frame(writes, WRITES), frame(reads, READS), frame([*events, *(marks(*watched) if watched else [])], EVENTS)
    )


def story(*args: Any, **options: Any) -> Row:
    found = stories(*args, **options)
    assert list(found.columns) == COLUMNS
    (row,) = found.to_dict("records")
    return {name: None if value is pd.NA else value for name, value in row.items()}


WARMED = [event(100, "set", 300_000), event(100.01, "expire")]


def test_a_wrong_key_leaves_the_entry_as_it_was() -> None:
    found = story([write()], [read(1100, 99)], WARMED)
    assert (found["fate"], found["deleted"], found["set_again"], found["expired"]) == (
        "kept", False, False, False,
    )  # fmt: skip
    assert (found["ttl_ms"], found["left_ms"], found["after_send_ms"]) == (300_000, 299_100, None)


def test_a_deleted_entry_is_told_with_when_and_which() -> None:
    found = story([write()], [read(1100, 100)], [*WARMED, event(1004.5, "del"), event(1101, "set", 300_000)])
    assert (found["fate"], found["deleted_key"], found["after_send_ms"]) == ("deleted", "product:7", 4.5)
    assert found["set_again"] and not found["set_old"]  # by the read, with the new value


def test_which_of_several_keys_was_deleted() -> None:
    second = [event(200, "set", cache_key="page:7"), event(1004, "del", cache_key="page:7")]
    found = story([write()], [read(1100, 99)], [*WARMED, *second])
    assert (found["fate"], found["deleted_key"]) == ("deleted", "page:7")


def test_invalidation_before_the_commit_lets_a_reader_set_the_old_value_again() -> None:
    between = [event(1002, "del"), event(1006, "set", 250_000)]
    found = story([write()], [read(1100, 99), read(1500, 99)], [*WARMED, *between])
    assert found["fate"] == "set-old"
    assert found["set_again"] and found["set_old"] and found["ttl_ms"] == 250_000


RACE = [write(900, 910, version=99, prestate="in-flight", probe=100), write(prestate="in-flight")]


@pytest.mark.parametrize("second_del", [[], [event(1004, "del")]], ids=["met nothing", "met the old entry"])
def test_a_racing_read_that_sets_after_the_second_deletion(second_del: list[Row]) -> None:
    """A DEL that meets nothing is told by no event: the first write's has to do."""
    racing = read(950, 99, took=100)
    events = [*WARMED, event(905, "del"), *second_del, event(1049, "set", 300_000)]
    found = story(RACE, [racing, read(1100, 99)], events)
    assert found["fate"] == "set-old" and found["set_old"]
    assert found["after_send_ms"] == (4 if second_del else None)


def test_a_race_against_a_write_that_takes_hardly_any_time() -> None:
    writes = [RACE[0], write(1000, 1000.5, prestate="in-flight")]
    found = story(writes, [read(950, 99, took=51), read(1100, 99)], [*WARMED, event(905, "del"), event(1000.9, "set")])
    assert found["fate"] == "set-old"


def test_a_race_that_was_won_is_a_deletion() -> None:
    events = [*WARMED, event(905, "del"), event(960, "set"), event(1004, "del"), event(1101, "set")]
    found = story(RACE, [read(950, 99, took=12), read(1100, 100)], events)
    assert (found["fate"], found["set_old"], found["after_send_ms"]) == ("deleted", False, 4)


def test_a_deletion_that_may_be_the_first_writes_is_not_timed_as_the_seconds() -> None:
    writes = [write(998, 999.5, version=99, prestate="in-flight", probe=100), write(prestate="in-flight")]
    found = story(writes, [read(1100, 100)], [*WARMED, event(1000.4, "del"), event(1101, "set")])
    assert (found["fate"], found["after_send_ms"]) == ("deleted", None)


def test_a_race_on_the_wrong_key() -> None:
    assert story(RACE, [read(950, 98), read(1100, 98)], WARMED)["fate"] == "kept"


def test_an_old_copy_in_a_worker_process_is_not_blamed_on_what_was_set() -> None:
    """The new value was seen in what was set: the old one that another read showed is kept somewhere else."""
    events = [*WARMED, event(1004, "del"), event(1021, "set", 300_000)]
    polls = [read(1020, 100), read(1030, 99), read(1040, 100), read(1050, 99)]
    found = story([write(mode="burst")], polls, events)
    assert found["fate"] == "deleted" and not found["set_old"]
    first_stale = story([write(mode="burst")], [read(1011, 99), read(1020, 100)], events)
    assert first_stale["fate"] == "deleted" and not first_stale["set_again"]


def test_what_was_taken_away_again_is_not_what_a_later_read_showed() -> None:
    events = [*WARMED, event(1004, "del"), event(1020, "set"), event(1050, "del")]
    found = story([write()], [read(1100, 99)], events)
    assert found["fate"] == "deleted" and not found["set_old"]


def test_what_was_set_before_the_deletion_was_not_set_again() -> None:
    found = story([write()], [read(1100, 99)], [*WARMED, event(1003, "set"), event(1006, "del")])
    assert found["fate"] == "deleted" and not found["set_again"]


def test_write_through_rewrites_the_entry() -> None:
    found = story([write()], [read(1100, 100)], [*WARMED, event(1008, "set", 300_000), event(1008.01, "expire")])
    assert (found["fate"], found["deleted"]) == ("rewritten", False)
    cold = story([write(prestate="cold")], [read(1100, 100)], [event(1008, "set")])
    assert cold["fate"] == "rewritten"


def test_a_warming_read_whose_event_came_late() -> None:
    """The read that warmed the key was answered just before the write was sent; its event reached us just after."""
    late = [event(1000.8, "set", 300_000), event(1000.8, "expire")]
    kept = story([write()], [read(1100, 99)], late)
    assert (kept["fate"], kept["set_again"], kept["ttl_ms"], kept["left_ms"]) == (
        "kept",
        False,
        300_000,
        300_000,
    )
    assert story([write()], [read(1100, 100)], late)["fate"] == "unseen"  # or was it the write that set it?
    deleted = story([write()], [read(1100, 99)], [*late, event(1004, "del")])
    assert (deleted["fate"], deleted["set_again"]) == ("deleted", False)


def test_a_refill_by_a_reader_is_no_rewriting() -> None:
    cold = story([write(prestate="cold")], [read(1100, 100), read(1200, 100)], [event(1101, "set")])
    assert cold["fate"] == "unseen"  # there was nothing to delete, and a DEL of nothing is told by nothing


def test_a_rewriting_that_comes_late_counts_where_the_reads_behind_it_were_fresh() -> None:
    late = [*WARMED, event(1300, "set")]
    assert story([write()], [read(1100, 99), read(1400, 100)], late)["fate"] == "rewritten"
    assert story([write()], [read(1100, 99), read(1400, 99)], late)["fate"] == "set-anew"


@pytest.mark.parametrize("name", ["expired", "evicted"])
def test_an_entry_that_went_by_itself(name: str) -> None:
    found = story([write()], [read(1100, 99), read(1500, 100)], [event(100, "set", 1300), event(1400, name)])
    assert (found["fate"], found["expired"], found["deleted"]) == ("expired", True, False)


def test_an_end_behind_the_probes_last_read_is_none_of_its_story() -> None:
    assert story([write()], [read(1100, 99)], [*WARMED, event(1400, "expired")])["fate"] == "kept"


def test_an_absence_that_was_cached() -> None:
    created = write(prestate="absent")
    gone = read(1100, None, absent=True, status=404)
    removed = event(1150, "del")  # by the probe, which removes what it created
    later = read(2500, 102, key="8", probe=102)
    assert story([created], [gone, later], [*WARMED, removed])["fate"] == "kept"
    again = story([created], [gone], [*WARMED, event(1002, "del"), event(1006, "set"), removed])
    assert again["fate"] == "set-old"


def test_a_deletion_that_comes_late_is_seen_though_the_probe_has_read_by_then() -> None:
    other = [write(2000, 2010, version=102, key="8"), read(2500, 102, key="8", probe=102)]
    found = stories([write(), other[0]], [read(1015, 99), other[1]], [*WARMED, event(1400, "del")])
    assert found[found.key == "7"].fate.tolist() == ["deleted"]
    assert found[found.key == "7"].after_send_ms.tolist() == [400]


def test_what_the_next_write_of_the_key_does_is_its_own() -> None:
    writes = [write(), write(2000, 2010, version=102)]
    reads = [read(1100, 99), read(2100, 102, probe=102)]
    found = stories(writes, reads, [*WARMED, event(2004, "del")])
    assert found.fate.tolist() == ["kept", "deleted"]


@pytest.mark.parametrize(
    "watched",
    [(), ((0, 500),), ((1005, 9000),), ((0, 1050), (1060, 9000)), ((0, 999), (999.5, 9000))],
    ids=["no watch", "ended before", "began after", "broken in between", "broken behind the warming"],
)
def test_where_the_watch_had_a_hole_nothing_is_said(watched: tuple[tuple[float, float], ...]) -> None:
    found = story([write()], [read(1100, 99)], WARMED if watched else [], watched=watched)
    assert (found["fate"], found["deleted"], found["set_again"], found["expired"]) == ("not-visible", *[False] * 3)


def test_an_entry_that_nobody_saw_come_may_not_have_been_there() -> None:
    assert story([write()], [read(1100, 99)], [])["fate"] == "unseen"


def test_events_without_the_watchs_own_marks_count_as_watched() -> None:
    assert story([write()], [read(1100, 99)], WARMED, watched=())["fate"] == "kept"


def test_only_probed_and_acknowledged_writes_have_a_story() -> None:
    refused = write(3000, None, version=104, prestate="refused", status=422)
    found = stories([*RACE, refused], [read(1100, 98)], WARMED)
    assert found.version.tolist() == [100]


def test_another_block_and_another_arm_have_their_own_events() -> None:
    writes = [write(), write(block=2, version=102), write(arm="after")]
    reads = [read(1100, 99), read(1100, 100, block=2, probe=102), read(1100, 100, arm="after")]
    events = [*WARMED, *[event(100, "set", block=2), event(1004, "del", block=2)], event(1004, "del", arm="after")]
    found = stories(writes, reads, events, watched=())
    told = dict(zip(zip(found.arm, found.block, strict=True), found.fate, strict=True))
    assert told == {("before", 1): "kept", ("before", 2): "deleted", ("after", 1): "deleted"}


def test_a_time_to_live_that_was_given_by_a_command_of_its_own() -> None:
    found = story([write()], [read(1100, 99)], [event(100, "hset", -1), event(100.1, "expire", 60_000)])
    assert (found["ttl_ms"], found["left_ms"]) == (60_000, 59_100)
    unknown = story([write()], [read(1100, 99)], [event(100, "hset", -1), event(100.1, "expire")])
    assert (unknown["ttl_ms"], unknown["left_ms"]) == (None, None)
    for_ever = story([write()], [read(1100, 99)], [event(100, "set", -1)])
    assert (for_ever["ttl_ms"], for_ever["left_ms"]) == (-1, -1)


def test_no_rows() -> None:
    found = stories([], [], [], watched=())
    assert list(found.columns) == COLUMNS and len(found) == 0


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
def test_whatever_happened_the_story_agrees_with_itself(
    told: list[tuple[int, str, int | None]], seen: list[tuple[int, int | None]], prestate: str
) -> None:
    events = [event(at, name, ttl) for at, name, ttl in told]
    found = story([write(prestate=prestate)], [read(at, version) for at, version in seen], events)
    assert (
        found["deleted"] == (found["fate"] in ("deleted", "set-old", "flushed")) == (found["deleted_key"] is not None)
    )
    assert found["set_old"] <= found["set_again"]
    assert (found["deleted"] and found["set_old"]) or found["fate"] != "set-old"
    assert found["expired"] or found["fate"] != "expired"
    end = max([1010, *(at for at, _ in seen)])  # nothing is claimed of what came behind the probe's last read
    sent_or_later = {name for at, name, _ in told if 1002 < at <= end}
    assert found["fate"] != "kept" or not sent_or_later & {"set", "hset", "del", "flushed"}
    stale = any(version is not None and version < 100 and at >= 1010 for at, version in seen)
    assert stale or not found["set_old"]
    names = {name for _, name, _ in told}
    assert names & {"del", "flushed", "expired"} or not found["deleted"]
    assert names & {"set", "hset"} or found["fate"] in ("unseen", "not-visible", "deleted", "flushed", "expired")


def test_times_count_from_the_acknowledgement_too() -> None:
    late = story([write()], [read(1100, 100)], [*WARMED, event(1052, "del")])
    assert (late["after_send_ms"], late["after_ack_ms"]) == (52, 42)
    early = story([write()], [read(1100, 100)], [*WARMED, event(1009.5, "del")])
    assert (early["after_send_ms"], early["after_ack_ms"]) == (9.5, -0.5)


def test_an_old_value_that_was_deleted_again_is_not_there_for_good() -> None:
    """A second, delayed deletion: the first stale read is not the end of the story."""
    between = [event(1002, "del"), event(1006, "set", 250_000), event(1500, "del")]
    found = story([write()], [read(1100, 99), read(1600, 100)], [*WARMED, *between])
    assert (found["fate"], found["set_old"]) == ("deleted", True)


def test_a_late_deletion_of_the_first_write_is_not_the_seconds() -> None:
    """Deleted 43 ms behind its acknowledgement, the first write's entry goes while the second is under way."""
    writes = [write(980, 990, version=99, prestate="in-flight", probe=100), write(1000, 1040, prestate="in-flight")]
    found = story(writes, [read(1100, 99)], [*WARMED, event(1033, "del")])
    assert (found["deleted"], found["after_ack_ms"]) == (True, None)


def test_a_flush_takes_every_entry() -> None:
    flush = event(1005, "flushed", key="", cache_key="")
    found = story([write()], [read(1100, 100)], [*WARMED, flush])
    assert (found["fate"], found["deleted"], found["flushed_by_write"]) == ("flushed", True, True)
    assert found["after_ack_ms"] == -5
    elsewhen = story([write()], [read(1100, 100)], [*WARMED, {**flush, "at_ns": 1050 * MS}])
    assert (elsewhen["fate"], elsewhen["flushed_by_write"]) == ("flushed", False)
    long_ago = story([write()], [read(1100, 100)], [*WARMED, {**flush, "at_ns": 500 * MS}])
    assert (long_ago["fate"], long_ago["left_ms"]) == ("unseen", None)


def test_where_a_flush_would_not_be_told_nothing_stayed() -> None:
    blind = event(0, "(flushes not told)", key="", cache_key="")
    assert story([write()], [read(1100, 99)], [*WARMED, blind])["fate"] == "not-visible"
    assert story([write()], [read(1100, 100)], [*WARMED, blind, event(1005, "del")])["fate"] == "deleted"


@pytest.mark.parametrize(
    ("ttl", "fate"),
    [(300_000, "deleted"), (-1, "deleted"), (930, "expired"), (None, "expired")],
    ids=["long before its time", "no time to live", "in time", "time not known"],
)
def test_an_entry_that_expires_before_its_time_was_deleted(ttl: int | None, fate: str) -> None:
    """`EXPIRE key 0` is told as `expired` by Valkey 8.1."""
    found = story([write()], [read(1100, 100)], [event(100, "set", ttl), event(1005, "expired")])
    assert found["fate"] == fate


def test_an_early_end_is_told_by_what_entries_of_its_kind_have() -> None:
    others = [event(50 + n, "set", 300_000 - n, key=str(n), cache_key=f"product:{n}") for n in range(3)]
    found = story([write()], [read(1100, 100)], [*others, event(100, "set"), event(1005, "expired")])
    assert found["fate"] == "deleted"
    mixed = [*others, event(60, "set", 500, key="9", cache_key="product:9")]
    assert story([write()], [read(1100, 100)], [*mixed, event(100, "set"), event(1005, "expired")])["fate"] == "expired"


def test_a_time_to_live_that_was_cut_short_is_no_deletion() -> None:
    short = [event(100, "set", 300_000), event(900, "expire"), event(1005, "expired")]
    assert story([write()], [read(1100, 100)], short)["fate"] == "expired"

"""What reads mean: classification, stale share, session guarantees."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from freshness_rows import frames, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.freshness.classify import classify_reads, late_reads, share_of
from tier import examples

MS = 1_000_000


def outcomes(reads: list[dict[str, Any]], writes: list[dict[str, Any]]) -> list[str]:
    reads_frame, writes_frame = frames(reads, writes)
    return classify_reads(reads_frame, writes_frame)["outcome"].tolist()


def test_an_older_value_after_the_acknowledgement_is_stale_and_before_it_is_not() -> None:
    written = [write(version=1000, sent=10, acked=20)]
    reads = [
        read(sent=5, done=8, seen=999),  # before the write
        read(sent=15, done=25, seen=999),  # under way while the write lands
        read(sent=20, done=25, seen=999),  # sent at the very instant of the acknowledgement: not after it
        read(sent=21, done=25, seen=999),
        read(sent=30, done=35, seen=1000),
    ]
    assert outcomes(reads, written) == ["unknown", "unknown", "unknown", "stale", "fresh"]


def test_an_older_version_of_the_probe_is_stale_and_a_newer_one_that_is_under_way_is_fresh() -> None:
    written = [write(version=1000, sent=10, acked=20), write(version=1001, sent=30, acked=40)]
    reads = [
        read(sent=35, done=45, seen=1001),
        read(sent=35, done=45, seen=1000),
        read(sent=41, done=45, seen=1000),
    ]
    assert outcomes(reads, written) == ["fresh", "fresh", "stale"]


def test_a_refused_value_that_is_seen_was_never_committed() -> None:
    written = [write(version=1000, sent=10, acked=20), write(version=1001, sent=30, acked=None, status=422)]
    reads = [read(sent=50, done=55, seen=1001), read(sent=50, done=55, seen=1000)]
    assert outcomes(reads, written) == ["never-committed", "fresh"]


def test_a_value_nobody_wrote_was_never_committed() -> None:
    assert outcomes([read(sent=30, done=35, seen=1234)], [write(version=1000, sent=10, acked=20)]) == [
        "never-committed"
    ]


@pytest.mark.parametrize("status", [None, 503, 202])
def test_a_write_without_an_acknowledgement_is_no_ground_to_call_anything_stale(status: int | None) -> None:
    lost = write(version=1001, sent=30, acked=None, status=status)
    newer = write(version=1002, sent=60, acked=70)
    reads = [
        read(sent=50, done=55, seen=1000),  # the lost write may never have been committed
        read(sent=50, done=55, seen=1001),  # or it may
        read(sent=80, done=85, seen=1001),  # or even late, behind the newer one
        read(sent=80, done=85, seen=1000),  # but this one is older in every case
    ]
    written = [write(version=1000, sent=10, acked=20), lost, newer]
    assert outcomes(reads, written) == ["fresh", "fresh", "unknown", "stale"]


def test_a_read_that_shows_nothing_is_unknown() -> None:
    reads = [read(sent=30, done=None, seen=None, status=None), read(sent=30, done=35, seen=None, status=404)]
    assert outcomes(reads, [write(version=1000, sent=10, acked=20)]) == ["unknown", "unknown"]


def test_arms_blocks_and_keys_are_kept_apart() -> None:
    written = [write(version=1000, sent=10, acked=20)]
    for other in ({"arm": "after"}, {"block": 9}, {"key": "other"}):
        assert outcomes([read(sent=30, done=35, seen=999, **other)], written) == ["unknown"]


def test_the_stale_share_counts_only_single_reads_past_the_bound() -> None:
    written = [write(version=1000, sent=10 * MS, acked=20 * MS)]
    reads = [
        read(sent=100 * MS, done=101 * MS, seen=999),  # within 200 ms: acceptable
        read(sent=220 * MS, done=221 * MS, seen=999),  # at the bound: still acceptable
        read(sent=300 * MS, done=301 * MS, seen=999),
        read(sent=400 * MS, done=401 * MS, seen=1000),
        read(sent=400 * MS, done=401 * MS, seen=None),
        read(sent=400 * MS, done=401 * MS, seen=5000),
        read(sent=500 * MS, done=501 * MS, seen=999, mode="burst"),
    ]
    share = share_of(late_reads(*frames(reads, written), within_s=0.2))
    assert (share.stale, share.fresh, share.never_committed, share.unknown) == (1, 1, 1, 1)
    assert share.reads == 2 and share.share == 0.5
    assert len(late_reads(*frames(reads, written), within_s=0.2)) == 4


def test_without_reads_the_share_is_not_known_instead_of_zero() -> None:
    share = share_of(late_reads(*frames([], []), within_s=0.2))
    assert share.share is None and share.reads == 0


def test_the_added_columns_keep_the_rows_order_and_index() -> None:
    reads, writes = frames(
        [read(sent=30, done=35, seen=1000), read(sent=25, done=28, seen=999)], [write(version=1000, sent=10, acked=20)]
    )
    reads.index = pd.Index([7, 3])
    classified = classify_reads(reads, writes)
    assert classified.index.tolist() == [7, 3]
    assert classified["outcome"].to_dict() == {7: "fresh", 3: "stale"}
    assert classified["since_ack_ns"].to_dict() == {7: 10, 3: 5}
    assert classified["newest_version"].tolist() == [1000, 1000]


def test_frames_read_with_plain_types_give_the_same_answer() -> None:
    writes = [write(version=1000, sent=10, acked=20), write(version=1001, sent=30, acked=None, status=422)]
    reads = [read(sent=30, done=35, seen=999), read(sent=30, done=None, seen=None), read(sent=40, done=41, seen=1001)]
    as_recorded = classify_reads(*frames(reads, writes))
    plain = classify_reads(pd.DataFrame(reads), pd.DataFrame(writes))
    assert plain["outcome"].tolist() == as_recorded["outcome"].tolist() == ["stale", "unknown", "never-committed"]


# A register that really works as declared: one true order of commits, reads that lag behind by a known amount.
steps = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=12)


@settings(max_examples=examples(200), deadline=None)
@given(steps=steps, lag=st.integers(0, 400), gaps=st.lists(st.integers(1, 60), max_size=30))
def test_reads_are_called_stale_only_when_they_are(
    steps: list[tuple[int, int, int]], lag: int, gaps: list[int]
) -> None:
    """Commits happen anywhere between send and acknowledgement; a read shows what was committed `lag` before it."""
    now, commits, written = 0, [(-(10**6), 999)], []
    for number, (pause, before_commit, after_commit) in enumerate(steps):
        sent = now + pause
        commit, now = sent + before_commit, sent + before_commit + after_commit
        commits.append((commit, 1000 + number))
        written.append(write(version=1000 + number, sent=sent, acked=now))
    reads, at = [], 0
    for gap in gaps:
        at += gap
        served = at + 2
        seen = max(version for commit, version in commits if commit <= served - lag)
        reads.append(read(sent=at, done=served + 2, seen=seen))
    classified = classify_reads(*frames(reads, written))
    for row in classified.itertuples():
        acked = [version["version"] for version in written if version["acked_ns"] < row.sent_ns]
        if not acked:
            assert row.outcome == "unknown"
        else:
            assert row.outcome == ("stale" if row.seen_version < max(acked) else "fresh")
            assert row.newest_version == max(acked)
    if lag == 0:
        assert "stale" not in set(classified["outcome"])
    assert "never-committed" not in set(classified["outcome"])


def test_the_helpers_make_the_columns_of_the_records() -> None:
    from luckyhit.records import READS, WRITES

    assert pa.Table.from_pylist([read(sent=1, done=2, seen=3)], schema=READS).schema == READS
    assert pa.Table.from_pylist([write(version=1, sent=1, acked=2)], schema=WRITES).schema == WRITES

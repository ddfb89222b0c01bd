"""What reads mean: fresh, stale, never committed, or unknown; and which of them count."""

from __future__ import annotations

import pandas as pd
import pytest
from freshness_rows import MS, Row, classified, frames, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.freshness.classify import classify_reads, late_reads, share_of
from luckyhit.records import READS, WRITES
from tier import examples

WRITTEN = [write(version=1000, sent=10, acked=20)]
AFTER = {"sent": 30, "done": 35}
CASES: dict[str, tuple[list[Row], list[tuple[Row, str]]]] = {
    "around the acknowledgement": (
        WRITTEN,
        [
            (read(sent=5, done=8, seen=999), "unknown"),  # before the write
            (read(sent=15, done=25, seen=999), "unknown"),  # under way while the write lands
            (read(sent=20, done=25, seen=999), "unknown"),  # sent at the very instant of the acknowledgement
            (read(sent=21, done=25, seen=999), "stale"),
            (read(**AFTER, seen=1000), "fresh"),
        ],
    ),
    "two writes": (
        [*WRITTEN, write(version=1001, sent=30, acked=40)],
        [
            (read(sent=35, done=45, seen=1001), "fresh"),  # under way
            (read(sent=35, done=45, seen=1000), "fresh"),
            (read(sent=41, done=45, seen=1000), "stale"),
        ],
    ),
    "a refused write": (
        [*WRITTEN, write(version=1001, sent=30, acked=None, status=422)],
        [
            (read(sent=50, done=55, seen=1001), "never-committed"),
            (read(sent=50, done=55, seen=1000), "fresh"),
        ],
    ),
    "a value nobody wrote": (WRITTEN, [(read(**AFTER, seen=1234), "never-committed")]),
    **{
        f"a write answered with {status}": (
            [*WRITTEN, write(version=1001, sent=30, acked=None, status=status), write(version=1002, sent=60, acked=70)],
            [
                (read(sent=50, done=55, seen=1000), "fresh"),  # the lost write may never have been committed
                (read(sent=50, done=55, seen=1001), "fresh"),  # or it may
                (read(sent=80, done=85, seen=1001), "unknown"),  # or even late, after the newer one
                (read(sent=80, done=85, seen=1000), "stale"),  # but this one is older in every case
            ],
        )
        for status in (None, 503, 202)
    },
    "reads that show nothing": (
        WRITTEN,
        [
            (read(sent=30, done=None, seen=None, status=None), "unknown"),
            (read(**AFTER, seen=None, status=404), "unknown"),
        ],
    ),
    "another arm, block or key": (
        WRITTEN,
        [(read(**AFTER, seen=999, **other), "unknown") for other in ({"arm": "after"}, {"block": 9}, {"key": "8"})],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_read_means(name: str) -> None:
    written, reads = CASES[name]
    expected = [outcome for _, outcome in reads]
    assert classified([row for row, _ in reads], written)["outcome"].tolist() == expected


def test_only_single_reads_after_the_bound_count() -> None:
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
    share = share_of(late_reads(classified(reads, written), within_s=0.2))
    assert (share.stale, share.fresh, share.never_committed, share.unknown) == (1, 1, 1, 1)
    assert share.reads == 2 and share.share == 0.5


def test_without_reads_the_share_is_not_known() -> None:
    share = share_of(late_reads(classified([], []), within_s=0.2))
    assert share.share is None and share.reads == 0


def test_added_columns_keep_the_order_and_index_of_rows() -> None:
    reads, writes = frames([read(sent=30, done=35, seen=1000), read(sent=25, done=28, seen=999)], WRITTEN)
    reads.index = pd.Index([7, 3])
    judged = classify_reads(reads, writes)
    assert judged["outcome"].to_dict() == {7: "fresh", 3: "stale"}
    assert judged["since_ack_ns"].to_dict() == {7: 10, 3: 5}
    assert judged["newest_version"].tolist() == [1000, 1000]


def test_frames_with_plain_types_give_the_same_answer() -> None:
    writes = [*WRITTEN, write(version=1001, sent=30, acked=None, status=422)]
    reads = [read(sent=30, done=35, seen=999), read(sent=30, done=None, seen=None), read(sent=40, done=41, seen=1001)]
    plain = classify_reads(pd.DataFrame(reads), pd.DataFrame(writes))["outcome"].tolist()
    assert plain == classified(reads, writes)["outcome"].tolist() == ["stale", "unknown", "never-committed"]


def test_the_rows_of_tests_have_the_columns_of_records() -> None:
    reads, writes = frames([read(sent=1, done=2, seen=3)], WRITTEN)
    assert reads.columns.tolist() == READS.names and writes.columns.tolist() == WRITES.names


# A register that really works as declared: one true order of commits, reads that lag behind by a known amount.
steps = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=12)


@settings(max_examples=examples(200), deadline=None)
@given(steps=steps, lag=st.integers(0, 400), gaps=st.lists(st.integers(1, 60), max_size=30))
def test_reads_are_stale_only_when_they_are(steps: list[tuple[int, int, int]], lag: int, gaps: list[int]) -> None:
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
        version = max(version for commit, version in commits if commit <= served - lag)
        reads.append(read(sent=at, done=served + 2, seen=version))
    judged = classified(reads, written)
    for row in judged.itertuples():
        acked = [version["version"] for version in written if version["acked_ns"] < row.sent_ns]
        if not acked:
            assert row.outcome == "unknown"
        else:
            assert row.outcome == ("stale" if row.seen_version < max(acked) else "fresh")
            assert row.newest_version == max(acked)
    if lag == 0:
        assert "stale" not in set(judged["outcome"])
    assert "never-committed" not in set(judged["outcome"])

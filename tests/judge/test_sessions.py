"""Session guarantees: what was broken, and whether it could have been seen at all."""

from __future__ import annotations

import pytest
from freshness_rows import MS, classified, frames, read, write

from luckyhit.judge.freshness.freshness_facts import freshness_facts
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.freshness.sessions import probes_compared, session_violations

WRITES = [write(key="1", version=10, sent=0, acked=2 * MS, connection=1)]


def reads(*seen: int, connections: tuple[int | None, ...], routes: tuple[str, ...] = ("detail",)) -> list[dict]:  # type: ignore[type-arg]
    return [
        read(key="1", sent=(10 + 5 * place) * MS, done=(11 + 5 * place) * MS, seen=version, connection=connection,
             route=routes[place % len(routes)])
        for place, (version, connection) in enumerate(zip(seen, connections, strict=True))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("connections", "monotonic", "own"),
    [
        ((7, 7, 7), 0, None),  # kept, and another than the writer's
        ((1, 1, 1), 0, 0),
        ((1, 8, 9), None, 0),
        ((7, 8, 9), None, None),  # closed after each answer
        ((None, None, None), None, None),
    ],
)
def test_what_could_not_be_seen_is_null_and_not_zero(
    connections: tuple[int | None, ...], monotonic: int | None, own: int | None
) -> None:
    facts = freshness_facts(Probed(*frames(reads(10, 10, 10, connections=connections), WRITES)), 0.0)
    assert (facts.monotonic_reads, facts.read_your_writes) == (monotonic, own)


def test_violations_are_counted_of_reads_that_could_show_them() -> None:
    rows = reads(10, 5, 10, connections=(1, 1, 1))
    counts = session_violations(classified(rows, WRITES), frames(rows, WRITES)[1])
    assert (counts["monotonic_reads"], counts["monotonic_reads_of"]) == (1, 2)
    assert (counts["read_your_writes"], counts["read_your_writes_of"]) == (1, 3)


@pytest.mark.parametrize(
    ("connections", "routes", "probes"),
    [
        ((7, 7, 8), ("detail",), 1),
        ((7, 8, 9), ("detail",), 0),
        ((7, 8, 9), ("detail", "list"), 1),  # detail twice, list once
        ((7, 7, 7), ("detail",), 0),
    ],
)
def test_probes_in_which_two_readers_can_disagree(
    connections: tuple[int, ...], routes: tuple[str, ...], probes: int
) -> None:
    rows = reads(10, 10, 10, connections=connections, routes=routes)
    assert probes_compared(classified(rows, WRITES)) == probes

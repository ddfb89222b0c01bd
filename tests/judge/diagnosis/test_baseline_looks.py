"""What records of a run say for a diagnosis: counts of answers, of repeated keys, of the probe's reads."""

from __future__ import annotations

from typing import Any

from freshness_rows import MS, Row, read, write
from judged_evidence import CASE, evidence

from luckyhit.judge.diagnosis.baseline_looks import baseline_looks
from luckyhit.judge.diagnosis.elimination import eliminate
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.outcome import Decided, Observations, outcome_of

ROUTE = next(route.name for route in CASE.workload.routes if route.method == "GET")
BASELINE = [{"block": 1, "stage": "baseline", "arms": ["before"]}]
APART_MS = 100


def asked(number: int, **other: Any) -> Row:
    """A request every 100 ms for the same key."""
    row: Row = {"arm": "before", "slot": number, "route": ROUTE, "key": "7", "due_ns": number * APART_MS * MS}
    return {**row, "status": 200, "cache": "hit", **other}


def looks(requests: list[Row], **probe: Any) -> dict[str, Observations]:
    return {one.experiment: one for one in baseline_looks(evidence(requests, blocks=BASELINE, **probe))}


def test_answers_are_counted_by_what_is_wrong() -> None:
    made = looks(
        [asked(number) for number in range(6)]
        + [
            asked(6, status=500, error="unexpected"),
            asked(7, error="unexpected"),
            asked(8, status=404, error="unexpected"),
        ]
        + [asked(9, status=None, error="timeout")]
    )["baseline-answers"]
    assert made.trials == {"as-expected": 6, "wrong-answers": 1, "server-errors": 1}
    assert [reference.row for reference in made.rows] == [6]
    assert made.facts["refused"] == 1


def test_a_key_that_is_asked_again_soon_should_hit() -> None:
    made = looks([asked(number, cache="miss" if number % 2 else "hit") for number in range(11)])["baseline-hits"]
    assert made.trials == {"hits": 5, "hardly-any": 5}


def test_a_key_that_was_written_or_is_seldom_asked_may_miss() -> None:
    rows = [asked(0), asked(1, route="write", cache="unknown"), asked(2, cache="miss"), asked(30, cache="miss")]
    assert "baseline-hits" not in looks(rows)


def test_the_change_and_the_warm_up_do_not_count() -> None:
    rows = [asked(0, phase="warmup"), asked(1, arm="after"), asked(2, cache="miss")]
    assert looks(rows)["baseline-answers"].trials == {"as-expected": 1}
    assert "baseline-hits" not in looks(rows)


def test_reads_of_the_probe_are_fresh_or_stale() -> None:
    writes = [write(version=number, sent=number * 1000 * MS, acked=number * 1000 * MS + MS) for number in range(1, 9)]
    reads = [
        read(sent=number * 1000 * MS + 500 * MS, done=number * 1000 * MS + 502 * MS, seen=number if number % 2 else number - 1, probe=number, prestate="warm")
        for number in range(1, 9)
    ]  # fmt: skip
    made = looks([], reads=reads, writes=writes)["baseline-staleness"]
    assert made.trials == {"none-stale": 4, "stale": 4}


def test_records_that_tell_nothing_give_no_look() -> None:
    assert looks([]) == {}
    assert "baseline-hits" not in looks([asked(number, cache="unknown") for number in range(9)])


def test_records_alone_never_show_a_class() -> None:
    rows = [asked(number, cache="miss", status=500, error="unexpected") for number in range(200)]
    outcomes = [outcome_of(EXPERIMENTS[name], observations) for name, observations in looks(rows).items()]
    decided = [one for one in outcomes if isinstance(one, Decided)]
    assert {one.outcome for one in decided} == {"server-errors", "hardly-any"}
    assert not eliminate(decided).shown

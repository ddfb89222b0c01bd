"""How many pairs the verdict took, and when somebody looked: as the report tells it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from luckyhit.records import Metric, Result
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables.how_many import HEADINGS, how_many, looks
from noted import manifest_with

GOAL = {"want": "better", "verdict": "HELPED", "margin": 0.04, "pairs": 3000}
HIT = Metric(
    unit="share", before=0.8, after=0.85, effect=0.05, low=0.02, high=0.08, expected_pairs=1900, wald_pairs=1500, **GOAL
)
RESULT = Result(
    case="x", run="y", date="2026-11-23", design="side-by-side", verdict="HELPED", reason="", metrics={"hit_ratio": HIT},
)  # fmt: skip


def test_a_goal_has_its_pairs_beside_the_least_there_could_be() -> None:
    (row,) = how_many(Recorded(result=RESULT)).rows
    assert dict(zip(HEADINGS, row, strict=True)) == {
        "Metric": "Hit ratio", "Pairs used": "3,000", "Expected": "1,900", "Wald's least": "1,500",
        "Used / least": "2",
    }  # fmt: skip


def test_what_is_not_known_is_a_dash_and_never_a_zero() -> None:
    bare = HIT.model_copy(update={"expected_pairs": None, "wald_pairs": None, "pairs": 0})
    result = RESULT.model_copy(update={"metrics": {"hit_ratio": bare}})
    (row,) = how_many(Recorded(result=result)).rows
    assert set(row[1:]) == {"–"}


def test_without_a_goal_or_a_verdict_there_is_nothing_to_tell() -> None:
    free = HIT.model_copy(update={"verdict": None})
    assert how_many(Recorded()) is None
    assert how_many(Recorded(result=RESULT.model_copy(update={"metrics": {"hit_ratio": free}}))) is None


@pytest.mark.parametrize(
    ("noted", "said"),
    [
        (None, ""),
        ("damaged", ""),
        ([], ""),
        ([{"blocks": 1, "verdict": "HELPED", "stopped": True}],
         "The run was looked at after 1 block of the change: HELPED; there it stopped."),
        ([{"blocks": 1, "verdict": "INCONCLUSIVE", "stopped": False}, {"blocks": 2, "verdict": "INCONCLUSIVE"}],
         "The run was looked at after 1 and 2 blocks of the change: INCONCLUSIVE, INCONCLUSIVE; it went on to the end."),
        ([{"blocks": 4, "verdict": "INCONCLUSIVE", "stopped": False, "added": 1}],
         "The run was looked at after 4 blocks of the change: INCONCLUSIVE; 1 more block was expected to decide, which "
         "the plan had not foreseen."),
    ],
)  # fmt: skip
def test_when_it_was_looked_at_is_said(noted: object, said: str) -> None:
    assert looks(replace(Recorded(), manifest=manifest_with(looks=noted))) == said


def test_the_report_shows_it(judged_run, rendered_once) -> None:
    result = judged_run[1]
    text = rendered_once.read_text(encoding="utf-8")
    assert "How many pairs it took" in text and "Wald&#39;s least" in text
    assert all(
        f'<td class="value">{metric.wald_pairs:,}</td>' in text
        for metric in result.metrics.values()
        if metric.wald_pairs
    )

"""What a judged comparison says of a revision: by intervals and margins, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.bisect.comparison import read_ends, read_goals, readings_of
from luckyhit.records import Metric, Result

NAMES = {"stale_reads": "5 %"}


def metric(low: float | None, high: float | None, verdict: str | None, margin: float | None = 0.05) -> Metric:
    return Metric.model_validate(
        {"unit": "share", "effect": None if low is None else low, "low": low, "high": high, "margin": margin}
        | {"verdict": verdict, "want": "no-worse" if verdict else None}
    )


def result(verdict: str = "EQUIVALENT", **metrics: Metric) -> Result:
    fields: dict[str, Any] = {"case": "c", "run": "r", "date": "2026-01-01", "design": "side-by-side", "reason": "."}
    return Result(verdict=verdict, metrics=metrics, **fields)


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [
        (metric(0.2, 0.4, "HURT"), "hurt"),
        (metric(-0.01, 0.02, "EQUIVALENT"), "not-hurt"),
        (metric(-0.4, -0.2, "HELPED"), "not-hurt"),
        # Surely no worse than its margin, whatever better it may be.
        (metric(None, 0.02, "INCONCLUSIVE"), "not-hurt"),
        (metric(-0.01, 0.2, "INCONCLUSIVE"), "undecided"),
        (metric(None, None, "INCONCLUSIVE"), "undecided"),
        # A number without a verdict decides nothing.
        (metric(0.9, 0.9, None), "undecided"),
    ],
)
def test_the_interval_of_a_goal_decides(shown: Metric, outcome: str) -> None:
    assert read_goals(result(stale_reads=shown), NAMES) == outcome  # type: ignore[arg-type]


def test_more_is_better_of_a_hit_ratio() -> None:
    names: Any = {"hit_ratio": "5 %"}
    assert read_goals(result(hit_ratio=metric(-0.02, None, "INCONCLUSIVE")), names) == "not-hurt"
    assert read_goals(result(hit_ratio=metric(None, -0.02, "INCONCLUSIVE")), names) == "undecided"


def test_an_invalid_comparison_decides_nothing() -> None:
    shown = metric(0.2, 0.4, "HURT")
    assert read_goals(result("INVALID", stale_reads=shown), NAMES) == "undecided"  # type: ignore[arg-type]
    assert read_ends(result("INVALID", stale_reads=shown)) == ("undecided", {})


def test_a_goal_that_was_not_visible_decides_nothing() -> None:
    assert read_goals(result(), NAMES) == "undecided"  # type: ignore[arg-type]


def test_one_hurt_goal_of_several_is_enough() -> None:
    both = {"stale_reads": metric(-0.01, 0.01, "EQUIVALENT"), "error_rate": metric(0.2, 0.3, "HURT")}
    names: Any = {"stale_reads": "5 %", "error_rate": "5 %"}
    assert read_goals(result("HURT", **both), names) == "hurt"
    outcome, margins = read_ends(result("HURT", **both))
    assert outcome == "hurt" and list(margins) == ["error_rate"]


def test_ends_are_alike_only_if_every_goal_is() -> None:
    alike, still_open = metric(-0.01, 0.01, "EQUIVALENT"), metric(-0.2, 0.2, "INCONCLUSIVE")
    assert read_ends(result(stale_reads=alike, error_rate=alike))[0] == "not-hurt"
    assert read_ends(result("INCONCLUSIVE", stale_reads=alike, error_rate=still_open))[0] == "undecided"
    assert read_ends(result("INCONCLUSIVE"))[0] == "undecided"


def test_of_the_ends_only_what_was_asked_counts() -> None:
    both = {"stale_reads": metric(0.6, 0.9, "HURT"), "hit_ratio": metric(-0.01, 0.01, "EQUIVALENT")}
    beside = {"hit_ratio": both["hit_ratio"], "stale_reads": metric(0.6, 0.9, None, None)}
    assert read_ends(result("HURT", **both), ["hit_ratio"]) == ("not-hurt", {})
    assert read_ends(result("HURT", **beside), ["hit_ratio"]) == ("not-hurt", {})


def test_a_fault_without_a_goal_is_searched_for() -> None:
    shown = {"hit_ratio": metric(-0.01, 0.01, "EQUIVALENT"), "stale_reads": metric(0.4, 0.6, None, None)}
    outcome, margins = read_ends(result("HURT", **shown))
    assert (outcome, margins) == ("hurt", {"stale_reads": "20 %"})


@pytest.mark.parametrize(("low", "margin", "searched"), [(0.5, 0.05, "25 %"), (0.06, 0.05, "5 %"), (0.1, 0.05, "5 %")])
def test_margins_are_half_of_what_is_shown(low: float, margin: float, searched: str) -> None:
    assert read_ends(result("HURT", stale_reads=metric(low, 0.9, "HURT", margin)))[1] == {"stale_reads": searched}
    worse = metric(-0.9, -low, "HURT", margin)
    assert read_ends(result("HURT", hit_ratio=worse))[1] == {"hit_ratio": searched}


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 0.5))
def test_no_interval_is_read_both_ways(low: float, wide: float, margin: float) -> None:
    """What the margin lies inside of is open, for any interval."""
    high = low + wide
    verdict = "HURT" if low > margin else "EQUIVALENT" if high <= margin and low >= -margin else "INCONCLUSIVE"
    outcome = read_goals(result(stale_reads=metric(low, high, verdict, margin)), NAMES)  # type: ignore[arg-type]
    assert outcome == ("hurt" if low > margin else "not-hurt" if high <= margin else "undecided")


def test_readings_are_those_of_the_goals_that_decide() -> None:
    shown = result(stale_reads=metric(0.2, 0.4, "HURT"), error_rate=metric(0.0, 0.0, None))
    assert list(readings_of(shown, {})) == ["stale_reads"]
    assert list(readings_of(shown, {"error_rate": "1 %"})) == ["error_rate"]

"""How the baselines of a case went from run to run, in the list of all runs."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from page_reader import Page, assert_self_contained
from synthetic_run import START

from luckyhit.records import Metric
from luckyhit.report.index import write_index
from luckyhit.report.trends import HEIGHT, WIDTH, BaselinePoint, trends_of


def nights(hit_ratios, case: str = "stale-price", *, alone: bool = True, first: int = 0) -> list[BaselinePoint]:
    days = [(START + timedelta(days=first + day)).isoformat()[:16] for day in range(len(hit_ratios))]
    return [BaselinePoint(case, day, alone, {"hit_ratio": float(x)}) for day, x in zip(days, hit_ratios, strict=True)]


def test_a_shift_is_marked_with_its_day_and_its_levels() -> None:
    rng = np.random.default_rng(3)
    levels = np.repeat([0.91, 0.70], [30, 15]) + 0.01 * rng.normal(size=45)
    (trend,) = trends_of(nights(levels))
    (line,) = trend.lines
    assert (trend.case, trend.runs) == ("stale-price", 45)
    day = (START + timedelta(days=30)).date().isoformat()
    assert f"; shifted on {day}: 91 % → 70 %" in line.told
    assert len(line.shifts) == 1 and line.name == "Hit ratio"
    x, y = zip(*line.points, strict=True)
    assert len(x) == 45 and list(x) == sorted(x) and x[29] < line.shifts[0] < x[30]
    assert min(x) >= 0 and max(x) <= WIDTH and min(y) >= 0 and max(y) <= HEIGHT
    assert min(y[30:]) > max(y[:30]), "less is further down"


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_shift(seed: int) -> None:
    levels = 0.9 + 0.01 * np.random.default_rng(seed).normal(size=60)
    (trend,) = trends_of(nights(levels))
    assert trend.lines[0].shifts == () and "shifted" not in trend.lines[0].told


def test_few_runs_have_a_line_and_nothing_is_called_a_shift() -> None:
    assert trends_of(nights([0.9, 0.5])) == []
    (trend,) = trends_of(nights([0.9, 0.9, 0.1, 0.1]))
    assert trend.lines[0].told == "4 baselines, 10 % to 90 %"
    (flat,) = trends_of(nights([0.9] * 30))
    assert flat.lines[0].told == "30 baselines, 90 %" and np.isfinite(flat.lines[0].points).all()


def test_cases_and_kinds_of_runs_are_kept_apart() -> None:
    observed, changed = nights([0.9] * 4), nights([0.2] * 5, alone=False, first=10)
    other = nights([0.5] * 3, "short-ttl", first=20)
    first, second = trends_of([*observed, *changed, *other])
    assert (first.case, second.case) == ("short-ttl", "stale-price")
    assert second.runs == 5 and second.lines[0].newest == "20 %"


def test_the_list_of_runs_shows_them(new_run, judged_run, tmp_path) -> None:
    _, result = judged_run
    for day, ratio in enumerate([0.8, 0.82, 0.79, 0.81]):
        run = new_run(stages=(), now=START + timedelta(days=day), manifest={"state": "finished"})
        metrics = {"hit_ratio": Metric(**{**result.metrics["hit_ratio"].model_dump(), "before": ratio})}
        run.write_result(result.model_copy(update={"run": run.id, "metrics": metrics, "verdict": "EQUIVALENT"}))
    # What a guard doubts is no baseline; nor is what died.
    doubted = new_run(stages=(), now=START + timedelta(days=5), manifest={"state": "finished"})
    doubted.write_result(result.model_copy(update={"run": doubted.id, "verdict": "INVALID"}))
    new_run(stages=(), now=START + timedelta(days=6), manifest={"state": "failed", "failure": {"message": "x"}})
    write_index(tmp_path / "runs", tmp_path / "reports")
    page = Page((tmp_path / "reports" / "index.html").read_text(encoding="utf-8"))
    assert_self_contained(page)
    assert page.open == []
    assert "4 runs" in page.text and "4 baselines, 79 % to 82 %" in page.text
    assert "Hit ratio 81 %" in page.text

"""A long run is judged on two cores: the answer is the one that a short one gets, in whatever order its rows came."""

from __future__ import annotations

from threading import Barrier

import pandas as pd
import pytest

from luckyhit.judge.table import together
from luckyhit.judge.table.together import Together

GOALS = {
    "hit_ratio": {"want": "better", "margin": "4 %"},
    "latency_p95_ms": {"want": "better", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "1 %"},
}
DESIGNS = pytest.mark.parametrize("design", ["side-by-side", "crossover"])


@DESIGNS
def test_the_result_is_the_same_on_one_core_and_on_two(simulate, case_with, monkeypatch, design: str) -> None:
    case = case_with(GOALS, design=design)
    run = simulate(7, before={"hit": 0.8, "errors": 0.002}, after={"hit": 0.7}, design=design)
    alone = run.judge(case)
    monkeypatch.setattr(together, "MANY", 0)
    assert run.judge(case) == alone


@DESIGNS
def test_the_order_in_which_answers_came_does_not_matter(simulate, case_with, design: str) -> None:
    case = case_with(GOALS, design=design)
    run = simulate(8, before={"hit": 0.8, "errors": 0.002}, after={"hit": 0.7}, design=design)
    as_it_came = run.judge(case)
    run.requests = run.requests.sample(frac=1.0, random_state=5)
    assert run.judge(case) == as_it_came
    run.requests = pd.concat([part for _, part in run.requests.groupby("arm")], ignore_index=True)
    assert run.judge(case) == as_it_came


def test_two_at_once_and_what_is_raised_comes_out_where_it_is_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(together, "MANY", 0)
    meet = Barrier(2, timeout=30)
    with Together(1) as work:
        both = [work.start(meet.wait) for _ in range(2)]
        assert sorted(met() for met in both) == [0, 1]
        wrong = work.start(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            wrong()


def test_few_rows_are_worked_on_at_once_in_the_order_given() -> None:
    seen: list[int] = []
    with Together(10) as work:
        results = [work.start(lambda number=number: seen.append(number)) for number in range(3)]
        assert seen == [0, 1, 2]
    assert [result() for result in results] == [None] * 3

"""A long run is judged on two cores: with the same result, in whatever order its rows came."""

from __future__ import annotations

from threading import Barrier

import pandas as pd
import pytest

from luckyhit.judge.table import parallel
from luckyhit.judge.table.parallel import Parallel

GOALS = {
    "hit_ratio": {"want": "better", "margin": "4 %"},
    "latency_p95_ms": {"want": "better", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "1 %"},
}
DESIGNS = pytest.mark.parametrize("design", ["side-by-side", "crossover"])


@DESIGNS
def test_the_result_is_the_same_on_one_core_and_on_two(simulate, case_with, monkeypatch, design: str) -> None:
    case = case_with(GOALS, design=design)
    run = simulate(7, before={"hit": 0.8, "errors": 0.002}, after={"hit": 0.7}, design=design, seconds=2.0, blocks=2)
    alone = run.judge(case)
    monkeypatch.setattr(parallel, "MANY", 0)
    assert run.judge(case) == alone


@DESIGNS
def test_the_order_of_rows_does_not_matter(simulate, case_with, design: str) -> None:
    case = case_with(GOALS, design=design)
    run = simulate(8, before={"hit": 0.8, "errors": 0.002}, after={"hit": 0.7}, design=design, seconds=2.0, blocks=2)
    as_it_came = run.judge(case)
    run.requests = run.requests.sample(frac=1.0, random_state=5)
    assert run.judge(case) == as_it_came
    run.requests = pd.concat([part for _, part in run.requests.groupby("arm")], ignore_index=True)
    assert run.judge(case) == as_it_came


def test_two_run_at_once_and_errors_come_out_at_the_result(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "MANY", 0)
    meet = Barrier(2, timeout=30)
    with Parallel(1) as work:
        both = [work.start(meet.wait) for _ in range(2)]
        assert sorted(met() for met in both) == [0, 1]
        wrong = work.start(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            wrong()


def test_few_rows_run_at_once_in_the_order_given() -> None:
    order: list[int] = []
    with Parallel(10) as work:
        results = [work.start(lambda number=number: order.append(number)) for number in range(3)]
        assert order == [0, 1, 2]
    assert [result() for result in results] == [None] * 3

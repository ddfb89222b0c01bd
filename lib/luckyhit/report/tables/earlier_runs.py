"""The history of the case as a table: one row for each run, this one first."""

from __future__ import annotations

from dataclasses import dataclass

from luckyhit.records import GoalName, Result
from luckyhit.report.figures.case_history import MOST_GOALS, History
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables.metric_rows import in_order
from luckyhit.text.numbers import DASH, sentence_case
from luckyhit.text.quantities import difference_text, interval_text, name_of, signed_difference, value_text


@dataclass(frozen=True)
class EarlierRun:
    """`cells` under the headings of its table, behind date and verdict. `report`: the name of its page, as it was
    written; empty if it was not."""

    run: str
    date: str
    verdict: str
    cells: tuple[str, ...]
    report: str
    this: bool


@dataclass(frozen=True)
class EarlierRuns:
    headings: tuple[str, ...]
    rows: list[EarlierRun]


def earlier_runs(recorded: Recorded, history: History) -> EarlierRuns | None:
    """None without an earlier run. For the goals that matter most, each run's difference with its interval, and what
    was there without the change with its noise floor. A dash: not measured, or not to be relied on."""
    result = recorded.result
    if result is None or not history.runs:
        return None
    goals = [name for name in in_order(result) if result.metrics[name].before is not None][:MOST_GOALS]
    headings = [f"{sentence_case(name_of(name))}: difference" for name in goals]
    headings += [f"{sentence_case(name_of(name))} without the change" for name in goals]
    rows = [
        EarlierRun(
            one.run, date, verdict,
            tuple(cell(one, name) for cell in (_effect, _baseline) for name in goals),
            one.report or "", this=one is result,
        )
        for one, (date, _, verdict) in zip([*recorded.earlier, result], history.runs, strict=True)
    ]  # fmt: skip
    return EarlierRuns(tuple(headings), rows[::-1])


def _effect(result: Result, name: GoalName) -> str:
    metric = result.metrics.get(name)
    if metric is None or metric.effect is None or result.verdict == "INVALID":
        return DASH
    return f"{signed_difference(name, metric.effect)} ({interval_text(name, metric.low, metric.high)})"


def _baseline(result: Result, name: GoalName) -> str:
    metric = result.metrics.get(name)
    if metric is None or metric.before is None or result.verdict == "INVALID":
        return DASH
    floor = result.noise_floor.get(name)
    noise = "" if floor is None else f" ± {difference_text(name, floor)}"
    return f"{value_text(name, metric.before)}{noise}"

"""Power before measuring: what a plan gives each goal that counts, what its margin and limit need, and what to change.

    sample_size   how many pairs decide, by the bounds that will judge it
    supply        how many pairs the blocks of a plan give
    measured_baseline   what it adds: visible responses, the variance of a pair
    goals         each goal: given, needed, decidable or not
    sizing        the numbers of `plan: auto`
    advice        edits of a case that make a goal decidable, each one tried
    words         all of it as text

Pure: the caller says what the probe does in a block (`Probing`).
"""

from luckyhit.judge.power.advice import Planning, plan_for, unsized
from luckyhit.judge.power.goals import GoalPower, powers
from luckyhit.judge.power.measured_baseline import BaselineMetric, MeasuredBaseline, baseline_of
from luckyhit.judge.power.sizing import sized, to_size
from luckyhit.judge.power.supply import ProbeUnits, Probing, load_seconds, requests_of_block, workload_units
from luckyhit.judge.power.words import as_facts, line, plan_line, planning_rows

__all__ = [
    "BaselineMetric",
    "GoalPower",
    "MeasuredBaseline",
    "Planning",
    "ProbeUnits",
    "Probing",
    "as_facts",
    "baseline_of",
    "line",
    "load_seconds",
    "plan_for",
    "plan_line",
    "planning_rows",
    "powers",
    "requests_of_block",
    "sized",
    "to_size",
    "unsized",
    "workload_units",
]  # fmt: skip

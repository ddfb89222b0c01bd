"""Power before measuring: what a plan gives each goal that counts, what its margin and limit need, and what to change.

    needs      how many pairs decide, by the bounds that will judge it
    supply     how many pairs the blocks of a plan give
    baseline   what a measured baseline adds: the answers that tell, the variance of a pair (recorded: of a run)
    goals      each goal: given, needed, decidable or not
    sizing     the numbers of `plan: auto`
    advice     edits of a case that make a goal decidable, each one tried
    words      all of it in lines

Pure: what the probe does in a block is brought along by the caller (`Probing`).
"""

from luckyhit.judge.power.advice import Planning, plan_for, unsized
from luckyhit.judge.power.baseline import Baseline, Shown, baseline_of
from luckyhit.judge.power.goals import GoalPower, powers
from luckyhit.judge.power.sizing import sized, to_size
from luckyhit.judge.power.supply import ProbeUnits, Probing, load_seconds, requests_of_block
from luckyhit.judge.power.words import as_facts, line, plan_line, rows_of

__all__ = [
    "Baseline", "GoalPower", "Planning", "ProbeUnits", "Probing", "Shown", "as_facts", "baseline_of", "line",
    "load_seconds", "plan_for", "plan_line", "powers", "requests_of_block", "rows_of", "sized", "to_size", "unsized",
]  # fmt: skip

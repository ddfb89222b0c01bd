"""`plan: auto`: the numbers of a plan, within its ceiling. `docs/power.md` has the rules, in the order of this file."""

from __future__ import annotations

from math import ceil, floor

from luckyhit.case import Case
from luckyhit.case.checks.cross_field import FEWEST_REQUESTS_IN_A_BLOCK, LONGEST_RUN_S
from luckyhit.case.declared_plan import MOST_BLOCKS
from luckyhit.case.freshness import Freshness
from luckyhit.case.values.units import format_duration, format_rate, rate_of_at_least
from luckyhit.designs import design_of
from luckyhit.errors import ArgumentError
from luckyhit.judge.compare.effect import interval_error_rate
from luckyhit.judge.early_stopping import FRESHNESS_KNOWN, boundary_of_look
from luckyhit.judge.power.goals import GoalPower, powers
from luckyhit.judge.power.measured_baseline import MeasuredBaseline
from luckyhit.judge.power.sample_size import IntervalRule, pairs_for_equality
from luckyhit.judge.power.supply import ProbeUnits, Probing, load_seconds, probed_pairs, requests_of_block
from luckyhit.judge.table.samples import FEWEST_BLOCK_PAIRS
from luckyhit.records import kind_of

MOST_ADDED = 0.3
"""Of the workload's requests: the most that the probe adds to a service that the run starts, without a declared
rate."""
FEW_REQUESTS = 2 * FEWEST_REQUESTS_IN_A_BLOCK
FEWEST_BLOCKS = 2
USUAL_BLOCK_S, STEP_S = 8.0, 0.5
PROBE_RESERVE, BLOCK_RESERVE = 1.25, 1.5
SETTLED_S = 0.5
"""Room in a block for the requests of a probe, beside its horizon."""


def to_size(case: Case) -> tuple[str, ...]:
    """The left-out fields that `auto` sizes, by their names in the case file."""
    fields = tuple(f"plan.{name}" for name in case.plan.left_out)
    probe = case.freshness
    if case.plan.auto and probe is not None and probe.rate is None and case.target.start is not None:
        fields += ("freshness.rate",)
    return fields


def sized(case: Case, probing: Probing, baseline: MeasuredBaseline | None = None) -> Case:
    """The case with the left-out numbers. Raises ArgumentError where the ceiling does not hold two blocks."""
    fields = to_size(case)
    if not fields:
        return case
    case = _around(case)
    planned = _with_blocks(case, fields, probing, baseline)
    if "freshness.rate" in fields and case.freshness is not None:
        for rate in _rates(case, case.freshness):
            faster = _with_blocks(_with(case, rate=rate), fields, probing, baseline)
            probe = probing(faster)
            # The first rate gives one probe in a block: the least, whatever it costs.
            first = planned.freshness is None or planned.freshness.rate is None
            if not first and not (_fits(faster, probe) and _bearable(faster, probe)):
                break
            planned = faster
            if _enough_probes(planned, probe, baseline):
                break
    if not _fits(planned, probing(planned)):
        raise _too_short(planned, probing(planned), fields)
    return planned


def _bearable(case: Case, probe: ProbeUnits) -> bool:
    return probe.requests <= MOST_ADDED * (requests_of_block(case) or 0.0)


def _around(case: Case) -> Case:
    """Size the parts around the blocks."""
    plan = case.plan
    lengths = {"baseline": plan.baseline, "after_rollback": plan.after_rollback}
    long_enough = {name: _half(max(length, _shortest(case))) for name, length in lengths.items()}
    return _with(case, **{name: long_enough[name] for name in lengths if name in plan.left_out})


def _with_blocks(case: Case, fields: tuple[str, ...], probing: Probing, baseline: MeasuredBaseline | None) -> Case:
    """Size the number and the length of blocks: the fewest and shortest, where the ceiling holds no more."""
    if "plan.block" in fields:
        usual = max(USUAL_BLOCK_S, 4 * case.plan.warmup, 2 * _horizon(case) + SETTLED_S, _shortest(case))
        usual = max(usual, _seconds_for(FEW_REQUESTS, case))
        if design_of(case).pairs_blocks and "plan.blocks" in fields:
            usual = min(usual, max(_shortest(case), _half_down(_length_of(case, 2 * FEWEST_BLOCK_PAIRS))))
        case = _with(case, block=_half(usual))
    count = case.plan.blocks
    if "plan.blocks" in fields:
        count = _most_blocks(case, probing)
        if count < FEWEST_BLOCKS and "plan.block" in fields:
            case = _with(case, block=_half(_shortest(case)))
            count = _most_blocks(case, probing)
        case = _with(case, blocks=max(count, FEWEST_BLOCKS))
    elif "plan.block" in fields and not _fits(case, probing(case)):
        case = _with(case, block=_half(_shortest(case)))
    if not _fits(case, probing(case)):
        return case
    if "plan.blocks" in fields and not case.stops_early:
        case = _no_more_than_needed(case, probing, baseline)
    elif "plan.block" in fields:
        case = _stretched(case, probing)
    return case


def _most_blocks(case: Case, probing: Probing) -> int:
    """How many blocks of this length the ceiling holds, those without the probe among them."""
    probe = probing(case)
    count = 0
    for blocks in range(FEWEST_BLOCKS, MOST_BLOCKS + 1):
        longer = _with(case, blocks=blocks)
        probe = probing(longer)
        if not _fits(longer, probe):
            break
        count = blocks
    return count


def _stretched(case: Case, probing: Probing) -> Case:
    """With blocks as long as the ceiling has room for, all alike."""
    probe = probing(case)
    turns = (load_seconds(case, probe) - case.plan.seconds(0)) / (case.plan.warmup + case.plan.block)
    stretched = _with(case, block=max(case.plan.block, _half_down(_length_of(case, turns))))
    return stretched if _fits(stretched, probing(stretched)) else case


def _length_of(case: Case, turns: float) -> float:
    """The measured part of each of `turns` blocks, where they fill what the ceiling leaves."""
    return (case.plan.ceiling - case.plan.seconds(0)) / turns - case.plan.warmup


def _no_more_than_needed(case: Case, probing: Probing, baseline: MeasuredBaseline | None) -> Case:
    goals = powers(case, probing(case), baseline)
    if any(goal.needs is None or not goal.gives or goal.state != "enough" for goal in goals):
        return case
    part = max((goal.needs or 0.0) / (goal.gives or 1.0) for goal in goals)
    return _with(case, blocks=min(case.plan.blocks, max(4, ceil(case.plan.blocks * part * BLOCK_RESERVE))))


def _fits(case: Case, probe: ProbeUnits) -> bool:
    plan, seconds = case.plan, load_seconds(case, probe)
    most, design = case.target.ceilings.duration, design_of(case)
    if most is not None and not design.isolated and design.longest_s(plan) > most:
        return False
    return seconds <= plan.ceiling + 1e-9


def _too_short(case: Case, probe: ProbeUnits, fields: tuple[str, ...]) -> ArgumentError:
    seconds = ceil(load_seconds(case, probe))
    plan, rate = case.plan, case.workload.rate
    if rate and "plan.block" in fields and plan.block - STEP_S < _seconds_for(FEWEST_REQUESTS_IN_A_BLOCK, case):
        ways = [f"workload.rate: {faster}"] if (faster := _rate_that_fits(case)) else []
        ways += [f"plan.at_most: {format_duration(seconds)}"] if seconds <= LONGEST_RUN_S else []
        return ArgumentError(
            f"workload.rate: {format_rate(rate)} gives a block its {FEWEST_REQUESTS_IN_A_BLOCK} requests within "
            f"{format_duration(plan.block)}, and plan.at_most: {format_duration(plan.ceiling)} is too short for "
            f"{plan.blocks} such blocks, the baseline and the block after the rollback",
            hint=f"Set {', or '.join(ways) or 'a higher rate'}, or more. Nothing was done.",
        )
    return ArgumentError(
        f"plan.at_most: {format_duration(case.plan.ceiling)} is too short for {case.plan.blocks} blocks of "
        f"{format_duration(case.plan.block)}, their warm-ups, the baseline and the block after the rollback",
        hint=f"Set plan.at_most: {format_duration(seconds)}, or more. Nothing was done.",
    )


def _rate_that_fits(case: Case) -> str:
    """A rate at which the ceiling holds the fewest blocks with the fewest requests; empty where none does."""
    turns = design_of(case).planned_blocks(FEWEST_BLOCKS) + 2
    left_s = case.plan.ceiling / turns - case.plan.warmup - STEP_S
    return rate_of_at_least(FEWEST_REQUESTS_IN_A_BLOCK / left_s) if left_s > 0 else ""


def _enough_probes(case: Case, probe: ProbeUnits, baseline: MeasuredBaseline | None) -> bool:
    """For the goals on the probe, and by the probe alone whatever the workload shows."""
    goals = [goal for goal in powers(case, probe, baseline) if kind_of(goal.name).probe]
    boundary, rate_fraction = boundary_of_look(case.plan.blocks, case)
    rule = IntervalRule(boundary, interval_error_rate(case) * rate_fraction, design_of(case).batches_are_units)
    alone = probed_pairs(case, probe) * probe.counted
    return alone >= pairs_for_equality(FRESHNESS_KNOWN, rule) and all(_with_reserve(goal) for goal in goals)


def _with_reserve(goal: GoalPower) -> bool:
    return goal.state == "enough" and (goal.gives or 0.0) >= PROBE_RESERVE * (goal.needs or 0.0)


def _rates(case: Case, probe: Freshness) -> list[float]:
    """Rates to try, ascending, as far as there are keys for them: none is written again while it is watched."""
    keys = probe.keys.last - probe.keys.first + 1
    most = keys / (probe.horizon + SETTLED_S)
    # One probe in each block at least.
    rate = max(0.5, ceil(2 / case.plan.after_rollback) / 2)
    rates = [rate]
    while (rate := max(rate + 0.5, round(rate * 2.3) / 2)) <= most:
        rates.append(rate)
    return rates


def _shortest(case: Case) -> float:
    """Seconds in which there are requests enough for a block, and a probe can come to its end."""
    return max(_seconds_for(FEWEST_REQUESTS_IN_A_BLOCK, case), _horizon(case) + SETTLED_S, 1.0)


def _seconds_for(requests: int, case: Case) -> float:
    in_a_minute = case.workload.requests_in(60.0)
    return requests / (in_a_minute / 60.0) if in_a_minute else 0.0


def _horizon(case: Case) -> float:
    return case.freshness.horizon if case.freshness is not None else 0.0


def _half(seconds: float) -> float:
    """Rounded up to STEP_S."""
    return ceil(seconds / STEP_S - 1e-9) * STEP_S


def _half_down(seconds: float) -> float:
    return floor(seconds / STEP_S + 1e-9) * STEP_S


def _with(case: Case, *, rate: float | None = None, **plan: float) -> Case:
    changed: dict[str, object] = {"plan": case.plan.model_copy(update=plan)} if plan else {}
    if rate is not None and case.freshness is not None:
        changed["freshness"] = case.freshness.model_copy(update={"rate": rate})
    return case.model_copy(update=changed)

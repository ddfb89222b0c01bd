"""The part of judging a run that takes time: its rows, analysed in parallel.

The A/A noise floor: how far two halves of the same baseline may lie apart.

The halves are alternate batches, so that both have the same drift. A difference below the floor says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.blockwise import goal_values, one_more
from luckyhit.judge.compare.effect import Effect, ErrorRates
from luckyhit.judge.compare.effects import request_effects
from luckyhit.judge.compare.measured import Effects, in_order, measured_reads, measured_requests
from luckyhit.judge.compare.probe_effects import freshness_effects
from luckyhit.judge.compare.process_starts import Starts
from luckyhit.judge.context.drift import events_of, origin_of
from luckyhit.judge.context.naive import naive_of
from luckyhit.judge.context.notes import notes_on_rows
from luckyhit.judge.context.route_metrics import RouteMetrics, route_metrics
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.guards.guard_rows import ON_RECORDS, RunRecords, check_guards
from luckyhit.judge.stale.probe_pairs import read_effects
from luckyhit.judge.stale.write_units import stale_pairs
from luckyhit.judge.stats.boundary import Boundary, FixedSample
from luckyhit.judge.table.parallel import Parallel
from luckyhit.judge.table.record import AFTER, BEFORE, Record
from luckyhit.judge.table.samples import ARMS, Comparison, RequestTable, by_batches, by_blocks, halves, side_by_side
from luckyhit.records import GoalName, Guard, Naive, Note, RunEvent
from luckyhit.text.wording import note


def noise_floor(
    baseline: RequestTable,
    probed: Probed,
    within_s: float | None,
    boundary: Boundary,
    error_rates: ErrorRates,
) -> dict[GoalName, float]:
    """Half-width of the interval of the A/A difference, in the metric's unit; metrics without one are left out.

    `baseline`: its measured rows; `probed`: its probe.
    """
    effects = request_effects(halves(baseline), boundary, error_rates.goals)
    if within_s is not None and len(probed.reads):
        keys = sorted(probed.reads["key"].unique())
        even, odd = (probed.of_keys(keys[first::2]) for first in (0, 1))
        effects |= freshness_effects(even, odd, within_s, boundary, error_rates.goals)
        effects |= read_effects(even, odd, within_s, boundary, error_rates, paired=False)
    floors = {name: (effect.high - effect.low) / 2 for name, effect in effects.items() if effect.effect is not None}
    return {name: float(floor) for name, floor in floors.items() if np.isfinite(floor)}


@dataclass(frozen=True)
class Analysis:
    """The rows of a run, analysed. `records`: what its guards look at. Without blocks of the change, `change` is None
    and `effects` are of the baseline alone. `after_rollback`: that block against the before arm, None without one."""

    records: RunRecords
    record_guards: list[Guard]
    change: ChangeAnalysis | None
    effects: Effects
    after_rollback: Effects | None
    naive: Naive
    noise_floor: dict[GoalName, float]


@dataclass(frozen=True)
class ChangeAnalysis:
    """The measured blocks of the change, analysed."""

    comparison: Comparison
    guards: list[Guard]
    notes: list[Note]
    routes: RouteMetrics
    events: list[RunEvent]


def analyse(
    record: Record,
    case: Case,
    boundary: Boundary,
    error_rates: ErrorRates,
    once_rates: ErrorRates,
    *,
    rate_fraction: float = 1.0,
    interim: bool = False,
    listed: Mapping[str, int] = {},
) -> Analysis:
    """`boundary`, `error_rates`: of the comparison; `rate_fraction`: its fraction of an error rate. The rest is looked
    at once, at `once_rates`. `interim`: only what decides goals and guards. `listed`: how many keys are in a file."""
    once = FixedSample()
    within_s = case.freshness.within if case.freshness is not None else None
    before, after = record.measured("change", BEFORE), record.measured("change", AFTER)
    pair_of = {block.block: block.pair for block in record.entries("change") if block.pair is not None}
    changed = bool(record.entries("change"))
    comparison = _comparison(case, before, after, pair_of)
    starts = Starts.recorded(record.entries("change"), case)
    records = RunRecords(record, case, comparison, pair_of, boundary, starts, rate_fraction, listed=listed)

    with Parallel(len(record.rows)) as work:
        # The longest come first, so that no core is left alone with one at the end; routes, which need most memory, run
        # beside what needs least.
        effects_of: Callable[[], Effects]
        if changed:
            effects_of = work.start(partial(measured_requests, comparison, case, boundary, error_rates, starts))
            controls = work.start(partial(check_guards, ON_RECORDS, "controls", records))
            guards = work.start(partial(check_guards, ON_RECORDS, "comparison", records))
        if changed and not interim:
            # A block without the probe may well have another level: no event, but intended.
            steady = comparison
            if record.controls:
                steady = _comparison(case, record.probed_rows(BEFORE), record.probed_rows(AFTER), pair_of)
            events = work.start(partial(events_of, steady, case.goals, origin_of(record.blocks, record.rows)))
        elif not changed:
            effects_of = work.start(partial(_baseline_only, record, case, once, once_rates))
        record_guards = work.start(partial(check_guards, ON_RECORDS, "record", records))
        again: Callable[[], Effects] | None = None
        if changed and not interim and record.numbers("after-rollback"):
            again = work.start(partial(_after_rollback, record, case, record.probed_rows(BEFORE), once, once_rates))
        if changed and not interim:
            routes = work.start(partial(route_metrics, comparison, case, boundary, error_rates.goals))
            notes = work.start(partial(notes_on_rows, comparison, case, boundary, error_rates.goals))
        baseline, probed = record.measured("baseline", BEFORE), record.probed("baseline", "before")
        floor: Callable[[], dict[GoalName, float]] = dict
        naive: Callable[[], Naive] = Naive
        if not interim:
            floor = work.start(partial(noise_floor, baseline, probed, within_s, once, once_rates))
            naive = work.start(partial(naive_of, record, case))
        effects, change = effects_of(), None
        if changed:
            arms, paired = [record.probed("change", arm) for arm in ARMS], design_of(case).arms_together
            pairs = None
            if within_s is not None and paired:
                pairs = stale_pairs(arms[0], arms[1], record.background(case, "change"), within_s)
            effects = in_order({**effects, **measured_reads(arms, case, boundary, error_rates, pairs)})
            context = ([], {}, []) if interim else (notes(), routes(), events())
            all_guards = [*guards(), *controls(), *check_guards(ON_RECORDS, "probe", records)]
            change = ChangeAnalysis(comparison, all_guards, *context)
        after_rollback = again() if again is not None else None
        return Analysis(records, record_guards(), change, effects, after_rollback, naive(), floor())


def _comparison(case: Case, before: RequestTable, after: RequestTable, pair_of: Mapping[int, int]) -> Comparison:
    design = design_of(case)
    if design.batches_are_units:
        return side_by_side(before, after)
    return by_blocks(before, after, pair_of if design.pairs_blocks else {})


def _baseline_only(record: Record, case: Case, boundary: Boundary, error_rates: ErrorRates) -> Effects:
    """The baseline, as the before arm of a comparison that was not made."""
    baseline = record.measured("baseline", BEFORE)
    probed = [record.probed("baseline", arm) for arm in ARMS]
    # Compared with itself for the values of one arm; the difference is dropped.
    effects = in_order(
        {
            **measured_requests(by_batches(baseline, baseline), case, boundary, error_rates),
            **measured_reads(probed, case, boundary, error_rates),
        }
    )
    unmeasured = (note("change-not-measured"),)
    return {name: Effect(before=effect.before, notes=unmeasured) for name, effect in effects.items()} | {
        name: replace(effect, after=None, effect=None) for name, effect in effects.items() if effect.before is None
    }


def _after_rollback(
    record: Record, case: Case, before: RequestTable, boundary: Boundary, error_rates: ErrorRates
) -> Effects:
    """The block after the rollback against the before arm of the change's blocks."""
    first, again = (record.probed(stage, "before") for stage in ("change", "after-rollback"))
    effects = in_order(
        {
            **measured_requests(
                by_batches(before, record.measured("after-rollback", BEFORE)), case, boundary, error_rates
            ),
            **measured_reads((first, again), case, boundary, error_rates),
        }
    )
    if design_of(case).isolated:
        return effects
    # On one running service, blocks differ by more than their requests: by their hour, too.
    return one_more(effects, goal_values(before, [first], case), boundary, error_rates.goals)

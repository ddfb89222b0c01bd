"""All that takes time in judging a run: what is worked out from its rows, part by part, side by side.

The A/A noise floor: how far two halves of the same baseline lie apart, as far as one can tell.

The halves are batches taken by turns, so that they share the drift. A difference below the floor says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.blockwise import goal_values, one_more
from luckyhit.judge.compare.effect import Effect, Levels
from luckyhit.judge.compare.effects import freshness_effects, request_effects
from luckyhit.judge.compare.measured import Effects, in_order, measured_reads, measured_requests
from luckyhit.judge.compare.process_starts import Starts
from luckyhit.judge.context.drift import events_of, origin_of
from luckyhit.judge.context.naive import naive_of
from luckyhit.judge.context.notes import notes_on_rows
from luckyhit.judge.context.route_metrics import RouteMetrics, route_metrics
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.guards.guard_rows import ON_RECORDS, look
from luckyhit.judge.guards.looked_at import Records
from luckyhit.judge.stale.probe_pairs import read_effects
from luckyhit.judge.stale.write_units import stale_pairs
from luckyhit.judge.stats.boundary import Boundary, FixedSample
from luckyhit.judge.table.record import AFTER, BEFORE, Record
from luckyhit.judge.table.samples import ARMS, Comparison, Rows, by_batches, by_blocks, halves, side_by_side
from luckyhit.judge.table.together import Together
from luckyhit.records import GoalName, Guard, Naive, Note, RunEvent
from luckyhit.text.wording import note


def noise_floor(
    baseline: Rows,
    probed: Probed,
    within_s: float | None,
    boundary: Boundary,
    levels: Levels,
) -> dict[GoalName, float]:
    """Half-width of the interval of the A/A difference, in the metric's unit; metrics that show none are left out.

    `baseline`: its measured rows; `probed`: what the probe found in it.
    """
    effects = request_effects(halves(baseline), boundary, levels.goals)
    if within_s is not None and len(probed.reads):
        keys = sorted(probed.reads["key"].unique())
        even, odd = (probed.of_keys(keys[first::2]) for first in (0, 1))
        effects |= freshness_effects(even, odd, within_s, boundary, levels.goals)
        effects |= read_effects(even, odd, within_s, boundary, levels, paired=False)
    floors = {name: (effect.high - effect.low) / 2 for name, effect in effects.items() if effect.effect is not None}
    return {name: float(floor) for name, floor in floors.items() if np.isfinite(floor)}


@dataclass(frozen=True)
class Worked:
    """What the rows of a run say, and `looked`: what its guards were asked on. Without blocks of the change, `compared`
    is None, and `effects` tell of the baseline alone. `again`: the block after the rollback against the before arm;
    None where there is none."""

    looked: Records
    on_record: list[Guard]
    compared: Compared | None
    effects: Effects
    again: Effects | None
    naive: Naive
    noise_floor: dict[GoalName, float]


@dataclass(frozen=True)
class Compared:
    """What the measured blocks of the change say."""

    comparison: Comparison
    guards: list[Guard]
    notes: list[Note]
    routes: RouteMetrics
    events: list[RunEvent]


def work_out(
    record: Record,
    case: Case,
    boundary: Boundary,
    levels: Levels,
    once_at: Levels,
    *,
    share_of_rate: float = 1.0,
    interim: bool = False,
) -> Worked:
    """`boundary` and `levels` are those of the comparison, `share_of_rate` what it may use of an error rate. What is no
    comparison is looked at once, at `once_at`. `glance`: only what decides the goals and the guards, without what is
    told beside them."""
    once = FixedSample()
    within_s = case.freshness.within if case.freshness is not None else None
    before, after = record.measured("change", BEFORE), record.measured("change", AFTER)
    pair_of = {block.block: block.pair for block in record.entries("change") if block.pair is not None}
    changed = bool(record.entries("change"))
    comparison = _comparison(case, before, after, pair_of)
    starts = Starts.noted(record.entries("change"), case)
    looked = Records(record, case, comparison, pair_of, boundary, starts, share_of_rate)

    with Together(len(record.rows)) as work:
        # The longest come early, so that no core is left alone with one at the end; routes, which need most room, come
        # beside what needs least.
        shown: Callable[[], Effects]
        if changed:
            shown = work.start(partial(measured_requests, comparison, case, boundary, levels, starts))
            controls = work.start(partial(look, ON_RECORDS, "controls", looked))
            guards = work.start(partial(look, ON_RECORDS, "comparison", looked))
        if changed and not interim:
            # A block without the probe may well have another level: that is no event, it was done on purpose.
            steady = comparison
            if record.controls:
                steady = _comparison(case, record.probed_rows(BEFORE), record.probed_rows(AFTER), pair_of)
            events = work.start(partial(events_of, steady, case.goals, origin_of(record.blocks, record.rows)))
        elif not changed:
            shown = work.start(partial(_baseline_only, record, case, once, once_at))
        on_record = work.start(partial(look, ON_RECORDS, "record", looked))
        again = None
        if changed and not interim and record.numbers("after-rollback"):
            again = work.start(partial(_again, record, case, record.probed_rows(BEFORE), once, once_at))
        if changed and not interim:
            routes = work.start(partial(route_metrics, comparison, case, boundary, levels.goals))
            notes = work.start(partial(notes_on_rows, comparison, case, boundary, levels.goals))
        baseline, probed = record.measured("baseline", BEFORE), record.probed("baseline", "before")
        floor: Callable[[], dict[GoalName, float]] = dict
        naive: Callable[[], Naive] = Naive
        if not interim:
            floor = work.start(partial(noise_floor, baseline, probed, within_s, once, once_at))
            naive = work.start(partial(naive_of, record, case))
        effects, compared = shown(), None
        if changed:
            arms, paired = [record.probed("change", arm) for arm in ARMS], design_of(case).arms_together
            pairs = None
            if within_s is not None and paired:
                pairs = stale_pairs(arms[0], arms[1], record.background(case, "change"), within_s)
            effects = in_order({**effects, **measured_reads(arms, case, boundary, levels, pairs)})
            beside = ([], {}, []) if interim else (notes(), routes(), events())
            held = [*guards(), *controls(), *look(ON_RECORDS, "probe", looked)]
            compared = Compared(comparison, held, *beside)
        return Worked(looked, on_record(), compared, effects, again() if again is not None else None, naive(), floor())


def _comparison(case: Case, before: Rows, after: Rows, pair_of: Mapping[int, int]) -> Comparison:
    design = design_of(case)
    if design.batches_are_units:
        return side_by_side(before, after)
    return by_blocks(before, after, pair_of if design.pairs_blocks else {})


def _baseline_only(record: Record, case: Case, boundary: Boundary, levels: Levels) -> Effects:
    """What the baseline shows, as the before arm of a comparison that never was."""
    baseline = record.measured("baseline", BEFORE)
    probed = [record.probed("baseline", arm) for arm in ARMS]
    # Compared with itself for the values of one arm only; nothing of the difference is kept.
    shown = in_order(
        {
            **measured_requests(by_batches(baseline, baseline), case, boundary, levels),
            **measured_reads(probed, case, boundary, levels),
        }
    )
    unmeasured = (note("change-not-measured"),)
    return {name: Effect(before=effect.before, notes=unmeasured) for name, effect in shown.items()} | {
        name: replace(effect, after=None, effect=None) for name, effect in shown.items() if effect.before is None
    }


def _again(record: Record, case: Case, before: Rows, boundary: Boundary, levels: Levels) -> Effects:
    """The block after the rollback against the before arm of the change's blocks."""
    first, again = (record.probed(stage, "before") for stage in ("change", "after-rollback"))
    effects = in_order(
        {
            **measured_requests(by_batches(before, record.measured("after-rollback", BEFORE)), case, boundary, levels),
            **measured_reads((first, again), case, boundary, levels),
        }
    )
    if design_of(case).isolated:
        return effects
    # On one service that goes on, blocks differ by more than what is in them: by their hour, too.
    return one_more(effects, goal_values(before, [first], case), boundary, levels.goals)


__all__ = [
    "Compared",
    "Worked",
    "work_out",
]

"""Carry-over in a crossover: whether a block still shows the arm that was measured before it.

The values of whole blocks are fitted by least squares, in the usual model of a crossover in which treatments may follow
themselves (Jones and Kenward, Design and Analysis of Cross-Over Trials, 3rd edition, chapters 2 and 5):

    value = level + effect of the arm + carry + switch + trend

`carry`   what following a block of the after arm adds. Half of the blocks of each arm follow the other arm, so this
          much of the effect is lost (or made up): it is compared with the goal's margin.
`switch`  what following the other arm adds, in both arms alike. The comparison stays fair.
`trend`   what each further block adds, in both arms alike; mirrored pairs (ABBA) cancel it.

Each has an interval by Student's t, on the few degrees of freedom that are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from scipy.special import stdtrit

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.blockwise import BlockValues
from luckyhit.judge.compare.effect import amount_of
from luckyhit.records import GoalName, Guard, Note, NoteId
from luckyhit.text.numbers import percent
from luckyhit.text.quantities import difference_text, interval_text, name_of
from luckyhit.text.wording import note, of_metric

ALPHA = 0.01
"""The chance that any of the intervals of `carry` is wrong, over all goals together."""
TERMS = ("carry", "switch", "trend")


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the model with its interval."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Surely different from 0."""
        return self.low > 0 or self.high < 0


def order_effects(values: Mapping[int, float], arms: Mapping[int, int], alpha: float = ALPHA) -> dict[str, Term]:
    """The parts named in `TERMS` that these blocks can separate.

    `values`: of each block its value, missing or not finite where it has none; `arms`: of all blocks their arm (0
    before, 1 after), numbered in the order of time. The first block follows the arm before, which the baseline was.
    """
    blocks = sorted(arms)
    arm = np.array([arms[block] for block in blocks], dtype=float)
    previous = np.concatenate([[0.0], arm[:-1]])
    columns = {"carry": previous, "switch": (arm != previous).astype(float), "trend": np.arange(len(arm), dtype=float)}
    known = np.array([isfinite(values.get(block, np.nan)) for block in blocks], dtype=bool)
    value = np.array([values[block] for block, is_known in zip(blocks, known, strict=True) if is_known], dtype=float)
    design = np.column_stack([np.ones(len(arm)), arm, *columns.values()])[known] if blocks else np.zeros((0, 5))
    rank = int(np.linalg.matrix_rank(design)) if len(value) else 0
    freedom = len(value) - rank
    if freedom < 1:
        return {}
    residuals = value - design @ np.linalg.lstsq(design, value, rcond=None)[0]
    deviation = sqrt(float(residuals @ residuals) / freedom)
    t = float(stdtrit(freedom, 1 - alpha / 2))
    terms = {}
    for index, name in enumerate(TERMS, 2):
        others = np.delete(design, index, axis=1)
        # The part of this column that the others don't have (Frisch and Waugh 1933).
        own = design[:, index] - others @ np.linalg.lstsq(others, design[:, index], rcond=None)[0]
        own_square = float(own @ own)
        if own_square > 1e-6:
            middle, half_width = float(own @ value) / own_square, t * deviation / sqrt(own_square)
            terms[name] = Term(middle, middle - half_width, middle + half_width)
    return terms


def carry_over(
    values: BlockValues,
    arms: Mapping[int, int],
    case: Case,
    before: Mapping[GoalName, float | None],
) -> tuple[Guard, list[Note]]:
    """The guard on carry-over in any metric with a goal, and notes on the order of the blocks.

    `values`: of each metric, its value in each block; `arms`: of each block of the change, its arm; `before`: what each
    metric is before the change, for relative margins.
    """
    alpha = ALPHA / max(1, len(case.goals))
    carried, small, unknown, notes = list[str](), list[str](), list[str](), list[Note]()
    for name, goal in case.goals.items():
        terms = order_effects(values.get(name, {}), arms, alpha)
        margin, carry = amount_of(name, goal.margin, before.get(name)), terms.get("carry")
        if carry is None or margin is None:
            unknown.append(name_of(name))
        else:
            beyond = carry.sure and abs(carry.value) > margin
            interval = f"{percent(1 - alpha)} interval {interval_text(name, carry.low, carry.high)}"
            interval += f", margin {difference_text(name, margin)}" if beyond else ""
            (carried if beyond else small).append(f"{name_of(name)} {difference_text(name, carry.value)} ({interval})")
        if margin is not None:
            notes += _notes(name, terms, margin / 4, len(arms), mirrored=design_of(case).mirrored)
    return _guard(carried, small, unknown, len(arms)), notes


def _guard(carried: Sequence[str], small: Sequence[str], unknown: Sequence[str], blocks: int) -> Guard:
    if carried:
        return Guard(
            id="no-carry-over",
            ok=False,
            detail=f"blocks that follow one of the after arm differ from those that follow one of the before arm, by "
            f"more than the margin: {', '.join(carried)}",
            remedy="Raise plan.washout and plan.warmup, so that nothing is left of the arm before.",
        )
    few = f"can't be estimated from {blocks} blocks (plan.blocks, 4 at least; better 8)"
    if not small:
        return Guard(id="no-carry-over", ok=True, detail=few)
    rest = f"; for {', '.join(unknown)} it {few}" if unknown else ""
    detail = f"following the after arm adds nothing sure beyond the margins: {', '.join(small)}{rest}"
    return Guard(id="no-carry-over", ok=True, detail=detail)


def _notes(name: GoalName, terms: Mapping[str, Term], least: float, blocks: int, *, mirrored: bool) -> list[Note]:
    """On what is sure, and as large as `least` (from the first block to the last, for a trend)."""
    notes = []
    switch, trend = terms.get("switch"), terms.get("trend")
    if switch is not None and switch.sure and abs(switch.value) > least:
        size = difference_text(name, abs(switch.value))
        way = "higher" if switch.value > 0 else "lower"
        notes.append(of_metric(name, note("blocks-after-the-other-arm", size=size, way=way)))
    if trend is not None and trend.sure and abs(trend.value) * (blocks - 1) > least:
        size = difference_text(name, abs(trend.value))
        way = "rose" if trend.value > 0 else "fell"
        id: NoteId = "trend-over-mirrored-blocks" if mirrored else "trend-over-blocks"
        notes.append(of_metric(name, note(id, way=way, size=size)))
    return notes

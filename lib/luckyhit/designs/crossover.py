"""Crossover: one stack, and blocks of both arms in turn, in a drawn and mirrored order (ABBA).

Source: Jones and Kenward, Design and Analysis of Cross-Over Trials, 3rd edition, chapter 2.
"""

from __future__ import annotations

import random

from luckyhit.designs.design import AFTER, BEFORE, Design, Words
from luckyhit.records import Arm


def order(pairs: int, seed: int) -> list[tuple[Arm, ...]]:
    """Pairs in ABBA order: the first arm is drawn from the seed, and each second pair mirrors the one before it, which
    cancels a linear drift."""
    blocks: list[tuple[Arm, ...]] = []
    rng = random.Random(seed)
    for index in range(pairs):
        if index % 2 == 0:
            pair = [BEFORE, AFTER]
            rng.shuffle(pair)
        else:
            pair = blocks[-2:][::-1]
        blocks += pair
    return blocks


CROSSOVER = Design(
    id="crossover",
    order=order,
    isolated=False,
    arms_together=False,
    units="block-pairs",
    looks="after-pairs",
    washes_out=True,
    mirrored=True,
    may_carry_over=True,
    words=Words(
        summary="one stack, blocks of both arms in random order",
        compared="Both arms took turns on one stack, in blocks that start from the same cache state.",
        note="arms-took-turns",
        event_in_both=(
            "Both arms met it. Taking turns evens out a drift, and a shift as far as both arms have blocks on either "
            "side of it; the levels are no steady state."
        ),
    ),
)

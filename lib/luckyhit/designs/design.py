"""What a design is: the order in which the arms are measured, and what the judge may conclude from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from luckyhit.records import Arm, NoteId

BEFORE: tuple[Arm, ...] = ("before",)
AFTER: tuple[Arm, ...] = ("after",)
BOTH: tuple[Arm, ...] = BEFORE + AFTER

Order = Callable[[int, int], list[tuple[Arm, ...]]]
"""(pairs of blocks, seed) -> the arms of each block, in the order of time."""

Units = Literal["batches", "block-pairs", "blocks"]
"""The unit of observation. batches: contiguous slots sent to both arms at the same time. block-pairs: a block of one
arm and its partner of the other, where there are enough of them. blocks: whole blocks, without a partner."""
Looks = Literal["any-time", "after-pairs", "once"]
"""When the comparison may be looked at and ended. any-time: after each block, with intervals that hold at any time.
after-pairs: after each pair of blocks, with a fraction of the error rate for each look. once: after the last block."""


class Timed(Protocol):
    """The duration of a plan."""

    @property
    def blocks(self) -> int:
        """Declared pairs of blocks."""

    @property
    def washout(self) -> float:
        """The longest wait before a block, in seconds."""

    def seconds(self, blocks: int) -> float:
        """Seconds of load in the whole run, given the blocks of the change."""


@dataclass(frozen=True)
class Words:
    """Texts about a design. `summary`: for the case file's reference. `compared`: how the arms were compared, beside
    the verdict. `note`: of the result, on its weakness; None: there is none. `no_early_stop`: why it can't end before
    its last block; "" where it can. `event_*`: what a shift or drift means for the verdict, if both arms had it, if one
    had, and if one had inside a single block."""

    summary: str
    compared: str
    event_in_both: str
    note: NoteId | None = None
    no_early_stop: str = ""
    event_in_one: str = (
        "Warning: the other arm did not meet it, so the difference between the arms may be that event's, and not the "
        "change's. Find out what happened then (a deploy, a cleared cache, a noisy neighbour), and measure again."
    )
    event_in_block: str = (
        "The other arm did not meet it, and it was not seen beyond its block: what piles up in the service since "
        "the clear, and goes with it, looks like that, and is a difference of this arm's own."
    )


@dataclass(frozen=True)
class Design:
    """One way to measure both arms.

    `order`: which arms each block measures.
    `isolated`: each arm has its own stack (service, cache, directory); else there is one stack, changed and changed
    back.
    `arms_together`: each block measures both arms at once; else a block measures one arm.
    `units`, `looks`: see there.
    `washes_out`: load runs before each block until nothing of the arm before is left. (Where a stack is not the run's
    own, every design does so.)
    `mirrored`: over each two pairs of blocks the order cancels a linear drift.
    `may_carry_over`: a block may still show the arm measured before it; a guard checks that.
    """

    id: str
    order: Order
    isolated: bool
    arms_together: bool
    units: Units
    looks: Looks
    words: Words
    washes_out: bool = False
    mirrored: bool = False
    may_carry_over: bool = False

    @property
    def blocks_in_pair(self) -> int:
        """Blocks that hold both arms once."""
        return 1 if self.arms_together else 2

    @property
    def arms_in_block(self) -> int:
        """Arms that one block of the change measures."""
        return 2 if self.arms_together else 1

    @property
    def batches_are_units(self) -> bool:
        """Whether intervals are over batches inside the blocks; else over the few whole blocks."""
        return self.units == "batches"

    @property
    def pairs_blocks(self) -> bool:
        """Whether a block is compared with its partner of the other arm, given enough pairs."""
        return self.units == "block-pairs"

    @property
    def looks_any_time(self) -> bool:
        """Whether intervals hold whenever one looks or stops."""
        return self.looks == "any-time"

    @property
    def may_stop_early(self) -> bool:
        """Whether the arms can be compared before the last block."""
        return self.looks != "once"

    @property
    def may_add_blocks(self) -> bool:
        """Whether blocks may be added to the plan because of the data."""
        return self.looks_any_time

    @property
    def controls_on_top(self) -> bool:
        """Whether blocks without the freshness probe come on top of the declared ones; else they are among them, to
        keep the order."""
        return self.arms_together

    def planned_blocks(self, pairs: int) -> int:
        """All blocks of the change, given the planned pairs."""
        return pairs * self.blocks_in_pair

    def whole_pairs(self, blocks: int) -> int:
        """Whole pairs among the finished blocks."""
        return blocks // self.blocks_in_pair

    def ends_pair(self, blocks: int) -> bool:
        """Whether the last finished block completes a pair."""
        return blocks % self.blocks_in_pair == 0

    def load_s(self, plan: Timed, pairs: int | None = None) -> float:
        """Seconds of load in the whole run, warm-ups included. `pairs`: of blocks; None for the declared."""
        return plan.seconds(self.planned_blocks(plan.blocks if pairs is None else pairs))

    def washout_s(self, plan: Timed) -> float:
        """The longest wait before one block, in seconds; 0 where each arm has its own stack."""
        return 0.0 if self.isolated else plan.washout

    def longest_s(self, plan: Timed) -> float:
        """`load_s` with the longest wash-out before each block of the change."""
        return self.load_s(plan) + self.planned_blocks(plan.blocks) * self.washout_s(plan)


def pair_numbers(order: Sequence[Sequence[Arm]]) -> list[int]:
    """The pair of each block, from 1: pair n is the n-th block of either arm. Both members replay the same requests."""
    counts: dict[Arm, int] = {"before": 0, "after": 0}
    pairs = []
    for arms in order:
        for arm in arms:
            counts[arm] += 1
        pairs.append(max(counts[arm] for arm in arms))
    return pairs

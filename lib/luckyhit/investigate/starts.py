"""The process starts of a run: which arm is started first, and the number that each block's process has.

Each block begins with processes of its own, so that no arm is measured with the one layout in memory that its first
start happened to have, and the judge can see how much starts differ (`luckyhit.judge.compare.process_starts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luckyhit.records import Arm, NotedBlock
from luckyhit.target import Stack


def in_turn(stacks: Mapping[Arm, Stack], block: int) -> dict[Arm, Stack]:
    """The arms in the order in which they are started for a block: the other one first each time."""
    arms = list(stacks)
    return {arm: stacks[arm] for arm in (arms if block % 2 == 0 else reversed(arms))}


def numbered(blocks: Sequence[NotedBlock], started: Mapping[Arm, int | None]) -> dict[Arm, int]:
    """By arm, the how many-th process of its service a block has, from 1. `blocks`: the manifest's, so far; `started`:
    the processes (pids) of the block, where the run started them."""
    numbers: dict[Arm, int] = {}
    for arm, process in started.items():
        if process is None:
            continue
        earlier = next((block for block in reversed(blocks) if arm in block.start), None)
        if earlier is None:
            numbers[arm] = 1
            continue
        is_new = earlier.started.get(arm) != process
        numbers[arm] = earlier.start[arm] + is_new
    return numbers


__all__ = ["in_turn", "numbered"]

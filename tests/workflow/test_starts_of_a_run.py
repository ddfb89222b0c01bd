"""The process starts of a run: their numbers, and which arm is started first."""

from __future__ import annotations

from typing import Any

from luckyhit.records.manifest import NotedBlock
from luckyhit.workflow.measuring import in_turn, numbered


def test_the_other_arm_is_first_each_time() -> None:
    stacks: Any = {"before": object(), "after": object()}
    assert [list(in_turn(stacks, block)) for block in range(3)] == [
        ["before", "after"], ["after", "before"], ["before", "after"],
    ]  # fmt: skip
    assert in_turn(stacks, 1) == stacks


def test_each_new_process_has_the_next_number() -> None:
    blocks: list[NotedBlock] = []
    processes: Any
    for processes in ({"before": 70}, {"before": 71, "after": 80}, {"before": 72, "after": 80}, {"before": None}):
        blocks.append(NotedBlock(block=len(blocks), started=processes, start=numbered(blocks, processes)))
    assert [block.start for block in blocks] == [
        {"before": 1},
        {"before": 2, "after": 1},
        {"before": 3, "after": 1},
        {},
    ]
    assert numbered(blocks, {"before": 72}) == {"before": 3}  # the block between them has none of its own

"""The process starts of a run: their numbers, and which arm is started first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from luckyhit.records.manifest import NotedBlock
from luckyhit.workflow.measuring import in_turn, numbered
from luckyhit.workflow.steps import starts_first_block


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


def _stack(**other: Any) -> Any:
    declared = SimpleNamespace(watch_cache=True, cache_keys=["item:{key}"])
    facts = {
        "case": SimpleNamespace(freshness=declared), "cache": SimpleNamespace(owned=True), "owned": True,
        "changeable": True,
    }  # fmt: skip
    return SimpleNamespace(**{**facts, **other})


UNNAMED = SimpleNamespace(freshness=SimpleNamespace(watch_cache=True, cache_keys=None))


@pytest.mark.parametrize(
    ("stack", "once"),
    [
        ({}, True),
        ({"case": SimpleNamespace(freshness=None)}, True),
        ({"case": UNNAMED}, False),  # reads that learn the cache's keys come between
        ({"case": UNNAMED, "cache": None}, True),
        ({"owned": False}, False),
        ({"changeable": False}, False),
    ],
)
def test_the_change_is_made_by_the_first_blocks_start(stack: dict[str, Any], once: bool) -> None:
    changed = _stack(**stack)
    assert starts_first_block({"before": _stack(), "after": changed}, changed) is once
    assert starts_first_block({"after": changed}, changed) is once
    assert not starts_first_block({"before": changed}, changed)

"""One numbering of blocks: those that are measured, whatever is sent between them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from luckyhit.records.manifest import NotedBlock
from luckyhit.records.parts.block_numbers import MOST_BLOCKS, STRETCHES, block_after, next_block, next_stretch, turn
from luckyhit.text.numbers import block_name


@given(st.lists(st.booleans(), max_size=60))
def test_stretches_of_wash_outs_take_no_number_from_blocks(measured: list[bool]) -> None:
    numbers: list[int] = []
    for is_block in measured:
        numbers.append(next_block(numbers) if is_block else next_stretch(numbers))
    blocks = [number for number, is_block in zip(numbers, measured, strict=True) if is_block]
    assert blocks == list(range(len(blocks))) and len(set(numbers)) == len(numbers)
    assert sorted(numbers, key=turn) == numbers, "in the order of time"
    for place, (number, is_block) in enumerate(zip(numbers, measured, strict=True)):
        assert block_after(number) == (None if is_block else sum(measured[:place]))


def test_a_run_of_before_goes_on_in_its_own_count() -> None:
    """It numbered blocks and stretches together."""
    assert next_block(range(7)) == 7 and sorted(range(7), key=turn) == list(range(7))


def test_the_longest_wash_out_before_the_last_block_has_numbers() -> None:
    """A day in stretches of two seconds, before more blocks than a plan may have."""
    last = (500 + 1) * STRETCHES + 24 * 3600 // 2
    assert last < MOST_BLOCKS and block_after(last) == 500
    assert NotedBlock(block=last).block == last
    assert block_name(last).endswith(block_name(500)) and block_name(last) != block_name(500)

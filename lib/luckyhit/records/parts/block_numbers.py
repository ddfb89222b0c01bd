"""The numbers of a run's blocks: those that are measured count from 0, in the order of time, and nothing comes between
them. So a number is the same in a sentence, a table, a figure and a row.

A stretch of a wash-out is recorded like a block, and is none that anybody counts. Its number says before which block it
came, and lies above all of theirs. Runs of before numbered both together; their numbers are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

STRETCHES = 100_000
"""Block numbers are below; above are stretches, this many for each block."""
MOST_BLOCKS = 100_000_000


def next_block(numbers: Iterable[int]) -> int:
    """The number of the next block, after those of `numbers`, stretches among them or not."""
    return max((number for number in numbers if number < STRETCHES), default=-1) + 1


def next_stretch(numbers: Iterable[int]) -> int:
    """The same of the next stretch of the wash-out before that block."""
    known = list(numbers)
    first = (next_block(known) + 1) * STRETCHES
    return max((number for number in known if first <= number < first + STRETCHES), default=first - 1) + 1


def block_after(stretch: int) -> int | None:
    """The block that a stretch of a wash-out came before; None for the number of a block."""
    return stretch // STRETCHES - 1 if stretch >= STRETCHES else None


def turn(number: int) -> tuple[int, bool, int]:
    """Sorts blocks and stretches in the order of time."""
    after = block_after(number)
    return (number, True, 0) if after is None else (after, False, number)

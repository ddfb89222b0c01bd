"""Side by side: two isolated stacks, and each request is sent to both at the same moment.

What happens to one arm happens to the other, so requests are compared in pairs, and intervals hold at any time.
"""

from __future__ import annotations

from luckyhit.designs.design import BOTH, Design, Words
from luckyhit.records import Arm


def order(pairs: int, seed: int) -> list[tuple[Arm, ...]]:
    """Both arms in each block; inside a block the engine draws the first arm slot by slot."""
    return [BOTH] * pairs


SIDE_BY_SIDE = Design(
    id="side-by-side",
    order=order,
    isolated=True,
    arms_together=True,
    units="batches",
    looks="any-time",
    mirrored=True,
    words=Words(
        summary="two isolated stacks, each request sent to both",
        compared="Each request was sent to both arms at the same moment, to stacks that differ in the one change only.",
        event_in_both=(
            "Both arms met it at the same time, so the comparison is fair; the levels are those of a system that was "
            "not steady."
        ),
    ),
)

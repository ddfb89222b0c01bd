"""Before-after: all blocks of one arm, then all of the other, where the change can't be made and undone at will."""

from __future__ import annotations

from luckyhit.designs.design import AFTER, BEFORE, Design, Words
from luckyhit.records import Arm

_EVENT = (
    "The arms were measured one after the other, so nothing shows whether the other arm would have met it too: "
    "the difference between them may be that event's."
)


def order(pairs: int, seed: int) -> list[tuple[Arm, ...]]:
    """All blocks of the before arm first. Nothing is drawn: the change is made once."""
    return [BEFORE] * pairs + [AFTER] * pairs


BEFORE_AFTER = Design(
    id="before-after",
    order=order,
    isolated=False,
    arms_together=False,
    units="blocks",
    looks="once",
    words=Words(
        summary="the change can't be toggled; weaker",
        compared=(
            "All of one arm was measured, then all of the other: weaker, since whatever else changed in between "
            "counts as the change."
        ),
        note="arms-one-after-the-other",
        no_early_stop="all blocks of one arm come first, so nothing can be told until the end",
        event_in_both=_EVENT,
        event_in_one=_EVENT,
        event_in_block=_EVENT,
    ),
)

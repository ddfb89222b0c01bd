"""Events inside the arms in words: what happened, and what that means for the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.designs import Words
from luckyhit.judge.context.event_series import SERIES
from luckyhit.records import Arm, Fact, GoalName, Note, RunEvent
from luckyhit.text.numbers import listed, number
from luckyhit.text.quantities import difference_text, value_text
from luckyhit.text.wording import note

MOST_NOTES = 8


def event_notes(events: Sequence[RunEvent], words: Words) -> list[Note]:
    """A note for each event: what happened, and what that means for the verdict. `words`: of the design."""
    # Those of one arm come first: they may be what the verdict is about.
    ordered = sorted(events, key=lambda event: len(event.arms))
    notes = [_note(event, words) for event in ordered]
    more = note("events-more", count=len(notes) - MOST_NOTES)
    return notes if len(notes) <= MOST_NOTES else [*notes[:MOST_NOTES], more]


def _note(event: RunEvent, words: Words) -> Note:
    noted = note("event", happened=happened(event), meaning=meaning(event, words))
    facts: dict[str, Fact] = {"metric": event.metric, "kind": event.kind, "arms": [*event.arms], "at_s": event.at_s}
    return noted.model_copy(update={"facts": facts})


def happened(event: RunEvent) -> str:
    """`Hit ratio shifted in both arms at 42 s (block 3): before 91 → 70 % (−21 points) and after ...`"""
    name = SERIES[event.metric].words
    where = "in both arms" if len(event.arms) == 2 else f"in the {event.arms[0]} arm only"
    when = f"at {number(event.at_s)} s (block {event.block})"
    if event.until_s is not None:
        when = f"from {number(event.at_s)} to {number(event.until_s)} s"
    arms_text = listed([f"{arm} {levels(event, arm)}" for arm in event.arms])
    return f"{name[:1].upper()}{name[1:]} {verb_of(event)} {where} {when}: {arms_text}."


def verb_of(event: RunEvent) -> str:
    """`drifted`, `shifted`; of what was not seen beyond its block `rose inside a block`."""
    if event.with_block:
        moved = event.moved[event.arms[0]]
        return "rose inside a block" if moved.became > moved.was else "fell inside a block"
    return "drifted" if event.kind == "drift" else "shifted"


def levels(event: RunEvent, arm: Arm) -> str:
    """`91 → 70 % (−21 points)`."""
    moved, like = event.moved[arm], SERIES[event.metric].like
    size = difference_text(like, moved.size)
    signed = f"+{size}" if moved.size > 0 else size
    return f"{from_to(like, moved.was, moved.became)} ({signed})"


def from_to(name: GoalName, was: float, became: float) -> str:
    """Two values with one unit: `91 → 70 %`, `1.4 → 1.5 ms`."""
    first, second = value_text(name, was), value_text(name, became)
    unit = second[second.rfind(" ") :] if " " in second else ""
    return f"{first.removesuffix(unit)} → {second}"


def meaning(event: RunEvent, words: Words) -> str:
    """What an event means for the verdict, which it does not change by itself. `words`: of the design."""
    if event.with_block:
        return words.event_in_block
    return words.event_in_both if len(event.arms) == 2 else words.event_in_one


__all__ = ["event_notes", "from_to", "happened", "levels", "meaning", "verb_of"]

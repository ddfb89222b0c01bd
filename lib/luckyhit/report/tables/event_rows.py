"""Drifts and shifts inside the arms as rows of a table: what happened, and what that means for the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luckyhit.designs import DESIGNS, Words
from luckyhit.judge.facade import run_events
from luckyhit.records import Arm, Note, Result, RunEvent
from luckyhit.text.numbers import DASH, number, sentence_case

MOST_EVENTS = 40


@dataclass(frozen=True)
class EventRow:
    """One event in words. `alone`: only one arm met it."""

    when: str
    what: str
    before: str
    after: str
    means: str
    alone: bool


def event_rows(result: Result | None) -> list[EventRow]:
    """Events that one arm met alone come first."""
    events = sorted(result.events if result else [], key=lambda event: len(event.arms))
    words = _words(result) if result else None
    return [_row(event, words) for event in events[:MOST_EVENTS]]


def other_notes(result: Result) -> list[Note]:
    """The result's notes without those on events, which have a table."""
    return [note for note in result.notes if note.id not in ("event", "events-more")]


def shift_times(events: Sequence[RunEvent]) -> tuple[float, ...]:
    """When something shifted in any arm (seconds since the first block)."""
    return tuple(sorted({event.at_s for event in events if event.kind == "shift"}))


def _words(result: Result) -> Words | None:
    """None for a design that this version does not know."""
    design = DESIGNS.get(result.design)
    return design.words if design is not None else None


def _row(event: RunEvent, words: Words | None) -> EventRow:
    when = f"at {number(event.at_s)} s, block {event.block}"
    if event.until_s is not None:
        when = f"from {number(event.at_s)} to {number(event.until_s)} s"
    return EventRow(
        when=sentence_case(when),
        what=f"{sentence_case(run_events.SERIES[event.metric].words)} {run_events.verb_of(event)}",
        before=_levels(event, "before"),
        after=_levels(event, "after"),
        means=run_events.meaning(event, words) if words is not None else DASH,
        alone=len(event.arms) == 1,
    )


def _levels(event: RunEvent, arm: Arm) -> str:
    return run_events.levels(event, arm) if arm in event.moved else DASH

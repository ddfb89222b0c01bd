"""Drifts and shifts inside the arms as rows of a table: what happened, and what that means for the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luckyhit.judge.facade import shifts
from luckyhit.judge.wording import number
from luckyhit.records import Arm, Result, RunEvent
from luckyhit.report.tables.contents import sentence_case
from luckyhit.report.tables.metric_rows import DASH

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
    return [_row(event, result.design) for event in events[:MOST_EVENTS]] if result else []


def other_notes(result: Result) -> list[str]:
    """The result's notes without those that the table of events makes."""
    told = set(shifts.event_notes(result.events, result.design))
    return [note for note in result.notes if note not in told]


def shift_times(events: Sequence[RunEvent]) -> tuple[float, ...]:
    """When something shifted in any arm (seconds since the first block)."""
    return tuple(sorted({event.at_s for event in events if event.kind == "shift"}))


def _row(event: RunEvent, design: str) -> EventRow:
    when = f"at {number(event.at_s)} s, block {event.block}"
    if event.until_s is not None:
        when = f"from {number(event.at_s)} to {number(event.until_s)} s"
    return EventRow(
        when=sentence_case(when),
        what=f"{sentence_case(shifts.NAMES[event.metric])} {shifts.verb_of(event)}",
        before=_levels(event, "before"),
        after=_levels(event, "after"),
        means=shifts.meaning(event, design),
        alone=len(event.arms) == 1,
    )


def _levels(event: RunEvent, arm: Arm) -> str:
    return shifts.levels(event, arm) if arm in event.moved else DASH

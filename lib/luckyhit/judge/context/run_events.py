"""What is watched for events inside an arm, a row for each series; and the events in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from luckyhit.designs import Words
from luckyhit.judge.table.rows import RequestTable
from luckyhit.records import METRICS, Arm, EventMetric, Fact, GoalName, MetricName, Note, RunEvent
from luckyhit.text.numbers import listed, number
from luckyhit.text.quantities import difference_text, value_text
from luckyhit.text.wording import note

MOST_NOTES = 8


@dataclass(frozen=True, slots=True)
class EventSeries:
    """`words`: its name. `like`: the metric with the same unit. `values`: what one request counts as, NaN where it is
    not visible; `known`: whether it is. `least`: smaller movements are not reported (of logarithms: about the relative
    change), unless a quarter of a goal's margin is less. `logarithmic`: values are logarithms."""

    words: str
    like: MetricName
    values: Callable[[RequestTable], np.ndarray]
    known: Callable[[RequestTable], np.ndarray]
    least: float
    logarithmic: bool = False


def _log_latency(rows: RequestTable) -> np.ndarray:
    latency = rows.latency_ms
    with np.errstate(invalid="ignore"):
        latency[~(latency > 0)] = np.nan
    return np.asarray(np.log(latency, out=latency))


def _has_latency(rows: RequestTable) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(rows.latency_ms > 0)


SERIES: dict[EventMetric, EventSeries] = {
    "hit_ratio": EventSeries("hit ratio", "hit_ratio", lambda rows: rows.hit, lambda rows: rows.hits[0], 0.0125),
    "latency_ms": EventSeries(
        "typical latency (geometric mean)", "latency_p50_ms", _log_latency, _has_latency, 0.05, logarithmic=True
    ),
    "error_rate": EventSeries(
        "error rate", "error_rate", lambda rows: rows.failed, lambda rows: rows.failures[0], 0.005
    ),
}


def metrics_of_series(name: EventMetric) -> list[MetricName]:
    """The metrics whose movements inside an arm show in this series."""
    return [metric for metric, kind in METRICS.items() if kind.event == name]


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
    """`drifted`, `shifted`; for one that stayed inside its block `rose inside a block`."""
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

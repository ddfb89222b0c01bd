"""The case as declared, guards, events inside the arms and the environment, as rows of text for page and notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luckyhit.designs import DESIGNS, Words
from luckyhit.judge.facade import run_events
from luckyhit.records import Arm, Guard, Note, Result, RunEvent
from luckyhit.records.manifest import Manifest
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import DASH, number, sentence_case
from luckyhit.text.quantities import name_of

if TYPE_CHECKING:
    from luckyhit.case import Case

MOST_GUARDS = 100
MOST_EVENTS = 40


def declared(case: Case) -> list[tuple[str, str]]:
    """The case as declared: what is wrong, where, and what should happen."""
    response = case.expected.response
    parts = [f"status {' or '.join(map(str, response.statuses))}"]
    parts += [f"header {name} with {value!r}" for name, value in response.headers.items()]
    parts += [f"fields {', '.join(response.fields)}"] if response.fields else []
    return [
        ("Case", case.title),
        ("Owner", f"{case.owner.name} ({case.owner.contact})"),
        ("Route", case.route),
        ("Input", case.input),
        ("Noticed", case.noticed),
        ("Slow query or failing command", case.suspect),
        ("Expected result", case.expected.result),
        ("Expected response", ", ".join(parts)),
        ("Hypothesis", case.hypothesis),
    ]


def goals(case: Case) -> list[tuple[str, str]]:
    """What has to happen, in words."""
    rows = []
    for name, goal in case.goals.items():
        text = "must get better" if goal.want == "better" else "may get worse by the margin at most"
        limit = f"; at most {goal.at_most} after the change" if goal.at_most is not None else ""
        rows.append((sentence_case(name_of(name)), f"{text} (margin {goal.margin}){limit}"))
    for name, margin in case.controls.items():
        rows.append((sentence_case(name_of(name)), f"negative control: may not move by more than {margin}"))
    return rows


def guards(recorded: Recorded) -> list[Guard]:
    """The result's guards; before the run is judged, those that were noted while measuring. Failed ones come first."""
    noted = recorded.manifest.guards if recorded.result is None else recorded.result.guards
    return sorted(noted, key=lambda guard: guard.ok)[:MOST_GUARDS]


def environment(manifest: Manifest) -> list[tuple[str, str]]:
    """Where it was measured, and with what."""
    host = manifest.host
    cpus = "" if host.cpus is None else f"{host.cpus} CPUs"
    rows = [
        ("Run", manifest.run),
        ("Started", manifest.started),
        ("Revision of this project", manifest.revision),
        ("Design", manifest.design),
        ("Seed", manifest.seed),
        ("Host", ", ".join(text for text in (cpus, host.machine, host.system) if text)),
        ("Versions", ", ".join(f"{name} {value}" for name, value in manifest.versions.items())),
        ("Load engine", engine(manifest)),
        ("File format", f"schema {manifest.schema_}" if manifest.schema_ else None),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def engine(manifest: Manifest) -> str:
    """What the load engine itself added, in the worst block."""
    checks = [block.engine for block in manifest.blocks]
    words = {
        "added {} ms at the median": [check.added_p50_ms for check in checks],
        "{} ms at p99": [check.added_p99_ms for check in checks],
        "requests sent at most {} ms late (p99)": [check.schedule_error_p99_ms for check in checks],
    }
    worst = {
        text: max((value for value in values if value is not None), default=None) for text, values in words.items()
    }
    return ", ".join(text.format(number(value)) for text, value in worst.items() if value is not None)


@dataclass(frozen=True)
class EventRow:
    """One event in words. `alone`: it happened in one arm only."""

    when: str
    change: str
    before: str
    after: str
    meaning: str
    alone: bool


def event_rows(result: Result | None) -> list[EventRow]:
    """Those of one arm alone come first."""
    events = sorted(result.events if result else [], key=lambda event: len(event.arms))
    words = _words(result) if result else None
    return [_row(event, words) for event in events[:MOST_EVENTS]]


def other_notes(result: Result) -> list[Note]:
    """The result's notes without those on events, which have a table."""
    return [note for note in result.notes if note.id not in ("event", "events-more")]


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
        change=f"{sentence_case(run_events.SERIES[event.metric].words)} {run_events.verb_of(event)}",
        before=_levels(event, "before"),
        after=_levels(event, "after"),
        meaning=run_events.meaning(event, words) if words is not None else DASH,
        alone=len(event.arms) == 1,
    )


def _levels(event: RunEvent, arm: Arm) -> str:
    return run_events.levels(event, arm) if arm in event.moved else DASH

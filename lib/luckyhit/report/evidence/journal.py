"""The run's journal, as a report reads it: every step with what was confirmed of it, whatever the file is like.

`luckyhit.change.journal` is strict: it refuses to undo what it can't read wholly. A report shows each line that can be
read, and says which can't.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from luckyhit.records.vocabulary import STEP_OUTCOMES, StepOutcome, outcome_of_words

if TYPE_CHECKING:
    from luckyhit.run import Run

NAME = "journal.jsonl"
AT_REST = "at_rest"
"""Confirmed of a step that stays open only so that the run's next notebook could still undo it."""
_MOST_DAMAGED = 5


@dataclass(frozen=True)
class Event:
    """A confirmation of a step, or its undoing. `at`: seconds since 1970, None where that is no number."""

    at: float | None
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One journalled step: the intent, each confirmation of it (a restart confirms again), each undoing."""

    id: int
    step: str
    at: float | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    inverse: Mapping[str, Any] = field(default_factory=dict)
    confirms: tuple[Event, ...] = ()
    undos: tuple[Event, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of its inverse; empty where nothing needs to be undone."""
        return str(self.inverse.get("kind") or ("unnamed" if self.inverse else ""))

    @property
    def confirmed(self) -> bool:
        return bool(self.confirms)

    @property
    def undone(self) -> bool:
        return bool(self.undos)

    @property
    def open(self) -> bool:
        """Something of it may be left on the target."""
        return not self.undone and (bool(self.inverse) or not self.confirmed)

    @property
    def at_rest(self) -> bool:
        return self.open and self.outcome.get(AT_REST) is True

    @property
    def outcome(self) -> dict[str, Any]:
        """Everything that was confirmed of it, the latest word of each."""
        return {name: value for event in (*self.confirms, *self.undos) for name, value in event.detail.items()}

    @property
    def how(self) -> str:
        """How it was undone, in the words of who did it; empty where it wasn't, or nothing was said."""
        said = [str(event.detail["how"]) for event in self.undos if event.detail.get("how")]
        return said[-1] if said else ""

    @property
    def closed_as(self) -> StepOutcome | None:
        """How it was closed; None where it wasn't, or that was not noted."""
        if not self.undos:
            return None
        noted = self.undos[-1].detail.get("outcome")
        return noted if noted in STEP_OUTCOMES else outcome_of_words(self.how)

    @property
    def times(self) -> list[float]:
        """When anything was written of it, in seconds since 1970."""
        every = [self.at, *(event.at for event in (*self.confirms, *self.undos))]
        return [at for at in every if at is not None]


@dataclass(frozen=True)
class Journal:
    """What `journal.jsonl` holds. `there`: whether there is one at all; `problem`: what of it can't be read, in a
    sentence, or None; `torn`: it ends in the middle of a line, as it does where its writer was killed. `backups`: the
    names of backups of cleared keys that are still in the run's directory."""

    steps: tuple[Step, ...] = ()
    there: bool = False
    problem: str | None = None
    torn: bool = False
    backups: tuple[str, ...] = ()

    @property
    def open(self) -> list[Step]:
        return [step for step in self.steps if step.open]

    def named(self, name: str) -> list[Step]:
        return [step for step in self.steps if step.step == name]


def journal_of(run: Run) -> Journal:
    """Read the run's journal as far as it can be read; never raises for what is in it."""
    backups = tuple(sorted(path.name for path in run.path.glob("cleared-*.backup")))
    try:
        lines = (run.path / NAME).read_bytes().split(b"\n")
    except FileNotFoundError:
        return Journal(backups=backups)
    except OSError as error:
        return Journal(there=True, problem=f"The journal can't be read: {error.strerror}.", backups=backups)
    steps: dict[int, Step] = {}
    damaged = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            _read(json.loads(line), steps)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            damaged.append(number)
    return Journal(tuple(steps.values()), True, _damage(damaged), bool(lines[-1]), backups)


def _read(event: Mapping[str, Any], steps: dict[int, Step]) -> None:
    number, name = event["id"], event["event"]
    detail = event["detail"]
    if not isinstance(number, int) or isinstance(number, bool) or not isinstance(detail, Mapping):
        raise ValueError(name)
    if name == "intent":
        inverse = event["inverse"]
        if number in steps or not isinstance(inverse, Mapping):
            raise ValueError(name)
        steps[number] = Step(number, str(event["step"]), _seconds(event.get("at")), detail, inverse)
        return
    known, told = steps[number], Event(_seconds(event.get("at")), detail)
    if name == "confirm":
        steps[number] = replace(known, confirms=(*known.confirms, told))
    elif name == "undone":
        steps[number] = replace(known, undos=(*known.undos, told))
    else:
        raise ValueError(name)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def _damage(lines: list[int]) -> str | None:
    if not lines:
        return None
    named = ", ".join(map(str, lines[:_MOST_DAMAGED])) + (" and more" if len(lines) > _MOST_DAMAGED else "")
    return (
        f"The journal is damaged in {len(lines)} {'line' if len(lines) == 1 else 'lines'} ({named}): what stands there "
        "is not shown, and nothing here shows that it was undone."
    )


def clock_of(manifest: Mapping[str, Any]) -> tzinfo:
    """The time zone in which the run noted its start."""
    try:
        return datetime.fromisoformat(str(manifest.get("started"))).tzinfo or UTC
    except ValueError:
        return UTC


def time_text(at: float | None, zone: tzinfo) -> str:
    """`02:15:31`; a dash where there is no such time."""
    try:
        return f"{datetime.fromtimestamp(at, zone):%H:%M:%S}" if at is not None else "–"
    except (OverflowError, OSError, ValueError):
        return "–"


def span_text(steps: list[Step], zone: tzinfo) -> str:
    """When the steps were taken: `02:15:31`, or `02:15:31 to 02:17:02`."""
    times = [at for step in steps for at in step.times]
    first, last = (time_text(pick(times), zone) if times else "–" for pick in (min, max))
    return first if first == last else f"{first} to {last}"

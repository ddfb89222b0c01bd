"""Read `journal.jsonl`: every step that a run took on a target, and what was confirmed and undone.

The parser is lenient: it returns what can be read of a damaged file, and the lines that can't. Undoing refuses such a
file (`luckyhit.change.journal`, which also writes it); a report shows what there is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from luckyhit.records.vocabulary import STEP_OUTCOMES, StepOutcome, outcome_of_words

JOURNAL = "journal.jsonl"
AT_REST = "at_rest"
"""Marks a step that is open only so that the run's next notebook can still undo it."""


@dataclass(frozen=True)
class JournalNote:
    """A confirmation of a step, or its undoing. `at`: seconds since 1970, None if it is not a number."""

    at: float | None
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One journalled step: the intent, each confirmation of it (a restart confirms again), each undoing.

    It is open from its intent until it is undone (with an inverse) or confirmed (without one)."""

    id: int
    step: str
    at: float | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    inverse: Mapping[str, Any] = field(default_factory=dict)
    confirms: tuple[JournalNote, ...] = ()
    undos: tuple[JournalNote, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of its inverse; empty if nothing needs to be undone."""
        return str(self.inverse.get("kind") or ("unnamed" if self.inverse else ""))

    @property
    def confirmed(self) -> bool:
        return bool(self.confirms)

    @property
    def undone(self) -> bool:
        return bool(self.undos)

    @property
    def open(self) -> bool:
        return not self.undone and (bool(self.inverse) or not self.confirmed)

    @property
    def at_rest(self) -> bool:
        return self.open and self.outcome.get(AT_REST) is True

    @property
    def outcome(self) -> dict[str, Any]:
        """All confirmed facts, the latest value of each."""
        return {name: value for note in (*self.confirms, *self.undos) for name, value in note.detail.items()}

    @property
    def how(self) -> str:
        """How it was undone, in words; empty if it was not undone or not described."""
        words = [str(note.detail["how"]) for note in self.undos if note.detail.get("how")]
        return words[-1] if words else ""

    @property
    def closed_as(self) -> StepOutcome | None:
        """How it was closed; None if it was not, or not recorded."""
        if not self.undos:
            return None
        noted = self.undos[-1].detail.get("outcome")
        return noted if noted in STEP_OUTCOMES else outcome_of_words(self.how)

    @property
    def times(self) -> list[float]:
        """The times of all its lines, in seconds since 1970."""
        every = [self.at, *(note.at for note in (*self.confirms, *self.undos))]
        return [at for at in every if at is not None]


@dataclass(frozen=True)
class DamagedLine:
    """A line of the journal that can't be read. `number` counts from 1."""

    number: int
    reason: str


@dataclass(frozen=True)
class JournalFile:
    """`steps`: oldest first; `lines`: all JSON objects, whether a step or not. `torn`: the file ends within a line,
    since its writer was killed; nothing relied on that line."""

    steps: tuple[Step, ...] = ()
    damaged: tuple[DamagedLine, ...] = ()
    lines: tuple[Mapping[str, Any], ...] = ()
    torn: bool = False


def load_journal(data: bytes) -> JournalFile:
    """Read a journal as far as it can be read; never raises."""
    *whole, rest = data.split(b"\n")
    steps: dict[int, Step] = {}
    damaged, lines = [], []
    for number, line in enumerate(whole, 1):
        try:
            lines.append(event := _object(json.loads(line)))
            known = _read(event, steps)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            damaged.append(DamagedLine(number, f"{type(error).__name__}: {error}"))
            continue
        steps[known.id] = known
    return JournalFile(tuple(steps.values()), tuple(damaged), tuple(lines), bool(rest))


def _read(event: Mapping[str, Any], steps: Mapping[int, Step]) -> Step:
    """The step of a line, updated by it."""
    number, name, detail = event["id"], event["event"], _object(event["detail"])
    if type(number) is not int:
        raise ValueError(f"the id {number!r} is no number")
    note = JournalNote(_seconds(event.get("at")), detail)
    if name == "intent":
        if number in steps:
            raise ValueError(f"step {number} is intended twice")
        return Step(number, str(event["step"]), note.at, detail, _object(event["inverse"]))
    known = steps[number]
    if name == "confirm":
        return replace(known, confirms=(*known.confirms, note))
    if name == "undone":
        return replace(known, undos=(*known.undos, note))
    raise ValueError(f"an unknown event {name!r}")


def _object(value: Any) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise TypeError(f"{str(value)[:40]!r} is no object")
    return value


def _seconds(value: Any) -> float | None:
    if type(value) is not int and type(value) is not float:
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None

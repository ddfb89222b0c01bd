"""The run's journal, as a report shows it: every step that can be read, and in a sentence what can't be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from luckyhit.records.journal import JOURNAL, Step, load_journal

if TYPE_CHECKING:
    from luckyhit.records.manifest import Manifest
    from luckyhit.run import Run

_MOST_DAMAGED = 5


@dataclass(frozen=True)
class JournalEvidence:
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


def journal_of(run: Run) -> JournalEvidence:
    """Read the run's journal as far as it can be read; never raises for what is in it."""
    backups = tuple(sorted(path.name for path in run.path.glob("cleared-*.backup")))
    try:
        known = load_journal((run.path / JOURNAL).read_bytes())
    except FileNotFoundError:
        return JournalEvidence(backups=backups)
    except OSError as error:
        return JournalEvidence(there=True, problem=f"The journal can't be read: {error.strerror}.", backups=backups)
    return JournalEvidence(known.steps, True, _damage([line.number for line in known.damaged]), known.torn, backups)


def _damage(lines: list[int]) -> str | None:
    if not lines:
        return None
    named = ", ".join(map(str, lines[:_MOST_DAMAGED])) + (" and more" if len(lines) > _MOST_DAMAGED else "")
    return (
        f"The journal is damaged in {len(lines)} {'line' if len(lines) == 1 else 'lines'} ({named}): what stands there "
        "is not shown, and nothing here shows that it was undone."
    )


def clock_of(manifest: Manifest) -> tzinfo:
    """The time zone in which the run noted its start."""
    try:
        return datetime.fromisoformat(manifest.started).tzinfo or UTC
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

"""The run's journal as a report shows it: every step that can be read, and what is still open with its inverse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from luckyhit.case.changes import INVERSE_WORDS
from luckyhit.case.changes.cache_setting import setting_put_back
from luckyhit.case.changes.spec import field_text
from luckyhit.records.journal import JOURNAL, Step, load_journal
from luckyhit.text.json_values import as_list, as_object
from luckyhit.text.numbers import DASH, listed, plural

if TYPE_CHECKING:
    from luckyhit.records.manifest import Manifest
    from luckyhit.report.recorded import Recorded
    from luckyhit.run import Run

_MOST_DAMAGED = 5
_MOST_OPEN = 50
STEP_TITLES = {
    "start": "Processes of the run's own",
    "worktree": "Git worktrees",
    "apply": "The change",
    "clear": "Keys of the cache",
    "backup": "Backups of cleared keys",
    "notify": "The cache's setting notify-keyspace-events",
    "purge": "Purge calls to the cache in front",
    "probe": "Keys that the freshness probe wrote",
    "workload": "The workload's own writes",
}


@dataclass(frozen=True)
class JournalEvidence:
    """What `journal.jsonl` holds. `exists`: whether there is one at all. `problem`: what can't be read, in a sentence.
    `torn`: it ends in the middle of a line, as it does when its writer was killed. `backups`: the names of backups of
    cleared keys that are still in the run's directory."""

    steps: tuple[Step, ...] = ()
    exists: bool = False
    problem: str | None = None
    torn: bool = False
    backups: tuple[str, ...] = ()

    @property
    def open(self) -> list[Step]:
        return [step for step in self.steps if step.open]

    @property
    def open_text(self) -> str:
        """`2 of the 8 journalled steps are open (apply and start)`."""
        count, names = len(self.open), listed(sorted({step.step for step in self.open}))
        verb = "is" if count == 1 else "are"
        return f"{count} of the {plural(len(self.steps), 'journalled step')} {verb} open ({names})"

    @property
    def closed_text(self) -> str:
        """What a journal without open steps proves."""
        count, inverse = len(self.steps), sum(bool(step.inverse) for step in self.steps)
        rest = f"; {count - inverse:,} had nothing to undo" if count > inverse else ""
        return (
            f"All {count:,} journalled steps are closed: {inverse:,} undone by their inverse, or certain to have left "
            f"nothing{rest}."
        )

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
        return JournalEvidence(exists=True, problem=f"The journal can't be read: {error.strerror}.", backups=backups)
    return JournalEvidence(known.steps, True, _damage([line.number for line in known.damaged]), known.torn, backups)


def _damage(lines: list[int]) -> str | None:
    if not lines:
        return None
    named = ", ".join(map(str, lines[:_MOST_DAMAGED])) + (" and more" if len(lines) > _MOST_DAMAGED else "")
    return (
        f"The journal is damaged in {plural(len(lines), 'line')} ({named}): what those said is not shown, and nothing "
        "proves that it was undone."
    )


def clock_of(manifest: Manifest) -> tzinfo:
    """The time zone in which the run noted its start."""
    try:
        return datetime.fromisoformat(manifest.started).tzinfo or UTC
    except ValueError:
        return UTC


def time_text(at: float | None, zone: tzinfo) -> str:
    """`02:15:31`; a dash for no time, or one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp(at, zone):%H:%M:%S}" if at is not None else DASH
    except (OverflowError, OSError, ValueError):
        return DASH


def span_text(steps: list[Step], zone: tzinfo) -> str:
    """When the steps were taken: `02:15:31`, or `02:15:31 to 02:17:02`."""
    times = [at for step in steps for at in step.times]
    first, last = (time_text(pick(times), zone) if times else DASH for pick in (min, max))
    return first if first == last else f"{first} to {last}"


def why_incomplete(recorded: Recorded, journal: JournalEvidence) -> str | None:
    """Why a run's report can't be complete; None where the run was measured to its end, judged, and left nothing."""
    manifest = recorded.manifest
    if manifest.state == "failed":
        return (manifest.failure.message if manifest.failure else "") or "no reason was noted"
    if journal.open:
        return journal.open_text
    if journal.problem:
        return "its journal can't be read completely, so nothing proves what was undone"
    if journal_lost(recorded, journal):
        return "it left no journal, so nothing proves what was done and undone"
    if manifest.state == "measuring":
        return "it was not measured to its end"
    return "the run was not judged" if recorded.result is None else None


def journal_lost(recorded: Recorded, journal: JournalEvidence) -> bool:
    """Whether a run that must have had a journal has none: it started or changed something."""
    started = recorded.case is not None and recorded.case.target.start is not None and bool(recorded.blocks)
    return not journal.exists and (started or recorded.changed or recorded.manifest.changed)


@dataclass(frozen=True)
class OpenStep:
    """`inverse`: what undoing it does; `by_hand`: a command, or empty."""

    number: int
    title: str
    since: str
    inverse: str
    by_hand: str


def open_steps(recorded: Recorded, journal: JournalEvidence) -> list[OpenStep]:
    """The open steps in the order in which they are undone: the newest first; cleared keys last, after the service is
    as it was."""
    zone = clock_of(recorded.manifest)
    newest_first = sorted(journal.open, key=lambda step: (step.kind == "restore", -step.id))[:_MOST_OPEN]
    return [
        OpenStep(
            step.id, _title(step), time_text(step.at, zone), inverse_text(step), str(step.inverse.get("by_hand") or "")
        )
        for step in newest_first
    ]


def _title(step: Step) -> str:
    name = STEP_TITLES.get(step.step, f"Step “{step.step}”")
    effect = step.detail.get("what")
    about = f": {effect}" if isinstance(effect, str) and effect else ""
    # A probe's step has no confirmation: it is closed when its keys are restored.
    half = "" if step.confirmed or step.step == "probe" else " (begun, not confirmed: it may be half done)"
    return f"{name}{about}{half}"


def inverse_text(step: Step) -> str:
    """What undoing a step does, in words; missing fields are dashes."""
    inverse, kind = step.inverse, step.kind
    if kind == "end-processes" and step.step == "apply":
        return f"The cache is the run's own: {field_text(inverse, 'name')} is gone once its processes are ended."
    if kind == "end-processes":
        return f"End the processes that the run started{_processes(step)}."
    if kind == "restart":
        return "End the run's own service: the change was nowhere else."
    if kind in INVERSE_WORDS:
        return INVERSE_WORDS[kind](inverse)
    if kind == "notify":
        return setting_put_back(inverse, "notify-keyspace-events")
    if kind == "restore":
        keys = inverse.get("keys")
        count = f"up to {keys:,}" if isinstance(keys, int) else "the"
        rest = " The run went on without it; the backup is kept until the run has ended." if step.at_rest else ""
        cache, backup = field_text(inverse, "cache"), field_text(inverse, "backup")
        return (
            f"Put {count} cleared keys of the cache {cache} back from {backup}, each with the time to live it has "
            f"left, where they are absent now.{rest}"
        )
    if kind == "probe":
        return f"Restore the values that the probe's keys had, as noted in {field_text(inverse, 'ledger')}."
    if step.step == "purge":
        return "Nothing: a purge can't be undone; the next reader fetches the page anew."
    if not inverse:
        return "Nothing to undo: it was begun, and not confirmed."
    return f"This version does not know this inverse: {json.dumps(dict(inverse), ensure_ascii=False, default=str)}"


def _processes(step: Step) -> str:
    processes = map(as_object, as_list(step.outcome.get("processes")))
    pids = [str(process.get("pid")) for process in processes if process]
    return f" (pid {', '.join(pids[:10])}) and that still run" if pids else ""

"""What a run left open on its target, and how each of it is undone: in words, and by hand where the journal tells."""

from __future__ import annotations

import json
from dataclasses import dataclass

from luckyhit.case.changes import INVERSE_WORDS
from luckyhit.case.changes.cache_setting import setting_put_back
from luckyhit.case.changes.spec import field_text
from luckyhit.records.journal import Step
from luckyhit.report.evidence.journal_view import JournalEvidence, clock_of, time_text
from luckyhit.report.recorded import Recorded
from luckyhit.text.json_values import as_list, as_object

MOST = 50
_NAMES = {
    "start": "Processes of the run's own",
    "apply": "The change",
    "clear": "Cleared keys",
    "notify": "The cache's setting notify-keyspace-events",
    "purge": "Purge calls",
    "worktree": "A Git worktree",
    "probe": "Keys that the freshness probe wrote",
}


@dataclass(frozen=True)
class Open:
    """One step that is open. `inverse`: what undoing it does; `by_hand`: a command, or empty."""

    number: int
    what: str
    since: str
    inverse: str
    by_hand: str


def open_steps(recorded: Recorded, journal: JournalEvidence) -> list[Open]:
    """The steps of which something may be left, in the order in which they are undone: the newest first, cleared keys
    last, so that the service reads them as it was."""
    zone = clock_of(recorded.manifest)
    newest_first = sorted(journal.open, key=lambda step: (step.kind == "restore", -step.id))
    return [
        Open(step.id, _what(step), time_text(step.at, zone), inverse_text(step), str(step.inverse.get("by_hand") or ""))
        for step in newest_first[:MOST]
    ]


def why_incomplete(recorded: Recorded, journal: JournalEvidence) -> str | None:
    """Why a run's report can't be complete; None where it can: it was measured to its end, judged, and left nothing."""
    manifest = recorded.manifest
    if manifest.state == "failed":
        return (manifest.failure.message if manifest.failure else "") or "no reason was noted"
    if journal.open:
        return f"{len(journal.open)} of the {len(journal.steps)} steps in its journal are open"
    if journal.problem:
        return "its journal can't be read wholly, so that nothing proves what was undone"
    if lost(recorded, journal):
        return "it left no journal, so that nothing proves what was done and undone"
    if manifest.state == "measuring":
        return "it has not been measured to its end"
    return "the run was not judged" if recorded.result is None else None


def lost(recorded: Recorded, journal: JournalEvidence) -> bool:
    """Whether there is no journal of a run that must have had one: it started or changed something."""
    started = recorded.case is not None and recorded.case.target.start is not None and bool(recorded.blocks)
    return not journal.there and (started or recorded.changed or recorded.manifest.changed)


def _what(step: Step) -> str:
    name = _NAMES.get(step.step, f"Step “{step.step}”")
    effect = step.detail.get("what")
    about = f": {effect}" if isinstance(effect, str) and effect else ""
    # A probe's step is closed when its keys are put back; there is nothing to confirm before.
    half = "" if step.confirmed or step.step == "probe" else " (begun, and not confirmed: it may be half done)"
    return f"{name}{about}{half}"


def inverse_text(step: Step) -> str:
    """What undoing a step does, in words; fields that are missing are dashes."""
    inverse, kind = step.inverse, step.kind
    if kind == "end-processes" and step.step == "apply":
        return (
            f"The cache is the run's own: {field_text(inverse, 'name')} is gone with it once its processes are ended."
        )
    if kind == "end-processes":
        return f"End the processes that the run had started{_processes(step)}."
    if kind == "restart":
        return "End the run's own service: the change was never anywhere but in it."
    if kind in INVERSE_WORDS:
        return INVERSE_WORDS[kind](inverse)
    if kind == "notify":
        return setting_put_back(inverse, "notify-keyspace-events")
    if kind == "restore":
        keys = inverse.get("keys")
        count = f"up to {keys:,}" if isinstance(keys, int) else "the"
        rest = " The run went on without needing that; it is kept until the run has ended." if step.at_rest else ""
        cache, backup = field_text(inverse, "cache"), field_text(inverse, "backup")
        return (
            f"Put {count} cleared keys of the cache {cache} back from {backup}, with the time to live "
            f"that is left of each, where they are absent now.{rest}"
        )
    if kind == "probe":
        return f"Write the values back that the probe's keys had, as noted in {field_text(inverse, 'ledger')}."
    if step.step == "purge":
        return "Nothing: what is purged can't be put back, and the next reader fetches it anew."
    if not inverse:
        return "Nothing is to be undone: it was begun, and not confirmed."
    return f"This version of the report does not know it: {json.dumps(dict(inverse), ensure_ascii=False, default=str)}"


def _processes(step: Step) -> str:
    processes = map(as_object, as_list(step.outcome.get("processes")))
    pids = [str(process.get("pid")) for process in processes if process]
    return f" (pid {', '.join(pids[:10])}), where they are still there" if pids else ""

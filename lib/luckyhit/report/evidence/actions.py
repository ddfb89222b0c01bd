"""What a run touched, by its journal and its manifest: a row for each kind of step, with counts, times and evidence.

Details may be missing, or of another version. What is not known is a dash, never a zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from luckyhit.records import ACTION_IDS
from luckyhit.records.journal import Step
from luckyhit.report.evidence.cleared_keys import counted
from luckyhit.report.evidence.journal_view import STEP_TITLES, JournalEvidence, clock_of, span_text
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables.freshness_tables import probed_keys
from luckyhit.text.json_values import as_list, as_object
from luckyhit.text.numbers import DASH, listed, plural, sentence

SAFE_METHODS = ("GET", "HEAD")
State = Literal["back", "open", "stays", "gone"]
WORDS: dict[State, str] = {"back": "✓ restored", "gone": "✓ ended", "stays": "stays", "open": "✗ open"}
_MOST_UNKNOWN = 20


@dataclass(frozen=True)
class ActionRow:
    """One kind of step: how often, when, what was `done`, and what became of it (`outcome`).

    `id`: an action's, or one of STEP_TITLES. `state`: `back` (as it was), `gone` (the run's own, and gone), `stays` (by
    nature), `open` (not undone).
    """

    id: str
    times: str
    when: str
    done: str
    outcome: str
    state: State

    @property
    def title(self) -> str:
        return STEP_TITLES.get(self.id, f"Step “{self.id}”")

    @property
    def word(self) -> str:
        return WORDS[self.state]


_Cells = tuple[str, str, str, State]
"""(how often, what was done, what became of it, its state once all steps are closed)."""


def action_rows(recorded: Recorded, journal: JournalEvidence) -> list[ActionRow]:
    """One row for each kind of step that the run took; none where it only observed."""
    zone, clears = clock_of(recorded.manifest), journal.named("clear")
    known: list[tuple[str, list[Step], Callable[[Sequence[Step]], _Cells]]] = [
        ("start", journal.named("start"), lambda starts: _processes(starts, journal.named("apply"))),
        ("worktree", journal.named("worktree"), _worktrees),
        ("apply", journal.named("apply"), _change),
        ("clear", clears, _keys),
        ("backup", [step for step in clears if step.inverse.get("backup")], lambda steps: _backups(steps, journal)),
        ("notify", journal.named("notify"), _notify),
        ("purge", journal.named("purge"), _purges),
    ]
    entries = [(id, steps, describe(steps)) for id, steps, describe in known if steps]
    if probe := _probe(recorded, journal):
        entries.append(("probe", journal.named("probe"), probe))
    if writes := _workload_writes(recorded):
        entries.append(("workload", [], writes))
    unknown = list(dict.fromkeys(step.step for step in journal.steps if step.step not in ACTION_IDS))[:_MOST_UNKNOWN]
    entries += [(id, journal.named(id), _unknown(journal.named(id))) for id in unknown]
    rows = []
    for id, steps, (times, done, outcome, state) in entries:
        state = "open" if any(step.open for step in steps) else state
        rows.append(ActionRow(id, times, span_text(steps, zone), _sentence(done), _sentence(outcome), state))
    return rows


def _unknown(steps: Sequence[Step]) -> _Cells:
    closed = sum(not step.open for step in steps)
    done = f"This version does not know what a step “{steps[0].step}” does"
    return _times(len(steps)), done, f"{closed} of {len(steps)} are closed", "back"


def _processes(starts: Sequence[Step], applies: Sequence[Step]) -> _Cells:
    confirms = [event for step in (*starts, *applies) for event in step.confirms]
    processes = {
        (entry.get("pid"), entry.get("created")): str(entry.get("what") or "")
        for event in confirms
        for entry in map(as_object, as_list(event.detail.get("processes")))
        if entry
    }
    caches = sum(role.startswith("cache") for role in processes.values())
    kinds = [f"{len(processes) - caches} of the service", *([f"{caches} of cache servers"] if caches else [])]
    done = (
        f"The run's own: {listed(kinds)}, in {plural(len(starts), 'stack')}, started or restarted "
        f"{_times(len(confirms))} in all; each process is known by its pid and the time of its creation"
    )
    left = [step for step in starts if step.open]
    back = f"{len(left)} of {plural(len(starts), 'stack')} not noted as ended" if left else "All have ended"
    hows = _hows(starts)
    return plural(len(processes), "process", "processes"), done, f"{back}{f' ({hows})' if hows else ''}", "gone"


def _worktrees(steps: Sequence[Step]) -> _Cells:
    made = [str(step.detail.get("revision") or "")[:12] or DASH for step in steps]
    done = f"A worktree of {listed(list(dict.fromkeys(made)))} in the run's directory, entered in the repository"
    closed = sum(step.undone for step in steps)
    return _times(len(steps)), done, f"Removed with its entry: {closed} of {len(steps)}", "back"


def _change(steps: Sequence[Step]) -> _Cells:
    applied = sum(len(step.confirms) for step in steps)
    effect = str(steps[-1].detail.get("what") or "Its effect was not noted")
    shown_values = [str(step.outcome[name]) for step in steps for name in ("shows", "is") if name in step.outcome]
    verified = f"; verified each time: the target showed “{shown_values[-1]}”" if shown_values else ""
    if not shown_values and any(step.kind == "restart" for step in steps):
        verified = "; each time by restarting the service with it, as the fingerprint shows"
    half = sum(not step.confirmed for step in steps)
    failed = f". Begun and not confirmed: {_times(half)}" if half else ""
    taken = sum(step.undone for step in steps)
    back = f"Reverted {_times(taken)}{_last_how(steps)}"
    if left := sum(step.open for step in steps):
        back += f". NOT reverted: {_times(left)}"
    once_more = applied - sum(step.confirmed for step in steps)
    times = f"applied {_times(applied - once_more)}"
    times += f", and set again {_times(once_more)} while in place" if once_more else ""
    return times, f"{effect.rstrip('.')}{verified}{failed}", back, "back"


def _keys(steps: Sequence[Step]) -> _Cells:
    done = f"{counted(steps, 'cleared')} of {counted(steps, 'matched')} keys in scope cleared"
    half = sum(not step.confirmed and not step.undone for step in steps)
    if half:
        done += f". Begun and not confirmed: {_times(half)}; some of those keys may be gone"
    restored = [step for step in steps if "restored" in step.outcome]
    if restored:
        # All clears of one cache are restored together; each of their steps says the same.
        back: tuple[str, State] = (_hows(restored), "back")
    elif not any(step.inverse for step in steps):
        back = ("The cache was the run's own, and is gone with it: nothing to restore", "gone")
    elif hows := _hows(step for step in steps if step.closed_as != "ended-well"):
        back = (hows, "back")
    else:
        back = ("Not restored, since the run ended well: the service has filled its cache again", "stays")
    if any(step.open for step in steps):
        back = ("`luckyhit revert` restores those that are absent then", "open")
    return plural(len(steps), "clear"), done, *back


def _backups(steps: Sequence[Step], journal: JournalEvidence) -> _Cells:
    names = [str(step.inverse["backup"]) for step in steps]
    keys = [step.inverse.get("keys") for step in steps]
    held = sum(key for key in keys if isinstance(key, int))
    done = f"Values and times to live of the {held:,} listed keys, saved before each clear"
    still = [name for name in names if name in journal.backups]
    if any(step.open for step in steps):
        return plural(len(names), "backup"), done, f"{len(still)} of them are kept until no longer needed", "open"
    if still:
        text = f"Still in the run's directory, no longer needed: {listed(still[:5])}"
        return plural(len(names), "backup"), done, text, "stays"
    used = any("restored" in step.outcome for step in steps)
    return plural(len(names), "backup"), done, "Restored from, then deleted" if used else "Not needed: deleted", "gone"


def _notify(steps: Sequence[Step]) -> _Cells:
    values = [(_quoted(step.detail.get("from")), _quoted(step.detail.get("to"))) for step in steps]
    done = "; ".join(f"CONFIG SET from {old} to {new}" for old, new in dict.fromkeys(values))
    back = f"Restored {_times(sum(step.undone for step in steps))}{_last_how(steps)}"
    if other := [step.how for step in steps if step.closed_as == "left-to-others"]:
        back = f"{back}. Left alone {_times(len(other))}: {other[-1]}"
    return f"set {_times(len(steps))}", f"{done}, so that the cache reports events of the probed keys", back, "back"


def _purges(steps: Sequence[Step]) -> _Cells:
    statuses = Counter[str]()
    for step in steps:
        answered = as_object(step.outcome.get("statuses"))
        statuses.update({str(status): count for status, count in answered.items() if isinstance(count, int)})
    answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items())) or DASH
    done = f"Answered: {answers}"
    calls = [call for call in map(as_object, as_list(steps[0].detail.get("calls"))) if call]
    for call in calls[:5]:
        done += f". {call.get('method') or DASH} {call.get('url') or ''}{call.get('path') or ''}"
    if half := sum(not step.confirmed for step in steps):
        done += f". Begun and not confirmed: {_times(half)}; some of those calls may have been sent"
    back = "A purge can't be undone and need not be: the next reader fetches the page anew"
    return f"{sum(statuses.values()):,} calls, {_times(len(steps))}", done, back, "stays"


def _probe(recorded: Recorded, journal: JournalEvidence) -> _Cells | None:
    keys = probed_keys(recorded)
    steps = journal.named("probe")
    if keys is None and not steps:
        return None
    hows = [step.how for step in steps if step.how and step.closed_as != "put-back-by-the-probe"]
    text = " ".join(_sentence(part) for part in ([keys.text] if keys else []) + list(dict.fromkeys(hows)))
    blocks = sum(bool(block.probe) for block in recorded.blocks)
    done = "New versions of the keys that the case reserves for it, each noted on disk before it was written"
    good = keys is None or keys.ok is True or bool(hows)
    return f"in {plural(blocks, 'block')}", done, text or "Nothing was noted", "back" if good else "open"


def _workload_writes(recorded: Recorded) -> _Cells | None:
    """The requests of the workload that may write."""
    if recorded.case is None:
        return None
    writing = {route.name: route for route in recorded.case.workload.routes if route.method not in SAFE_METHODS}
    if not writing:
        return None
    rows = recorded.rows
    sent = np.bincount(rows.route[rows.route >= 0], minlength=len(rows.routes)).tolist()
    counts = Counter({name: count for name, count in zip(rows.routes, sent, strict=False) if name in writing})
    parts = [f"{counts[name]:,} × {route.method} {route.path}" for name, route in writing.items()]
    stays = "What they wrote stays, like any user's writes"
    if recorded.case.target.start is not None:
        stays += "; the working directories of the run's own services are gone"
    return f"{sum(counts.values()):,} requests", f"Scheduled: {listed(parts)}", stays, "stays"


def _last_how(steps: Sequence[Step]) -> str:
    hows = [step.how for step in steps if step.how]
    return f"{', the last time' if len(hows) > 1 else ''}: {hows[-1]}" if hows else ""


def _hows(steps: Iterable[Step]) -> str:
    return "; ".join(dict.fromkeys(step.how for step in steps if step.how))


def _quoted(value: object) -> str:
    return DASH if value is None else f"“{value}”" if value != "" else "empty"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _sentence(text: str) -> str:
    return sentence(text.strip()) if text.strip() else ""

"""The five questions that every change must answer, each with its evidence: without it, not passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from luckyhit import errors
from luckyhit.case.changes.spec import REPEATABLE
from luckyhit.judge.facade import NO_ERROR
from luckyhit.records import Guard
from luckyhit.records.manifest import RunFailure
from luckyhit.report.evidence.cleared_keys import numbers
from luckyhit.report.evidence.journal_view import JournalEvidence
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables import contents
from luckyhit.report.tables.freshness_tables import probed_keys
from luckyhit.report.tables.metric_rows import metric_row
from luckyhit.text.numbers import listed
from luckyhit.text.quantities import name_of

if TYPE_CHECKING:
    from luckyhit.case import Case

NOT_SHOWN = "Not shown: this run holds no evidence of it."
CheckId = Literal["inputs", "permissions", "retry", "response", "failure-mode"]
QUESTIONS: dict[CheckId, str] = {
    "inputs": "Inputs validated",
    "permissions": "Permissions checked",
    "retry": "Retry-safe path",
    "response": "Expected response recorded and met",
    "failure-mode": "Failure mode reviewed",
}


@dataclass(frozen=True)
class Check:
    """One question. `passed` is False without evidence, too."""

    id: CheckId
    passed: bool
    evidence: str

    @property
    def question(self) -> str:
        return QUESTIONS[self.id]


def checklist(recorded: Recorded, journal: JournalEvidence | None = None) -> list[Check]:
    journal = journal or JournalEvidence()
    guards = {guard.id: guard for guard in reversed(contents.guards(recorded))}
    return [
        _from_guard("inputs", guards.get("inputs-validated")),
        _permissions(recorded, journal, guards.get("permissions-checked")),
        _retry_safe(recorded, journal),
        _response(recorded, guards.get("expected-response")),
        _failure_mode(recorded, journal),
    ]


def _from_guard(id: CheckId, guard: Guard | None) -> Check:
    if guard is None:
        return Check(id, False, NOT_SHOWN)
    return Check(id, guard.ok, guard.detail if guard.ok else f"{guard.detail} {guard.remedy}".strip())


def _permissions(recorded: Recorded, journal: JournalEvidence, guard: Guard | None) -> Check:
    """Checked before anything was changed, and nothing that passed the check was refused later."""
    check = _from_guard("permissions", guard)
    if not check.passed:
        return check
    failure = recorded.manifest.failure
    if failure is not None and _may_be_refused(failure):
        return Check(check.id, False, _refused(failure))
    went_without = [text for block in recorded.blocks for text in block.refused]
    unguarded = sum(numbers(journal.named("clear"), "unguarded"))
    if unguarded:
        went_without.append(f"{unguarded:,} keys were cleared without permission to WATCH them.")
    notes = " ".join(dict.fromkeys(went_without))
    rest = f" Missing, but not needed: {notes}" if notes else ""
    return Check(check.id, True, f"{check.evidence}{rest}")


def _may_be_refused(failure: RunFailure) -> bool:
    """Whether something was refused, or may have been: an earlier version noted only the kind of error."""
    if "refusal" in failure.model_fields_set:
        return failure.refusal is not None
    return failure.error in errors.__all__


def _refused(failure: RunFailure) -> str:
    if failure.refusal in errors.REFUSALS:
        return f"Passed the check beforehand, but was refused during the run: {failure.message}"
    return f"Passed the check beforehand. Whether a refusal ended the run was not noted: {failure.message}"


def _retry_safe(recorded: Recorded, journal: JournalEvidence) -> Check:
    """Whether each request, and each of the run's own steps, may be repeated."""
    id: CheckId = "retry"
    if recorded.case is None:
        return Check(id, False, NOT_SHOWN)
    methods = _methods(recorded.case)
    unsafe = [method for method in methods if method not in REPEATABLE]
    if unsafe:
        return Check(
            id,
            False,
            f"{listed(unsafe)} is not safe to send twice: a retry could take effect twice. Show that the route is "
            "idempotent, or leave it out of the workload.",
        )
    sent = f"All requests are {listed(methods)}, which can be repeated with the same outcome."
    if journal.problem:
        return Check(id, False, f"{sent} Not shown for the run's own steps: {journal.problem}")
    if journal.open:
        return Check(id, False, f"{journal.open_text}: run `luckyhit revert`.")
    if not journal.steps:
        if recorded.case.target.start is None and not recorded.changed and not recorded.manifest.changed:
            return Check(id, True, f"{sent} The run only observed: there is nothing to undo.")
        return Check(id, False, f"{sent} Not shown: the run left no journal of what it did to the target.")
    word = f" ({recorded.case.change.word_for})" if recorded.case.change.word_for else ""
    closed = f"{sent} {journal.closed_text} Each inverse can be repeated{word}."
    keys = probed_keys(recorded)
    if keys is None:
        return Check(id, True, closed)
    return Check(id, keys.ok is True, f"{closed} {keys.text}")


def _methods(case: Case) -> list[str]:
    methods = [route.method for route in case.workload.routes]
    if case.freshness is not None:
        written = [case.freshness.write, case.freshness.absent.create if case.freshness.absent else None]
        methods += [write.method for write in written if write is not None and write.path is not None]
    return list(dict.fromkeys(methods))


def _response(recorded: Recorded, guard: Guard | None) -> Check:
    """Recorded beforehand, and met by every timed response since."""
    id: CheckId = "response"
    if guard is None or not len(recorded.rows):
        return Check(id, False, NOT_SHOWN if guard is None else f"{guard.detail} No timed response was recorded.")
    rows = recorded.rows
    unexpected = int(np.count_nonzero(rows.unexpected))
    answered = int(np.count_nonzero(rows.error == NO_ERROR)) + unexpected
    examples = [block.unexpected for block in recorded.blocks if block.unexpected]
    counted = f"{unexpected:,} of {answered:,} timed responses were not as expected"
    example = f", for example {examples[0]}" if examples else ""
    return Check(id, guard.ok and not unexpected and answered > 0, f"{guard.detail} {counted}{example}.")


def _failure_mode(recorded: Recorded, journal: JournalEvidence) -> Check:
    """Declared, watched by goals that were met, and with a proven rollback."""
    id: CheckId = "failure-mode"
    case, result = recorded.case, recorded.result
    if case is None or result is None:
        text = (
            NOT_SHOWN if case is None else "Declared, but the run was not judged, so nothing shows whether it occurred."
        )
        return Check(id, False, text)
    watching = [name for name, goal in case.goals.items() if goal.want == "no-worse" or goal.at_most is not None]
    watched = {name: result.metrics[name] for name in watching if name in result.metrics}
    worse = listed([name_of(name) for name, metric in watched.items() if metric.verdict == "HURT"])
    missed = listed([name_of(name) for name, metric in watched.items() if metric.limit == "broken"])
    for applies, text in (
        (result.verdict == "INVALID", "a guard failed: these records can't show whether it occurred"),
        (not result.rollback.confirmed, "the rollback is not confirmed"),
        (result.rollback.same_as_before is False, "after the rollback, measured again, something is not as before"),
        (journal.open or journal.problem, "the rollback is not proven: the journal is open, or damaged"),
        (worse, f"it may have occurred: {worse} got worse than accepted"),
        (missed, f"it may have occurred: {missed} broke the limit of the case"),
        (result.verdict == "INCONCLUSIVE", "the run decided too little to tell whether it occurred"),
    ):
        if applies:
            return Check(id, False, f"Declared, but {text}.")
    names = [name_of(name) for name in watching]
    errors = result.metrics.get("error_rate")
    if not watching:
        if errors is None or errors.after is None:
            return Check(id, False, "Declared, but no goal watches for it, and errors were not visible.")
        names = [f"{name_of('error_rate')} (no goal; {metric_row('error_rate', errors, result).after} after)"]
    back = "rolled back, and measured again it equals what was before"
    if case.change.nothing:
        back = "nothing was changed, so there was nothing to roll back"
    elif result.rollback.same_as_before is None:
        back = "rolled back and confirmed, but not compared with what was before"
    text = f"Declared with how to notice it; watched here by {listed(names)}; {back}."
    return Check(id, True, text)

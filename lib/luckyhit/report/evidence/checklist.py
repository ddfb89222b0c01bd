"""The five questions that every change has to answer, each with its evidence. What is not shown is not passed."""

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
    """One question. `passed` is False too where there is no evidence; `evidence` says which."""

    id: CheckId
    passed: bool
    evidence: str

    @property
    def question(self) -> str:
        return QUESTIONS[self.id]


def checklist(recorded: Recorded, journal: JournalEvidence | None = None) -> list[Check]:
    """`journal`: what the run did to the target (see `luckyhit.report.evidence.journal_view`)."""
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
    """They were checked before anything was changed, and nothing was refused that the check had let through."""
    check = _from_guard("permissions", guard)
    if not check.passed:
        return check
    failure = recorded.manifest.failure
    if failure is not None and _may_be_refused(failure):
        return Check(check.id, False, _refused(failure))
    went_without = [text for block in recorded.blocks for text in block.refused]
    unguarded = sum(numbers(journal.named("clear"), "unguarded"))
    if unguarded:
        went_without.append(f"{unguarded:,} keys were cleared without the right to WATCH them.")
    notes = " ".join(dict.fromkeys(went_without))
    rest = f" Not needed, and gone without: {notes}" if notes else ""
    return Check(check.id, True, f"{check.evidence}{rest}")


def _may_be_refused(failure: RunFailure) -> bool:
    """Whether something was refused, or nobody knows: an earlier version noted the kind of the error alone."""
    if "refusal" in failure.model_fields_set:
        return failure.refusal is not None
    return failure.error in errors.__all__


def _refused(failure: RunFailure) -> str:
    if failure.refusal in errors.REFUSALS:
        return f"Checked beforehand, and refused all the same while it ran: {failure.message}"
    return f"Checked beforehand. Whether that is what ended the run was not noted: {failure.message}"


def _retry_safe(recorded: Recorded, journal: JournalEvidence) -> Check:
    """Whether each request may be sent again, and whether the run's own steps may be done and undone again."""
    id: CheckId = "retry"
    if recorded.case is None:
        return Check(id, False, NOT_SHOWN)
    methods = _methods(recorded.case)
    unsafe = [method for method in methods if method not in REPEATABLE]
    if unsafe:
        return Check(
            id,
            False,
            f"{listed(unsafe)} may not be sent twice: a retry could take effect twice. Show that the route is "
            "idempotent, or leave it out of the workload.",
        )
    sent = f"All requests are {listed(methods)}, which may be sent again with the same outcome."
    if journal.problem:
        return Check(id, False, f"{sent} Not shown for the run's own steps. {journal.problem}")
    if journal.open:
        names = listed(sorted({step.step for step in journal.open}))
        text = (
            f"{len(journal.open)} of {len(journal.steps)} journalled steps are still open ({names}): run "
            "`luckyhit revert`."
        )
        return Check(id, False, text)
    if not journal.steps:
        if recorded.case.target.start is None and not recorded.changed and not recorded.manifest.changed:
            return Check(id, True, f"{sent} The run only observed, and journalled no step: nothing is to be undone.")
        return Check(id, False, f"{sent} Not shown: the run left no journal of what it did to the target.")
    inverse = sum(bool(step.inverse) for step in journal.steps)
    word = f" ({recorded.case.change.word_for})" if recorded.case.change.word_for else ""
    closed = (
        f"{sent} Each of the {len(journal.steps)} journalled steps is closed: {inverse} had an inverse, which may be "
        f"repeated{word}; the others had nothing to undo."
    )
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
    """Recorded beforehand, and met by every timed answer since."""
    id: CheckId = "response"
    if guard is None or not len(recorded.rows):
        return Check(id, False, NOT_SHOWN if guard is None else f"{guard.detail} No timed answer was recorded.")
    rows = recorded.rows
    unexpected = int(np.count_nonzero(rows.unexpected))
    answered = int(np.count_nonzero(rows.error == NO_ERROR)) + unexpected
    examples = [block.unexpected for block in recorded.blocks if block.unexpected]
    counted = f"{unexpected:,} of {answered:,} timed answers were not as expected"
    example = f", for example {examples[0]}" if examples else ""
    return Check(id, guard.ok and not unexpected and answered > 0, f"{guard.detail} {counted}{example}.")


def _failure_mode(recorded: Recorded, journal: JournalEvidence) -> Check:
    """Declared, watched by goals that were met, and with a way back that was proven."""
    id: CheckId = "failure-mode"
    case, result = recorded.case, recorded.result
    if case is None or result is None:
        text = NOT_SHOWN if case is None else "Declared, but the run was not judged, so nothing shows whether it came."
        return Check(id, False, text)
    watching = [name for name, goal in case.goals.items() if goal.want == "no-worse" or goal.at_most is not None]
    names = [name_of(name) for name in watching]
    if result.verdict == "INVALID":
        return Check(id, False, "Declared, but a guard failed: these records can't show whether it came.")
    if not result.rollback.confirmed:
        return Check(id, False, "Declared, but the way back is not proven: the rollback is not confirmed.")
    if result.rollback.same_as_before is False:
        text = "Declared, but the way back does not hold: measured again after the rollback, it is not as before."
        return Check(id, False, text)
    if journal.open or journal.problem:
        return Check(id, False, "Declared, but the way back is not proven: the journal is open, or damaged.")
    watched = {name: result.metrics[name] for name in watching if name in result.metrics}
    worse = [name_of(name) for name, metric in watched.items() if metric.verdict == "HURT"]
    if worse:
        return Check(id, False, f"Declared, and it may have come: {listed(worse)} got worse than accepted.")
    missed = [name_of(name) for name, metric in watched.items() if metric.limit == "broken"]
    if missed:
        return Check(id, False, f"Declared, and it may have come: {listed(missed)} broke the limit of the case.")
    if result.verdict == "INCONCLUSIVE":
        return Check(id, False, "Declared; this run can't tell whether it came, since it decided too little.")
    errors = result.metrics.get("error_rate")
    if not watching:
        if errors is None or errors.after is None:
            return Check(id, False, "Declared, but no goal watches for it and errors were not visible.")
        names = [f"{name_of('error_rate')} (no goal; {metric_row('error_rate', errors, result).after} after)"]
    way = "the way back was taken, and what was measured after it equals what was before"
    if case.change.nothing:
        way = "nothing was changed, so there was no way back to take"
    elif result.rollback.same_as_before is None:
        way = "the way back was taken and confirmed, but whether all is as before can't be told"
    text = f"Declared with how one would notice it; watched here by {listed(names)}; {way}."
    return Check(id, True, text)

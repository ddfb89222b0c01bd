"""The five questions that every change has to answer, each with its evidence. What is not shown is not passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from luckyhit.judge.wording import NAMES, listed
from luckyhit.records import Guard
from luckyhit.report import contents
from luckyhit.report.freshness_tables import probed_keys
from luckyhit.report.recorded import Recorded

if TYPE_CHECKING:
    from luckyhit.case import Case

NOT_SHOWN = "Not shown: this run holds no evidence of it."
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may be sent twice with the outcome of once (RFC 9110, section 9.2.2)."""


@dataclass(frozen=True)
class Check:
    """One question. `passed` is False too where there is no evidence; `evidence` says which."""

    question: str
    passed: bool
    evidence: str


def checklist(found: Recorded, steps: Sequence[Mapping[str, Any]] = ()) -> list[Check]:
    """`steps`: the run's journal (see `recorded.journal_of`)."""
    guards = {guard.name: guard for guard in reversed(contents.guards(found))}
    return [
        _from_guard("Inputs validated", guards.get("inputs validated")),
        _from_guard("Permissions checked", guards.get("permissions checked")),
        _retry_safe(found, steps),
        _response(found, guards.get("expected response")),
        _failure_mode(found),
    ]


def _from_guard(question: str, guard: Guard | None) -> Check:
    if guard is None:
        return Check(question, False, NOT_SHOWN)
    return Check(question, guard.ok, guard.detail if guard.ok else f"{guard.detail} {guard.remedy}".strip())


def _retry_safe(found: Recorded, steps: Sequence[Mapping[str, Any]]) -> Check:
    """Whether each request may be sent again, and whether the run's own steps may be done and undone again."""
    question = "Retry-safe path"
    if found.case is None:
        return Check(question, False, NOT_SHOWN)
    methods = _methods(found.case)
    unsafe = [method for method in methods if method not in REPEATABLE]
    if unsafe:
        return Check(
            question,
            False,
            f"{listed(unsafe)} may not be sent twice: a retry could take effect twice. Show that the route is "
            "idempotent, or leave it out of the workload.",
        )
    sent = f"All requests are {listed(methods)}, which may be sent again with the same outcome."
    if not steps:
        return Check(question, False, f"{sent} Not shown: the run left no journal of what it did to the target.")
    open_steps = [step for step in steps if not step["undone"] and (step.get("inverse") or not step["confirmed"])]
    if open_steps:
        names = listed(sorted({str(step.get("step")) for step in open_steps}))
        text = f"{len(open_steps)} of {len(steps)} journalled steps are still open ({names}): run `luckyhit revert`."
        return Check(question, False, text)
    closed = f"{sent} Each of the {len(steps)} journalled steps is closed; its inverse may be repeated."
    keys = probed_keys(found)
    if keys is None:
        return Check(question, True, closed)
    return Check(question, keys.ok is True, f"{closed} {keys.text}")


def _methods(case: Case) -> list[str]:
    methods = [route.method for route in case.workload.routes]
    if case.freshness is not None:
        written = [case.freshness.write, case.freshness.absent.create if case.freshness.absent else None]
        methods += [write.method for write in written if write is not None and write.path is not None]
    return list(dict.fromkeys(methods))


def _response(found: Recorded, guard: Guard | None) -> Check:
    """Recorded beforehand, and met by every timed answer since."""
    question = "Expected response recorded and met"
    if guard is None or not len(found.requests):
        return Check(question, False, NOT_SHOWN if guard is None else f"{guard.detail} No timed answer was recorded.")
    from luckyhit.judge.samples import ERRORS, NO_ERROR

    rows = found.rows
    unexpected = int(np.count_nonzero(rows.error == ERRORS.index("unexpected")))
    answered = int(np.count_nonzero(rows.error == NO_ERROR)) + unexpected
    examples = [entry["unexpected"] for entry in found.blocks if entry.get("unexpected")]
    counted = f"{unexpected:,} of {answered:,} timed answers were not as expected"
    example = f", for example {examples[0]}" if examples else ""
    return Check(question, guard.ok and not unexpected and answered > 0, f"{guard.detail} {counted}{example}.")


def _failure_mode(found: Recorded) -> Check:
    """Declared, watched by goals that were met, and with a way back that was proven."""
    question = "Failure mode reviewed"
    case, result = found.case, found.result
    if case is None or result is None:
        text = NOT_SHOWN if case is None else "Declared, but the run was not judged, so nothing shows whether it came."
        return Check(question, False, text)
    watching = [name for name, goal in case.goals.items() if goal.want == "no-worse" or goal.at_most is not None]
    names = [NAMES[name] for name in watching]
    if result.verdict == "INVALID":
        return Check(question, False, "Declared, but a guard failed: these records can't show whether it came.")
    if not result.rollback.confirmed:
        return Check(question, False, "Declared, but the way back is not proven: the rollback is not confirmed.")
    verdicts = {name: result.metrics[name].verdict if name in result.metrics else None for name in watching}
    worse = [NAMES[name] for name, verdict in verdicts.items() if verdict == "HURT"]
    if worse:
        return Check(question, False, f"Declared, and it may have come: {listed(worse)} got worse than accepted.")
    if result.verdict == "INCONCLUSIVE":
        return Check(question, False, "Declared; this run can't tell whether it came, since it decided too little.")
    errors = result.metrics.get("error_rate")
    if not watching:
        if errors is None or errors.after is None:
            return Check(question, False, "Declared, but no goal watches for it and errors were not visible.")
        names = [f"{NAMES['error_rate']} (no goal; {contents.metric_row('error_rate', errors, result).after} after)"]
    text = f"Declared with how one would notice it; watched here by {listed(names)}; the way back was taken and holds."
    return Check(question, True, text)

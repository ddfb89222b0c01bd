"""Reword every title and note: no verdict, no mark and no row is another one."""

from __future__ import annotations

from typing import Any

import pytest

from luckyhit.case_run import CaseRun
from luckyhit.judge import judge
from luckyhit.records import Result
from luckyhit.report.evidence.actions import action_rows
from luckyhit.report.evidence.checklist import checklist
from luckyhit.report.evidence.compared import compared
from luckyhit.report.evidence.journal_view import journal_of
from luckyhit.report.evidence.restored import remains, restored_claims, untouched_claims
from luckyhit.report.recorded import recorded
from luckyhit.report.tables import contents, metric_rows, observed
from luckyhit.text.messages import GUARD_TITLES, NOTES


def decided(run: CaseRun, result: Result) -> dict[str, Any]:
    """All that is decided of a run, without a word."""
    records, journal = recorded(run, result), journal_of(run)
    claims = [
        *untouched_claims(records, journal, compared(records)), *restored_claims(records, journal, result.rollback),
    ]  # fmt: skip
    return {
        "verdict": result.verdict,
        "metrics": {name: (metric.verdict, metric.limit) for name, metric in result.metrics.items()},
        "guards": [(guard.id, guard.ok) for guard in result.guards],
        "notes": [(note.id, note.metric, note.facts) for note in result.notes],
        "findings": [finding.id for finding in result.findings],
        "rows": [(row.name, row.verdict, bool(row.note)) for row in metric_rows.metrics(result)],
        "other notes": [note.id for note in contents.other_notes(result)],
        "notes of a baseline": [note.id for note in observed.notes(result.notes)],
        "checklist": [check.passed for check in checklist(records, journal)],
        "actions": [(row.id, row.state) for row in action_rows(records, journal)],
        "claims": [(claim.id, claim.ok) for claim in claims],
        "remains": len(remains(records, journal)),
    }


def test_words_decide_nothing(judged_run: tuple[CaseRun, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    run, result = judged_run
    first = decided(run, result)
    for number, id in enumerate(GUARD_TITLES):
        monkeypatch.setitem(GUARD_TITLES, id, f"Words {number}")
    for id in NOTES:
        monkeypatch.setitem(NOTES, id, "Reworded.")
    reworded = judge(run)
    assert {note.text.rpartition(": ")[2] for note in reworded.notes} == {"Reworded."}
    assert decided(run, reworded) == first

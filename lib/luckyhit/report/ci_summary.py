"""How a run ended, on half a page of Markdown: for the summary of a CI job, a chat, a ticket."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from luckyhit.records import Guard, Result
from luckyhit.report.run_outcome import RunOutcome
from luckyhit.report.tables.metric_rows import in_order, metric_row
from luckyhit.report.tables.observed import EARLIER_HEADINGS, earlier_rows
from luckyhit.text.messages import guard_title
from luckyhit.text.numbers import sentence

_MARKS = re.compile(r"([\\`*_\[\]#|~<>&!])")
_GOALS = ("Goal", "Before", "After", "Difference", "Interval", "Wanted", "Verdict")
_Safe = Callable[[str], str]


def summary(outcome: RunOutcome) -> str:
    """Verdict, reason, goals, failed guards, and where the report is. All markup in it is our own."""

    def safe(text: str) -> str:
        return _MARKS.sub(r"\\\1", " ".join(outcome.clean(text).split()))

    parts = [
        f"## Lucky Hit: {outcome.verdict} ({safe(outcome.case)})",
        safe(outcome.title),
        f"**{outcome.verdict}.** {safe(sentence(outcome.reason))}",
        f"What to do: {safe(outcome.hint)}" if outcome.hint else "",
        safe(outcome.old_data),
        "\n".join(f"- {safe(line)}" for line in outcome.findings),
        f"**There is no report.** {safe(outcome.unreported)}" if outcome.unreported else "",
    ]
    if outcome.result is not None:
        parts += _of_result(outcome.result, safe, incomplete=bool(outcome.incomplete))
    parts.append(_where(outcome, safe))
    return "\n\n".join(part for part in parts if part) + "\n"


def _of_result(result: Result, safe: _Safe, *, incomplete: bool) -> list[str]:
    parts = []
    if incomplete:
        parts.append(f"The records so far were judged, but that is no verdict to rely on: {safe(result.reason)}")
    if result.naive.claim != "no-data":
        parts.append(f"The naive answer: {safe(result.naive.sentence)}")
    parts.append(_table(_GOALS, _goals(result), safe))
    if rows := earlier_rows(result):
        parts += ["### Beside earlier baselines", _table(EARLIER_HEADINGS, rows, safe)]
    failed = [guard for guard in result.guards if not guard.ok]
    if failed:
        parts += ["### Guards that failed", "\n".join(_guard(guard, safe) for guard in failed)]
    if not result.rollback.confirmed:
        parts.append(f"**Rollback not confirmed.** {safe(result.rollback.detail)}")
    return parts


def _guard(guard: Guard, safe: _Safe) -> str:
    return f"- **{safe(guard_title(guard.id))}**: {safe(f'{guard.detail} {guard.remedy}')}"


def _goals(result: Result) -> list[tuple[str, ...]]:
    rows = [metric_row(name, result.metrics[name], result) for name in in_order(result)]
    return [
        (row.name, row.before, row.after, row.effect, row.interval, row.goal, row.verdict_text)
        for row in rows
        if row.verdict
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], safe: _Safe) -> str:
    """Empty where there are no rows."""
    lines = [headings, ["---"] * len(headings), *([safe(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _where(outcome: RunOutcome, safe: _Safe) -> str:
    facts = [
        f"Run {safe(outcome.run)}" if outcome.run else "No run was made" if outcome.result is None else "Loose records"
    ]
    if outcome.result is not None:
        facts += [text for text in (safe(outcome.result.date), safe(outcome.result.design)) if text]
    if outcome.report:
        facts.append(f"report: {safe(outcome.report)}")
    return "; ".join(facts) + "."

"""The report's tables for the notebooks: DataFrames that show their texts whole, as text, and wrapped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pandas as pd

from luckyhit.judge.facade import Planning, planning_rows
from luckyhit.report.evidence import actions, blocks, one_change
from luckyhit.report.evidence import checklist as checks
from luckyhit.report.figures.figure_rows import FIGURES, numbers_of
from luckyhit.report.tables import baseline_rows, contents, freshness_tables, metric_rows, observed, service_map_rows
from luckyhit.scrub.characters import visible
from luckyhit.text.messages import guard_title

if TYPE_CHECKING:
    from luckyhit.case import Case
    from luckyhit.records import Result
    from luckyhit.report.evidence.journal_view import JournalEvidence
    from luckyhit.report.recorded import Recorded

_CELL = (
    ' style="text-align: left; white-space: normal; vertical-align: top; max-width: 52em; overflow-wrap: break-word"'
)


class Table(pd.DataFrame):
    """A DataFrame of texts. Unlike pandas' own, its HTML cuts nothing off, has no index, and says it where there is no
    row. On a narrow screen it is moved sideways, and no word is broken."""

    @property
    def _constructor(self) -> type[Table]:
        return Table

    def _repr_html_(self) -> str:
        if self.empty:
            return "<p><em>No rows: nothing of this was recorded.</em></p>"
        head = "".join(f'<th scope="col"{_CELL}>{_escaped(name)}</th>' for name in self.columns)
        rows = (
            "<tr>" + "".join(f"<td{_CELL}>{_escaped(value)}</td>" for value in row) + "</tr>"
            for row in self.itertuples(index=False)
        )
        # Without these classes JupyterLab would render text between two dollar signs as a formula.
        top, body = f"<thead><tr>{head}</tr></thead>", f"<tbody>{''.join(rows)}</tbody>"
        table = f'<table class="tex2jax_ignore mathjax_ignore">{top}{body}</table>'
        return f'<div style="overflow-x: auto">{table}</div>'


def _escaped(value: Any) -> str:
    return html.escape(visible(str(value), longest=4000))


def declared(case: Case) -> Table:
    """The case as declared: what is wrong, where, who owns it, and what should happen."""
    return Table(contents.declared(case), columns=["", "declared"])


def power(planning: Planning) -> Table:
    """What a plan gives each goal that counts, what it needs, and what to change where that is too little."""
    return Table(planning_rows(planning), columns=["goal", "the plan gives", "the goal needs", "", "what to change"])


def change(case: Case) -> Table:
    """What is changed, and what may be cleared."""
    return Table(one_change.change(case), columns=["", "declared"])


def baseline(recorded: Recorded) -> Table:
    """The baseline's numbers, one row each."""
    rows = [(level.name, level.value) for level in baseline_rows.baseline(recorded)]
    return Table(rows, columns=["metric", "baseline"])


def not_seen(recorded: Recorded) -> str:
    """What was not visible, as sentences."""
    return " ".join(baseline_rows.not_seen(recorded)) or "Everything that this report looks at was visible."


def service_map(recorded: Recorded) -> Table:
    """What each route does with the cache: a row for each key that it reads, stores or deletes."""
    rows = service_map_rows.service_map_rows(numbers_of(FIGURES["service-map"], recorded))
    return Table(rows, columns=[heading.lower() for heading in service_map_rows.HEADINGS])


def cleared(recorded: Recorded) -> Table:
    """How each block was prepared: keys looked at, in scope and cleared, purge calls, wash-outs."""
    return Table(blocks.prepared(recorded), columns=[heading.lower() for heading in blocks.HEADINGS])


def action_table(recorded: Recorded, journal: JournalEvidence) -> Table:
    """What the run touched, by its journal: how often, when, what was done, and whether it is as it was."""
    rows = [
        (row.title, row.word, row.times, row.when, row.done, row.outcome)
        for row in actions.action_rows(recorded, journal)
    ]
    return Table(rows, columns=["action", "", "how often", "when", "what was done", "what became of it"])


def guards(recorded: Recorded) -> Table:
    """Each guard with its evidence, failed ones first."""
    rows = [
        (guard_title(guard.id), "held" if guard.ok else "FAILED", guard.detail, guard.remedy)
        for guard in contents.guards(recorded)
    ]
    return Table(rows, columns=["guard", "", "evidence", "what to do"])


def metrics(result: Result) -> Table:
    """Every metric in both arms, with its interval, goal and verdict."""
    rows = [
        (row.name, row.before, row.after, row.effect, row.interval, row.goal, row.decided)
        for row in metric_rows.metrics(result)
    ]
    return Table(rows, columns=["metric", "before", "after", "difference", "interval", "goal", "verdict"])


def earlier(result: Result) -> Table:
    """A baseline beside those of earlier runs, one row for each metric."""
    return Table(observed.earlier_rows(result), columns=[heading.lower() for heading in observed.EARLIER_HEADINGS])


def readers(recorded: Recorded) -> Table:
    """What readers saw, by arm; empty without a probe."""
    table = freshness_tables.readers(recorded)
    if table is None:
        return Table([], columns=["readers"])
    return Table([(name, *cells) for name, cells in table.rows], columns=["readers", *table.labels])


def checklist(recorded: Recorded, journal: JournalEvidence) -> Table:
    """The five questions, with their evidence."""
    rows = [
        (check.question, "passed" if check.passed else "NOT PASSED", check.evidence)
        for check in checks.checklist(recorded, journal)
    ]
    return Table(rows, columns=["question", "", "evidence"])

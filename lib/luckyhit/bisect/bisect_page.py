"""The report of a search: `bisect.md` and the same as a page, `bisect.html`, beside the record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from luckyhit.atomic import write_atomically
from luckyhit.bisect.bisect_words import (
    OUTCOMES,
    PURPOSES,
    conclusion_text,
    heading,
    method_text,
    next_text,
    reading_text,
    short,
)
from luckyhit.records.bisection import Bisection, BisectStep
from luckyhit.report.html_files import Long, environment, write_page
from luckyhit.report.tables.other_pages import BISECT_PAGE
from luckyhit.scrub.redactor import Redactor
from luckyhit.text.numbers import minutes

PAGE, MARKDOWN = BISECT_PAGE, "bisect.md"
_LONGEST_DIFF = 40_000


def write(folder: Path, record: Bisection, subjects: Mapping[str, str], difference: str, redactor: Redactor) -> None:
    """Write both files. `subjects`: the first lines of messages, by hash; `difference`: of the commit, in whole.

    Raises OSError or ReportNotWritten.
    """
    write_atomically(folder / MARKDOWN, redactor.text(markdown(record, subjects, difference)))
    page = environment(redactor).get_template("bisect.html.j2")
    write_page(
        folder / PAGE,
        page.render(
            record=record,
            heading=heading(record),
            conclusion=conclusion_text(record),
            next_step=next_text(record),
            method=method_text(record),
            rows=[_row(step, record, subjects) for step in record.steps],
            remaining=[(short(revision), subjects.get(revision, "")) for revision in record.remaining],
            difference=Long(difference[:_LONGEST_DIFF]),
            cut=len(difference) > _LONGEST_DIFF,
        ),
    )


def markdown(record: Bisection, subjects: Mapping[str, str], difference: str) -> str:
    """The report as Markdown."""
    parts = [f"# Which revision brought the fault: {_inline(record.case)}", _inline(conclusion_text(record))]
    if following := next_text(record):
        parts.append(f"What to do: {following}")
    culprit = record.culprit
    if culprit is not None:
        facts = [
            f"## The commit {short(culprit.revision)}",
            f"- revision: `{culprit.revision}`",
            f"- author: {_inline(culprit.author)}",
            f"- date: {culprit.date}",
            f"- parent: `{short(culprit.parent)}`" if culprit.parent else "- parent: none",
        ]
        parts += ["\n".join([facts[0], "", *facts[1:]]), _fenced(culprit.message)]
        if culprit.merged:
            parts += ["It is a merge. What it brought:", _fenced("\n".join(culprit.merged))]
        if difference:
            cut = difference[:_LONGEST_DIFF]
            parts.append(_fenced(cut, "diff"))
            if len(cut) < len(difference):
                parts.append(f"The whole difference is in [{culprit.diff}]({culprit.diff}).")
    elif record.remaining:
        lines = [f"- `{short(revision)}` {_inline(subjects.get(revision, ''))}" for revision in record.remaining]
        parts += ["## What is left, oldest first", "\n".join(lines)]
    parts += ["## The comparisons", _table(record, subjects)]
    parts += ["## How it was decided", "\n".join(f"- {_inline(line, code=True)}" for line in method_text(record))]
    return "\n\n".join(parts) + "\n"


def _table(record: Bisection, subjects: Mapping[str, str]) -> str:
    lines = [
        "| # | revision | against | what for | outcome | evidence | pages |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for step in record.steps:
        row = _row(step, record, subjects)
        pages = " ".join(f"[{number}]({quote(page)})" for number, page in enumerate(step.reports, 1))
        cells = [
            str(step.number),
            f"`{row['after']}` {_inline(str(row['subject']))}",
            f"`{row['before']}`",
            str(row["purpose"]),
            str(row["outcome"]),
            "<br>".join(map(_inline, row["evidence"])),
            pages,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if record.steps else "None was made."


def _row(step: BisectStep, record: Bisection, subjects: Mapping[str, str]) -> dict[str, str | list[str]]:
    readings = [
        reading_text(name, reading)
        for name, reading in step.goals.items()
        if not record.margins or name in record.margins
    ]
    evidence = readings or [step.reason]
    if step.attempts > 1:
        evidence = [*evidence, f"measured {step.attempts} times, longer each time"]
    if step.outcome == "undecided" and readings:
        evidence = [*evidence, step.reason]
    return {
        "number": str(step.number),
        "after": short(step.after),
        "subject": subjects.get(step.after, ""),
        "before": short(step.before),
        "purpose": PURPOSES[step.purpose],
        "outcome": OUTCOMES[step.outcome],
        "tone": {"hurt": "HURT", "not-hurt": "EQUIVALENT"}.get(step.outcome, "INCONCLUSIVE"),
        "evidence": evidence,
        "took": minutes(step.seconds),
        "pages": [quote(page) for page in step.reports],
    }


def _inline(text: str, *, code: bool = False) -> str:
    """A text in a line of Markdown. `code`: backticks in it mark code."""
    one_line = " ".join(text.split())
    special = r"[\\*_\[\]<>|#]" if code else r"[\\`*_\[\]<>|#]"
    return re.sub(special, lambda match: "\\" + match[0], one_line)


def _fenced(text: str, language: str = "text") -> str:
    """A block of code whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"

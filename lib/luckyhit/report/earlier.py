"""A baseline beside those of earlier runs, in rows of text; a dash stands for what is not known."""

from __future__ import annotations

from luckyhit.judge.context.earlier import chance_text, range_text
from luckyhit.judge.wording import name_of, value_text
from luckyhit.records import Beside, GoalName, Result
from luckyhit.report.contents import sentence_case

DASH = "–"
HEADINGS = ("Metric", "This baseline", "Earlier ones", "Their median", "Their range", "It lies", "By chance")


def earlier_rows(result: Result) -> list[tuple[str, ...]]:
    """One row for each metric, in the columns of `HEADINGS`; none where the change was measured."""
    if result.earlier is None:
        return []
    return [_row(name, each) for name, each in result.earlier.metrics.items()]


def _row(name: GoalName, each: Beside) -> tuple[str, ...]:
    where = DASH if each.outside is None else "outside" if each.outside else "inside"
    return (
        sentence_case(name_of(name)),
        value_text(name, each.value),
        f"{each.runs:,}",
        DASH if each.median is None else value_text(name, each.median),
        range_text(name, each) or DASH,
        where,
        f"{chance_text(each)} at most" if each.chance is not None else DASH,
    )


def left_out(result: Result) -> list[str]:
    """Earlier runs that could not stand beside it, one sentence for each reason."""
    if result.earlier is None:
        return []
    return [
        f"{count:,} earlier run{'' if count == 1 else 's'} left out: {reason}."
        for reason, count in sorted(result.earlier.left_out.items())
    ]


def as_lines(result: Result) -> list[str]:
    """The same for a terminal, without the metrics' chances."""
    lines = []
    for name, value, count, middle, between, where, _ in earlier_rows(result):
        earlier = f"{count} earlier: {between}, median {middle}" if middle != DASH else "no earlier one"
        lines.append(f"  {name}: {value} ({earlier}{'; OUTSIDE' if where == 'outside' else ''})")
    return lines + [f"  {text}" for text in left_out(result)]

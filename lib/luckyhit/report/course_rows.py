"""The run in numbers: when each block and each wash-out was, what was due in it, and at which pace."""

from __future__ import annotations

from luckyhit.judge.wording import number
from luckyhit.report.course import WASH_OUT, Course, Span, course
from luckyhit.report.recorded import Recorded

DASH = "–"
MOST_ROWS = 120
HEADINGS = ("Block", "What", "Arms", "From", "Counted from", "To", "Requests due", "Per second and arm")
_WORDS = {"baseline": "baseline", "change": "change", "after-rollback": "rolled back", WASH_OUT: "wash-out"}


def course_rows(found: Recorded) -> list[tuple[str, ...]]:
    """A row of texts (see `HEADINGS`) for each stretch of load, in the order of time; times are seconds since the first
    block. Requests are those of all its arms."""
    told = found.aggregates.get("timeline") or course(found)
    stretches = sorted([*told.spans, *told.washouts], key=lambda span: span.start_s)
    return [_row(found, told, span) for span in stretches[:MOST_ROWS]]


def _row(found: Recorded, told: Course, span: Span) -> tuple[str, ...]:
    def seconds(at_s: float) -> str:
        return f"{at_s - told.origin_s:,.1f} s".replace("-", "−")

    due = told.due.get(span.block)
    return (
        str(span.block),
        _WORDS[span.stage],
        " and ".join(span.arms) or DASH,
        seconds(span.start_s),
        DASH if span.stage == WASH_OUT else seconds(span.measure_s),
        seconds(span.end_s),
        DASH if due is None else f"{due:,}",
        _pace(found, told, span) or DASH,
    )


def _pace(found: Recorded, told: Course, span: Span) -> str:
    if told.pace is not None:
        return told.pace.told(span.block)
    rate = found.case.workload.rate if found.case is not None else None
    return number(rate) if rate is not None else ""


__all__ = ["HEADINGS", "course_rows"]

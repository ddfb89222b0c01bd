"""A search from its first comparison to its conclusion. Each comparison is written down before it is made and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from luckyhit.bisect.comparison import BisectAnswer, RevisionComparison
from luckyhit.bisect.search import conclusion_of, next_question, position_of
from luckyhit.records import GoalName
from luckyhit.records.bisection import Bisection, BisectQuestion, BisectStep

Save = Callable[[Bisection], None]


def search(record: Bisection, comparison: RevisionComparison, save: Save) -> Bisection:
    """Make the comparisons that are left, and conclude. `record`: a new search, or one that was interrupted; `save`
    gets the record before and after each comparison. Raises what `comparison` raises; the record on the disk then says
    which comparison is to be made again."""
    while (question := next_question(record)) is not None:
        record = record.model_copy(update={"ahead": question})
        save(record)
        answer = comparison.compare(question, record.margins)
        record = record.with_step(_step(record, question, answer), margins=_margins(record, question, answer))
        save(record)
    record = _concluded(record)
    save(record)
    return record


def _step(record: Bisection, question: BisectQuestion, answer: BisectAnswer) -> BisectStep:
    return BisectStep(
        number=len(record.steps) + 1,
        before=question.before,
        after=question.after,
        purpose=question.purpose,
        outcome=answer.outcome,
        reason=answer.reason,
        goals=dict(answer.goals),
        attempts=answer.attempts,
        runs=list(answer.runs),
        reports=list(answer.reports),
        seconds=round(answer.seconds, 1),
    )


def _margins(record: Bisection, question: BisectQuestion, answer: BisectAnswer) -> Mapping[GoalName, str]:
    return dict(answer.margins) if question.purpose == "ends" else record.margins


def _concluded(record: Bisection) -> Bisection:
    conclusion = conclusion_of(record)
    assert conclusion is not None
    fields: dict[str, object] = {
        "conclusion": conclusion.id,
        "confirmed": conclusion.confirmed,
        "remaining": [record.revisions[index] for index in conclusion.remaining],
        "ahead": None,
    }
    if record.margins:
        position = position_of(record)
        fields["first_with"] = record.revisions[position.first_with]
        fields["last_without"] = record.revisions[position.last_without] if position.last_without >= 0 else record.good
    return record.model_copy(update=fields)

"""What a figure says about the verdict: the words of the result, and nothing beyond them."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.records import GoalName, Metric, Result
from luckyhit.report.figures.facts.course import Span, joined
from luckyhit.text.numbers import number, plural, sentence
from luckyhit.text.quantities import difference_text, interval_text, name_of
from luckyhit.text.wording import text_of

INVALID = "A guard failed, so this shows what was recorded and says nothing about the change."


def labelled(label: str) -> str:
    return {"before": "before", "after": "after", "baseline": "in the baseline"}.get(label, label)


def with_verdict(text: str, name: GoalName, result: Result | None) -> str:
    """Add what the result says about one metric, and nothing beyond it."""
    if result is None:
        return text
    if result.verdict == "INVALID":
        return f"{text} {INVALID}"
    metric = result.metrics.get(name)
    verdict_text = _in_words(name, metric) if metric is not None else ""
    return f"{text} {verdict_text}".strip()


def with_verdicts(text: str, names: Sequence[GoalName], result: Result | None) -> str:
    if result is None:
        return text
    if result.verdict == "INVALID":
        return f"{text} {INVALID}"
    judged = [(name, result.metrics[name]) for name in names if name in result.metrics]
    with_goal = [(name, metric) for name, metric in judged if metric.verdict is not None]
    texts = [_in_words(name, metric) for name, metric in with_goal or judged[1:2]]
    return " ".join([text, *(words for words in texts if words)])


def _in_words(name: GoalName, metric: Metric) -> str:
    """One metric in the words of its verdict."""
    if metric.effect is None:
        return ""
    interval = f"{difference_text(name, metric.effect)}, interval {interval_text(name, metric.low, metric.high)}"
    which = sentence(name_of(name))[:-1]
    margin = difference_text(name, metric.margin) if metric.margin is not None else "none"
    if metric.verdict is None:
        return f"{which}: a difference of {interval}; the case sets no goal for it, so no verdict."
    if metric.verdict == "INCONCLUSIVE":
        return f"{which}: INCONCLUSIVE; {interval}, margin {margin}: these data don't decide it."
    return f"{which}: {metric.verdict} ({interval}, margin {margin}). {text_of(metric.notes)}".rstrip()


def unreliable_status(result: Result) -> str:
    arms = " and the ".join(result.unseen_status)
    return f"The {arms} arm is left out: its cache status is not reliable."


def washouts_text(stretches: Sequence[Span]) -> str:
    whole = joined(list(stretches))
    seconds = number(sum(span.end_s - span.start_s for span in whole))
    return f"{plural(len(whole), 'wash-out')} of {seconds} s in all, the same load sent until the hit ratio is stable"

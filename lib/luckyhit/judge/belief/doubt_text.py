"""The words for an arm whose cache status can't be believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from luckyhit.judge.belief import Belief
from luckyhit.judge.compare.effect import Effect
from luckyhit.records import Arm, Doubt, DoubtId, GoalName, Metric, Note, kind_of
from luckyhit.text.numbers import listed, percent, sentence
from luckyhit.text.wording import note

PHRASES: dict[DoubtId, Callable[[Doubt], str]] = {
    "hit-with-db-calls": lambda doubt: f"{_of(doubt)} hits made as many database calls as a miss",
    "hit-on-write": lambda doubt: f"{_of(doubt)} writes said hit",
    "hit-with-new-body": lambda doubt: f"{_of(doubt)} hits showed what their URL never showed before, with no write",
    "counters-disagree": lambda doubt: (
        f"the answers showed {_share(doubt, 'by_answers')} of hits, the cache's counters {_share(doubt, 'by_counters')}"
    ),
    "hits-as-slow-as-misses": lambda doubt: f"{_of(doubt)} hits took as long as a typical miss",
}
MOST = 3
"""Kinds in one sentence."""


def evidence_text(doubts: Sequence[Doubt]) -> str:
    """`1,893 of 5,184 hits made as many database calls as a miss and 298 of 301 writes said hit`."""
    return listed([PHRASES[doubt.id](doubt) for doubt in doubts[:MOST]])


def in_doubt(doubts: Mapping[Arm, Sequence[Doubt]], *, evidence: bool = False) -> str:
    """A sentence for each arm in doubt; with what shows it, where the sentence stands for itself."""
    return " ".join(
        sentence(
            f"the cache status in the {arm} arm can't be believed{f': {evidence_text(kinds)}' if evidence else ''}"
        )
        for arm, kinds in doubts.items()
    )


def with_reasons(effects: Mapping[GoalName, Effect], belief: Belief) -> dict[GoalName, Effect]:
    """The effects with the reason why an arm's hit ratio is not visible, or is counted by something else."""
    if not belief.doubts:
        return dict(effects)
    return {
        name: replace(effect, notes=(_reason(belief),)) if kind_of(name).value == "hit" else effect
        for name, effect in effects.items()
    }


def routes_with_reasons(
    routes: Mapping[str, Mapping[GoalName, Metric]], belief: Belief
) -> dict[str, dict[GoalName, Metric]]:
    """The same of the metrics of each route."""
    noted = {"notes": [_reason(belief)]} if belief.doubts else {}
    return {
        route: {
            name: metric.model_copy(update=noted) if kind_of(name).value == "hit" else metric
            for name, metric in metrics.items()
        }
        for route, metrics in routes.items()
    }


def _reason(belief: Belief) -> Note:
    arms = " and the ".join(belief.doubts)
    if belief.miss_calls:
        routes = [f"{route} ({calls:,} or more: a miss)" for route, calls in belief.miss_calls.items()]
        return note("status-by-calls", routes=routes, arms=f"{arms} arm")
    return note("not-visible-status", arms=f"{arms} arm{'s' if len(belief.doubts) > 1 else ''}")


def _of(doubt: Doubt) -> str:
    return f"{doubt.count:,} of {doubt.of:,}"


def _share(doubt: Doubt, name: str) -> str:
    return percent(float(doubt.facts[name] or 0.0))

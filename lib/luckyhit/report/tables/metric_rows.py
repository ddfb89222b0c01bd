"""The metrics of a result in words, one row each; how many pairs they took; what a plain before/after would show."""

from __future__ import annotations

from dataclasses import dataclass

from luckyhit.judge.facade import got_worse
from luckyhit.records import METRICS, Arm, GoalName, Metric, Result, kind_of, metric_of_goal, route_of_goal
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import DASH, listed, number, percent, plural, sentence_case
from luckyhit.text.quantities import difference_text, interval_text, name_of, signed_difference, value_text
from luckyhit.text.wording import text_of

NOT_VISIBLE = "not visible"
NOT_RELIED_ON = "not reliable"
PAIRS_HEADINGS = ("Metric", "Pairs used", "Expected", "Wald's least", "Used / least")
MOST_LOOKS = 200


@dataclass(frozen=True)
class MetricRow:
    """One metric in words. `verdict` is empty where the case sets no goal for it."""

    name: str
    before: str
    after: str
    effect: str
    interval: str
    goal: str
    pairs: str
    verdict: str
    note: str
    margin: str = ""
    missed: bool = False
    """Whether its hard limit is shown to be broken: a goal not met, whatever the verdict on the difference."""
    costs: bool = False
    """Whether it got worse, within what the case accepts: still EQUIVALENT."""
    counted: str = ""
    """What one unit of it is, and whose; empty where its name says so."""

    @property
    def decided(self) -> str:
        """The verdict, and whether the goal was missed all the same; a dash for none."""
        return f"{self.verdict}, goal not met" if self.missed else self.verdict or DASH

    @property
    def verdict_text(self) -> str:
        """The same for a table that shows the margin: only a cost is added."""
        return f"{self.decided}, at a cost" if self.costs else self.decided

    @property
    def verdict_words(self) -> str:
        """The verdict, with what it means where the word alone could be misread."""
        if self.missed:
            return f"{self.decided}: beyond its limit"
        if self.costs:
            return f"EQUIVALENT: a cost, inside the accepted {self.margin}"
        if self.verdict == "EQUIVALENT":
            return f"EQUIVALENT: inside the margin of {self.margin}"
        return self.verdict


def metrics(result: Result) -> list[MetricRow]:
    """Every metric: those with a goal first, and of these the ones that should get better."""
    return [metric_row(name, result.metrics[name], result) for name in in_order(result)]


def number_lines(result: Result) -> list[str]:
    """Each metric that both arms have, on one line."""
    rows = [row for row in metrics(result) if DASH not in (row.before, row.after)]
    return [f"{row.name}: {row.before} before, {row.after} after ({row.effect}; {row.interval})" for row in rows]


def in_order(result: Result) -> list[GoalName]:
    rank = {"better": 0, "no-worse": 1, None: 2}
    names = sorted((name for name, metric in result.metrics.items() if _shown(name, metric)), key=place)
    return sorted(names, key=lambda name: rank[result.metrics[name].want if result.metrics[name].verdict else None])


def place(name: GoalName) -> tuple[int, str]:
    """The place of a metric among all; those of one route follow that of all requests."""
    return list(METRICS).index(metric_of_goal(name)), route_of_goal(name)


def _shown(name: GoalName, metric: Metric) -> bool:
    """A part of another metric has a row only if it was visible or has a goal."""
    return kind_of(name).part_of is None or metric.verdict is not None or metric.effect is not None


def metric_row(name: GoalName, metric: Metric, result: Result) -> MetricRow:
    goal, margin = DASH, ""
    if metric.verdict is not None:
        margin = "not comparable" if metric.margin is None else difference_text(name, metric.margin)
        goal = f"{'better' if metric.want == 'better' else 'no worse'}, margin {margin}"
        goal += f", at most {value_text(name, metric.at_most)}" if metric.at_most is not None else ""
    verdict: str = metric.verdict or ""
    if verdict and result.verdict == "INVALID":
        verdict = NOT_RELIED_ON
    return MetricRow(
        name=sentence_case(name_of(name)),
        before=_value(name, metric.before, "before", result),
        after=_value(name, metric.after, "after", result),
        effect=DASH if metric.effect is None else signed_difference(name, metric.effect),
        interval=DASH if metric.effect is None else interval_text(name, metric.low, metric.high),
        goal=goal,
        pairs=f"{metric.pairs:,}" if metric.pairs else DASH,
        verdict=verdict,
        note=text_of(metric.notes),
        margin=margin,
        missed=metric.limit == "broken" and result.verdict != "INVALID",
        costs=verdict == "EQUIVALENT" and metric.want == "no-worse" and got_worse(name, metric),
        counted=counted_text(name, metric),
    )


def counted_text(name: GoalName, metric: Metric) -> str:
    """`one read for each write: 114 of the probe, 146 of the workload`. Reads are also counted one by one, elsewhere in
    a report, so that a number has to say which it is."""
    if kind_of(name).estimator != "stale-share" or metric.before is None:
        return ""
    sources = next((note.facts for note in metric.notes if note.id == "pairs-by-source"), None)
    if sources is None:
        return "one read for each write of the probe"
    return f"one read for each write: {sources['probe']:,} of the probe, {sources['workload']:,} of the workload"


def _value(name: GoalName, value: float | None, arm: Arm, result: Result) -> str:
    if value is not None:
        return value_text(name, value)
    return NOT_VISIBLE if kind_of(name).value == "hit" and arm in result.unseen_status else DASH


def key_numbers(recorded: Recorded) -> list[MetricRow]:
    """The three numbers that matter: goals first, the decided and the costly before the rest."""
    result = recorded.result
    if result is None:
        return []

    def rank(name: GoalName) -> tuple[int, tuple[int, str]]:
        metric = result.metrics[name]
        if kind_of(name).value == "hit" and result.doubts:
            return 0, place(name)  # a reader looks for it, and must not take it from elsewhere
        if metric.verdict is None:
            return (3 if metric.effect is not None else 4), place(name)
        if metric.want == "better" or metric.verdict == "HURT" or metric.limit == "broken":
            return 0, place(name)
        return (1 if got_worse(name, metric) else 2), place(name)

    names = sorted(result.metrics, key=rank)[:3]
    return [metric_row(name, result.metrics[name], result) for name in names if rank(name)[0] < 4]


def naive_rows(result: Result) -> list[tuple[str, str, str]]:
    """(name, before, after) of what a plain before/after would have looked at."""
    naive = result.naive

    def ms(value: float | None) -> str:
        return DASH if value is None else f"{number(value)} ms"

    def share(value: float | None) -> str:
        return DASH if value is None else percent(value)

    return [
        ("Mean latency", ms(naive.latency_before_ms), ms(naive.latency_after_ms)),
        ("Hit ratio of these two looks", share(naive.hit_ratio_before), share(naive.hit_ratio_after)),
    ]


@dataclass(frozen=True)
class PairsNeeded:
    """`rows` under PAIRS_HEADINGS; `looks`: a sentence on the looks at the run, empty for one look at its end."""

    rows: list[tuple[str, ...]]
    looks: str


def pairs_needed(recorded: Recorded) -> PairsNeeded | None:
    """None where the run was not judged, or has no goal."""
    result = recorded.result
    if result is None:
        return None
    rows = [_pairs_row(result, name) for name in in_order(result) if result.metrics[name].verdict is not None]
    return PairsNeeded(rows, looks(recorded)) if rows else None


def _pairs_row(result: Result, name: GoalName) -> tuple[str, ...]:
    metric = result.metrics[name]
    least = metric.wald_pairs
    return (
        sentence_case(name_of(name)),
        f"{metric.pairs:,}" if metric.pairs else DASH,
        DASH if metric.expected_pairs is None else f"{metric.expected_pairs:,}",
        DASH if least is None else f"{least:,}",
        DASH if least is None or not metric.pairs else number(metric.pairs / least),
    )


def looks(recorded: Recorded) -> str:
    """`The run was looked at after 1 and 2 blocks of the change: INCONCLUSIVE, HELPED; it stopped there.`"""
    noted = recorded.manifest.looks
    if not noted:
        return ""
    blocks = listed([str(look.blocks) for look in noted[:MOST_LOOKS]])
    verdicts = ", ".join(str(look.verdict) for look in noted[:MOST_LOOKS])
    end = "it stopped there" if noted[-1].stopped else "it went on to its end"
    added = next((look.added for look in noted if look.added), 0)
    if added:
        end = f"{plural(added, 'block')} beyond the plan {'was' if added == 1 else 'were'} added, expected to decide"
    last = "block" if noted[-1].blocks == 1 and len(noted) == 1 else "blocks"
    return f"The run was looked at after {blocks} {last} of the change: {verdicts}; {end}."

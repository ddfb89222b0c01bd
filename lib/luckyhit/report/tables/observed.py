"""A run that measured its baseline alone: what it saw, beside earlier baselines. Nothing was changed, so its report
mentions no effect, verdict or rollback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luckyhit.judge.facade import NOTHING_CHANGED, chance_text, range_text
from luckyhit.records import Beside, GoalName, Note, NoteId, Result
from luckyhit.records.manifest import Manifest
from luckyhit.report.evidence.checklist import Check
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables.metric_rows import DASH, counted_text, in_order, place
from luckyhit.text.numbers import listed, number, plural, sentence_case
from luckyhit.text.quantities import difference_text, name_of, value_text

OBSERVED = "OBSERVED"
_OF_A_CHANGE: frozenset[NoteId] = frozenset(
    {"change-not-measured", "intervals-of-a-fixed-sample", "intervals-at-any-moment", "intervals-at-all-looks"}
)
_SHOWN = 3


@dataclass(frozen=True)
class ObservedNumber:
    """One metric of the baseline. `noise`: what an A/A comparison inside it can't tell apart. `beside`: where earlier
    baselines lie; `outside`: this one lies beyond all of them; `counted`: what one unit of it is."""

    name: str
    value: str
    noise: str
    beside: str
    outside: bool
    counted: str = ""


@dataclass(frozen=True)
class Observation:
    """The first screen of such a report. `headline` is OBSERVED, or INVALID where a guard failed."""

    headline: str
    reason: str
    measured: str
    declares: str
    numbers: list[ObservedNumber]


def only(manifest: Manifest, result: Result | None) -> bool:
    """Whether a run ended as planned with its baseline alone; False if it ended early, or was not judged."""
    if result is None or manifest.failure or not manifest.ended:
        return False
    return bool(manifest.stage("baseline")) and not manifest.stage("change")


def observation(recorded: Recorded, incomplete: str | None) -> Observation | None:
    """None unless the run measured exactly its baseline."""
    result = recorded.result
    if result is None or incomplete or not only(recorded.manifest, result):
        return None
    return Observation(
        headline(result), reason_of(result), _measured(recorded), _declares(recorded), key_numbers(result)
    )


def headline(result: Result) -> str:
    return "INVALID" if result.verdict == "INVALID" else OBSERVED


def reason_of(result: Result) -> str:
    """The sentence below the headline."""
    if result.verdict == "INVALID":
        return result.reason
    return f"{NOTHING_CHANGED} {result.earlier.sentence}" if result.earlier is not None else NOTHING_CHANGED


def key_numbers(result: Result) -> list[ObservedNumber]:
    """The three numbers that matter: visible metrics with a goal before the rest, and of these what the case is about
    (`want: better`) first."""
    ranks = {"better": 0, "no-worse": 1, None: 2}
    wanted = (name for name, metric in result.metrics.items() if metric.want is not None)
    names = sorted({*in_order(result), *wanted}, key=place)
    names = sorted(names, key=lambda name: ranks[result.metrics[name].want])
    levels = [(name, result.metrics[name].before) for name in names]
    return [_number(name, value, result) for name, value in levels if value is not None][:_SHOWN]


def _number(name: GoalName, value: float, result: Result) -> ObservedNumber:
    floor = result.noise_floor.get(name)
    beside = result.earlier.metrics.get(name) if result.earlier is not None else None
    return ObservedNumber(
        name=sentence_case(name_of(name)),
        value=value_text(name, value),
        noise="no noise floor: too few requests" if floor is None else f"± {difference_text(name, floor)} noise (A/A)",
        beside=_beside(name, beside) if beside is not None else "",
        outside=bool(beside and beside.outside),
        counted=counted_text(name, result.metrics[name]),
    )


def _beside(name: GoalName, beside: Beside) -> str:
    if beside.median is None:
        return "No earlier baseline to compare with."
    many = plural(beside.runs, "earlier baseline")
    where = f"{range_text(name, beside)}" + (f", median {value_text(name, beside.median)}" if beside.runs > 1 else "")
    if beside.outside is None:
        return f"{many}: {where}. Too few to call it usual or unusual."
    return f"{sentence_case(_outside(beside)) if beside.outside else 'Inside'} of {many}: {where}."


def _outside(beside: Beside) -> str:
    """`outside (worse)`; earlier versions did not note the side."""
    return f"outside ({beside.side})" if beside.side is not None else "outside"


def _measured(recorded: Recorded) -> str:
    case, result = recorded.case, recorded.result
    assert result is not None
    did = f"{result.accounting.scheduled:,} requests, {result.accounting.completed:,} of them completed"
    if case is None:
        return f"{did}."
    routes = listed([f"{route.method} {route.path}" for route in case.workload.routes])
    plan = case.plan
    return f"{routes}: {did}, in {number(plan.warmup)} s of warm-up and {number(plan.baseline)} s that count."


def _declares(recorded: Recorded) -> str:
    if recorded.case is None or recorded.case.change.nothing:
        return "Nothing was changed."
    return f"Nothing was changed. The case declares a change ({recorded.case.change.what}); this run left it out."


def notes(noted: Sequence[Note]) -> list[Note]:
    """Without those about a change or the intervals of effects: there are none."""
    return [note for note in noted if note.id not in _OF_A_CHANGE]


def checks(checklist: Sequence[Check]) -> list[Check]:
    """Without the question about a change that was not made."""
    return [check for check in checklist if check.id != "failure-mode"]


EARLIER_HEADINGS = ("Metric", "This baseline", "Earlier ones", "Their median", "Their range", "It lies", "By chance")


def earlier_rows(result: Result) -> list[tuple[str, ...]]:
    """A row for each metric, under EARLIER_HEADINGS; none where the change was measured."""
    if result.earlier is None:
        return []
    return [_beside_row(name, beside) for name, beside in result.earlier.metrics.items()]


def _beside_row(name: GoalName, beside: Beside) -> tuple[str, ...]:
    where = DASH if beside.outside is None else _outside(beside) if beside.outside else "inside"
    return (
        sentence_case(name_of(name)),
        value_text(name, beside.value),
        f"{beside.runs:,}",
        DASH if beside.median is None else value_text(name, beside.median),
        range_text(name, beside) or DASH,
        where,
        f"{chance_text(beside)} at most" if beside.chance is not None else DASH,
    )


def left_out(result: Result) -> list[str]:
    """Earlier runs that can't be compared, one sentence for each reason."""
    if result.earlier is None:
        return []
    return [
        f"{plural(count, 'earlier run')} left out: {reason}."
        for reason, count in sorted(result.earlier.left_out.items())
    ]


def as_lines(result: Result) -> list[str]:
    """The same for a terminal, without the metrics' chances."""
    lines = []
    for name, value, count, middle, between, where, _ in earlier_rows(result):
        earlier = f"{count} earlier: {between}, median {middle}" if middle != DASH else "no earlier one"
        lines.append(f"  {name}: {value} ({earlier}{f'; {where.upper()}' if where.startswith('outside') else ''})")
    return lines + [f"  {text}" for text in left_out(result)]

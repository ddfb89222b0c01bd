"""A baseline compared with those of earlier runs of the same case: does it lie outside of what they showed?

The rule needs no distribution. Where nothing changed, a baseline and the n before it are exchangeable: the newest is
the largest of all with chance 1 / (n + 1), and the smallest with the same, so it lies outside of the n earlier ones
with chance 2 / (n + 1) at most (ties make it less). That is the prediction interval from the extremes of a sample
(Wilks 1941). A trend, or an hour of the day that matters, breaks it: baselines are best taken at one hour.

Nothing here is a verdict: no change was made that could have helped or hurt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Literal

from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.errors import LuckyHitError
from luckyhit.judge.decision import RunHeader, decide
from luckyhit.records import METRICS, Beside, Earlier, GoalName, Result, kind_of
from luckyhit.records.manifest import Manifest
from luckyhit.run import runs
from luckyhit.text.numbers import listed, number, percent, plural, sentence
from luckyhit.text.quantities import name_of, value_text

FEWEST = 10
"""With fewer earlier baselines none is said to lie outside: of nine, one in five would by chance alone."""
MOST = 39
"""Of the newest: one in twenty baselines lies outside of 39 by chance."""
SAME_CONDITIONS = "measured under other conditions (workload, cache, target, probe or plan of the case)"
OTHER_STATE = "begun from another cache state"
OTHER_HOST = "measured on another kind of host"
NOT_FINISHED = "not finished, not judged, or INVALID"
NOT_READABLE = "not readable"
NOTHING_CHANGED = "Only the baseline was measured: nothing was changed, so there is no verdict."
SIDES: tuple[Literal["worse", "better"], ...] = ("worse", "better")


def with_earlier(run: CaseRun, result: Result) -> Result:
    """The result of a run that measured its baseline alone, with that beside those of the earlier runs of its case (the
    directories next to its own). Any other result comes back as it is."""
    manifest = run.manifest
    alone = bool(manifest.stage("baseline")) and not manifest.stage("change")
    if result.verdict == "INVALID" or manifest.failure or not alone:
        return result
    left_out: Counter[str] = Counter()
    values = {name: metric.before for name, metric in result.metrics.items() if metric.before is not None}
    earlier = compare_with_earlier(values, list(comparable_baselines(run, left_out)), left_out)
    undecided = {name: metric.model_copy(update={"verdict": None}) for name, metric in result.metrics.items()}
    reason = f"{NOTHING_CHANGED} {earlier.sentence}"
    return result.model_copy(update={"verdict": "OBSERVED", "reason": reason, "metrics": undecided, "earlier": earlier})


def compare_with_earlier(
    values: Mapping[GoalName, float], earlier: Sequence[Mapping[GoalName, float]], left_out: Mapping[str, int] = {}
) -> Earlier:
    """Each metric in `values` with the same of `earlier` baselines; their order doesn't matter."""
    metrics: dict[GoalName, Beside] = {}
    for name in METRICS:
        if name not in values:
            continue
        value, known = values[name], [metrics[name] for metrics in earlier if name in metrics]
        beside = Beside(value=value, runs=len(known))
        if known:
            beside = Beside(value=value, runs=len(known), median=median(known), low=min(known), high=max(known))
        if len(known) >= FEWEST:
            outside = not min(known) <= value <= max(known)
            side = _side(name, value, min(known)) if outside else None
            beside = beside.model_copy(update={"outside": outside, "chance": 2 / (len(known) + 1), "side": side})
        metrics[name] = beside
    return Earlier(
        runs=len(earlier), left_out=dict(left_out), metrics=metrics, sentence=_sentence(len(earlier), metrics)
    )


def _sentence(count: int, metrics: Mapping[GoalName, Beside]) -> str:
    compared = {name: beside for name, beside in metrics.items() if beside.outside is not None}
    if not compared:
        baselines = "no earlier baseline" if count == 0 else f"{plural(count, 'earlier baseline')}"
        return sentence(
            f"{baselines} can be compared; with fewer than {FEWEST}, none can be said to lie outside of them"
        )
    outside = {
        side: [_one_text(name, beside) for name, beside in compared.items() if beside.outside and beside.side == side]
        for side in SIDES
    }
    if not any(outside.values()):
        which = "its one metric lies" if len(compared) == 1 else f"all {len(compared)} metrics lie"
        return sentence(f"{which} inside what {count} earlier baselines showed")
    by_chance = sum(beside.chance or 0.0 for beside in compared.values())
    parts = [f"{side}: {listed(texts)}" for side, texts in outside.items() if texts]
    text = sentence(f"outside of what {count} earlier baselines showed, {'; '.join(parts)}")
    return f"{text} By chance alone {number(by_chance)} of {len(compared)} metrics would, on average."


def _side(name: GoalName, value: float, lowest: float) -> Literal["better", "worse"]:
    """On which side of the earlier ones a value beyond them lies."""
    return "better" if (value < lowest) != kind_of(name).higher_is_better else "worse"


def _one_text(name: GoalName, beside: Beside) -> str:
    return f"{name_of(name)}, {value_text(name, beside.value)} ({range_text(name, beside)} before)"


def range_text(name: GoalName, beside: Beside) -> str:
    """`12.1 ms to 19 ms`; one value where all were alike. Empty where there was none."""
    if beside.low is None or beside.high is None:
        return ""
    low, high = value_text(name, beside.low), value_text(name, beside.high)
    return low if low == high else f"{low} to {high}"


def chance_text(beside: Beside) -> str:
    return "" if beside.chance is None else percent(beside.chance)


def comparable_baselines(run: CaseRun, left_out: Counter[str]) -> Iterator[dict[GoalName, float]]:
    """The baselines of the newest earlier runs that can be compared with this one; reasons why others can't are
    counted."""
    of_case = [CaseRun(other.path) for other in runs(run.path.parents[1]) if other.path.parent == run.path.parent]
    count = 0
    for other in sorted(
        (candidate for candidate in of_case if candidate.id < run.id), key=lambda candidate: candidate.id, reverse=True
    ):
        try:
            reason = _why_not(run, other)
            values = baseline_of(other) if not reason else {}
        except (LuckyHitError, OSError, ValueError, KeyError, TypeError, AttributeError):
            reason = NOT_READABLE  # no old run may stop the new one
        if reason:
            left_out[reason] += 1
            continue
        yield values
        count += 1
        if count == MOST:
            return


def baseline_of(run: CaseRun) -> dict[GoalName, float]:
    """What the baseline of a judged run showed, in each metric's unit; what was not visible is left out."""
    result = run.result
    if result is None or run.blocks("change"):
        blocks = run.manifest.stage("baseline")
        result = decide(run.requests(), run.reads(), run.writes(), run.case, blocks, header=RunHeader(run.name, run.id))
    return {name: metric.before for name, metric in result.metrics.items() if metric.before is not None}


def _why_not(run: CaseRun, other: CaseRun) -> str:
    """Why the baseline of another run can't stand beside that of this one; empty where it can."""
    manifest, theirs = run.manifest, other.manifest
    ended = theirs.ended and not theirs.failure and theirs.numbers("baseline")
    result = other.result if ended else None
    if result is None or result.verdict == "INVALID":
        return NOT_FINISHED
    if _host(manifest) != _host(theirs):
        return OTHER_HOST
    if not same_conditions(run, other):
        return SAME_CONDITIONS
    return OTHER_STATE if _cleared(manifest) != _cleared(theirs) else ""


def same_conditions(run: CaseRun, other: CaseRun) -> bool:
    """Whether both cases, as they were run, say the same of what a baseline depends on. Names, texts, goals, blocks and
    the other side of the change may differ."""
    if run.manifest.inputs != other.manifest.inputs:
        return False
    own, theirs = ((one.path / "case.yml").read_bytes() for one in (run, other))
    return own == theirs or _conditions(run.case) == _conditions(other.case)


def _conditions(case: Case) -> tuple[Any, ...]:
    plan = case.plan
    before = case.change.model_dump(exclude={"what", "smallest", "after", "apply", "revert"})
    parts = (case.workload, case.cache, case.target, case.freshness, case.expected.response)
    return *parts, before, case.design, plan.warmup, plan.baseline, plan.washout


def _host(manifest: Manifest) -> tuple[str, int | None]:
    return manifest.host.machine, manifest.host.cpus


def _cleared(manifest: Manifest) -> bool:
    """Whether the declared keys were cleared before the baseline: a run that only observes a live service clears
    none."""
    return any(block.clear for block in manifest.stage("baseline"))

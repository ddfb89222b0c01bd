"""The sentence under each figure: what it shows, made from the same numbers that are drawn.

A sentence describes; it judges only in the words of the verdict that the result holds. Where the verdict is INVALID
it says that the numbers can't be relied on; where a metric is INCONCLUSIVE, or has no goal, it claims no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luckyhit.judge.wording import difference_text, interval_text, listed, name_of, number, percent, sentence
from luckyhit.records import GoalName, Metric, Result
from luckyhit.report.aggregates import Calls, HitSeries, Row, Spectrum, Splits
from luckyhit.report.course import Course, Span, joined

INVALID = "A guard failed, so this shows what was recorded and says nothing about the change."


def hit_ratio(series: HitSeries, result: Result | None) -> str:
    if series.bins.empty and result is not None and result.unseen_status:
        return f"There is no hit ratio to show. {_in_doubt(result)}"
    if series.bins.empty:
        return "The cache status was not visible in any answer, so there is no hit ratio to show."
    parts = []
    stages = (("baseline", "in the baseline"), ("change", ""), ("after-rollback", "after the rollback"))
    for stage, words in stages:
        for arm in ("before", "after"):
            share = series.measured.get((stage, arm))  # type: ignore[arg-type]
            if share is None:
                continue
            where = words or ("without the change" if arm == "before" else "with it")
            parts.append(f"{percent(share)} {where}")
    text = "Only warm-ups were recorded, so there is no hit ratio to go by."
    if parts:
        text = f"Measured after the warm-ups, the hit ratio was {listed(parts)}."
    ramps = [(arm, first, last) for arm, (first, last) in series.warmup.items() if last - first > 0.1]
    if ramps:
        arm, first, last = max(ramps, key=lambda ramp: ramp[2] - ramp[1])
        text += (
            f" Within a block of the {arm} arm it climbs from {percent(first)} to {percent(last)} on average: a look "
            "at the first seconds alone would take the warming cache for an effect."
        )
    if series.washouts:
        text += f" Hatched: {_washouts(series.washouts)}; nothing of it is counted."
    if series.shifts_s:
        text += f" Thin lines mark shifts inside an arm (at {listed([number(at_s) for at_s in series.shifts_s])} s)."
    if result is not None and result.unseen_status:
        return f"{text.strip()} {_in_doubt(result)}"
    return with_verdict(text.strip(), "hit_ratio", result)


def _in_doubt(result: Result) -> str:
    arms = " and the ".join(result.unseen_status)
    return f"Left out is the {arms} arm: its cache status can't be believed."


def latency_spectrum(spectra: Mapping[str, Spectrum], result: Result | None) -> str:
    if not spectra:
        return "No request was completed, so there is no latency to show."
    parts = []
    for label, spectrum in spectra.items():
        named = [f"p{level * 100:g} {number(value)} ms" for level, value in spectrum.named.items()]
        parts.append(f"{labelled(label)}: {', '.join(named) or f'{spectrum.requests:,} requests only'}")
    text = f"From due to done, {'; '.join(parts)}."
    failed = {label: spectrum.failed for label, spectrum in spectra.items() if spectrum.failed}
    if failed:
        told = listed([f"{count:,} {labelled(label)}" for label, count in failed.items()])
        text += f" Requests that never completed are left out ({told})."
    return _with_verdicts(text, ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"), result)


def latency_split(splits: Splits, result: Result | None) -> str:
    if not splits.parts:
        return "No request was completed, so there is nothing to split into hits and misses."
    if splits.statuses == ["status not visible"] and result is not None and result.unseen_status:
        return f"Latency can't be split into hits and misses. {_in_doubt(result)}"
    if splits.statuses == ["status not visible"]:
        return "The cache status was not visible in any answer, so latency can't be split into hits and misses."
    parts = []
    for status in splits.statuses:
        told = [
            f"{labelled(label)} {percent(part.share)} of requests at a median of {number(part.median_ms)} ms"
            for (name, label), part in splits.parts.items()
            if name == status
        ]
        parts.append(f"{status}: {', '.join(told)}")
    text = sentence("; ".join(parts))
    if result is not None and result.unseen_status:
        unseen = " and the ".join(result.unseen_status)
        text = f"{text} The status of the {unseen} arm can't be believed, so it is not shown."
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def db_calls(calls: Mapping[str, Calls], result: Result | None) -> str:
    if not calls:
        return "No answer told its database calls, so they are not visible."
    parts = [
        f"{labelled(label)} {number(part.mean)} ({percent(float(part.shares[0]))} of requests made none)"
        for label, part in calls.items()
    ]
    text = f"Database calls per request, on average: {listed(parts)}."
    partly = [part.visible for part in calls.values() if part.visible < 0.995]
    if partly:
        text += f" Only {percent(min(partly))} of the answers told them."
    return with_verdict(text, "db_calls", result)


def forest(rows: Sequence[Row], result: Result | None) -> str:
    if result is None:
        return "The run was not judged, so there are no intervals to show."
    if not rows:
        return "No goal could be compared: none had numbers in both arms."
    if result.verdict == "INVALID":
        return f"The intervals of {listed([row.name for row in rows])} in margins. {INVALID}"
    words = {
        "HELPED": "better",
        "HURT": "worse",
        "EQUIVALENT": "inside the margin",
        "INCONCLUSIVE": "not decided",
    }
    groups = {
        said: [f"{row.name} ({row.effect})" for row in rows if row.verdict == verdict]
        for verdict, said in words.items()
        if any(row.verdict == verdict for row in rows)
    }
    told = "; ".join(f"{said}: {listed(names)}" for said, names in groups.items())
    return f"Against the margins that the case sets, {told}. Overall: {result.verdict}."


def timeline(course: Course, result: Result | None) -> str:
    spans = course.spans
    if not spans:
        return "Nothing was measured, so there is no timeline."
    everything = [*spans, *course.washouts]
    seconds = max(span.end_s for span in everything) - min(span.start_s for span in everything)
    measured = sum(span.end_s - span.measure_s for span in spans)
    counts = {stage: sum(span.stage == stage for span in spans) for stage in ("baseline", "change", "after-rollback")}
    parts = [
        f"{count} {'block' if count == 1 else 'blocks'} {words}"
        for count, words in (
            (counts["baseline"], "of the baseline"),
            (counts["change"], "with the change in place" if _side_by_side(spans) else "of both arms in turn"),
            (counts["after-rollback"], "after the rollback"),
        )
        if count
    ]
    text = f"{listed(parts)} in {number(seconds)} seconds, {number(measured)} of them measured."
    cleared = [span.cleared for span in spans if span.cleared is not None]
    if cleared:
        text += f" Declared keys were cleared before {'each' if len(cleared) == len(spans) else len(cleared)} of them"
        text += f" ({sum(cleared):,} keys in all)."
    if course.washouts:
        text += f" Hatched: {_washouts(course.washouts)}; nothing of it is counted."
    if course.pace is not None:
        text += f" {course.pace.text}"
    text += _looked(course)
    if counts["change"] and not counts["after-rollback"]:
        text += " Nothing was measured after the rollback."
    return text


def _washouts(stretches: Sequence[Span]) -> str:
    whole = joined(list(stretches))
    seconds = sum(span.end_s - span.start_s for span in whole)
    count = f"{len(whole)} wash-out{'' if len(whole) == 1 else 's'}"
    return f"{count} of {number(seconds)} s in all, the same load sent to bring the hit ratio to a stand"


def _looked(course: Course) -> str:
    if course.stopped_by == "limit":
        return " A limit of the target stopped it (the cross)."
    looks = len(course.looks_s)
    if not looks:
        return ""
    times = {1: "once", 2: "twice"}.get(looks, f"{looks} times")
    text = f" Between its blocks it was looked at {times} (diamonds)"
    if course.stopped_s is None:
        return f"{text}, and went on to its end."
    return f"{text}; {'the last look' if looks > 1 else 'this look'} found enough and ended it early."


def _side_by_side(spans: Sequence[Span]) -> bool:
    return any(len(span.arms) > 1 for span in spans)


def labelled(label: str) -> str:
    return {"before": "before", "after": "after", "baseline": "in the baseline"}.get(label, label)


def with_verdict(text: str, name: GoalName, result: Result | None) -> str:
    """Add what the result says about one metric, and nothing beyond it."""
    if result is None:
        return text
    if result.verdict == "INVALID":
        return f"{text} {INVALID}"
    metric = result.metrics.get(name)
    said = _said(name, metric) if metric is not None else ""
    return f"{text} {said}".strip()


def _with_verdicts(text: str, names: Sequence[GoalName], result: Result | None) -> str:
    if result is None:
        return text
    if result.verdict == "INVALID":
        return f"{text} {INVALID}"
    judged = [(name, result.metrics[name]) for name in names if name in result.metrics]
    with_goal = [(name, metric) for name, metric in judged if metric.verdict is not None]
    said = [_said(name, metric) for name, metric in with_goal or judged[1:2]]
    return " ".join([text, *(words for words in said if words)])


def _said(name: GoalName, metric: Metric) -> str:
    """One metric in the words of its verdict."""
    if metric.effect is None:
        return ""
    interval = f"{difference_text(name, metric.effect)}, interval {interval_text(name, metric.low, metric.high)}"
    which = sentence(name_of(name))[:-1]
    margin = difference_text(name, metric.margin) if metric.margin is not None else "none"
    if metric.verdict is None:
        return f"{which}: a difference of {interval}; the case sets no goal for it, so no verdict."
    if metric.verdict == "INCONCLUSIVE":
        return f"{which}: INCONCLUSIVE; {interval}, margin {margin}: these data can't tell the difference."
    return f"{which}: {metric.verdict} ({interval}, margin {margin}). {metric.note}".rstrip()

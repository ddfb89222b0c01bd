"""Response time, rate and errors over the time of a run, so that a stall in its middle can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import ARM_DASHES, Chart, Line, Mark, Panel, Tone
from luckyhit.report.figures.facts.course import Span, spans, washouts
from luckyhit.report.figures.facts.stage_marks import STAGE_ROOM, TIME_LABEL, shaded, stage_names
from luckyhit.report.figures.facts.time_bins import ArmBins, time_bins
from luckyhit.report.figures.facts.verdict_words import INVALID
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import number, plural

SLOWEST = "slowest 1 %"
LEAST_SILENCE_S, MANY_TIMES = 0.5, 10.0
"""A time without an answer is named from here on, if it is so many times as long as the time between two requests."""


@dataclass(frozen=True)
class OverTime:
    """`bins` on the clock of the run; the figure and its sentence count from `origin_s`."""

    bins: Sequence[ArmBins]
    spans: Sequence[Span]
    washouts: Sequence[Span]
    origin_s: float
    compared: bool
    """Whether the change was measured: else there is one arm, the baseline."""

    @property
    def failed(self) -> int:
        return int(sum(part.failed.sum() for part in self.bins))


def data(recorded: Recorded) -> OverTime:
    where = spans(recorded)
    origin_s = min((span.start_s for span in where), default=0.0)
    return OverTime(time_bins(recorded), where, washouts(recorded), origin_s, recorded.changed)


def draw(numbers: OverTime) -> Chart:
    """Three panels: the median and the slowest hundredth, completed requests a second, and failed ones if any."""
    ends = [time_s - numbers.origin_s for span in (*numbers.spans, *numbers.washouts)
            for time_s in (span.start_s, span.end_s)]  # fmt: skip
    x = replace(Axis.around(ends, many=8), grid=False)
    latency = [value for part in numbers.bins for value in (*part.middle_ms, *part.slow_ms)]
    rates = [float(rate) for part in numbers.bins for rate in part.completed / part.width_s]
    slow = [Line(_at(part, numbers), part.slow_ms, _tone(part), f"{part.arm}, {SLOWEST}", "dot", 1.2)
            for part in numbers.bins]  # fmt: skip
    middle = [_line(part, part.middle_ms, numbers) for part in numbers.bins]
    panels = [
        Panel(x, Axis.around(latency, "ms (log scale)", scale="log"),
              [*_behind(numbers), *slow, *middle, *stage_names(numbers.spans, numbers.origin_s, _top(latency))],
              height=130, title="Response time (dotted: the slowest 1 %)", top=STAGE_ROOM, x_ticks=False),
        Panel(x, Axis.around(rates, "a second", from_zero=True, many=3),
              [*_behind(numbers), *(_line(part, part.completed / part.width_s, numbers) for part in numbers.bins)],
              height=70, title="Completed requests", x_ticks=not numbers.failed,
              ),
    ]  # fmt: skip
    if numbers.failed:
        most = [float(rate) for part in numbers.bins for rate in part.failed / part.width_s]
        failed = [_line(part, part.failed / part.width_s, numbers) for part in numbers.bins]
        y = Axis.around(most, "a second", from_zero=True, many=3)
        panels.append(Panel(x, y, [*_behind(numbers), *failed], height=56, title="Failed requests"))
    panels[-1] = replace(panels[-1], x=replace(x, label=TIME_LABEL))
    return Chart(panels)


def _behind(numbers: OverTime) -> list[Mark]:
    return shaded(numbers.spans, numbers.washouts, numbers.origin_s)


def _top(latency: Sequence[float]) -> float:
    """Where the panel of the latency ends."""
    return Axis.around(latency, scale="log").high


def _at(part: ArmBins, numbers: OverTime) -> np.ndarray:
    return part.at_s - numbers.origin_s


def _tone(part: ArmBins) -> Tone:
    return cast(Tone, part.arm)


def _line(part: ArmBins, values: np.ndarray, numbers: OverTime) -> Line:
    return Line(_at(part, numbers), values, _tone(part), part.arm, ARM_DASHES[part.arm], 1.5)


def say(numbers: OverTime, result: Result | None) -> str:
    if not numbers.bins:
        return "No request was recorded, so there is nothing to show over time."
    parts = [_slowest(numbers), _silence(numbers), _failures(numbers)]
    text = " ".join(part for part in parts if part)
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def _slowest(numbers: OverTime) -> str:
    """The slowest stretch that counts, and the slowest of the warm-ups."""
    found = []
    for counts, words in ((True, "after the warm-ups"), (False, "while the cache warmed up")):
        stretches = [
            (float(part.slow_ms[place]), part, place)
            for part in numbers.bins
            for place in np.flatnonzero((part.counted == counts) & np.isfinite(part.slow_ms))
        ]
        if stretches:
            slow_ms, part, place = max(stretches, key=lambda stretch: stretch[0])
            when_s = float(part.at_s[place]) - numbers.origin_s
            found.append(f"{words} {number(slow_ms)} ms at {number(when_s)} s{_in_arm(part, numbers)}")
    if not found:
        return "No request was completed."
    width_s = max(part.width_s for part in numbers.bins)
    return f"The slowest 1 % of a stretch of {number(width_s)} s took longest {'; '.join(found)}."


def _in_arm(part: ArmBins, numbers: OverTime) -> str:
    return f" ({part.arm})" if numbers.compared else ""


def _silence(numbers: OverTime) -> str:
    longest = max(numbers.bins, key=lambda part: part.silent_s)
    seconds = max(longest.span.end_s - longest.span.start_s, 1e-9)
    usual_s = seconds / max(int(longest.completed.sum()), 1)
    if longest.silent_s < max(LEAST_SILENCE_S, MANY_TIMES * usual_s):
        return ""
    until_s = longest.silent_until_s - numbers.origin_s
    return (
        f"For {number(longest.silent_s)} s no answer came: from {number(until_s - longest.silent_s)} to "
        f"{number(until_s)} s{_in_arm(longest, numbers)}."
    )


def _failures(numbers: OverTime) -> str:
    if not numbers.failed:
        return "No request failed."
    failing = [
        (float(part.at_s[place]) - numbers.origin_s, part)
        for part in numbers.bins
        for place in np.flatnonzero(part.failed)
    ]
    first_s, last_s = min(at_s for at_s, _ in failing), max(at_s for at_s, _ in failing)
    counted = plural(numbers.failed, "request")
    when = f"around {number(first_s)} s" if first_s == last_s else f"between {number(first_s)} and {number(last_s)} s"
    arms = {part.arm for _, part in failing}
    where = f", all of them {next(iter(arms))}" if numbers.compared and len(arms) == 1 else ""
    return f"{counted} failed, {when}{where}."


def is_empty(numbers: OverTime) -> bool:
    return not numbers.bins

"""The stages of a run behind a figure whose x axis is its time: warm-ups shaded, wash-outs hatched, stages named."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.report.charts.chart import Bars, Label, Line, Mark
from luckyhit.report.figures.facts.course import Span, joined

WARM_UP, WASHED_OUT = "warm-up", "wash-out"
STAGE_ROOM = 14.0
"""What their names need above a panel."""
TIME_LABEL = "seconds since the first block"


def shaded(spans: Sequence[Span], washouts: Sequence[Span], origin_s: float) -> list[Mark]:
    """Warm-ups and wash-outs over the whole height of a panel."""
    marks: list[Mark] = []
    for look_like in (spans, joined(list(washouts))):
        ends = [
            (span.start_s - origin_s, (span.measure_s if look_like is spans else span.end_s) - origin_s)
            for span in look_like
        ]
        ends = [(start, end) for start, end in ends if end > start]
        if not ends:
            continue
        left, right = ([pair[side] for pair in ends] for side in (0, 1))
        if look_like is spans:
            marks.append(Bars(left, right, tone="shade", name=WARM_UP))
        else:
            marks.append(Bars(left, right, tone="soft", look="hatch", name=WASHED_OUT))
    return marks


def stage_names(spans: Sequence[Span], origin_s: float, top: float) -> list[Mark]:
    """Above a panel that ends at the value `top`: the name of each stage over its blocks, with a rule under it."""
    marks: list[Mark] = []
    for stage, word in {"baseline": "baseline", "change": "both arms", "after-rollback": "restored"}.items():
        inside = [span for span in spans if span.stage == stage]
        if not inside:
            continue
        start_s, end_s = inside[0].start_s - origin_s, inside[-1].end_s - origin_s
        in_turn = stage == "change" and not any(len(span.arms) > 1 for span in inside)
        name = "arms in turn" if in_turn else word
        marks.append(Line([start_s, end_s], [top, top], width=1.2, quiet=True))
        marks.append(Label((start_s + end_s) / 2, 1.0, name, anchor="middle", size=10.5, dy=-4, across_y=True))
    return marks

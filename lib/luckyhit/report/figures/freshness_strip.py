"""One failure, read by read: a lane for the write, one for the cache, one for each reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import Bars, Chart, Line, Mark, Panel, Points, Rule, Shape, Tone
from luckyhit.report.figures.facts.failed_probe import (
    IMPOSSIBLE,
    NEW,
    NOTHING,
    OLD,
    SILENT,
    Chosen,
    Strip,
    failed_probe,
)
from luckyhit.report.figures.facts.verdict_words import INVALID
from luckyhit.report.figures.late_reads import (
    NOT_VISIBLE,
    bound_text,
    late_text,
    milliseconds,
    seconds_text,
    short,
    where,
)
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import listed, plural

# What a read saw, by colour and by shape. No arm has these colours.
_SAW: Mapping[str, tuple[Tone, Shape]] = {
    NEW: ("new", "circle"),
    OLD: ("old", "cross"),
    NOTHING: ("absent", "square"),
    IMPOSSIBLE: ("ink", "diamond"),
    SILENT: ("soft", "dot"),
}
_EVENTS: Mapping[str, tuple[Shape, Tone]] = {
    "deleted": ("down", "ink"), "set": ("up", "set"), "expired": ("diamond", "soft"),
}  # fmt: skip
_LONGEST_LANE = 34


def data(recorded: Recorded) -> Strip:
    return failed_probe(recorded)


def draw(strip: Strip) -> Chart:
    """One failed probe: a lane for the write, the cache and each reader; marks say what was read."""
    chosen = strip.chosen
    assert chosen is not None  # is_empty says so otherwise
    names = ["write", *(["cache"] if chosen.events else []), *chosen.lanes]
    first = len(names) - len(chosen.lanes)
    acknowledged = any(write.own and write.acked_ms is not None for write in chosen.writes)
    marks: list[Mark] = []
    if strip.within_s:
        marks.append(Bars([0.0], [strip.within_s * 1e3]))
        marks.append(Rule(x=strip.within_s * 1e3, tone="ink", name="declared bound", dashes="dot", width=1.2))
    marks.append(Rule(x=0.0, name="acknowledged" if acknowledged else "write sent"))
    for write in chosen.writes:
        end = write.sent_ms if write.acked_ms is None else write.acked_ms
        tone: Tone = "ink" if write.own else "soft"
        marks.append(Line([write.sent_ms, end], [0, 0], tone, width=8, quiet=True))
        marks.append(Points([write.sent_ms], [0], tone, shape="bar", size=5, quiet=True))
    for kind, (event_shape, event_tone) in _EVENTS.items():
        at = [event.at_ms for event in chosen.events if event.kind == kind]
        if at:
            marks.append(Points(at, [1] * len(at), event_tone, f"entry {kind}", event_shape, 4.2))
    for saw, (saw_tone, saw_shape) in _SAW.items():
        reads = [read for read in chosen.drawn if read.saw == saw]
        if not reads:
            continue
        done_ms, lanes = [read.done_ms for read in reads], [first + read.lane for read in reads]
        sent_ms = [read.sent_ms for read in reads]
        name = f"read: {saw}"
        marks.append(Points(done_ms, lanes, saw_tone, name, saw_shape, 3.6, left=sent_ms, right=done_ms))
    lanes_y = [(place, _lane_name(name)) for place, name in enumerate(names)]
    y = Axis(len(names) - 0.4, -0.6, ticks=lanes_y, grid=True)
    return Chart([Panel(_time_axis(chosen, strip.within_s or 0.0), y, marks, height=30 + 36.0 * len(names))])


def _time_axis(chosen: Chosen, within_s: float) -> Axis:
    """Linear where that shows the write as well; else logarithmic beyond the time that the write took."""
    ends = [0.0, *(read.done_ms for read in chosen.drawn)]
    starts = [0.0, *(write.sent_ms for write in chosen.writes), *(read.sent_ms for read in chosen.drawn)]
    last = max(max(ends), min(within_s * 1e3, max(ends) * 2))
    near = max(-min(starts), 1.0)
    if last <= 25 * near:
        room = last + near
        return Axis(min(starts) - 0.03 * room, last + 0.04 * room, "ms since the write was acknowledged", grid=False)
    rounded = _round_numbers(near, last * 1.3)
    ticks = [0.0, *rounded[:: max(1, -(-len(rounded) // 4))]]
    texts = [(-near, f"−{near:.2g}"), *((tick, f"{tick:,.6g}") for tick in ticks)]
    label = f"ms since acknowledged (log beyond {near:.2g} ms)"
    return Axis(-near * 1.35, last * 1.3, label, "symlog", ticks=texts, near=near, grid=False)


def _round_numbers(low: float, high: float) -> Sequence[float]:
    """Powers of ten inside, with halves of them where there are few."""
    powers = [10.0**power for power in range(-3, 9)]
    inside = [value for value in powers if low * 1.5 < value <= high]
    return (
        inside
        if len(inside) > 2
        else sorted({value * step for value in powers for step in (1, 2, 5) if low * 1.5 < value * step <= high})
    )


def _lane_name(text: str) -> str:
    """A name that is safe to draw as text, and short enough."""
    plain = "".join(sign if sign.isprintable() and ord(sign) < 0x2500 else "?" for sign in text[: 4 * _LONGEST_LANE])
    route, dot, who = plain.rpartition(" · ")
    longest = _LONGEST_LANE // 2
    if dot:
        route = route if len(route) <= longest else f"{route[: longest - 1]}…"
        return f"{route}\n{who}"
    return plain if len(plain) <= _LONGEST_LANE else f"{plain[: _LONGEST_LANE - 1]}…"


_INITIAL_STATES = {
    "warm": "just read",
    "cold": "not read before",
    "in-flight": "with a read in progress",
    "absent": "not there before",
    "refused": "with a write that must be rejected",
}


def say(strip: Strip, result: Result | None) -> str:
    if not strip.probed:
        return "Without a freshness probe, there is no failure to show."
    text = _no_failure(strip) if strip.chosen is None else _failure(strip, strip.chosen)
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def _no_failure(strip: Strip) -> str:
    if not strip.late:
        return NOT_VISIBLE
    counted = listed([f"{where(label)} {late_text(part)}" for label, part in strip.late.items()])
    return f"No probe failed. {bound_text(strip.within_s)}: {counted}."


def _failure(strip: Strip, chosen: Chosen) -> str:
    failed, probes = strip.failed.get(chosen.label, (1, 1))
    one = "The one probe" if failed == 1 else f"One of the {failed:,} probes"
    text = f"{one} of {probes:,} that failed {where(chosen.label)}: key {short(chosen.key)}, "
    text += f"{_INITIAL_STATES.get(chosen.initial_state, short(chosen.initial_state))}"
    own = next((write for write in chosen.writes if write.own), None)
    if own is not None and own.acked_ms is not None:
        text += f", was written in {milliseconds(own.acked_ms - own.sent_ms)}"
    after = [read for read in chosen.reads if read.sent_ms > 0]
    counts = {saw: sum(read.saw == saw for read in after) for saw in (OLD, NEW, NOTHING, IMPOSSIBLE, SILENT)}
    words = {
        OLD: "the old value",
        NEW: "the new one",
        NOTHING: "nothing there",
        IMPOSSIBLE: "a value that was never committed",
        SILENT: "no version",
    }
    counts_text = listed([f"{count:,} showed {words[saw]}" for saw, count in counts.items() if count])
    text += f"; of {plural(len(after), 'read')} {_since(chosen)}, {counts_text}."
    stale = [read.sent_ms for read in after if read.stale]
    if stale:
        text += f" The last stale read was sent {milliseconds(max(stale))} after it"
        text += f" ({seconds_text(strip.within_s)} is declared acceptable)." if strip.within_s else "."
    if chosen.events:
        text += f" {_events(chosen)}"
    left_out = len(chosen.reads) - len(chosen.drawn)
    if left_out:
        text += f" {left_out:,} of the reads {'is' if left_out == 1 else 'are'} not drawn."
    if chosen.reasons:
        return f"{text} It was chosen because {listed(chosen.reasons)}."
    return f"{text} It was chosen for its number of stale reads, then for how long they lasted."


def _since(chosen: Chosen) -> str:
    """What the reads are counted from: a write that was refused, or got no response, was not acknowledged."""
    own = next((write for write in chosen.writes if write.own), None)
    if own is None or own.acked_ms is not None:
        return "after the acknowledgement"
    return "after the write that was refused" if chosen.initial_state == "refused" else "after the write was sent"


def _events(chosen: Chosen) -> str:
    """The cache's events since the write was sent, relative to its acknowledgement."""
    own = next((write for write in chosen.writes if write.own), None)
    sent_ms = own.sent_ms if own is not None else 0.0
    acknowledged = own is not None and own.acked_ms is not None
    words = {"deleted": "deleted the entry", "set": "set it", "expired": "let it expire"}
    later = [event for event in chosen.events if event.at_ms >= sent_ms]
    if not later:
        return "After the write, the cache reported no event of the entry."
    instant = "the acknowledgement" if acknowledged else "the write was sent"
    parts: list[str] = []
    for event in later[:3]:
        side = "before" if event.at_ms < 0 else "after"
        parts.append(f"{words[event.kind]} {milliseconds(abs(event.at_ms))} {side} {instant if not parts else 'it'}")
    more = f" ({len(later) - 3:,} more of its events are drawn)" if len(later) > 3 else ""
    return f"The cache {listed(parts)}{more}."


def is_empty(strip: Strip) -> bool:
    return strip.chosen is None

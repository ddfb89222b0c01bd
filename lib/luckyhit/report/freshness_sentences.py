"""The sentence under each figure of freshness. As in `sentences`: described from the numbers that are drawn, judged
only in the words of the result. No stale read among many is told with what it leaves possible."""

from __future__ import annotations

from luckyhit.judge.wording import listed, number, percent
from luckyhit.records import Result
from luckyhit.report.freshness_numbers import Freshness, Lasting, Late, Windows
from luckyhit.report.freshness_strip import IMPOSSIBLE, NEW, NOTHING, OLD, SILENT, Chosen, Strip
from luckyhit.report.sentences import INVALID, with_verdict
from luckyhit.visible import visible

NO_PROBE = (
    "The case declares no freshness probe: nothing was written and read back, so old data would not be noticed here."
)
NOT_VISIBLE = "Freshness was not visible: no read of a probe could be compared with a write."
LONGEST_KEY = 40
_PRESTATES = {
    "warm": "just read",
    "cold": "not read before",
    "in-flight": "with a read under way",
    "absent": "not there before",
    "refused": "with a write that has to be rejected",
}


def freshness(found: Freshness, result: Result | None) -> str:
    if not found.probed:
        return NO_PROBE
    if found.curve.empty:
        return NOT_VISIBLE
    parts = []
    for label, part in found.curve.groupby("arm", sort=False):
        first, last = part.iloc[0], part.iloc[-1]
        told = f"{where(str(label))} {percent(first['share'])} at {_ms(first['delay_ms'])}"
        if len(part) > 1:
            told += f" and {percent(last['share'])} at {_ms(last['delay_ms'])}"
        parts.append(told)
    text = f"Reads that saw an acknowledged write: {'; '.join(parts)} after it (medians of the first and last bin)."
    if found.late:
        # The verdict's own words on no stale read after the change are at another level: one of the two is enough.
        judged = result.metrics.get("stale_reads") if result is not None else None
        told_there = {"after"} if judged is not None and judged.note.startswith("No stale read") else set()
        counted = listed(
            [
                f"{where(label)} {late_text(part, with_bound=label not in told_there)}"
                for label, part in found.late.items()
            ]
        )
        text += f" {_bound(found.within_s)}: {counted}."
        unknown = sum(part.unknown for part in found.late.values())
        if unknown:
            text += f" {unknown:,} more showed nothing to tell by."
        compared = {"before", "after"} & {*found.late}
        if len(compared) == 1:
            missing = where("after" if compared == {"before"} else "before")
            text += f" No read tells anything {missing}, so nothing can be compared."
    return with_verdict(text, "stale_reads", result)


def where(label: str) -> str:
    """An arm, as part of a sentence that may also say "after 5 ms"."""
    return {"before": "without the change", "after": "with the change"}.get(label, "in the baseline")


def _bound(within_s: float | None) -> str:
    if not within_s:
        return "No staleness is declared acceptable, so every read after the acknowledgement counts"
    return f"Later than the declared {seconds_text(within_s)}"


def late_text(part: Late, *, with_bound: bool = True) -> str:
    """`38 of 40 reads were stale`; of none, with what that leaves possible."""
    text = f"{part.stale:,} of {part.reads:,} reads {'was' if part.stale == 1 else 'were'} stale"
    bound = part.zero_bound if with_bound else None
    return text if bound is None else f"{text} (which leaves up to {percent(bound)} possible)"


def staleness_windows(found: Windows, result: Result | None) -> str:
    if not found.probed:
        return "Without a freshness probe, there are no staleness windows to show."
    if not found.arms:
        return "How long an old value lasts was not visible: no write was polled until its readers saw it."
    text = " ".join(_lasting(label, part) for label, part in found.arms.items())
    text += " Each window is an interval, from the last stale read to the first lasting fresh one; the band holds it."
    return with_verdict(text, "staleness_p99_ms", result)


def _lasting(label: str, part: Lasting) -> str:
    arm = where(label)
    seen = part.writes - part.clean
    counted = "none" if not seen else "each" if seen == part.writes else f"{seen:,}"
    writes = f"{part.writes:,} polled write{'' if part.writes == 1 else 's'}"
    text = f"{arm[:1].upper()}{arm[1:]}, the old value was seen behind {counted} of {writes}"
    told: dict[str, list[str]] = {}
    for level, ends in part.quantiles.items():
        told.setdefault(quantile_text(ends, stuck=part.stuck > 0), []).append(f"p{level * 100:g}")
    text += "; it lasted " if seen else "; unseen, it may have lasted "
    text += ", ".join(f"{words} ({listed(levels)})" for words, levels in told.items())
    if part.stuck:
        text += f"; {part.stuck:,} {'was' if part.stuck == 1 else 'were'} still stale when the polling ended (stuck),"
        text += f" seen stale for up to {_ms(part.longest_ms)}"
    if part.unsure:
        text += f"; {part.unsure:,} got fresh, with too few reads behind it to show that it lasts"
    return f"{text}."


def quantile_text(ends: tuple[float, float] | None, *, stuck: bool = True) -> str:
    """`340 to 360 ms`; None is not known: longer than the polling, where some were `stuck` to its end."""
    if ends is None:
        return "longer than was polled" if stuck else "not known"
    low, high = (number(end) for end in ends)
    return f"{high} ms" if low == high else f"up to {high} ms" if low == "0" else f"{low} to {high} ms"


def freshness_strip(found: Strip, result: Result | None) -> str:
    if not found.probed:
        return "Without a freshness probe, there is no failure to show."
    text = _no_failure(found) if found.chosen is None else _failure(found, found.chosen)
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def _no_failure(found: Strip) -> str:
    if not found.late:
        return f"There is no failure to show. {NOT_VISIBLE}"
    counted = listed([f"{where(label)} {late_text(part)}" for label, part in found.late.items()])
    return f"No probe failed, so there is none to show. {_bound(found.within_s)}: {counted}."


def _failure(found: Strip, chosen: Chosen) -> str:
    failed, probes = found.failed.get(chosen.label, (1, 1))
    one = "The one probe" if failed == 1 else f"One of the {failed:,} probes"
    text = f"{one} of {probes:,} that failed {where(chosen.label)}: key {short(chosen.key)}, "
    text += f"{_PRESTATES.get(chosen.prestate, short(chosen.prestate))}"
    own = next((write for write in chosen.writes if write.own), None)
    if own is not None and own.acked_ms is not None:
        text += f", was written in {_ms(own.acked_ms - own.sent_ms)}"
    after = [read for read in chosen.reads if read.sent_ms > 0]
    counts = {saw: sum(read.saw == saw for read in after) for saw in (OLD, NEW, NOTHING, IMPOSSIBLE, SILENT)}
    words = {
        OLD: "the old value",
        NEW: "the new one",
        NOTHING: "nothing there",
        IMPOSSIBLE: "a value that was never committed",
        SILENT: "no version",
    }
    told = listed([f"{count:,} showed {words[saw]}" for saw, count in counts.items() if count])
    text += f"; of {len(after):,} read{'' if len(after) == 1 else 's'} {behind_what(chosen)}, {told}."
    stale = [read.sent_ms for read in after if read.stale]
    if stale:
        text += f" The last stale read was sent {_ms(max(stale))} after it"
        text += f" ({seconds_text(found.within_s)} is declared acceptable)." if found.within_s else "."
    if chosen.events:
        text += f" {_events(chosen)}"
    left_out = len(chosen.reads) - len(chosen.drawn)
    if left_out:
        text += f" {left_out:,} of the reads {'is' if left_out == 1 else 'are'} not drawn."
    if chosen.reasons:
        return f"{text} It was chosen because {listed(chosen.reasons)}."
    return f"{text} It was chosen as the one with the most stale reads, of these the longest stale."


def behind_what(chosen: Chosen) -> str:
    """What the reads of a probe are counted from: a write that was refused, or got no answer, was not acknowledged."""
    own = next((write for write in chosen.writes if write.own), None)
    if own is None or own.acked_ms is not None:
        return "after the acknowledgement"
    return "after the write that was refused" if chosen.prestate == "refused" else "after the write was sent"


def _events(chosen: Chosen) -> str:
    """The cache's side of it, from the write's send on, against its acknowledgement."""
    own = next((write for write in chosen.writes if write.own), None)
    sent_ms = own.sent_ms if own is not None else 0.0
    acknowledged = own is not None and own.acked_ms is not None
    words = {"deleted": "deleted the entry", "set": "set it", "expired": "let it expire"}
    behind = [event for event in chosen.events if event.at_ms >= sent_ms]
    if not behind:
        return "From the write on, the cache told nothing about the entry."
    instant = "the acknowledgement" if acknowledged else "the write was sent"
    told: list[str] = []
    for event in behind[:3]:
        side = "before" if event.at_ms < 0 else "after"
        told.append(f"{words[event.kind]} {_ms(abs(event.at_ms))} {side} {instant if not told else 'it'}")
    more = f" ({len(behind) - 3:,} more of its events are drawn)" if len(behind) > 3 else ""
    return f"The cache {listed(told)}{more}."


def short(text: str) -> str:
    """A key, cut to what a sentence can hold."""
    plain = visible(text[: 4 * LONGEST_KEY])
    return plain if len(plain) <= LONGEST_KEY else f"{plain[: LONGEST_KEY - 1]}…"


def seconds_text(value_s: float) -> str:
    return _ms(value_s * 1e3) if value_s < 1 else f"{number(value_s)} s"


def _ms(value: float) -> str:
    return f"{number(value)} ms"

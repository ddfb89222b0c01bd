"""Findings in words: one row for each of `luckyhit.judge.findings.FINDERS`."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.wording import listed, number, percent
from luckyhit.records import Counted, Finding
from luckyhit.report.cache_story import signed_ms


def sentence_of(finding: Finding) -> str:
    """One finding as a sentence, or a few."""
    return SENTENCES[finding.id](finding)


def in_both(finding: Finding, what: str) -> str:
    """`what` with its counts: `66 of 766 (8.6 %) before, 0 of 767 after`."""
    told = [
        f"{_counted(count)} {arm}" for arm, count in (("before", finding.before), ("after", finding.after)) if count
    ]
    return f"{what}: {', '.join(told)}."


def _counted(counted: Counted) -> str:
    share = f" ({percent(counted.count / counted.of)})" if counted.of and counted.count else ""
    return f"{counted.count:,} of {counted.of:,}{share}"


def _medians(finding: Finding) -> str:
    """`+46.8 ms before, −0.5 ms after`, against the acknowledgement."""
    names = [arm for arm in ("before", "after") if f"{arm}_median_ms" in finding.facts]
    return ", ".join(f"{signed_ms(float(finding.facts[f'{arm}_median_ms'] or 0))} {arm}" for arm in names)


def _deleted_after(finding: Finding) -> str:
    text = in_both(finding, "Entries deleted only after the write was acknowledged")
    return f"{text} In the median: {_medians(finding)}, against the acknowledgement."


def _set_again(finding: Finding) -> str:
    text = "Deleted before the acknowledgement, then the old value was set again, and nothing deleted it behind that"
    racing = [
        f"{finding.facts[f'{arm}_in_flight_set_again']} of {finding.facts[f'{arm}_in_flight']} {arm}"
        for arm in ("before", "after")
        if finding.facts.get(f"{arm}_in_flight")
    ]
    return in_both(finding, text) + (f" With a read under way: {', '.join(racing)}." if racing else "")


def _without_cache(finding: Finding) -> str:
    parts = []
    if _sum(finding, "unread_stale"):
        parts.append("of keys that nobody had read")
    if _sum(finding, "uncached_stale"):
        parts.append(f"on {finding.facts['routes']}, without any cache status")
    return f"{in_both(finding, f'Stale reads {listed(parts)}')} Nothing old can be cached there: the cache is innocent."


def _sum(finding: Finding, name: str) -> int:
    return sum(int(finding.facts.get(f"{arm}_{name}") or 0) for arm in ("before", "after"))


def _stale_workload(finding: Finding) -> str:
    within_ms = float(finding.facts.get("within_ms") or 0)
    if not within_ms:
        return in_both(finding, "Old answers among the workload's own reads")
    text = in_both(finding, f"Answers older than the agreed {number(within_ms)} ms among the workload's own reads")
    agreed = [
        f"{int(finding.facts[f'{arm}_agreed'] or 0):,} {arm}"
        for arm in ("before", "after")
        if finding.facts.get(f"{arm}_agreed") is not None
    ]
    return f"{text} Old, but within it: {', '.join(agreed)}."


def _outlives_ttl(finding: Finding) -> str:
    arms = [arm for arm in ("before", "after") if finding.facts.get(f"{arm}_oldest_ms") is not None]
    ttls = [_seconds(finding.facts[f"{arm}_ttl_ms"]) for arm in arms]
    oldest = [f"{_seconds(finding.facts[f'{arm}_oldest_ms'])} {arm}" for arm in arms]
    renewals = [f"{int(finding.facts[f'{arm}_renewals'] or 0):,} times {arm}" for arm in arms]
    text = in_both(finding, f"Old HITs beyond the time to live of {listed(list(dict.fromkeys(ttls)))}")
    return (
        f"{text} The oldest: {', '.join(oldest)}. The keys' expiry was set again while they lived, {listed(renewals)}."
    )


def _seconds(value_ms: float | int | str | bool | None) -> str:
    value = float(value_ms or 0)
    return f"{number(value)} ms" if value < 1000 else f"{number(value / 1000)} s"


SENTENCES: dict[str, Callable[[Finding], str]] = {
    "phantom-reads": lambda finding: in_both(finding, "Values that no accepted write wrote were read"),
    "deleted-after-acknowledgement": _deleted_after,
    "stale-without-cache": _without_cache,
    "deleted-before-acknowledgement-and-set-again": _set_again,
    "outlives-ttl": _outlives_ttl,
    "stale-workload-reads": _stale_workload,
    "write-flushes": lambda finding: in_both(finding, "Writes during which all keys of the cache went (a flush)"),
}

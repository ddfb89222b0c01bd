"""Findings in words: one row for each of `luckyhit.judge.findings.FINDERS`."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.wording import percent
from luckyhit.records import CACHE_STATUSES, Counted, Finding, Result


def finding_lines(result: Result) -> list[str]:
    """All findings of a result, a sentence or a few each, the weightiest first."""
    return [sentence_of(finding) for finding in result.findings]


def sentence_of(finding: Finding) -> str:
    """One finding as a sentence, or a few."""
    return SENTENCES[finding.id](finding)


def unexpected_rows(result: Result) -> list[tuple[str, ...]]:
    """Of each kind of answer that was not as the case says, one example: the cells of `UNEXPECTED_HEADINGS`."""
    examples = [row for finding in result.findings if finding.id == "unexpected-answers" for row in finding.examples]
    names = ("arm", "route", "status", "cache", "count", "request", "wrong")
    return [tuple(f"{row[name]:,}" if name == "count" else str(row[name]) for name in names) for row in examples]


UNEXPECTED_HEADINGS = ("Arm", "Route", "Status", "Cache", "Answers", "Example", "What is wrong")


def in_both(finding: Finding, subject: str) -> str:
    """`subject` with its counts: `66 of 766 (8.6 %) before, 0 of 767 after`."""
    arms = (("before", finding.before), ("after", finding.after))
    counts = [f"{_counted(counted)} {arm}" for arm, counted in arms if counted]
    return f"{subject}: {', '.join(counts)}."


def _counted(counted: Counted) -> str:
    share = f" ({percent(counted.count / counted.of)})" if counted.of and counted.count else ""
    return f"{counted.count:,} of {counted.of:,}{share}"


def _same_bytes(finding: Finding) -> str:
    facts = finding.facts
    if facts["compared"] == "arms":
        return in_both(finding, f"Answers with the bytes of another URL's (route {facts['route']})")
    routes = {facts["route"], facts["other_route"]}
    pair = f"route {facts['route']}" if len(routes) == 1 else f"{facts['route']} as {facts['other_route']}"
    text = in_both(finding, f"Wrong, not old: hits with the bytes of another URL ({pair})")
    return f"{text} Of {_plain(facts['misses'])} misses: {_plain(facts['misses_wrong'])}."


def _unexpected(finding: Finding) -> str:
    facts = finding.facts
    text = in_both(finding, "Answers that are not as the case says")
    arms = [arm for arm, counted in (("before", finding.before), ("after", finding.after)) if counted]
    split = {cache: sum(int(facts.get(f"{arm}_{cache}") or 0) for arm in arms) for cache in CACHE_STATUSES}
    total, good = sum(split.values()), sum(int(facts.get(f"{arm}_good_status") or 0) for arm in arms)
    status = "all with a status of 200 to 299" if good == total else f"{good:,} with a status of 200 to 299"
    statuses = ", ".join(f"{count:,} {cache}" for cache, count in split.items() if count)
    example = next(iter(finding.examples), None)
    shown = f" For example {example['request']}: {example['wrong']}." if example else ""
    return f"{text} Cache status: {statuses}; {status}.{shown}"


def _differing(finding: Finding) -> str:
    facts = finding.facts
    text = f"The same request, different bytes in the two arms: {_share(facts['differ'], facts['slots'])}"
    text += f"; where both made their answer anew {_share(facts['made_differ'], facts['made'])}."
    if facts["differ_in_version"]:
        text += f" In {_plain(facts['differ_in_version'])} of them the version differs: old data."
    return text


def _share(count: float | int | str | bool | None, whole: float | int | str | bool | None) -> str:
    return _counted(Counted(count=int(count or 0), of=int(whole or 0)))


def _plain(count: float | int | str | bool | None) -> str:
    return f"{int(count or 0):,}"


SENTENCES: dict[str, Callable[[Finding], str]] = {
    "same-bytes-other-url": _same_bytes,
    "unexpected-answers": _unexpected,
    "phantom-reads": lambda finding: in_both(finding, "Values that no accepted write wrote were read"),
    "stale-workload-reads": lambda finding: in_both(finding, "Old answers among the workload's own reads"),
    "stale-by-status": lambda finding: in_both(
        finding, "Stale reads told as a miss (the nearer cache asked anew, the old body came from behind it)"
    ),
    "changed-without-write": lambda finding: in_both(
        finding, "Answers that went back to an earlier body, with no write between (URLs between two writes)"
    ),
    "arms-differ": _differing,
}

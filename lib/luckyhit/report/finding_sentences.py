"""Findings in words: one row for each of `luckyhit.judge.findings.FINDERS`."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.belief.words import in_doubt
from luckyhit.judge.wording import number, percent
from luckyhit.records import Arm, Counted, Doubt, Finding, Result


def finding_lines(result: Result) -> list[str]:
    """All findings of a result, a sentence or a few each, the weightiest first."""
    return [sentence_of(finding) for finding in result.findings]


def sentence_of(finding: Finding) -> str:
    """One finding as a sentence, or a few."""
    return SENTENCES[finding.id](finding)


def in_both(finding: Finding, subject: str) -> str:
    """`subject` with its counts: `66 of 766 (8.6 %) before, 0 of 767 after`."""
    arms = (("before", finding.before), ("after", finding.after))
    counts = [f"{_counted(counted)} {arm}" for arm, counted in arms if counted]
    return f"{subject}: {', '.join(counts)}."


def _counted(counted: Counted) -> str:
    share = f" ({percent(counted.count / counted.of)})" if counted.of and counted.count else ""
    return f"{counted.count:,} of {counted.of:,}{share}"


def _status(finding: Finding) -> str:
    doubts: dict[Arm, list[Doubt]] = {}
    both = all(f"counters_hit_ratio_{arm}" in finding.facts for arm in ("before", "after"))
    # Where the cache's own ratios follow, one of them need not be said twice.
    for row in [row for row in finding.examples if not both or row["doubt"] != "counters-disagree"] or finding.examples:
        numbers = {name: value for name, value in row.items() if name not in ("arm", "doubt", "count", "of")}
        doubt = {"id": row["doubt"], "count": row["count"], "of": row["of"], "facts": numbers}
        doubts.setdefault("before" if row["arm"] == "before" else "after", []).append(Doubt.model_validate(doubt))
    own = [
        f"{percent(float(share))} {arm}"
        for arm in ("before", "after")
        if (share := finding.facts.get(f"counters_hit_ratio_{arm}")) is not None
    ]
    counted = f" Of the look-ups that the cache itself counted, {' and '.join(own)} found their key." if own else ""
    return f"{in_doubt(doubts)} So its hit ratio is not shown.{counted}"


def _growth(finding: Finding) -> str:
    facts, other = finding.facts, "after" if finding.facts["arm"] == "before" else "before"
    ms = {name: number(float(value or 0)) for name, value in facts.items() if name.endswith("_ms")}
    return (
        f"The longer it runs, the slower: like answers of route {facts['route']} took {ms['first_ms']} ms at first and "
        f"{ms['last_ms']} ms at the end {facts['arm']}, {ms['other_first_ms']} ms and {ms['other_last_ms']} ms {other}."
    )


SENTENCES: dict[str, Callable[[Finding], str]] = {
    "status-not-believable": _status,
    "phantom-reads": lambda finding: in_both(finding, "Values that no accepted write wrote were read"),
    "stale-workload-reads": lambda finding: in_both(finding, "Old answers among the workload's own reads"),
    "latency-grows": _growth,
    "replayed-counts": lambda finding: in_both(
        finding,
        f"Hits of {finding.facts['routes']} told again the database calls of the answer that was stored, and are taken "
        "to have made none",
    ),
}

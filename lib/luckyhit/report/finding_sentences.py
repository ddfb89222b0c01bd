"""Findings in words: one row for each of `luckyhit.judge.findings.FINDERS`."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.wording import percent
from luckyhit.records import Counted, Finding, Result


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


SENTENCES: dict[str, Callable[[Finding], str]] = {
    "phantom-reads": lambda finding: in_both(finding, "Values that no accepted write wrote were read"),
    "stale-workload-reads": lambda finding: in_both(finding, "Old answers among the workload's own reads"),
}

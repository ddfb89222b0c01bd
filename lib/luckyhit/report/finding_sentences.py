"""Findings in words: one row for each of `luckyhit.judge.findings.FINDERS`."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.wording import percent
from luckyhit.records import Counted, Finding
from luckyhit.report.layer_rows import layers_sentence


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


SENTENCES: dict[str, Callable[[Finding], str]] = {
    "phantom-reads": lambda finding: in_both(finding, "Values that no accepted write wrote were read"),
    "stale-workload-reads": lambda finding: in_both(finding, "Old answers among the workload's own reads"),
    "layers": layers_sentence,
}

"""Findings in words: one row for each of `luckyhit.judge.findings.FINDERS`."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.wording import number, percent
from luckyhit.records import Counted, Finding


def sentence_of(finding: Finding) -> str:
    """One finding as a sentence, or a few."""
    return SENTENCES[finding.id](finding)


def in_both(finding: Finding, what: str) -> str:
    """`what` with its counts: `66 of 766 (8.6 %) before, 0 of 767 after`."""
    told = [
        f"{_counted(count)} {arm}" for arm, count in (("before", finding.before), ("after", finding.after)) if count
    ]
    return f"{what}: {', '.join(told)}."


def _probe_is_the_load(finding: Finding) -> str:
    facts = finding.facts
    declared = facts["declared_rate_per_s"]
    asked = f" (freshness.rate: {number(float(declared))}/s)" if declared is not None else ""
    return (
        f"The freshness probe{asked} added {facts['probe_requests']:,} requests to the workload's "
        f"{facts['workload_requests']:,} (+{percent(float(facts['added_share'] or 0))}), in all arms together: what it "
        "found may be what it caused."
    )


_SHARES = {"stale": "old answers to the workload", "hit": "hits of the workload"}


def _probe_changes_the_picture(finding: Finding) -> str:
    """The share that surely differs, and the other one beside it where it differs at all: both are counts."""
    facts = finding.facts
    told = []
    for what in sorted(_SHARES, key=lambda name: name != facts["share"]):
        for arm in ("before", "after"):
            slots, sure = facts.get(f"{what}_slots_{arm}"), facts.get(f"{what}_differs_{arm}")
            beside, alone = (int(facts.get(f"{what}_{side}_{arm}") or 0) for side in ("probed", "control"))
            if slots and (sure or (what == "stale" and beside > 0 == alone and facts[f"hit_differs_{arm}"])):
                told.append(f"{_SHARES[what]} {beside:,} of {slots:,} with it, {alone:,} without ({arm})")
    return f"The freshness probe makes a part of what it finds. To the same requests: {'; '.join(told)}."


def _counted(counted: Counted) -> str:
    share = f" ({percent(counted.count / counted.of)})" if counted.of and counted.count else ""
    return f"{counted.count:,} of {counted.of:,}{share}"


def _variants_differ(finding: Finding) -> str:
    facts = finding.facts
    others = Finding(id=finding.id)
    for arm in ("before", "after"):
        if reads := facts.get(f"other_reads_{arm}"):
            counted = Counted(count=int(facts[f"other_stale_{arm}"] or 0), of=int(reads))
            others = others.model_copy(update={arm: counted})
    stale = in_both(finding, f"Stale reads of variant {facts['variant']}").removesuffix(".")
    fresher = f"of variant {facts['other']}"
    return f"{stale}; {in_both(others, fresher)}"


def _cache_outlives_clear(finding: Finding) -> str:
    differ = ": the arms started from different states" if finding.facts["arms_differ"] else ""
    what = "Blocks in which a cache answered the first read behind the clear, of a key that nobody else reads"
    return in_both(finding, what).removesuffix(".") + f"{differ}."


SENTENCES: dict[str, Callable[[Finding], str]] = {
    "probe-changes-the-picture": _probe_changes_the_picture,
    "probe-is-the-load": _probe_is_the_load,
    "phantom-reads": lambda finding: in_both(finding, "Values that no accepted write wrote were read"),
    "variants-differ": _variants_differ,
    "cache-outlives-clear": _cache_outlives_clear,
    "stale-workload-reads": lambda finding: in_both(finding, "Old answers among the workload's own reads"),
}

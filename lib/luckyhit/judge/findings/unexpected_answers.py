"""Answers that were complete, and not as the case expects: how many, with which cache status, and an example of each
kind. A 200 that is wrong weighs more than an honest 503."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.records import CACHE_STATUSES, Arm, CountOf, RunFinding

MOST_EXAMPLES = 12
_FIELDS = ("arm", "route", "request", "status", "wrong", "body", "reason", "cache", "count")
_KIND = ("arm", "route", "reason", "status", "cache")


def unexpected_answers(evidence: Evidence) -> RunFinding | None:
    if evidence.rows is not None and not any(rows.unexpected.any() for rows in evidence.rows_with().parts()):
        return None
    answered, wrong = _counted(evidence)
    if not wrong:
        return None
    facts: Facts = {}
    counts: dict[Arm, CountOf] = {}
    for arm in evidence.arms:
        statuses: Counter[str] = Counter()
        good = 0
        for (_, status, cache), count in ((kind, count) for kind, count in wrong.items() if kind[0] == arm):
            statuses[cache] += count
            good += count if _good(status) else 0
        counts[arm] = CountOf(count=statuses.total(), of=answered[arm])
        facts[f"{arm}_good_status"] = good
        facts |= {f"{arm}_{cache}": statuses[cache] for cache in CACHE_STATUSES if statuses[cache]}
    examples = sorted(_examples(evidence), key=lambda row: (not _good(row["status"]), -row["count"]))
    return run_finding("unexpected-answers", counts, facts, examples[:MOST_EXAMPLES])


def _counted(evidence: Evidence) -> tuple[Counter[str], Counter[tuple[str, int | None, str]]]:
    """(answers by arm, unexpected ones by arm, status and cache status), of the measured phase."""
    answered: Counter[str] = Counter()
    wrong: Counter[tuple[str, int | None, str]] = Counter()
    for part in evidence.in_parts("error", "status", "cache"):
        measured = part.filter(pc.equal(part["phase"], "measure"))
        for group in measured.group_by(["arm", "error"]).aggregate([([], "count_all")]).to_pylist():
            if group["error"] in (None, "unexpected"):
                answered[group["arm"]] += group["count_all"]
        unexpected = measured.filter(pc.equal(measured["error"], "unexpected"))
        for group in unexpected.group_by(["arm", "status", "cache"]).aggregate([([], "count_all")]).to_pylist():
            wrong[group["arm"], group["status"], group["cache"]] += group["count_all"]
    return answered, wrong


def _good(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def _examples(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Of each kind the first that a block kept, with the counts of all blocks, warm-up included."""
    kinds: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in evidence.entries:
        for example in entry.examples:
            given = example.model_dump(include={*_FIELDS}) | {"count": 0}
            row = kinds.setdefault(tuple(given[name] for name in _KIND), given)
            row["count"] += example.count
    yield from kinds.values()

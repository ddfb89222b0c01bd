"""Answers that were whole, and not what the case says: how many, with which status of the cache, and an example of each
kind. A 200 that is wrong weighs more than an honest 503."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.compute as pc

from luckyhit.judge.evidence import Evidence
from luckyhit.records import CACHE_STATUSES, Counted, Finding

ID = "unexpected-answers"
MOST_EXAMPLES = 12
_FIELDS = ("arm", "route", "request", "status", "wrong", "body", "reason", "cache", "count")
_KIND = ("arm", "route", "reason", "status", "cache")


def find(evidence: Evidence) -> Finding | None:
    table = evidence.requests("error", "status", "cache")
    table = table.filter(pc.equal(table["phase"], "measure"))
    groups = table.group_by(["arm", "error", "status", "cache"]).aggregate([([], "count_all")]).to_pylist()
    answered = [group for group in groups if group["error"] in (None, "unexpected")]
    wrong = [group for group in answered if group["error"] == "unexpected"]
    if not wrong:
        return None
    facts: dict[str, float | int | str | bool | None] = {}
    by_arm = {}
    for arm in evidence.arms:
        of_arm = [group for group in wrong if group["arm"] == arm]
        whole = sum(group["count_all"] for group in answered if group["arm"] == arm)
        by_arm[arm] = Counted(count=sum(group["count_all"] for group in of_arm), of=whole)
        facts[f"{arm}_good_status"] = sum(group["count_all"] for group in of_arm if _good(group["status"]))
        statuses: Counter[str] = Counter()
        for group in of_arm:
            statuses[group["cache"]] += group["count_all"]
        facts |= {f"{arm}_{cache}": statuses[cache] for cache in CACHE_STATUSES if statuses[cache]}
    examples = sorted(_examples(evidence), key=lambda row: (not _good(row["status"]), -row["count"]))
    return Finding(
        id=ID, before=by_arm.get("before"), after=by_arm.get("after"), facts=facts, examples=examples[:MOST_EXAMPLES]
    )


def _good(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def _examples(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Of each kind the first that a block kept, with the counts of all blocks (warm-up included)."""
    kinds: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in evidence.entries:
        for example in entry.get("examples") or ():
            if not _whole(example):
                continue  # of an older version, or of another program
            kind = tuple(example[name] for name in _KIND)
            row = kinds.setdefault(kind, {**{name: example[name] for name in _FIELDS}, "count": 0})
            row["count"] += example["count"]
    yield from kinds.values()


def _whole(example: object) -> bool:
    if not isinstance(example, Mapping):
        return False
    numbers = [example.get("status"), example.get("count")]
    texts = [example.get(name) for name in _FIELDS if name not in ("status", "count")]
    return all(type(value) is int for value in numbers) and all(isinstance(value, str) for value in texts)


__all__ = ["ID", "find"]

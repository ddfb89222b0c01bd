"""What each cache on the way did, as a table and as one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.records import RunFinding

ID = "layers"
"""The finding that holds them (luckyhit.judge.findings.layers)."""
HEADINGS = ("Arm", "Cache, nearest first", "Asked", "Hits", "Misses", "Stale", "Took no part")
LONE_NAMES = {
    "age": "Age",
    "date": "a Date that stood still",
    "expires": "an Expires that stood still",
    "replay": "what came again of an earlier answer",
}
"""How a layer is told that has no header of its own."""
_MOST_NAMED = 2


def layer_rows(findings: Sequence[RunFinding]) -> list[tuple[str, ...]]:
    """Rows under HEADINGS; none where there is nothing to tell apart."""
    rows: list[tuple[str, ...]] = []
    for row in (row for finding in findings if finding.id == ID for row in finding.examples):
        counts = [_count(row, word) for word in ("hit", "miss", "stale", "bypass")]
        rows.append((str(row.get("arm")), _name(row), *(f"{count:,}" for count in (sum(counts), *counts))))
    return rows


def layers_sentence(finding: RunFinding) -> str:
    """Both arms in one sentence: the two nearest caches, each with its hits and how often it was asked."""
    arms = []
    for arm in ("before", "after"):
        of_arm = [row for row in finding.examples if row.get("arm") == arm]
        if of_arm:
            named = [
                f"{_name(row)} {_count(row, 'hit'):,} hits of {sum(_count(row, word) for word in _ALL):,}"
                for row in of_arm[:_MOST_NAMED]
            ]
            arms.append(f"{arm}: {', then '.join(named)}")
    return f"Caches on the way, the nearest first. {'; '.join(arms).capitalize()}."


_ALL = ("hit", "miss", "stale", "bypass")


def _name(row: dict[str, float | int | str | bool | None]) -> str:
    name = str(row.get("layer"))
    return f"one told from {LONE_NAMES[name]}" if name in LONE_NAMES else name


def _count(row: dict[str, float | int | str | bool | None], word: str) -> int:
    value = row.get(word)
    return int(value) if value is not None else 0

"""The keys that a run cleared, and those that it left alone, over all clears of its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luckyhit.records.journal import Step
from luckyhit.text.numbers import DASH

NAMES = {
    "scanned": "Looked at",
    "matched": "In scope: they match a declared template exactly",
    "cleared": "Cleared by the run",
    "gone": "Already gone when the run came to them",
    "without_ttl_kept": "In scope, kept: without a time to live they may be the data itself",
    "contended": "In scope, left alone: written by others at each attempt",
    "rewritten": "Rewritten just before; the backup has the newest value",
    "unguarded": "Possibly written just before (no permission to WATCH)",
    "appeared": "In scope, new afterwards",
    "outside": "Outside the scope, left alone",
    "outside_gone": "of these gone afterwards: expired, evicted, or removed by others",
}
_ALWAYS = ("scanned", "matched", "cleared", "gone", "without_ttl_kept", "appeared", "outside")
"""Shown even where they are zero: that they are is the answer."""


@dataclass(frozen=True)
class ClearedKeys:
    """`rows`: (label, in all clears together, in one clear). `proof`: sentences about the keys outside the scope."""

    clears: int
    rows: list[tuple[str, str, str]]
    proof: list[str]


def cleared_keys(steps: Sequence[Step]) -> ClearedKeys:
    """Of the `clear` steps of a journal. A key that is there at each clear counts in each of them."""
    rows = []
    for name, label in NAMES.items():
        counts = numbers(steps, name)
        if name in _ALWAYS or any(counts):
            rows.append((label, counted(steps, name), _range(counts)))
    return ClearedKeys(len(steps), rows, _proof(steps) if steps else [])


def numbers(steps: Sequence[Step], name: str) -> list[int]:
    """The count `name` of each clear that noted it."""
    counts = [step.outcome.get(name) for step in steps]
    return [value for value in counts if isinstance(value, int) and not isinstance(value, bool) and value >= 0]


def counted(steps: Sequence[Step], name: str) -> str:
    """All clears together; a dash where none noted it."""
    counts = numbers(steps, name)
    if not counts:
        return DASH
    missing = len(steps) - len(counts)
    return f"{sum(counts):,}" + (f" (not noted by {missing} of {len(steps)} clears)" if missing else "")


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return DASH
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"


def _proof(steps: Sequence[Step]) -> list[str]:
    named, outside = numbers(steps, "named"), numbers(steps, "outside")
    if len(named) < len(steps) or len(outside) < len(steps):
        return ["Not all clears noted what they left alone, so nothing shows it."]
    texts = [
        f"The run removes keys with UNLINK only. It named {sum(named):,} keys in such commands, each matched against "
        "the declared templates right before the command was sent; all others were only listed (SCAN)."
    ]
    fewer = sum(numbers(steps, "outside_gone"))
    if not any(outside):
        texts.append("There was no key outside the scope.")
    elif not fewer:
        texts.append("No clear left fewer keys outside the scope than there were before it.")
    else:
        expired = sum(numbers(steps, "expired_meanwhile"))
        texts.append(
            f"During the clears {fewer:,} keys outside the scope disappeared; the run named none of them. Meanwhile "
            f"the servers themselves expired or evicted {expired:,} keys, in scope or not."
        )
    digests = [step.detail.get("listed_sha256") for step in steps if step.detail.get("listed")]
    if digests and all(isinstance(digest, str) for digest in digests):
        texts.append("The journal had the number and the SHA-256 of the listed keys before any was removed.")
    return texts

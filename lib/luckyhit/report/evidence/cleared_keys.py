"""The keys that a run cleared, and those that it left alone: all clears of its journal counted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luckyhit.records.journal import Step
from luckyhit.text.numbers import DASH

NAMES = {
    "scanned": "Looked at",
    "matched": "In scope: they match a declared template exactly",
    "cleared": "Cleared by the run",
    "gone": "Gone already when the run came",
    "without_ttl_kept": "In scope, kept: no time to live, so they may be the data itself",
    "contended": "In scope, left alone: somebody wrote them whenever the run came",
    "rewritten": "Rewritten just before, and backed up as they were last",
    "unguarded": "A value written just before can't be ruled out (no right to WATCH)",
    "appeared": "In scope, newly there afterwards",
    "outside": "OUTSIDE THE SCOPE, LEFT ALONE",
    "outside_gone": "of these no longer there afterwards: expired, evicted, or removed by others",
}
_ALWAYS = ("scanned", "matched", "cleared", "gone", "without_ttl_kept", "appeared", "outside")
"""Shown even where they are zero: that they are is the answer."""


@dataclass(frozen=True)
class ClearedKeys:
    """`rows`: (what, in all clears together, in one clear). `proof`: sentences about the keys outside the scope."""

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
    """What each clear tells of `name`; those that don't are left out."""
    counts = [step.outcome.get(name) for step in steps]
    return [value for value in counts if isinstance(value, int) and not isinstance(value, bool) and value >= 0]


def counted(steps: Sequence[Step], name: str) -> str:
    """All clears together; a dash where none tells, and said so where not all do."""
    counts = numbers(steps, name)
    if not counts:
        return DASH
    missing = len(steps) - len(counts)
    return f"{sum(counts):,}" + (f" (not told by {missing} of {len(steps)} clears)" if missing else "")


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return DASH
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"


def _proof(steps: Sequence[Step]) -> list[str]:
    named, outside = numbers(steps, "named"), numbers(steps, "outside")
    if len(named) < len(steps) or len(outside) < len(steps):
        return ["Not all clears tell what they left alone, so for those nothing here shows it."]
    texts = [
        f"The run removes keys by UNLINK alone. It named {sum(named):,} keys in such commands, and matched each of "
        "them against the declared templates right before the command was sent; all others were only listed (SCAN)."
    ]
    fewer = sum(numbers(steps, "outside_gone"))
    if not any(outside):
        texts.append("There was no key outside the scope.")
    elif not fewer:
        texts.append("After each clear, no key fewer was there outside the scope than before it.")
    else:
        expired = sum(numbers(steps, "expired_meanwhile"))
        texts.append(
            f"During the clears {fewer:,} keys outside the scope went away; the run named none of them. In that time "
            f"the servers themselves expired or evicted {expired:,} keys, in scope or not."
        )
    digests = [step.detail.get("listed_sha256") for step in steps if step.detail.get("listed")]
    if digests and all(isinstance(digest, str) for digest in digests):
        texts.append("Before anything was removed, the journal had the number and the SHA-256 of the listed keys.")
    return texts

"""Reads of the probe that came later than the declared bound: how many were stale, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luckyhit.judge.facade import ShareBounds, bounds_of_run, late_among, share_of, uncompared
from luckyhit.report.recorded import Recorded
from luckyhit.scrub.characters import visible
from luckyhit.text.numbers import number, percent

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Late:
    """Reads of one arm later than the bound: how many of those that tell were stale, and how many told nothing.
    `zero_bound`: what no stale read leaves possible, as the result has it; None where there was one, or no read."""

    stale: int
    reads: int
    unknown: int = 0
    zero_bound: float | None = None


def bounds_of(recorded: Recorded) -> ShareBounds:
    """Of a share of stale reads, at the level of the run's metric."""
    if recorded.case is None or not recorded.changed:
        return uncompared
    return bounds_of_run(recorded.case, len(recorded.numbers("change")))


def late(recorded: Recorded) -> dict[str, Late]:
    """What was read later than the declared bound; arms without a read that tells are left out."""
    if recorded.within_s is None:
        return {}
    counted = late_among(recorded.classified, recorded.within_s)
    by_label = {}
    for label, arm_reads in recorded.by_arm(counted):
        share = share_of(arm_reads)
        if share.reads:
            facts = (
                recorded.result.freshness.get("after" if label == "after" else "before") if recorded.result else None
            )
            bound = facts.zero_bound if facts is not None else bounds_of(recorded)(0, share.reads)[1]
            by_label[label] = Late(share.stale, share.reads, share.unknown, None if share.stale else bound)
    return by_label


LONGEST_KEY = 40
NOT_VISIBLE = "Freshness was not visible: no read of a probe could be compared with a write."


def where(label: str) -> str:
    """An arm, as part of a sentence that may also say "after 5 ms"."""
    return {"before": "without the change", "after": "with the change"}.get(label, "in the baseline")


def bound_text(within_s: float | None) -> str:
    if not within_s:
        return "No staleness is declared acceptable, so every read after the acknowledgement counts"
    return f"Later than the declared {seconds_text(within_s)}"


def late_text(part: Late, *, with_bound: bool = True) -> str:
    """`38 of 40 reads were stale`; of none, with what that leaves possible."""
    text = f"{part.stale:,} of {part.reads:,} reads {'was' if part.stale == 1 else 'were'} stale"
    bound = part.zero_bound if with_bound else None
    return text if bound is None else f"{text} (which leaves up to {percent(bound)} possible)"


def short(text: str) -> str:
    """A key, cut to what a sentence can hold."""
    plain = visible(text[: 4 * LONGEST_KEY])
    return plain if len(plain) <= LONGEST_KEY else f"{plain[: LONGEST_KEY - 1]}…"


def seconds_text(value_s: float) -> str:
    return milliseconds(value_s * 1e3) if value_s < 1 else f"{number(value_s)} s"


def milliseconds(value: float) -> str:
    return f"{number(value)} ms"

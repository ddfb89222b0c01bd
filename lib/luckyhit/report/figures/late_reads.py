"""Reads of the probe later than the declared bound: how many were stale, in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from luckyhit.judge.facade import ProportionBounds, bounds_of_run, facts_of_probe, uncompared
from luckyhit.records import Arm, FreshnessFacts
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.scrub.characters import visible
from luckyhit.text.numbers import number, percent


@dataclass(frozen=True)
class Late:
    """Reads of one arm later than the bound: stale ones of those with a version, and those without (`unknown`).
    `zero_bound`: what no stale read leaves possible; None if there was one, or no read."""

    stale: int
    reads: int
    unknown: int = 0
    zero_bound: float | None = None


def bounds_of(recorded: Recorded) -> ProportionBounds:
    """Bounds of a share of stale reads, at the error rate of the run's metric."""
    if recorded.case is None or not recorded.changed:
        return uncompared
    return bounds_of_run(recorded.case, len(recorded.numbers("change")))


def late(recorded: Recorded) -> dict[str, Late]:
    """By label; arms without a read that counts are left out."""
    by_label = {}
    for arm in ARMS:
        facts = facts_of(recorded, arm)
        if facts is not None and facts.share is not None:
            by_label[recorded.label(arm)] = Late(
                facts.stale, facts.stale + facts.fresh, facts.unknown, facts.zero_bound
            )
    return by_label


def facts_of(recorded: Recorded, arm: Arm) -> FreshnessFacts | None:
    """What the probe found in one arm of the compared blocks, from the result if it counted reads."""
    judged = recorded.result.freshness.get(arm) if recorded.result is not None else None
    return judged if judged is not None and judged.reads else _counted(recorded, recorded.probe, arm)


def facts_of_baseline(recorded: Recorded) -> FreshnessFacts | None:
    """The same of the baseline."""
    if not recorded.changed:
        return facts_of(recorded, "before")
    judged = recorded.result.baseline_freshness if recorded.result is not None else None
    return (
        judged if judged is not None and judged.reads else _counted(recorded, recorded.probe_of("baseline"), "before")
    )


def _counted(recorded: Recorded, probe: tuple[pd.DataFrame, pd.DataFrame], arm: Arm) -> FreshnessFacts | None:
    if recorded.within_s is None:
        return None
    reads, writes = (frame[(frame["arm"] == arm).to_numpy(dtype=bool)] for frame in probe)
    return facts_of_probe(reads, writes, recorded.within_s, bounds_of(recorded))


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
    """`38 of 40 reads of the probe were stale`; for none, with what that leaves possible."""
    text = f"{part.stale:,} of {part.reads:,} reads of the probe {'was' if part.stale == 1 else 'were'} stale"
    bound = part.zero_bound if with_bound else None
    return text if bound is None else f"{text} (which leaves up to {percent(bound)} possible)"


def short(text: str) -> str:
    """A key, cut for a sentence."""
    plain = visible(text[: 4 * LONGEST_KEY])
    return plain if len(plain) <= LONGEST_KEY else f"{plain[: LONGEST_KEY - 1]}…"


def seconds_text(value_s: float) -> str:
    return milliseconds(value_s * 1e3) if value_s < 1 else f"{number(value_s)} s"


def milliseconds(value: float) -> str:
    return f"{number(value)} ms"

"""How many pairs the verdict took, beside the least there could be; and when somebody looked."""

from __future__ import annotations

from dataclasses import dataclass

from luckyhit.records import GoalName, Result
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables.metric_rows import in_order
from luckyhit.text.numbers import DASH, listed, number, sentence_case
from luckyhit.text.quantities import name_of

HEADINGS = ("Metric", "Pairs used", "Expected", "Wald's least", "Used / least")
MOST_LOOKS = 200


@dataclass(frozen=True)
class HowMany:
    """`rows` as `HEADINGS`; `looks`: a sentence on when the run was looked at, empty where it was once, at its end."""

    rows: list[tuple[str, ...]]
    looks: str


def how_many(recorded: Recorded) -> HowMany | None:
    """None where the run was not judged, or has no goal."""
    result = recorded.result
    if result is None:
        return None
    rows = [_row(result, name) for name in in_order(result) if result.metrics[name].verdict is not None]
    return HowMany(rows, looks(recorded)) if rows else None


def _row(result: Result, name: GoalName) -> tuple[str, ...]:
    metric = result.metrics[name]
    least = metric.wald_pairs
    return (
        sentence_case(name_of(name)),
        f"{metric.pairs:,}" if metric.pairs else DASH,
        DASH if metric.expected_pairs is None else f"{metric.expected_pairs:,}",
        DASH if least is None else f"{least:,}",
        DASH if least is None or not metric.pairs else number(metric.pairs / least),
    )


def looks(recorded: Recorded) -> str:
    """`It was looked at after 1, 2 and 3 blocks: INCONCLUSIVE, INCONCLUSIVE, HELPED; there it stopped.`"""
    noted = recorded.manifest.looks
    if not noted:
        return ""
    blocks = listed([str(look.blocks) for look in noted[:MOST_LOOKS]])
    verdicts = ", ".join(str(look.verdict) for look in noted[:MOST_LOOKS])
    end = "there it stopped" if noted[-1].stopped else "it went on to the end"
    added = next((look.added for look in noted if look.added), 0)
    if added:
        few = f"{added} more block{' was' if added == 1 else 's were'} expected to decide"
        end = f"{few}, which the plan had not foreseen"
    last = "block" if noted[-1].blocks == 1 and len(noted) == 1 else "blocks"
    return f"The run was looked at after {blocks} {last} of the change: {verdicts}; {end}."


__all__ = ["HEADINGS", "HowMany", "how_many", "looks"]

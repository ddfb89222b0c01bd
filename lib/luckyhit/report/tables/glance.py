"""The run at a glance: how long, how much, undone or not, what it costs, trust, and what was not looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from luckyhit.records import Result
from luckyhit.report.evidence.checklist import Check
from luckyhit.report.figures.facts.course import spans, washouts
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables import contents, metric_rows
from luckyhit.text.numbers import listed, minutes, number, plural

GlanceId = Literal["took", "sent", "undone", "price", "trust", "not-looked-at"]
TITLES: Mapping[GlanceId, str] = {
    "took": "How long",
    "sent": "What it did to the service",
    "undone": "Undone?",
    "price": "What the change costs",
    "trust": "To be trusted?",
    "not-looked-at": "Not looked at",
}
MOST_NOT_SEEN = 3


@dataclass(frozen=True)
class Glance:
    """One answer. `ok`: good, bad, or (None) neither. `more`: the id of the part of the page that has the details."""

    id: GlanceId
    text: str
    more: str
    ok: bool | None = None

    @property
    def title(self) -> str:
        return TITLES[self.id]


def glances(
    recorded: Recorded, checklist: Sequence[Check], not_seen: Sequence[str], *, open_steps: int
) -> list[Glance]:
    """In the order of the page; those that say nothing about this run are left out."""
    made = [
        _took(recorded),
        _sent(recorded),
        _undone(recorded, open_steps),
        _price(recorded.result),
        _trust(recorded, checklist),
        _not_looked_at(not_seen),
    ]
    return [one for one in made if one is not None]


def _took(recorded: Recorded) -> Glance | None:
    stretches = [*spans(recorded), *washouts(recorded)]
    if not stretches:
        return None
    took_s = max(span.end_s for span in stretches) - min(span.start_s for span in stretches)
    counted_s = sum(max(span.end_s - span.measure_s, 0.0) for span in spans(recorded))
    text = f"{minutes(took_s)} from the first request to the last, in {plural(len(spans(recorded)), 'block')}; "
    return Glance("took", f"{text}{number(counted_s)} s of it count.", "figure-timeline")


def _sent(recorded: Recorded) -> Glance | None:
    requests = len(recorded.rows)
    if not requests:
        return None
    parts = [plural(requests, "request")]
    if len(recorded.writes):
        parts.append(f"{plural(len(recorded.writes), 'write')} and {plural(len(recorded.reads), 'read')} of the probe")
    keys = [report.cleared or 0 for block in recorded.manifest.blocks for report in (block.clear or {}).values()]
    if sum(keys):
        parts.append(f"{plural(sum(keys), 'key')} cleared")
    return Glance("sent", f"{listed(parts)}.", "actions")


def _undone(recorded: Recorded, open_steps: int) -> Glance | None:
    rollback = recorded.result.rollback if recorded.result else recorded.manifest.rollback
    if open_steps:
        return Glance("undone", f"No: {plural(open_steps, 'step')} open.", "open", ok=False)
    if not recorded.changed and not recorded.manifest.changed:
        return Glance("undone", "Nothing was changed.", "actions", ok=True)
    if rollback is None or not rollback.confirmed:
        return Glance("undone", "Not confirmed: `luckyhit revert` finishes it.", "rollback", ok=False)
    measured = {
        True: "Measured again, the service is as before.",
        False: "But measured again, something is not as before.",
        None: "It was not measured again.",
    }[rollback.same_as_before]
    return Glance(
        "undone", f"Yes, the rollback is confirmed. {measured}", "rollback", rollback.same_as_before is not False
    )


def _price(result: Result | None) -> Glance | None:
    """What got worse, or may have."""
    if result is None or result.verdict == "INVALID" or all(one.after is None for one in result.metrics.values()):
        return None
    rows = metric_rows.metrics(result)
    worse = [row for row in rows if row.costs or row.verdict == "HURT" or row.missed]
    if not worse:
        open_rows = [row.name.lower() for row in rows if row.verdict == "INCONCLUSIVE"]
        text = f"Not decided: {listed(open_rows)}." if open_rows else "Nothing that was looked at got worse."
        return Glance("price", text, "effect", ok=None if open_rows else True)
    texts = [f"{row.name} {row.before} → {row.after} ({_accepted(row)})" for row in worse]
    return Glance("price", f"{'; '.join(texts)}.", "effect", ok=all(row.costs for row in worse))


def _accepted(row: metric_rows.MetricRow) -> str:
    return f"accepted: margin {row.margin}" if row.costs and not row.missed else "more than accepted"


def _trust(recorded: Recorded, checklist: Sequence[Check]) -> Glance | None:
    guards = contents.guards(recorded)
    if not guards:
        return None
    held, passed = sum(guard.ok for guard in guards), sum(check.passed for check in checklist)
    text = f"{held} of {len(guards)} guards held; {passed} of {len(checklist)} questions of the checklist are answered."
    return Glance("trust", text, "q-trust", ok=held == len(guards) and passed == len(checklist))


def _not_looked_at(not_seen: Sequence[str]) -> Glance:
    if not not_seen:
        return Glance("not-looked-at", "Nothing that this report knows of.", "not-visible")
    shown = " ".join(not_seen[:MOST_NOT_SEEN])
    more = len(not_seen) - MOST_NOT_SEEN
    return Glance("not-looked-at", f"{shown} And {more} more." if more > 0 else shown, "not-visible")


def message(
    title: str, verdict: str, reason: str, rows: Sequence[metric_rows.MetricRow], answers: Sequence[Glance]
) -> str:
    """The report in a few lines of plain text, for a chat or a ticket."""
    lines = [f"{verdict}: {reason}", f"Case: {title}"]
    lines += [f"- {row.name}: {row.before} -> {row.after} ({row.effect}, interval {row.interval})" for row in rows]
    lines += [f"{one.title.rstrip('?')}: {one.text}" for one in answers if one.id != "took"]
    return "\n".join(lines)

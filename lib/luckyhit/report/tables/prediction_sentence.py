"""Whether a prediction came true, in words."""

from __future__ import annotations

from luckyhit.records import RunFinding
from luckyhit.text.numbers import listed
from luckyhit.text.quantities import name_of, value_text


def prediction_sentence(finding: RunFinding) -> str:
    """Each predicted metric beside what was measured; those that did not come true first."""
    rows = sorted(finding.examples, key=lambda row: bool(row["came_true"]))
    true, all_of_them = (finding.after.count, finding.after.of) if finding.after is not None else (0, 0)
    parts = [
        f"{name_of(str(row['metric']))} {_text(row, 'predicted')}, measured {_text(row, 'measured')}"
        f"{'' if row['came_true'] else ' (not as predicted)'}"
        for row in rows
    ]
    return f"Predictions for the after arm that came true: {true} of {all_of_them}. Predicted: {listed(parts)}."


def _text(row: dict[str, float | int | str | bool | None], which: str) -> str:
    name = str(row["metric"])
    value, low, high = (value_text(name, float(row[part] or 0)) for part in (which, f"{which}_low", f"{which}_high"))
    return f"{value} ({low} to {high})"

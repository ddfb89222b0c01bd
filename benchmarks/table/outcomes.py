"""What became of each row: from the lines that its command printed to one of six outcomes.

A row is `worse` if its ratio is worse than the recorded one by more than a tenth even where the noise is taken off; if
only the noise says so, it is `unclear`. `short`: as good as it was, and not yet what is wanted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from table_rows import Row

REGRESSION = 0.10
State = Literal["reached", "short", "unclear", "worse", "failed", "skipped"]
RED: frozenset[State] = frozenset({"worse", "failed"})
_WIDTH = 74


@dataclass(frozen=True, slots=True)
class Outcome:
    """`noise`: half the range over the rounds, as a part of the ratio. `note`: what the command adds, or why there is
    no ratio."""

    row: Row
    state: State
    ratio: float = math.nan
    noise: float = 0.0
    note: str = ""

    @property
    def red(self) -> bool:
        return self.state in RED


def told_rows(output: str) -> dict[str, dict[str, Any]]:
    """The rows that a command told, by id. Other lines are for people."""
    told = {}
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict) and isinstance(fields.get("row"), str):
            told[fields["row"]] = fields
    return told


def outcome_of(row: Row, fields: dict[str, Any] | None, otherwise: str = "") -> Outcome:
    """`fields`: what was told of the row; None: nothing, and `otherwise` says why."""
    if fields is None:
        return Outcome(row, "failed", note=otherwise or "its command told nothing of it")
    if reason := fields.get("skipped"):
        return Outcome(row, "skipped", note=str(reason))
    ratio, noise = fields.get("ratio"), fields.get("noise", 0.0)
    if not _is_ratio(ratio) or not _is_ratio(noise):
        return Outcome(row, "failed", note=f"its command told ratio {ratio!r} and noise {noise!r}: no numbers")
    return Outcome(row, _state(row, ratio, noise), ratio, noise, str(fields.get("note", "")))


def _is_ratio(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _state(row: Row, ratio: float, noise: float) -> State:
    if row.recorded is not None:
        if _worse(row, ratio * (1 + noise if row.more else 1 - noise)):
            return "worse"
        if _worse(row, ratio):
            return "unclear"
    reached = ratio >= row.wanted if row.more else ratio <= row.wanted
    return "reached" if reached else "short"


def _worse(row: Row, ratio: float) -> bool:
    """Whether `ratio` is worse than the recorded one by more than a tenth."""
    assert row.recorded is not None
    return ratio < row.recorded * (1 - REGRESSION) if row.more else ratio > row.recorded * (1 + REGRESSION)


def as_text(outcomes: Iterable[Outcome]) -> str:
    """The table for the terminal, and what is wrong below it."""
    lines = [f"{'':{_WIDTH}}{'ratio':>7}{'noise':>9}{'wanted':>9}{'recorded':>10}"]
    for one in outcomes:
        row = one.row
        wanted = f"{'≥' if row.more else '≤'} {row.wanted:g}"
        recorded = "–" if row.recorded is None else f"{row.recorded:.2f}"
        figures = f"{one.ratio:7.2f}{f'± {one.noise:.0%}':>9}" if math.isfinite(one.ratio) else f"{'–':>7}{'':>9}"
        lines.append(f"{row.what:{_WIDTH}}{figures}{wanted:>9}{recorded:>10}  {one.state}")
        if one.note:
            lines.append(f"    {one.note}")
    return "\n".join(lines)


def with_recorded(text: str, outcomes: Iterable[Outcome]) -> str:
    """The text of rows.toml with the new ratios in place of the recorded ones; rows without a ratio stay."""
    new = {one.row.id: one.ratio for one in outcomes if math.isfinite(one.ratio)}
    lines = []
    for line in text.splitlines():
        id = line.split('id = "', 1)[1].split('"', 1)[0] if 'id = "' in line else ""
        if id in new:
            kept = [part for part in line.rstrip().rstrip(",").rstrip("} ").split(", ") if "recorded =" not in part]
            line = f"{', '.join(kept)}, recorded = {new[id]:.3g} }},"
        lines.append(line)
    return "\n".join(lines) + "\n"

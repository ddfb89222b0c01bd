"""Draw a sequence of steps with lines of text: one column for each party, one row for each step."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.text.fault_steps import FaultStep

_ORDER = (
    "writer", "reader", "reader A", "reader B", "front", "old build", "new build", "worker 1", "service", "worker 2",
    "channel", "cache", "another job", "database", "replica",
)  # fmt: skip
"""From left to right; others come after these."""
_ARROW = 4
"""Characters of an arrow beside its label."""


def sequence_diagram(steps: Sequence[FaultStep]) -> str:
    """The lines of the diagram, without spaces at their ends; empty without steps."""
    if not steps:
        return ""
    parties = sorted(
        dict.fromkeys(party for step in steps for party in step[:2]),
        key=lambda party: _ORDER.index(party) if party in _ORDER else len(_ORDER),
    )
    middles = _middles(parties, steps)
    lines = [_heads(parties, middles), _bars(middles)]
    lines += [_row(step, parties, middles) for step in steps]
    return "\n".join(line.rstrip() for line in lines)


def _middles(parties: Sequence[str], steps: Sequence[FaultStep]) -> list[int]:
    """The columns of the parties' lines, far enough apart for heads and labels."""
    middles = [len(parties[0]) // 2]
    for right in range(1, len(parties)):
        column = middles[-1] + (len(parties[right - 1]) + len(parties[right])) // 2 + 3
        for step in steps:
            left, end = sorted(parties.index(party) for party in step[:2])
            if left < end == right:
                column = max(column, middles[left] + len(step.label) + _ARROW + 1)
            elif left == end == right - 1:
                column = max(column, middles[left] + len(step.label) + 4)
        middles.append(column)
    return middles


def _heads(parties: Sequence[str], middles: Sequence[int]) -> str:
    line = ""
    for party, middle in zip(parties, middles, strict=True):
        line = line.ljust(middle - len(party) // 2) + party
    return line


def _bars(middles: Sequence[int]) -> str:
    return "".join("│" if column in middles else " " for column in range(middles[-1] + 1))


def _row(step: FaultStep, parties: Sequence[str], middles: Sequence[int]) -> str:
    start, end = (middles[parties.index(party)] for party in step[:2])
    bars = _bars(middles)
    if start == end:
        text = f"· {step.label}"
        return f"{bars[: start + 1]} {text}{bars[start + 2 + len(text) :]}"
    left, right = min(start, end), max(start, end)
    text = f" {step.label} ".center(right - left - 1 - 1, "─")
    arrow = f"{text}▶" if end > start else f"◀{text}"
    return bars[: left + 1] + arrow + bars[right:]

"""`--summary` and `--junit`: what a run came to, for other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luckyhit.errors import ArgumentError

if TYPE_CHECKING:
    from luckyhit.report.run_outcome import Told


def refuse_crowded(summary: str, junit: str, *, as_json: bool) -> None:
    """Raise ArgumentError where two of them want standard output."""
    wanting = ["--json"] if as_json else []
    wanting += [f"{name} -" for name, where in (("--summary", summary), ("--junit", junit)) if where == "-"]
    if len(wanting) > 1:
        raise ArgumentError(f"{' and '.join(wanting)} both print", hint="Give all but one of them a file.")


def write_told(outcome: Told, *, summary: str, junit: str) -> None:
    """Write what was asked for; an empty name asks for nothing. Raises ReportNotWritten."""
    from luckyhit.report.run_outcome import publish

    if summary:
        from luckyhit.report.ci_summary import summary as as_markdown

        publish(as_markdown(outcome), summary)
    if junit:
        from luckyhit.report.junit import junit as as_xml

        publish(as_xml(outcome), junit)

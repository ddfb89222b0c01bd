"""The application itself, and the arguments and options that several commands share."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from luckyhit.errors import ArgumentError

app = typer.Typer(
    help="Was it a fix, or a lucky cache hit? Measure one change to a cache, and say which.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

CaseArgument = Annotated[str, typer.Argument(metavar="CASE", help="Name of a case in data/cases, or its file.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run directory, id, end of an id, or `latest`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
RunsOption = Annotated[str, typer.Option("--runs-dir", help="Where runs are kept. Default: data/runs.")]
ReportsOption = Annotated[str, typer.Option("--reports-dir", help="Where reports go. Default: reports.")]
SummaryOption = Annotated[
    str, typer.Option("--summary", metavar="FILE", help="Write a summary in Markdown, for a CI page; - prints it.")
]
JunitOption = Annotated[
    str, typer.Option("--junit", metavar="FILE", help="Write JUnit XML: one test case for each goal and guard.")
]


class FailOn(StrEnum):
    """Verdicts that `--fail-on` can turn into exit code 1."""

    hurt = "hurt"
    invalid = "invalid"
    inconclusive = "inconclusive"
    equivalent = "equivalent"


def chosen_verdicts(value: str) -> set[str]:
    """What `--fail-on` names. Raises ArgumentError for what is no verdict."""
    names = {name.strip().lower() for name in value.split(",") if name.strip()}
    known = {verdict.value for verdict in FailOn}
    if names - known:
        raise ArgumentError(
            f"--fail-on knows no {', '.join(sorted(names - known))!r}",
            hint=f"There are: {', '.join(sorted(known))}.",
        )
    return names


def refuse_crowded(summary: str, junit: str, *, as_json: bool) -> None:
    """Raise ArgumentError where two of them want standard output."""
    wanting = ["--json"] if as_json else []
    wanting += [f"{name} -" for name, where in (("--summary", summary), ("--junit", junit)) if where == "-"]
    if len(wanting) > 1:
        raise ArgumentError(f"{' and '.join(wanting)} both print", hint="Give all but one of them a file.")


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))

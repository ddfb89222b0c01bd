"""The Typer application, and the arguments and options that several commands share."""

from __future__ import annotations

import difflib
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luckyhit import __version__
from luckyhit.errors import ArgumentError
from luckyhit.text.messages import VERDICT_MEANINGS

if TYPE_CHECKING:
    from luckyhit.records import Result

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"luckyhit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Was it a fix, or a lucky cache hit? Measure one change to a cache and judge it."""


CaseArgument = Annotated[
    str, typer.Argument(metavar="CASE", help="Name of a case in data/cases, or the path of a case file.")
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's directory, its id, the end of its id, the name of a case (its newest run), or `latest`.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunsOption = Annotated[str, typer.Option("--runs-dir", help="Folder of the runs. Default: data/runs.")]
ReportsOption = Annotated[str, typer.Option("--reports-dir", help="Folder of the reports. Default: reports.")]
SummaryOption = Annotated[
    str,
    typer.Option("--summary", metavar="FILE", help="Write a Markdown summary for a CI page; - writes it to stdout."),
]
JunitOption = Annotated[
    str,
    typer.Option(
        "--junit", metavar="FILE", help="Write JUnit XML, one test case per goal and guard; - writes it to stdout."
    ),
]


class FailOn(StrEnum):
    """What `--fail-on` can turn into exit code 1: verdicts, and a baseline beyond all earlier ones."""

    hurt = "hurt"
    invalid = "invalid"
    inconclusive = "inconclusive"
    equivalent = "equivalent"
    outside = "outside"
    worse = "worse"


def chosen_outcomes(value: str) -> set[FailOn]:
    """The outcomes that `--fail-on` names. Raises ArgumentError for an unknown one."""
    names = {name.strip().lower() for name in value.split(",") if name.strip()}
    known = {outcome.value for outcome in FailOn}
    if names - known:
        near = difflib.get_close_matches(sorted(names - known)[0], sorted(known), n=1)
        raise ArgumentError(
            f"unknown outcome for --fail-on: {', '.join(map(repr, sorted(names - known)))}"
            + (f" (did you mean {near[0]!r}?)" if near else ""),
            hint=f"Choose from {', '.join(sorted(known))}.",
        )
    return {FailOn(name) for name in names}


def has_chosen(result: Result, chosen: set[FailOn]) -> bool:
    """Whether a result is one of the chosen outcomes."""
    if result.earlier is not None:
        beyond = {FailOn.outside: result.earlier.outside, FailOn.worse: result.earlier.worse}
        return any(beyond.get(outcome) for outcome in chosen)
    return result.verdict.lower() in chosen


def refuse_two_on_stdout(summary: str, junit: str, *, as_json: bool) -> None:
    """Raise ArgumentError if more than one of them would be written to standard output."""
    on_stdout = ["--json"] if as_json else []
    on_stdout += [f"{name} -" for name, where in (("--summary", summary), ("--junit", junit)) if where == "-"]
    if len(on_stdout) > 1:
        raise ArgumentError(
            f"only one of {', '.join(on_stdout)} can write to stdout", hint="Give the others a file name."
        )


def print_verdict(result: Result) -> None:
    """Print the verdict with its reason, and what such a verdict means."""
    print(f"{result.verdict}: {result.reason}")
    print(f"  {result.verdict} means: {VERDICT_MEANINGS[result.verdict]}.")


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))

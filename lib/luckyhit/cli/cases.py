"""Commands that start from a case: check, run."""

from __future__ import annotations

from typing import Annotated

import typer

from luckyhit.cli.app import (
    CaseArgument,
    JsonOption,
    JunitOption,
    ReportsOption,
    RunsOption,
    SummaryOption,
    app,
    print_json,
)
from luckyhit.project import Project


@app.command()
def check(case: CaseArgument, as_json: JsonOption = False) -> None:
    """Validate a case, and look at its target without touching it.

    A service that the case starts is started with a cache of its own, asked once, and stopped again. A service
    that already runs gets one safe request for each read route. Nothing is cleared and nothing is written.
    """
    from luckyhit.workflow import checking

    guards = checking.check_case(Project.find(), Project.find().case_file(case))
    if as_json:
        print_json({"case": case, "guards": [guard.model_dump() for guard in guards]})
    else:
        print(checking.as_text(guards))
    if not all(guard.ok for guard in guards):
        raise typer.Exit(3)


@app.command()
def run(
    case: CaseArgument,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A notebook parameter."),
    ] = None,
    environment: Annotated[
        str, typer.Option(help="Name of the environment that may be changed (target.environment of the case).")
    ] = "",
    observe: Annotated[
        bool,
        typer.Option("--observe", help="Measure the baseline alone, beside earlier ones. Nothing is changed."),
    ] = False,
    timeout: Annotated[str, typer.Option(help="End the run after so long, such as 20m; what it did is undone.")] = "",
    fail_on: Annotated[str, typer.Option(help="Verdicts that give exit code 1: hurt,invalid,inconclusive.")] = "",
    summary: SummaryOption = "",
    junit: JunitOption = "",
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """Run a case: baseline, the one change, rollback, report. The last line is the report's path."""
    from luckyhit.cli.tasks import case_tasks

    case_tasks.run(
        case,
        parameter or [],
        environment=environment,
        observe=observe,
        timeout=timeout,
        fail_on=fail_on,
        summary=summary,
        junit=junit,
        as_json=as_json,
        runs_dir=runs_dir,
        reports_dir=reports_dir,
    )

"""Commands that start from a case: check, run, new."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from luckyhit.cli.app import CaseArgument, JsonOption, ReportsOption, RunsOption, app, chosen_verdicts, print_json
from luckyhit.errors import ArgumentError
from luckyhit.project import Project


@app.command()
def check(case: CaseArgument, as_json: JsonOption = False) -> None:
    """Validate a case, and look at its target without touching it.

    A service that the case starts is started with a cache of its own, asked once, and stopped again. A service
    that already runs gets one safe request for each read route. Nothing is cleared and nothing is written.
    """
    from luckyhit.investigate.checking import as_text, check_case

    guards = check_case(Project.find(), Project.find().case_file(case))
    if as_json:
        print_json({"case": case, "guards": [guard.model_dump() for guard in guards]})
    else:
        print(as_text(guards))
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
    fail_on: Annotated[str, typer.Option(help="Verdicts that give exit code 1: hurt,invalid,inconclusive.")] = "",
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """Run a case: baseline, the one change, rollback, report. The last line is the report's path."""
    from luckyhit.investigate.conduct import refuse_unknown, run_case

    chosen = chosen_verdicts(fail_on)
    parameters = {"case": case, "environment": environment, "runs_dir": runs_dir, "reports_dir": reports_dir}
    for pair in parameter or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ArgumentError(f"{pair!r} is not NAME=VALUE", hint="For example: -p case=stale-price")
        refuse_unknown([name], {*parameters, "run"})
        parameters[name] = value
    if "run" in parameters:
        raise ArgumentError("`luckyhit run` makes a new run each time", hint="Leave the parameter `run` out.")
    project = Project.find(runs_dir=parameters["runs_dir"], reports_dir=parameters["reports_dir"])
    outcome = run_case(project, project.case_file(parameters["case"]), environment=parameters["environment"])
    result = outcome.run.result if outcome.exit_code == 0 else None
    if as_json:
        print_json(
            {
                "run": outcome.run.id,
                "exit_code": outcome.exit_code,
                "reason": outcome.reason,
                "report": str(outcome.report) if outcome.report else None,
                "result": result.model_dump(mode="json", by_alias=True) if result else None,
            }
        )
    elif result is not None:
        print(f"\n{result.verdict}: {result.because}")
        if result.naive.sentence:
            print(result.naive.sentence)
    if outcome.exit_code != 0:
        _explain_failure(outcome)
    if outcome.report and not as_json:
        print(outcome.report)
    if outcome.exit_code == 0 and result is not None and result.verdict.lower() in chosen:
        raise typer.Exit(1)
    raise typer.Exit(outcome.exit_code)


def _explain_failure(outcome: Any) -> None:
    failure = outcome.details.get("failure", {})
    sys.stdout.flush()
    print(f"\nINCOMPLETE: {outcome.reason}", file=sys.stderr)
    if failure.get("hint"):
        print(f"  what to do: {failure['hint']}", file=sys.stderr)
    if failure.get("log"):
        print("  the service's last log lines:", file=sys.stderr)
        for line in failure["log"]:
            print(f"    | {line}", file=sys.stderr)
    if outcome.error is not None:
        print(f"  and the report could not be written: {outcome.error}", file=sys.stderr)
    sys.stderr.flush()


@app.command()
def new(name: Annotated[str, typer.Argument(help="Name of the case, for example `slow-basket`.")]) -> None:
    """Write a commented starting case to data/cases/NAME.yml."""
    from luckyhit.case.template import new_case

    path = Project.find().cases / f"{name}.yml"
    text = new_case(name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ArgumentError(f"{path} exists already", hint="Choose another name, or edit that file.") from None
    print(path)

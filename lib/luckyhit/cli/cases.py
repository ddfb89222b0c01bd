"""Commands that start from a case: check, run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luckyhit.cli.app import (
    CaseArgument,
    JsonOption,
    JunitOption,
    ReportsOption,
    RunsOption,
    SummaryOption,
    app,
    chosen_verdicts,
    duration,
    print_json,
)
from luckyhit.cli.publishing import refuse_crowded, write_told
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.project import Project

if TYPE_CHECKING:
    from luckyhit.workflow.unattended.run_case import Outcome


@app.command()
def check(case: CaseArgument, as_json: JsonOption = False) -> None:
    """Validate a case, and look at its target without touching it.

    A service that the case starts is started with a cache of its own, asked once, and stopped again. A service
    that already runs gets one safe request for each read route. Nothing is cleared and nothing is written.
    """
    from luckyhit.workflow.checking import as_text, check_case

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
    from luckyhit.workflow.unattended.run_case import refuse_unknown

    chosen = chosen_verdicts(fail_on)
    refuse_crowded(summary, junit, as_json=as_json)
    timeout_s = duration(timeout, "--timeout") if timeout else None
    parameters = {"case": case, "environment": environment, "runs_dir": runs_dir, "reports_dir": reports_dir}
    for pair in parameter or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ArgumentError(f"{pair!r} is not NAME=VALUE", hint="For example: -p case=stale-price")
        refuse_unknown([name], {*parameters, "run", "observe"})
        parameters[name] = value
    if "observe" in parameters:
        raise ArgumentError("`observe` is a switch of its own here", hint="Say --observe.")
    if "run" in parameters:
        raise ArgumentError("`luckyhit run` makes a new run each time", hint="Leave the parameter `run` out.")
    project = Project.find(runs_dir=parameters["runs_dir"], reports_dir=parameters["reports_dir"])
    case_file = project.case_file(parameters["case"])
    how = {"environment": parameters["environment"], "observe": observe, "timeout_s": timeout_s}
    outcome = _conducted(project, case_file, how, summary=summary, junit=junit)
    result = outcome.result
    if as_json:
        print_json(
            {
                "run": outcome.run.id,
                "exit_code": outcome.exit_code,
                "reason": outcome.reason or outcome.note or (outcome.error.message if outcome.error else ""),
                "report": str(outcome.report) if outcome.report else None,
                "result": result.model_dump(mode="json", by_alias=True) if result else None,
            }
        )
    elif result is not None and (not outcome.reason or result.verdict == "INVALID"):
        from luckyhit.report.run_outcome import lines_of

        print(f"\n{result.verdict}: {result.because}")
        print("\n".join(lines_of(result)))
    if outcome.exit_code != 0:
        _explain_failure(outcome)
    if outcome.report and not as_json:
        print(outcome.report)
    if outcome.exit_code == 0 and result is not None and result.verdict.lower() in chosen:
        raise typer.Exit(1)
    raise typer.Exit(outcome.exit_code)


def _conducted(project: Project, case_file: Path, how: dict[str, Any], *, summary: str, junit: str) -> Outcome:
    """Run it, and write what was asked for: also where nothing could be measured, since whoever waits for the file has
    to learn that."""
    from luckyhit.workflow.unattended.run_case import run_case

    if not summary and not junit:
        return run_case(project, case_file, **how)
    from luckyhit.report.run_outcome import told_of_error, told_of_run

    try:
        outcome = run_case(project, case_file, **how)
    except LuckyHitError as error:
        outcome_told = told_of_error(case_file, error, [project.runs, project.reports])
        write_told(outcome_told, summary=summary, junit=junit)
        raise
    outcome_told = told_of_run(
        outcome.run,
        outcome.result,
        project.reports,
        incomplete=outcome.reason,
        hint=outcome.failure.hint if outcome.failure else "",
        unreported=outcome.error.message if outcome.error else "",
        report=outcome.report,
        seconds=outcome.seconds,
    )
    try:
        write_told(outcome_told, summary=summary, junit=junit)
    except LuckyHitError as error:
        print(f"error: {error}", file=sys.stderr)
        # A rollback that is not confirmed, or whatever else went wrong, is what has to be heard first.
        outcome.exit_code = outcome.exit_code or error.exit_code
    return outcome


def _explain_failure(outcome: Outcome) -> None:
    failure = outcome.failure
    sys.stdout.flush()
    if outcome.reason:
        print(f"\nINCOMPLETE: {outcome.reason}", file=sys.stderr)
    if failure and failure.hint:
        print(f"  what to do: {failure.hint}", file=sys.stderr)
    if failure and failure.log:
        print("  the service's last log lines:", file=sys.stderr)
        for line in failure.log:
            print(f"    | {line}", file=sys.stderr)
    if outcome.note:
        print(f"\n{outcome.note}", file=sys.stderr)
    if outcome.error is not None:
        which = "  and the report could not be written:" if outcome.reason else "\nerror: there is no report:"
        print(f"{which} {outcome.error}", file=sys.stderr)
    sys.stderr.flush()

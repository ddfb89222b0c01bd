"""`luckyhit run`: run a case from its baseline to its report, and say how it ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from luckyhit.case import load_case
from luckyhit.case.values.units import parse_duration
from luckyhit.case.values.variables import mentioned_secrets
from luckyhit.cli.app import chosen_outcomes, has_chosen, print_json, print_verdict, refuse_two_on_stdout
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.load.sharding.shard_hosts import name_hosts
from luckyhit.project import Project, case_name
from luckyhit.scrub.redactor import Redactor
from luckyhit.workflow.unattended.notify_command import command_words, notify
from luckyhit.workflow.unattended.run_case import RunEnding, refuse_unknown, run_case

_FLAGS = {"observe", "diagnose"}
"""Notebook parameters that have a flag of their own."""


def run(
    case: str,
    given: Sequence[str],
    *,
    environment: str,
    observe: bool,
    diagnose: bool,
    dask: str,
    timeout: str,
    fail_on: str,
    notify_command: str,
    summary: str,
    junit: str,
    as_json: bool,
    runs_dir: str,
    reports_dir: str,
    ahead: subprocess.Popen[bytes],
) -> None:
    """Run a case unattended, and print how it ended. `given`: `NAME=VALUE` of each `-p`. `ahead`: a process for the
    kernel. Raises typer.Exit with the exit code."""
    chosen = chosen_outcomes(fail_on)
    refuse_two_on_stdout(summary, junit, as_json=as_json)
    notified = command_words(notify_command)
    timeout_s = duration(timeout, "--timeout") if timeout else None
    parameters = {"case": case, "environment": environment, "runs_dir": runs_dir, "reports_dir": reports_dir}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ArgumentError(f"-p expects NAME=VALUE (got {pair!r})", hint="For example: -p reports_dir=reports")
        if name == "case":
            raise ArgumentError(
                f"-p case={value} can't be used: the case is named already ({case})",
                hint=f"`luckyhit run {value or 'CASE'}` runs the other one.",
            )
        refuse_unknown([name], {*parameters, "run", *_FLAGS})
        parameters[name] = value
    for flag in _FLAGS & parameters.keys():
        raise ArgumentError(f"use the --{flag} flag instead of -p {flag}=…")
    if "run" in parameters:
        raise ArgumentError("-p run=… can't be used: `luckyhit run` always makes a new run", hint="Leave it out.")
    project = Project.find(runs_dir=parameters["runs_dir"], reports_dir=parameters["reports_dir"])
    case_file = project.case_file(parameters["case"])
    if dask:
        name_hosts(dask, load_case(case_file).workload.hosts)
    outcome: RunEnding | None = None
    try:
        outcome = run_case(
            project,
            case_file,
            environment=parameters["environment"],
            observe=observe,
            diagnose=diagnose,
            timeout_s=timeout_s,
            ahead=ahead,
        )
    except LuckyHitError as raised:
        if notified:
            scrubbed = Redactor(mentioned_secrets(case_file), roots={project.root: "."}).text(raised.message)
            _notify(notified, {"case": case_name(case_file), "exit_code": raised.exit_code, "reason": scrubbed})
        if as_json:
            print_json({"run": None, "exit_code": raised.exit_code, "reason": raised.message, "hint": raised.hint,
                        "report": None, "result": None})  # fmt: skip
        if not summary and not junit:
            raise
        error = raised
    from luckyhit.cli import publishing  # imports judge and report: not before the run has ended

    if outcome is None:
        publishing.publish_error(case_file, error, project, summary=summary, junit=junit)
        raise error
    try:
        publishing.publish_outcome(outcome, project, summary=summary, junit=junit)
    except LuckyHitError as unpublished:
        print(f"error: {unpublished}", file=sys.stderr)
        # An unconfirmed rollback, or another failure of the run, takes precedence.
        outcome.exit_code = outcome.exit_code or unpublished.exit_code
    result = outcome.result
    reason = outcome.reason or outcome.note or (outcome.error.message if outcome.error else "")
    alarm = outcome.exit_code == 0 and result is not None and has_chosen(result, chosen)
    if as_json:
        print_json(
            {
                "run": outcome.run.id,
                "exit_code": outcome.exit_code,
                "reason": reason,
                "hint": outcome.failure.hint if outcome.failure else "",
                "report": str(outcome.report) if outcome.report else None,
                "result": result.model_dump(mode="json", by_alias=True) if result else None,
            }
        )
    elif result is not None and (not outcome.reason or result.verdict == "INVALID"):
        print()
        print_verdict(result)
        print(publishing.first_lines(result))
    if outcome.exit_code != 0:
        _explain_failure(outcome)
    if outcome.report and not as_json:
        print(outcome.report)
    code = 1 if alarm else outcome.exit_code
    if notified:
        facts = {"case": outcome.run.name, "run": outcome.run.id, "exit_code": code, "alarm": code != 0}
        facts |= {"verdict": result.verdict if result else None, "reason": reason or (result.reason if result else "")}
        _notify(notified, {**facts, "report": str(outcome.report) if outcome.report else None})
    raise typer.Exit(code)


def _notify(words: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Tell the command how the run ended. What it does changes nothing."""
    nothing = {"run": None, "verdict": None, "alarm": True, "report": None}
    if problem := notify(words, {"kind": "run", **nothing, **facts}):
        sys.stdout.flush()
        print(f"--notify-command: {problem}", file=sys.stderr, flush=True)


def _explain_failure(outcome: RunEnding) -> None:
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


def duration(text: str, option: str) -> float:
    """Seconds of `20m` or `90s`. Raises ArgumentError for anything else, and for 0."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ArgumentError(f"invalid {option} {text!r} (expected {error})") from None
    if seconds <= 0:
        raise ArgumentError(f"{option} must be greater than 0 (got {text})", hint="For example: 20m.")
    return seconds

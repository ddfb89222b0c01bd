"""The command line: `luckyhit check | run | new | load | judge | report | revert | runs`.

Exit codes: 0 finished, whatever the verdict (`--fail-on` turns chosen verdicts into 1) · 1 a chosen verdict, or a
defect · 2 invalid case or arguments · 3 a guard stopped it before anything changed · 4 not enough data ·
5 rollback not confirmed · 130 interrupted (Ctrl-C or SIGTERM), rolled back.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from luckyhit.errors import ArgumentError, CaseError, LuckyHitError
from luckyhit.project import Project

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


class FailOn(StrEnum):
    """Verdicts that `--fail-on` can turn into exit code 1."""

    hurt = "hurt"
    invalid = "invalid"
    inconclusive = "inconclusive"
    equivalent = "equivalent"


def _fail_on(value: str) -> set[str]:
    names = {name.strip().lower() for name in value.split(",") if name.strip()}
    known = {verdict.value for verdict in FailOn}
    if names - known:
        raise ArgumentError(
            f"--fail-on knows no {', '.join(sorted(names - known))!r}",
            hint=f"There are: {', '.join(sorted(known))}.",
        )
    return names


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


@app.command()
def check(case: CaseArgument, as_json: JsonOption = False) -> None:
    """Validate a case, and look at its target without touching it.

    A service that the case starts is started with a cache of its own, asked once, and stopped again. A service
    that already runs gets one safe request for each read route. Nothing is cleared and nothing is written.
    """
    from luckyhit.investigate.checking import as_text, check_case

    guards = check_case(Project.find(), Project.find().case_file(case))
    if as_json:
        _print_json({"case": case, "guards": [guard.model_dump() for guard in guards]})
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

    chosen = _fail_on(fail_on)
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
        _print_json(
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


@app.command()
def load(
    url: Annotated[str, typer.Argument(help="What to request; with --case or --replay, the base of all paths.")],
    rate: Annotated[str, typer.Option(help="Requests per second, open loop: never held back. Default: 100.")] = "",
    seconds: Annotated[str, typer.Option(help="How long. Default: 10, or as long as the stages.")] = "",
    closed: Annotated[int, typer.Option(help="Closed loop with this many connections instead of a rate.")] = 0,
    stage: Annotated[
        list[str] | None,
        typer.Option(help="A step or ramp, such as '50/s for 10s' or '50/s to 200/s for 20s'; repeatable."),
    ] = None,
    arrivals: Annotated[str, typer.Option(help="poisson (independent users) or constant. Default: poisson.")] = "",
    warmup: Annotated[str, typer.Option(help="Seconds before the measured part, with the same load.")] = "0",
    method: Annotated[str, typer.Option(help="Default: GET, or POST with a body.")] = "",
    header: Annotated[list[str] | None, typer.Option(help="'Name: value'; repeatable.")] = None,
    header_env: Annotated[
        list[str] | None, typer.Option(help="Name=VARIABLE: a secret from the environment; repeatable.")
    ] = None,
    body: Annotated[str | None, typer.Option(help="A text to send, or @FILE.")] = None,
    keys: Annotated[str | None, typer.Option(help="For {key} in the URL: 1-1000, or @FILE with a key a line.")] = None,
    popularity: Annotated[str, typer.Option(help="uniform, zipf or hot-set. Default: zipf.")] = "",
    exponent: Annotated[float | None, typer.Option(help="How uneven zipf is. Default: 1.")] = None,
    hot: Annotated[int | None, typer.Option(help="Number of hot keys (hot-set).")] = None,
    hot_share: Annotated[
        str | None, typer.Option(help="Their share of the requests, such as '90 %' (hot-set).")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Send the GET and HEAD lines of an access log.")] = None,
    timing: Annotated[str, typer.Option(help="log (the log's own gaps) or rate. Default: log.")] = "",
    speed: Annotated[float | None, typer.Option(help="2: the log twice as fast.")] = None,
    case: Annotated[str, typer.Option(help="Send the workload of this case.")] = "",
    timeout: Annotated[str, typer.Option(help="Seconds after which a request counts as timed out. Default: 5.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="A connection of its own for each request.")] = False,
    http: Annotated[str, typer.Option(help="auto, 1.1 or 2.")] = "",
    workers: Annotated[int | None, typer.Option(help="Processes that send. Default: 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same requests. Default: 1.")] = None,
    expect_status: Annotated[int | None, typer.Option(help="Any other status is an error (unexpected).")] = None,
    expect_sha256: Annotated[str | None, typer.Option(help="Any other body is an error (unexpected).")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="PEM file with the authorities to trust.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep records, summary and plot in this directory.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the percentile plot to this file (PNG or SVG).")] = None,
    as_json: JsonOption = False,
) -> None:
    """The load engine on its own: one URL, one pace, exact percentiles of every request."""
    from luckyhit.case import load_case
    from luckyhit.measure.load import load as measure_load
    from luckyhit.measure.load_texts import headers_of, number
    from luckyhit.report.spectrum import check_plot, spectrum_text, write_plot

    if plot is not None:
        check_plot(plot)
    declared = root = None
    headers = headers_of(header or [], header_env or [], os.environ)
    if case:
        root = Project.find().root
        declared = load_case(Project.find().case_file(case))
        from luckyhit.investigate.preflight import secret_headers

        headers = secret_headers(declared) | headers
    summary = measure_load(
        url,
        out=out,
        rate=number(rate, "--rate", rate=True) if rate else None,
        seconds=number(seconds, "--seconds") if seconds else None,
        closed=closed,
        stages=stage or (),
        arrivals=arrivals or None,
        warmup_s=number(warmup, "--warmup"),
        method=method or None,
        headers=headers,
        body=body,
        keys=keys,
        popularity=popularity or None,
        exponent=exponent,
        hot=hot,
        hot_share=hot_share,
        replay=replay,
        timing=timing or None,
        speed=speed,
        case=declared,
        timeout_s=number(timeout, "--timeout") if timeout else None,
        fresh=fresh,
        http=http or None,
        workers=workers,
        seed=seed,
        expect_status=expect_status,
        expect_sha256=expect_sha256,
        ca_file=ca_file,
        root=root,
    )
    for path in filter(None, [plot, out / "latency.png" if out is not None else None]):
        write_plot(path, summary.curves, summary.title())
    if as_json:
        _print_json(summary.as_facts())
    else:
        print(summary.table())
        print(spectrum_text(summary.curves))


@app.command()
def judge(
    run: RunArgument,
    as_json: JsonOption = False,
    write: Annotated[bool, typer.Option("--write", help="Replace the result that the run has.")] = False,
    runs_dir: RunsOption = "",
) -> None:
    """Judge what a run recorded, again and without its target. RUN may also be a directory with nothing but case.yml
    and requests/*.parquet in it. The result that the run has stays, unless --write is given."""
    from luckyhit.judge import judge as judge_run
    from luckyhit.judge import loose
    from luckyhit.run import find_run

    if loose.is_loose(Path(run)):
        if write:
            raise ArgumentError(f"{run} is no run directory, so it keeps no result", hint="Leave --write out.")
        result = loose.judge_loose(Path(run))
    else:
        found = find_run(Project.find(runs_dir=runs_dir).runs, run)
        result = judge_run(found)
        if write or found.result is None:
            found.write_result(result)
    if as_json:
        print(result.model_dump_json(by_alias=True, indent=2))
    else:
        print(f"{result.verdict}: {result.because}")


@app.command()
def report(run: RunArgument, runs_dir: RunsOption = "", reports_dir: ReportsOption = "") -> None:
    """Judge a run and write its HTML report. The last line is the report's path."""
    from luckyhit.judge import judge as judge_run
    from luckyhit.report import render
    from luckyhit.run import find_run

    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    found = find_run(project.runs, run)
    manifest = found.manifest
    reason = (manifest.get("failure") or {}).get("message", "the run did not get to its end")
    if manifest.get("state") in ("finished", "measured"):
        try:
            result = judge_run(found)
        except CaseError as error:
            reason = f"its case file can't be used any more: {error.message}"
        else:
            found.write_result(result)
            print(render(found, result, project.reports))
            return
    print(render(found, None, project.reports, incomplete=reason))


@app.command()
def revert(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsOption = "") -> None:
    """Finish the rollback of a run that died: from any process, as often as you like."""
    from luckyhit.change import revert_run
    from luckyhit.run import find_run

    project = Project.find(runs_dir=runs_dir)
    found = find_run(project.runs, run)
    rollback = revert_run(found, project=project.root)
    found.update(rollback=rollback.model_dump(), changed=not rollback.confirmed)
    if as_json:
        _print_json(rollback.model_dump())
    else:
        print(f"rollback {'confirmed' if rollback.confirmed else 'NOT confirmed'}: {rollback.detail}")
    if not rollback.confirmed:
        raise typer.Exit(5)


@app.command()
def runs(as_json: JsonOption = False, runs_dir: RunsOption = "") -> None:
    """List the runs there are, oldest first."""
    from luckyhit.run import describe_runs

    rows = describe_runs(Project.find(runs_dir=runs_dir).runs)
    if as_json:
        _print_json(rows)
        return
    if not rows:
        print("no runs yet; `luckyhit run stale-price` makes one", file=sys.stderr)
    for row in rows:
        print(f"{row['run']}  {row['case']:<20}  {row['state']:<10}  {row['verdict'] or '-'}")


def main() -> NoReturn:
    """Entry point. Errors of the tree end as their message, what to do next, and their exit code."""
    try:
        app(standalone_mode=True)
    except CaseError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except LuckyHitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    main()

"""The commands of `luckyhit` (`load` is in `load_command`). What they do is in `luckyhit.cli.tasks`, imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luckyhit.cli.app import (
    CaseArgument,
    JsonOption,
    JunitOption,
    ReportsOption,
    RunArgument,
    RunsOption,
    SummaryOption,
    app,
    print_json,
)
from luckyhit.cli.kernel_ahead import kernel_ahead
from luckyhit.cli.waiting import waiting
from luckyhit.errors import ArgumentError
from luckyhit.project import Project
from luckyhit.workflow.late_imports import uncollected

NotifyOption = Annotated[
    str,
    typer.Option(
        "--notify-command",
        metavar="COMMAND",
        help="Run this at the end, with verdict, reason and report as JSON on its standard input. Whether it works "
        "changes nothing.",
    ),
]
_PACKAGE = Path(__file__).resolve().parents[1]
# Not from luckyhit.case.examples: that would import all case models to print a help text.
_EXAMPLES = ", ".join(sorted(path.stem for path in (_PACKAGE / "case" / "examples").glob("*.yml")))


@app.command()
def check(case: CaseArgument, as_json: JsonOption = False) -> None:
    """Validate a case, and check that its target can be measured.

    If the case starts the service, the service is started with a cache of its own, asked once, and stopped again. A
    service that is already running gets one safe request per read route. Nothing is cleared or written.
    """
    from luckyhit.workflow import checking

    with waiting() as doing:
        guards = checking.check_case(Project.find(), Project.find().case_file(case), doing=doing)
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
        str, typer.Option(help="Environment that may be changed: repeat target.environment of the case.")
    ] = "",
    observe: Annotated[
        bool,
        typer.Option(
            "--observe", help="Measure only the baseline, and compare it with earlier ones. Nothing is changed."
        ),
    ] = False,
    diagnose: Annotated[
        bool,
        typer.Option(
            "--diagnose", help="After the baseline, find out which kind of fault the service has (up to 90 s more)."
        ),
    ] = False,
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Dask scheduler whose workers send, for workload.hosts; local: this host."
        ),
    ] = "",
    timeout: Annotated[str, typer.Option(help="Stop the run after this time, such as 20m, and roll back.")] = "",
    fail_on: Annotated[
        str,
        typer.Option(
            help="Exit with code 1 on these: hurt, invalid, inconclusive, equivalent; of a baseline: outside (of all "
            "earlier ones) or worse (outside on the worse side). Such as hurt,invalid."
        ),
    ] = "",
    notify_command: NotifyOption = "",
    summary: SummaryOption = "",
    junit: JunitOption = "",
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """Run a case: measure the baseline and the change, roll back, report. The last line is the report's path."""
    with kernel_ahead() as ahead:
        with uncollected():
            from luckyhit.cli.tasks import case_tasks

        case_tasks.run(
            case,
            parameter or [],
            environment=environment,
            observe=observe,
            diagnose=diagnose,
            dask=dask,
            timeout=timeout,
            fail_on=fail_on,
            notify_command=notify_command,
            summary=summary,
            junit=junit,
            as_json=as_json,
            runs_dir=runs_dir,
            reports_dir=reports_dir,
            ahead=ahead,
        )


@app.command()
def diagnose(
    case: CaseArgument,
    budget: Annotated[str, typer.Option(help="How long experiments may take.")] = "90s",
    seed: Annotated[
        int | None, typer.Option(help="Seed of keys and of the order. Default: that of the workload.")
    ] = None,
    outage: Annotated[
        bool, typer.Option("--outage", help="Allow that the service's own cache is cut off for the length of a write.")
    ] = False,
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="Look first at the records of this earlier run of the case.")
    ] = "",
    fail_on: Annotated[
        str, typer.Option(help="Exit with code 1 on these conclusions, such as shown,open,outside.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Find out which kind of fault the service of a case has, by experiments on a stack of its own.

    The service is started as it is before the change, with a cache of its own. Nothing is done to a service that is
    already running. The last line is the path of the page (diagnosis.html; the record, diagnosis.json, is beside it).
    """
    from luckyhit.cli.tasks import diagnose_tasks

    diagnose_tasks.diagnose(case, budget=budget, seed=seed, outage=outage, run=run, fail_on=fail_on, as_json=as_json)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the case, for example `slow-basket`.")],
    example: Annotated[
        str, typer.Option("--example", help=f"Start from an example for a framework: {_EXAMPLES}.")
    ] = "",
    start: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Find out: start the service with this command and a cache of its own. Only such a service is written "
            "to. `{port}`, `{cache_url}`, `{python}` and `{workdir}` are filled in.",
        ),
    ] = "",
    url: Annotated[str, typer.Option(metavar="URL", help="Find out: read a running service, and never write.")] = "",
    openapi: Annotated[
        str, typer.Option(metavar="FILE|PATH", help="An OpenAPI document: a file, or its path at the service.")
    ] = "",
    har: Annotated[str, typer.Option(metavar="FILE", help="Requests recorded by a browser (HAR).")] = "",
    log: Annotated[str, typer.Option(metavar="FILE", help="An access log: weights, keys and rate.")] = "",
    path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="A path that the service answers, such as `/zones/DE4/price?kg=3`, where its ids are not found out; "
            "may be repeated.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="With --har: only requests to this host. Default: the most frequent.")] = "",
    cwd: Annotated[
        str, typer.Option(metavar="FOLDER", help="Working directory of --start; `{workdir}`: an empty one.")
    ] = ".",
    python: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="The interpreter for `{python}` in --start, and the one that is asked for the route table where the "
            "service's processes don't tell it. Default: the one that the service was started with.",
        ),
    ] = "",
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable for --start; may be repeated.")
    ] = None,
    change: Annotated[
        str,
        typer.Option(
            metavar="NAME=AFTER",
            help="The change: a variable of --start, and its value after it. Before it has that of --env, else the "
            "default in the service's code. Default: a setting that may be about the cache, as a guess.",
        ),
    ] = "",
    header_env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEADER=VARIABLE", help="A request header whose value is in an environment variable (a token)."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the requests that would be sent.")] = False,
) -> None:
    """Write a commented case to data/cases/NAME.yml: a template to fill in, or with --start, --url, --openapi, --har or
    --log a case that is found out from this evidence and then checked. Outside a project, the working directory becomes
    one: it gets the notebooks and data/cases. The last line is the case's path."""
    from luckyhit.cli.tasks import discover_tasks, new_tasks

    named = (start, url, openapi, har, log, path, host, python, env, change, header_env, dry_run, cwd != ".")
    if not any(named):
        new_tasks.new(name, example)
        return
    if example:
        raise ArgumentError("--example can't be combined with evidence", hint="Leave out one of them.")
    sources = discover_tasks.Sources(
        start,
        url,
        openapi,
        har,
        log,
        host,
        cwd,
        python,
        tuple(env or ()),
        tuple(header_env or ()),
        tuple(path or ()),
        change,
    )
    code = discover_tasks.new_from(name, sources, dry_run=dry_run)
    if code:
        raise typer.Exit(code)


@app.command()
def judge(
    run: RunArgument,
    as_json: JsonOption = False,
    write: Annotated[bool, typer.Option("--write", help="Replace the run's result.json.")] = False,
    summary: SummaryOption = "",
    junit: JunitOption = "",
    runs_dir: RunsOption = "",
) -> None:
    """Judge a run again from its records, without its target. RUN may also be a directory with only case.yml and
    requests/*.parquet in it. An existing result.json is kept, unless --write is given."""
    from luckyhit.cli.tasks import judging_tasks

    judging_tasks.judge(run, as_json=as_json, write=write, summary=summary, junit=junit, runs_dir=runs_dir)


@app.command()
def report(
    run: RunArgument,
    summary: SummaryOption = "",
    junit: JunitOption = "",
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """Judge a run and write its HTML report. The last line is the report's path."""
    from luckyhit.cli.tasks import judging_tasks

    judging_tasks.report(run, summary=summary, junit=junit, runs_dir=runs_dir, reports_dir=reports_dir)


@app.command()
def revert(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsOption = "") -> None:
    """Finish the rollback of a run that was killed. Can be repeated, and run from any process. `latest`, or a case's
    name, means the newest run that left a step open, or else the newest. Other runs that left one are named.
    """
    from luckyhit.cli.tasks import judging_tasks

    judging_tasks.revert(run, as_json=as_json, runs_dir=runs_dir)


@app.command()
def runs(
    prune: Annotated[bool, typer.Option("--prune", help="Remove old runs and their reports (see --keep).")] = False,
    keep: Annotated[int | None, typer.Option(help="With --prune: number of runs to keep per case.")] = None,
    older_than: Annotated[str, typer.Option(help="With --prune: remove only runs older than this, such as 90d.")] = "",
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="With --prune: also remove runs that have a verdict on a change.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --prune: only list what would be removed.")] = False,
    pin: Annotated[str, typer.Option("--pin", metavar="RUN", help="Pin a run, so that pruning keeps it.")] = "",
    unpin: Annotated[str, typer.Option("--unpin", metavar="RUN", help="Pin it no longer.")] = "",
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """List the runs, oldest first; or remove old ones. A run that is in progress, is pinned, or has not rolled back its
    change, is always kept; so is one with a verdict on a change, unless --verdicts is given."""
    from luckyhit.cli.tasks import runs_tasks

    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    if not prune and (keep is not None or older_than or dry_run or verdicts):
        raise ArgumentError("--keep, --older-than, --verdicts and --dry-run need --prune", hint="Add --prune.")
    if sum(map(bool, (prune, pin, unpin))) > 1:
        raise ArgumentError("--prune, --pin and --unpin can't be combined", hint="Give them one after the other.")
    if prune:
        runs_tasks.prune_runs(project, keep, older_than, verdicts=verdicts, dry_run=dry_run, as_json=as_json)
    elif pin or unpin:
        runs_tasks.pin_run(project, pin or unpin, pinned=bool(pin), as_json=as_json)
    else:
        runs_tasks.list_runs(project, as_json=as_json)

"""`luckyhit fleet`: many cases, on this machine or on a cluster."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from luckyhit.cli.app import JsonOption, ReportsOption, RunsOption, app
from luckyhit.cli.commands import NotifyOption

_TASKS = "luckyhit.cli.tasks.fleet_tasks"
"""Imported when the command is given: it brings judge and report, which take a second."""


@app.command()
def fleet(
    cases: Annotated[
        list[str] | None,
        typer.Argument(metavar="CASES", help="Cases, or patterns such as 'team-*'. Default: those of fleet.yml."),
    ] = None,
    file: Annotated[
        str, typer.Option("--file", metavar="FILE", help="A fleet file. Default without CASES: fleet.yml.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, max=256, help="How many cases run at a time on this machine.")] = 1,
    dask: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Run them on the workers of this Dask scheduler, tcp://HOST:8786.")
    ] = "",
    observe: Annotated[bool, typer.Option("--observe", help="Only baselines. Nothing is changed.")] = False,
    timeout: Annotated[
        str, typer.Option(help="Stop each case after this time, such as 20m, and roll back; the file may say another.")
    ] = "",
    fail_on: Annotated[
        str,
        typer.Option(
            help="Exit with code 1 on these, such as hurt,outside: a verdict, outside, worse, lasting, shifted, "
            "decided-otherwise, not-run."
        ),
    ] = "",
    notify_command: NotifyOption = "",
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """Run many cases, each in a process of its own, and write a digest of what changed against earlier nights. The last
    line is the digest's path (reports/nightly.html; .md and .json are beside it). Ctrl-C stops and rolls back all."""
    code = import_module(_TASKS).fleet(
        cases or [],
        file=file,
        jobs=jobs,
        dask=dask,
        observe=observe,
        timeout=timeout,
        fail_on=fail_on,
        notify_command=notify_command,
        as_json=as_json,
        runs_dir=runs_dir,
        reports_dir=reports_dir,
    )
    if code:
        raise typer.Exit(code)

"""Commands that start from a run: judge, report, revert."""

from __future__ import annotations

from typing import Annotated

import typer

from luckyhit.cli.app import JsonOption, JunitOption, ReportsOption, RunArgument, RunsOption, SummaryOption, app


@app.command()
def judge(
    run: RunArgument,
    as_json: JsonOption = False,
    write: Annotated[bool, typer.Option("--write", help="Replace the result that the run has.")] = False,
    summary: SummaryOption = "",
    junit: JunitOption = "",
    runs_dir: RunsOption = "",
) -> None:
    """Judge what a run recorded, again and without its target. RUN may also be a directory with nothing but case.yml
    and requests/*.parquet in it. The result that the run has stays, unless --write is given."""
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
    """Finish the rollback of a run that died: from any process, as often as you like."""
    from luckyhit.cli.tasks import judging_tasks

    judging_tasks.revert(run, as_json=as_json, runs_dir=runs_dir)

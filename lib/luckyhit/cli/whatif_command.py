"""`luckyhit whatif`: what another time to live or size would do, from recorded requests."""

from __future__ import annotations

from typing import Annotated

import typer

from luckyhit.cli.app import JsonOption, ReportsOption, RunsOption, app


@app.command()
def whatif(
    source: Annotated[
        str,
        typer.Argument(metavar="RUN|LOG|CASE", help="A run, an access log, or a case, whose newest run is taken."),
    ],
    ttl: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TIME", help="A time to live to try, such as 30s, 5m or none; repeatable. Default: eight."
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIZE", help="A size to try: entries (20000) or bytes (64MB); repeatable. Default: twenty."
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Beside lru, also by replay: lru-swept, lfu, fifo or s3-fifo; repeatable."),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            help="What a write does to entries: none, on-write or delayed. Default: what today's point shows."
        ),
    ] = "",
    delay: Annotated[
        str, typer.Option(help="With the rule delayed: how late it deletes. Default: found out, or 1s.")
    ] = "",
    now_ttl: Annotated[
        str, typer.Option(help="Today's time to live. Default: from the cache's events, or the case.")
    ] = "",
    now_size: Annotated[str, typer.Option(help="Today's size. Default: unlimited.")] = "",
    by: Annotated[
        str, typer.Option(help="Sizes are bytes or entries. Default: bytes, where answers tell their size.")
    ] = "auto",
    arm: Annotated[str, typer.Option(help="The arm of the run: before or after.")] = "before",
    log_format: Annotated[str, typer.Option(help="Format of an access log. Default: detected.")] = "auto",
    most_rows: Annotated[
        int | None, typer.Option(min=1000, help="Longer recordings are counted by a sample of their entries.")
    ] = None,
    prove: Annotated[
        str,
        typer.Option(
            metavar="CASE", help="Write a case of that name that tries the chosen point: with one --ttl, or one --size."
        ),
    ] = "",
    variable: Annotated[str, typer.Option(help="With --prove: the service's variable that holds the number.")] = "",
    as_json: JsonOption = False,
    runs_dir: RunsOption = "",
    reports_dir: ReportsOption = "",
) -> None:
    """Predict hits, stale reads, database calls, latency and memory for other times to live and sizes, from recorded
    requests. Nothing is started or asked. The last line is the page's path; with --prove, that of the case."""
    from luckyhit.cli.tasks import whatif_tasks

    request = whatif_tasks.WhatIfRequest(
        ttls=ttl or (),
        sizes=size or (),
        policies=policy or (),
        rule=rule,
        delay=delay,
        now_ttl=now_ttl,
        now_size=now_size,
        by=by,
        arm=arm,
        variable=variable,
        most_rows=most_rows or whatif_tasks.MOST_ROWS,
    )
    whatif_tasks.what_if(
        source,
        request,
        log_format=log_format,
        prove=prove,
        as_json=as_json,
        runs_dir=runs_dir,
        reports_dir=reports_dir,
    )

"""`luckyhit load`: the load engine alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luckyhit.cli.app import JsonOption, app


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
    log_format: Annotated[
        str, typer.Option(help="Whose log it is, as in replay.format of a case. Default: found out.")
    ] = "",
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
    from luckyhit.cli.tasks import load_tasks

    load_tasks.load(
        url,
        rate=rate,
        seconds=seconds,
        warmup=warmup,
        timeout=timeout,
        header=header or [],
        header_env=header_env or [],
        case=case,
        out=out,
        plot=plot,
        as_json=as_json,
        closed=closed,
        stages=stage or (),
        arrivals=arrivals or None,
        method=method or None,
        body=body,
        keys=keys,
        popularity=popularity or None,
        exponent=exponent,
        hot=hot,
        hot_share=hot_share,
        replay=replay,
        log_format=log_format or None,
        timing=timing or None,
        speed=speed,
        fresh=fresh,
        http=http or None,
        workers=workers,
        seed=seed,
        expect_status=expect_status,
        expect_sha256=expect_sha256,
        ca_file=ca_file,
    )

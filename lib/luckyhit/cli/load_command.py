"""`luckyhit load`: the load engine alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luckyhit.cli.app import JsonOption, app


@app.command()
def load(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="URL to request; with --case or --replay, the base URL of all paths. Or the name or file of a case: "
            "its workload goes to its service, which is started with a cache of its own, unless it runs already.",
        ),
    ],
    rate: Annotated[str, typer.Option(help="Requests per second (open loop). Default: 100.")] = "",
    seconds: Annotated[
        str, typer.Option(help="Duration of the measured part. Default: 10, or the length of the stages.")
    ] = "",
    closed: Annotated[int, typer.Option(help="Closed loop with this number of connections, instead of a rate.")] = 0,
    stage: Annotated[
        list[str] | None,
        typer.Option(help="A step or ramp, such as '50/s for 10s' or '50/s to 200/s for 20s'; repeatable."),
    ] = None,
    arrivals: Annotated[str, typer.Option(help="poisson (independent users) or constant. Default: poisson.")] = "",
    warmup: Annotated[str, typer.Option(help="Seconds of the same load before the measured part.")] = "0",
    method: Annotated[str, typer.Option(help="Default: GET, or POST with a body.")] = "",
    header: Annotated[list[str] | None, typer.Option(help="'Name: value'; repeatable.")] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option(help="Name=VARIABLE: a header whose value is in an environment variable; repeatable."),
    ] = None,
    body: Annotated[str | None, typer.Option(help="Request body, or @FILE.")] = None,
    keys: Annotated[
        str | None, typer.Option(help="Values of {key} in the URL: 1-1000, or @FILE with one key per line.")
    ] = None,
    popularity: Annotated[str, typer.Option(help="uniform, zipf or hot-set. Default: zipf.")] = "",
    exponent: Annotated[float | None, typer.Option(help="Exponent of zipf. Default: 1.")] = None,
    hot: Annotated[int | None, typer.Option(help="Number of hot keys (hot-set).")] = None,
    hot_share: Annotated[
        str | None, typer.Option(help="Share of the requests for hot keys, such as '90 %' (hot-set).")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Replay the GET and HEAD lines of an access log.")] = None,
    log_format: Annotated[
        str, typer.Option(help="Format of the log, as in replay.format of a case. Default: auto.")
    ] = "",
    timing: Annotated[str, typer.Option(help="log (the gaps of the log) or rate. Default: log.")] = "",
    speed: Annotated[float | None, typer.Option(help="Speed of the replay; 2 is twice as fast as the log.")] = None,
    case: Annotated[str, typer.Option(help="Send the workload of this case.")] = "",
    timeout: Annotated[str, typer.Option(help="Seconds after which a request counts as timed out. Default: 5.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Open a new connection for each request.")] = False,
    http: Annotated[str, typer.Option(help="HTTP version: auto, 1.1 or 2. Default: auto.")] = "",
    workers: Annotated[int | None, typer.Option(help="Number of processes that send. Default: 1.")] = None,
    shards: Annotated[
        int | None,
        typer.Option(help="Number of hosts that send; without --dask, processes of this machine. Default: 1."),
    ] = None,
    dask: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Send from the workers of this Dask scheduler (all, or --shards).")
    ] = "",
    seed: Annotated[
        int | None, typer.Option(help="Seed of the schedule; the same seed sends the same requests. Default: 1.")
    ] = None,
    expect_status: Annotated[int | None, typer.Option(help="Count any other status as an error (unexpected).")] = None,
    expect_sha256: Annotated[str | None, typer.Option(help="Count any other body as an error (unexpected).")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="PEM file with the certificate authorities to trust.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write records, summary and plot to this directory.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the percentile plot to this file (PNG or SVG).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the load engine on its own: send requests to one URL and print exact latency percentiles.

    Rate, percentiles and errors of each second are shown while it lasts. Ctrl-C ends it early, and prints what there is
    (exit code 130). If no request completed, or each answer was an error, the exit code is 4. While it sends, the
    engine goes before all other processes of this machine where it may, but not with --closed (docs/measurement.md, on
    a machine that others use).
    """
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
        quiet=quiet,
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
        shards=shards,
        dask=dask or None,
        seed=seed,
        expect_status=expect_status,
        expect_sha256=expect_sha256,
        ca_file=ca_file,
    )

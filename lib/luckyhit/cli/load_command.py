"""`luckyhit load`: the load engine alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from luckyhit.cli.app import JsonOption, app, print_json
from luckyhit.project import Project


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
    from luckyhit.case import load_case
    from luckyhit.load.command.load_url import load as measure_load
    from luckyhit.load.command.options import headers_of, number
    from luckyhit.report.spectrum import check_plot, spectrum_text, write_plot

    if plot is not None:
        check_plot(plot)
    declared = root = None
    headers = headers_of(header or [], header_env or [], os.environ)
    secrets = set(headers_of([], header_env or [], os.environ).values())
    if case:
        root = Project.find().root
        from luckyhit.case.values.variables import known_secrets, noted_variables
        from luckyhit.workflow.preflight import secret_headers

        case_file = Project.find().case_file(case)
        declared = load_case(case_file, variables=noted_variables(load_case(case_file), os.environ))

        headers = secret_headers(declared) | headers
        secrets |= known_secrets(declared)
    summary = measure_load(
        url,
        out=out,
        secrets=secrets,
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
        log_format=log_format or None,
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
        print_json(summary.as_facts())
    else:
        print(summary.table())
        print(spectrum_text(summary.curves))

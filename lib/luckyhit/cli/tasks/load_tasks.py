"""`luckyhit load`: send the load, and print what was measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luckyhit.case import load_case
from luckyhit.case.values.variables import known_secrets, noted_variables
from luckyhit.cli.app import print_json
from luckyhit.load.command.load_url import load as measure_load
from luckyhit.load.command.options import headers_of, number
from luckyhit.project import Project
from luckyhit.report.percentile_plot import check_plot, write_plot
from luckyhit.workflow.preflight import secret_headers


def load(
    url: str,
    *,
    rate: str,
    seconds: str,
    warmup: str,
    timeout: str,
    header: Sequence[str],
    header_env: Sequence[str],
    case: str,
    out: Path | None,
    plot: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send the load, print its table or JSON, and write the plots. Texts are those of the command line; `options` are
    passed on to `luckyhit.load.command.load_url.load`. Raises ArgumentError for invalid options."""
    if plot is not None:
        check_plot(plot)
    declared = root = None
    headers = headers_of(header, header_env, os.environ)
    secrets = set(headers_of([], header_env, os.environ).values())
    if case:
        root = Project.find().root
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
        warmup_s=number(warmup, "--warmup"),
        headers=headers,
        case=declared,
        timeout_s=number(timeout, "--timeout") if timeout else None,
        root=root,
        **options,
    )
    for path in filter(None, [plot, out / "latency.png" if out is not None else None]):
        write_plot(path, summary.curves, summary.title())
    if as_json:
        print_json(summary.as_facts())
    else:
        print(summary.table())

"""`luckyhit load`: send the load, and print what was measured."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from luckyhit import change as changing
from luckyhit.case import Case, load_case
from luckyhit.case.values.variables import known_secrets, noted_variables
from luckyhit.cli.app import print_json
from luckyhit.cli.waiting import waiting
from luckyhit.errors import ArgumentError, NotEnoughData
from luckyhit.load.command.load_url import load as measure_load
from luckyhit.load.command.options import headers_of, number
from luckyhit.project import Project
from luckyhit.report.percentile_plot import check_plot, write_plot
from luckyhit.system import Stack
from luckyhit.workflow.preflight import secret_headers
from luckyhit.workflow.unattended.ending import INTERRUPTED
from luckyhit.workflow.unattended.run_case import SAFE

_CASE_NAME = re.compile(r"[\w-]+|.*\.ya?ml")


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
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Send the load, print its table or JSON, and write the plots. Texts are those of the command line; `options` are
    passed on to `luckyhit.load.command.load_url.load`. Raises ArgumentError for invalid options, and typer.Exit for a
    load that was interrupted (130) or shows nothing of the service (4)."""
    if plot is not None:
        check_plot(plot)
    declared = root = None
    headers = headers_of(header, header_env, os.environ)
    secrets = set(headers_of([], header_env, os.environ).values())
    named = not case and _CASE_NAME.fullmatch(url) is not None
    if case or named:
        root = Project.find().root
        case_file = _case_file(url) if named else Project.find().case_file(case)
        declared = load_case(case_file, variables=noted_variables(load_case(case_file), os.environ))
        headers = secret_headers(declared) | headers
        secrets |= known_secrets(declared)
    chosen: dict[str, Any] = {
        "rate": number(rate, "--rate", rate=True) if rate else None,
        "seconds": number(seconds, "--seconds") if seconds else None,
        "warmup_s": number(warmup, "--warmup"),
        "timeout_s": number(timeout, "--timeout") if timeout else None,
    }
    with _base_url(url, declared if named else None, quiet=quiet) as base:
        summary = measure_load(
            base, out=out, quiet=quiet, secrets=secrets, headers=headers, case=declared, root=root, **chosen, **options
        )
    for path in filter(None, [plot, out / "latency.png" if out is not None else None]):
        if summary.curves:
            write_plot(path, summary.curves, summary.title())
    if as_json:
        print_json(summary.as_facts())
    else:
        print(summary.table())
    if summary.interrupted:
        raise typer.Exit(INTERRUPTED)
    if summary.failure:
        print(f"error: {summary.failure}", file=sys.stderr)
        raise typer.Exit(NotEnoughData.exit_code)


def _case_file(name: str) -> Path:
    """The file of a case that was given in place of a URL."""
    try:
        return Project.find().case_file(name)
    except ArgumentError as error:
        raise ArgumentError(
            f"{name!r} is no URL (it has no scheme) and no case", hint=f"Write http://{name}/ for a host. {error.hint}"
        ) from None


@contextmanager
def _base_url(url: str, case: Case | None, *, quiet: bool) -> Iterator[str]:
    """Where the load goes: the URL; of a case, its running service, or one that is started for it and stopped at the
    end. Raises ArgumentError for a workload that writes to a service that is already running."""
    if case is None:
        yield url
        return
    if case.target.url is not None:
        if any(route.method not in SAFE for route in case.workload.routes):
            raise ArgumentError(
                f"the workload of case {url} writes to {case.target.url}, which others may use",
                hint=f"If it may: `luckyhit load {case.target.url} --case {url}`.",
            )
        yield case.target.url
        return
    project = Project.find()
    with tempfile.TemporaryDirectory(prefix="luckyhit-load-") as folder:
        stack = Stack(case, "load", Path(folder), project=project.root, environ=os.environ)
        stack.settings = changing.settings_of(stack, "before")
        try:
            with waiting(quiet=quiet) as doing:
                doing("starting the service of the case")
                stack.start()
            yield stack.base_url
        finally:
            stack.stop()

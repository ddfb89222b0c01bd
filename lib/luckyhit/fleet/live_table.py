"""A fleet while it runs: a table in a terminal and in JupyterLab, dated lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from luckyhit.fleet.dispatch import FleetStanding, JobEnd, Running
from luckyhit.scrub.characters import visible
from luckyhit.workflow.unattended.console import plain

MOST_WAITING = 10
_COLOURS = {0: "green", 2: "yellow", 3: "yellow", 4: "yellow", 5: "bold red", 130: "yellow"}
_EVERY_S = 0.25


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[tuple[Callable[[FleetStanding], None], Callable[[str], None]]]:
    """Show a fleet until the context ends. Yields (what is called with each standing, what prints one line)."""
    if quiet:
        yield lambda standing: None, lambda line: None
        return
    console = Console(stderr="ipykernel" not in sys.modules)
    if not (console.is_jupyter or console.is_terminal):
        lines = _Lines()
        yield lines.show, plain
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:
        shown_at = 0.0

        def show(standing: FleetStanding) -> None:
            nonlocal shown_at
            last = not standing.waiting and not standing.running
            if last or time.monotonic() - shown_at >= _EVERY_S:
                shown_at = time.monotonic()
                live.update(table_of(standing), refresh=True)

        yield show, lambda line: live.console.print(line, markup=False, highlight=False)


def table_of(standing: FleetStanding) -> Table:
    """Running cases, ended ones, and the first that wait."""
    counts = f"{len(standing.ends)} ended, {len(standing.running)} running, {len(standing.waiting)} waiting"
    table = Table(title=f"{counts}{'; stopping and rolling back' if standing.stopping else ''}", title_justify="left")
    for heading in ("case", "state", "host", "took", "verdict"):
        table.add_column(heading, justify="right" if heading == "took" else "left", no_wrap=heading == "took")
    for end in standing.ends:
        took = _clock(end.outcome.seconds) if end.outcome is not None else ""
        host = end.outcome.host if end.outcome is not None else ""
        colour = _COLOURS.get(_code(end), "red")
        table.add_row(_plain(end.job.name), Text(_state(end), style=colour), _plain(host), took, _verdict(end))
    for running in standing.running:
        took = _clock(time.monotonic() - running.began_s)
        table.add_row(_plain(running.job.name), Text("running", style="cyan"), _plain(running.place.host), took, "")
    for job in standing.waiting[:MOST_WAITING]:
        table.add_row(_plain(job.name), Text("waiting", style="dim"), "", "", "")
    if len(standing.waiting) > MOST_WAITING:
        table.add_row(Text(f"and {len(standing.waiting) - MOST_WAITING} more", style="dim"), "", "", "", "")
    return table


def line_of(end: JobEnd) -> str:
    """One line about a case that ended."""
    verdict = str(_verdict(end))
    reason = end.outcome.reason if end.outcome is not None and end.outcome.exit_code else ""
    parts = [f"{end.job.name}: {_state(end)}", verdict, visible(" ".join(reason.split()), longest=300)]
    return "; ".join(part for part in parts if part)


class _Lines:
    """For logs: a line for each case that begins, and one for each that ends."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._ended: set[str] = set()

    def show(self, standing: FleetStanding) -> None:
        for running in standing.running:
            if running.request.id not in self._begun:
                self._begun.add(running.request.id)
                plain(_begun(running))
        for end in standing.ends:
            if end.job.name not in self._ended:
                self._ended.add(end.job.name)
                plain(line_of(end))


def _begun(running: Running) -> str:
    again = f", attempt {running.request.number}" if running.request.number > 1 else ""
    return f"{running.job.name}: begun on {running.place.host}{again}"


def _code(end: JobEnd) -> int:
    return -1 if end.outcome is None or end.outcome.exit_code is None else end.outcome.exit_code


def _state(end: JobEnd) -> str:
    if end.outcome is None:
        return f"not begun ({end.refusal})"
    if end.outcome.exit_code is None:
        return "lost"
    return "finished" if end.outcome.exit_code == 0 else f"exit code {end.outcome.exit_code}"


def _verdict(end: JobEnd) -> Text:
    result = end.outcome.result if end.outcome is not None else None
    return _plain(str(result.get("verdict", "")) if result else "")


def _plain(text: str) -> Text:
    return Text(visible(text, longest=80))


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02}"

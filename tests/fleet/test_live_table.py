"""The table of a fleet: what it shows in a terminal and in JupyterLab, and the lines elsewhere."""

from __future__ import annotations

import datetime as dt

import nbformat
import pytest
from nbclient import NotebookClient
from rich.console import Console

from luckyhit.fleet.attempt import AttemptOutcome, Request
from luckyhit.fleet.dispatch import FleetStanding, JobEnd, Running
from luckyhit.fleet.job import Job
from luckyhit.fleet.live_table import MOST_WAITING, shown, table_of
from luckyhit.fleet.places import Place

NOW = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)


def job(name: str) -> Job:
    return Job(name, name, "")


def standing() -> FleetStanding:
    ends = (
        JobEnd(job("ann"), AttemptOutcome(0, result={"verdict": "HELPED"}, host="east", seconds=75)),
        JobEnd(job("bob"), AttemptOutcome(5, reason="\x1b[31mstuck\nhere")),
        JobEnd(job("cay"), None, "window"),
    )
    running = Running(job("dot"), Request("f", "dot", 2, "dot", ""), Place("p", "west"), NOW, 0.0)
    return FleetStanding(tuple(job(f"w{number}") for number in range(MOST_WAITING + 5)), (running,), ends, True)


def test_the_table_has_every_case_that_ran() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table_of(standing()))
    text = captured.get()
    assert all(name in text for name in ("ann", "bob", "cay", "dot", "w0", "HELPED", "east", "west", "1:15", "window"))
    assert f"w{MOST_WAITING}" not in text and "5 more" in text


def test_lines_elsewhere_tell_each_event_once(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as (show, say):
        show(standing())
        show(standing())
        say("a worker came")
    lines = capsys.readouterr().err.splitlines()
    assert [sum(name in line for line in lines) for name in ("ann", "bob", "cay", "dot")] == [1, 1, 1, 1]
    assert "\x1b" not in "".join(lines) and lines[-1].endswith("a worker came")


CELL = """
from test_live_table import standing
from luckyhit.fleet.live_table import shown
with shown() as (show, say):
    show(standing())
"""


@pytest.mark.slow
def test_the_table_in_jupyterlab(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{request.path.parent}:{request.config.rootpath / 'lib'}")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute()
    shown_text = str([*notebook.cells[0].outputs, client.widget_state])
    assert "HELPED" in shown_text and not any(one.output_type == "error" for one in notebook.cells[0].outputs)

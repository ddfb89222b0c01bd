"""Progress as it is seen from outside the kernel."""

import os
import pty
import re
import select
import termios
from datetime import UTC, datetime
from pathlib import Path

import pytest

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError
from luckyhit.workflow.unattended.console import follow
from luckyhit.workflow.unattended.run_case import refuse_unknown
from luckyhit.workflow.workbook import PARAMETERS

CASE = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"


def measured(seconds: int) -> str:
    return f" ({seconds} of 40 s measured)"


def plain(line: str) -> str:
    """Without the forecast, which depends on the clock."""
    return re.sub(r", [a-z]+ [^,]*left\)$", ")", line)


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    return CaseRun.create(tmp_path, CASE, now=datetime(2026, 11, 23, tzinfo=UTC), manifest={})


def test_progress_is_dated_lines_without_a_terminal(run: CaseRun, capsys: pytest.CaptureFixture[str]) -> None:
    with follow(run) as show:
        show("run 1")
        run.progress("starting", done=0, total=40)
        for second in range(5):
            run.progress("measuring", done=second, total=40)
        run.progress("rolling back", done=5, total=40)
    lines = capsys.readouterr().err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    texts = [line[20:] for line in lines]
    assert [plain(text) for text in texts] == [
        "run 1", f"starting{measured(0)}", f"measuring{measured(0)}", f"rolling back{measured(5)}",
    ]  # fmt: skip
    assert all(" left)" in text for text in texts[1:])


def test_a_message_stays_as_a_line_of_its_own(run: CaseRun, capsys: pytest.CaptureFixture[str]) -> None:
    with follow(run):
        run.progress("measuring", done=1, total=40)
        run.progress("hit ratio: 300", stays=True)
        run.progress("measuring", done=2, total=40)
    lines = [line[20:] for line in capsys.readouterr().err.splitlines()]
    assert [plain(line) for line in lines] == [f"measuring{measured(1)}", "hit ratio: 300"]


@pytest.mark.parametrize("columns", [100, 0])
def test_on_a_terminal_progress_is_a_bar(run: CaseRun, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, columns))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.delenv("COLUMNS", raising=False)
        with follow(run) as show:
            show("run 1")
            run.progress("starting the service", done=0, total=40)
            run.progress("measuring", done=20, total=40)
            run.progress("rolling back", done=40.7, total=40)
            run.progress("drawing forest")
        terminal.flush()
        shown = b""
        while select.select([ours], [], [], 1.0)[0]:
            shown += os.read(ours, 100_000)
    os.close(ours)
    shown = shown.decode()
    assert "run 1" in shown
    assert re.search(r" 50% \|.+\| 20/40 s  measuring", shown)
    assert re.search(r"100% \|.+\| 40/40 s  rolling back", shown)
    assert re.search(r"100% \|.+\| 40/40 s  drawing forest", shown)  # drawing measures nothing: the bar stays


def test_half_a_line_is_left_for_later(run: CaseRun, capsys: pytest.CaptureFixture[str]) -> None:
    with follow(run):
        run.progress("whole")
        with (run.path / "progress.jsonl").open("a") as file:
            file.write('{"at": 1, "text": "ha')
    assert "whole" in capsys.readouterr().err


def test_quiet_is_quiet(run: CaseRun, capsys: pytest.CaptureFixture[str]) -> None:
    with follow(run, quiet=True) as show:
        show("nothing")
        run.progress("nothing")
    assert capsys.readouterr().err == ""


def test_an_unknown_parameter_is_refused_with_the_nearest() -> None:
    refuse_unknown(PARAMETERS, PARAMETERS)
    with pytest.raises(ArgumentError, match=r"'csae' .*'case'") as caught:
        refuse_unknown(["csae"], PARAMETERS)
    assert "runs_dir" in caught.value.hint

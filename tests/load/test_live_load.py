"""`luckyhit load` while it lasts: each second is shown, Ctrl-C prints what there is, and what fails says why."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_service import HostileService
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from luckyhit.cli import app
from luckyhit.errors import ArgumentError
from luckyhit.load.command.live_latency import LatencyCounts, quantile_ms
from luckyhit.load.command.live_view import LastSecond, live_view
from tier import examples

ROOT = Path(__file__).parents[2]
LINE = re.compile(r" +\d+ of [\d.]+ s: ([\d,]+)/s, p50 [\d.,]+, p95 [\d.,]+, p99 [\d.,]+ ms, no error")


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["load", *arguments])


def test_each_second_is_shown(service: HostileService) -> None:
    done = command(f"{service.url}/ok", "--rate", "100", "--seconds", "2.6", "--workers", "2")
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 2 and all(LINE.fullmatch(line) for line in lines), done.stderr
    assert done.exit_code == 0 and len(done.stdout.splitlines()) > 5
    quiet = command(f"{service.url}/ok", "--rate", "50", "--seconds", "1.3", "--quiet", "--json")
    assert quiet.stderr == "" and json.loads(quiet.stdout)["interrupted"] is False


def test_a_second_shows_only_what_came_in_it() -> None:
    last = LastSecond()
    first = {"done": 1.0, "answered": 100, "errors": {"reset": 1}, "latencies": {"10": 100}}
    second = {"done": 3.0, "answered": 300, "errors": {"reset": 2, "timeout": 9}, "latencies": {"10": 100, "600": 200}}
    assert last.text({**first, "done": 0.9}) is None
    texts = [last.text(event) for event in (first, second, {**second, "done": 4.5})]
    assert texts == [
        "100/s, p50 0.0123, p95 0.0123, p99 0.0123 ms, 1 error (reset 1)",
        "100/s, p50 1,460, p95 1,460, p99 1,460 ms, 10 errors (timeout 9, reset 1)",
        "0/s, no answer, no error",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_has_the_last_second() -> None:
    out = Terminal()
    with live_view(10, stream=out) as show:
        show({"done": 0.4, "answered": 40, "errors": {}, "latencies": {}})
        show({"done": 2.0, "answered": 200, "errors": {}, "latencies": {"600": 200}})
        assert "2/10 s, 100/s, p50 1,460" in out.getvalue()


@given(st.lists(st.floats(0.011, 3e6), min_size=1, max_size=200), st.floats(0.01, 1), st.integers(1, 3))
@settings(max_examples=examples(100))
def test_live_quantiles_are_exact_to_a_bucket(values: list[float], quantile: float, parts: int) -> None:
    total: Counter[str] = Counter()
    for part in range(parts):
        counts = LatencyCounts()
        counts.add(np.array(values[part::parts]))
        total.update(counts.as_facts())
    exact = sorted(values)[max(int(np.ceil(quantile * len(values) - 1e-9)), 1) - 1]
    shown = quantile_ms(total, quantile)
    assert shown is not None and abs(shown / exact - 1) < 0.021 and quantile_ms({}, quantile) is None


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "luckyhit", "load", *arguments], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("options", [pytest.param(["--closed", "2"], marks=pytest.mark.slow), ["--rate", "200"]])
def test_ctrl_c_prints_what_there_is(options: list[str], service: HostileService, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(f"{service.url}/ok", *options, "--seconds", "3600", "--json", "--out", str(out)) as process:
        assert process.stderr is not None and " of 3600 s: " in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    facts = json.loads(stdout)
    account = facts["accounting"]
    assert facts["interrupted"] and 1 <= facts["seconds"] < 60 and "Interrupted" in facts["warnings"][0]
    assert 0 < account["completed"] <= account["scheduled"] < 100_000 and facts["failure"] == ""
    assert account["dropped"] <= 0.5 * account["scheduled"], "what was not due yet is not dropped"
    assert facts["latency_ms"]["p99"] > 0 and json.loads((out / "summary.json").read_text())["interrupted"]


@pytest.mark.slow
def test_a_stop_in_the_warm_up_has_no_latencies(service: HostileService) -> None:
    with started(f"{service.url}/ok", "--warmup", "3600", "--seconds", "5") as process:
        assert process.stderr is not None and process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "latency    none" in stdout, stdout


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/error", (), "500"),
        ("/error", ("--expect-status", "200"), "500"),
        ("/hang", ("--timeout", "100ms"), "timed out"),
        ("/reset-first", (), "closed each connection"),
    ],
)
def test_a_load_that_only_failed_says_why(path: str, options: tuple[str, ...], reason: str, service) -> None:
    done = command(f"{service.url}{path}", "--rate", "20", "--seconds", "0.4", *options)
    assert done.exit_code == 4 and reason in done.stderr.splitlines()[-1], done.output


def test_an_error_status_that_was_expected_is_no_failure(service: HostileService) -> None:
    done = command(f"{service.url}/error", "--rate", "20", "--seconds", "0.3", "--expect-status", "500")
    assert done.exit_code == 0, done.output


def test_a_name_that_is_not_known() -> None:
    misspelt = command("stale-prise")
    assert isinstance(misspelt.exception, ArgumentError) and "'stale-price'" in misspelt.exception.hint


def test_the_service_of_a_case_is_started_for_its_load() -> None:
    done = command("placebo", "--seconds", "1", "--rate", "40", "--json")
    facts = json.loads(done.stdout)
    assert done.exit_code == 0 and facts["accounting"]["completed"] > 10 and "starting the service" in done.stderr
    with socket.socket() as probe:
        port = int(facts["url"].rpartition(":")[2])
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "it is stopped at the end"


def test_a_case_that_writes_to_a_running_service_needs_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOGUE_REDIS", "redis://127.0.0.1:1/0")
    done = command("docs/examples/live-price.yml")
    assert isinstance(done.exception, ArgumentError) and "--case" in done.exception.hint

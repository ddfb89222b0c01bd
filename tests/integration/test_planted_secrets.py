"""Secrets planted wherever one can come in: none is in anything that a run leaves behind or prints."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from canaries import Search, spellings
from secrets_world import CASE, OWN, PASSED, World, world

POLL = threading.Event()


@pytest.fixture
def leaky(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def in_mode(mode: str) -> Any:
    def edit(case: dict[str, Any]) -> None:
        case["target"]["start"]["command"].append(mode)
        del case["freshness"]

    return edit


def kept(leaky: World) -> Path:
    (run,) = leaky.runs.glob("*/*")
    return run


def test_a_baseline_shows_none(leaky: World) -> None:
    def quietly(case: dict[str, Any]) -> None:
        del case["freshness"]  # it would write to what is only observed

    leaky.write_case(quietly)
    done = leaky.run("--observe", "--json")
    assert done.returncode == 0, done.stderr.decode()
    run = kept(leaky)
    assert leaky.leaks() == {}
    # What was scrubbed was there, and the records that it stood in are still told apart.
    assert "[redacted]" in (run / "logs" / "before-service.log").read_text()
    assert (run / "inputs" / "keys-item.txt").read_text().split("\n") == [
        f"{number}?api_key=[redacted]" for number in range(1, 9)
    ]
    assert not list(run.glob("*.backup")) and not (run / "work").exists()


@pytest.mark.measures
@pytest.mark.slow
def test_a_run_from_end_to_end_shows_none(leaky: World) -> None:
    done = leaky.run("--json")
    assert done.returncode == 0, done.stderr.decode()
    run = kept(leaky)
    result = json.loads((run / "result.json").read_text())
    assert leaky.leaks() == {}
    for words in (
        ["judge", str(run)],
        ["judge", str(run), "--json", "--write"],
        ["report", str(run)],
        ["revert", str(run)],
    ):
        assert leaky.luckyhit(*words, *(leaky.folders[:2])).returncode == 0
    assert leaky.leaks() == {}
    # It is judged again, and comes to the same: what was scrubbed is no longer needed.
    again = json.loads((run / "result.json").read_text())
    assert again["metrics"] == result["metrics"] and again["verdict"] == result["verdict"]


@pytest.mark.measures
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["mismatch", "dies"])
def test_a_run_that_fails_shows_none(mode: str, leaky: World) -> None:
    leaky.write_case(in_mode(mode))
    done = leaky.run()
    assert (done.returncode == 0) == (mode == "mismatch")
    assert b"un5een" not in done.stderr and leaky.leaks() == {}


@pytest.mark.measures
@pytest.mark.slow
def test_an_answer_that_is_not_as_expected_is_quoted_without_any(leaky: World) -> None:
    def other(case: dict[str, Any]) -> None:
        case["expected"]["response"] = {"status": 200, "fields": ["$.nothing"]}

    leaky.write_case(other)
    checked = leaky.luckyhit("check", CASE)
    done = leaky.run()
    assert checked.returncode == done.returncode == 3
    assert b"no $.nothing in the body" in done.stderr
    assert leaky.leaks() == {}


@pytest.mark.measures
@pytest.mark.slow
def test_commands_that_print_secrets_and_an_access_log_show_none(leaky: World) -> None:
    def commands(case: dict[str, Any]) -> None:
        told = "import os, sys; print(os.environ['ADMIN_TOKEN'], file=sys.stderr); "
        told += "from urllib.parse import quote; print(quote(os.environ['ADMIN_TOKEN']), sys.argv, file=sys.stderr); "
        told += "sys.exit('no such flag' if 'on' in sys.argv else 0)"
        shows = "import os; print('off')"
        case["change"] = {
            "kind": "command", "what": "A flag", "apply": ["{python}", "-c", told, "on", "{port}"],
            "revert": ["{python}", "-c", told, "off", "{port}"], "verify": ["{python}", "-c", shows, "{port}"],
            "before": "off", "after": "on", "pass_env": ["ADMIN_TOKEN"], "within": "5s", "smallest": "One flag.",
        }  # fmt: skip
        del case["freshness"]
        case["workload"].pop("rate")
        case["workload"]["replay"] = {"file": "access.log", "others": True}
        del case["workload"]["routes"][0]["keys"]

    leaky.write_case(commands)
    done = leaky.run()
    assert done.returncode not in (0, 2), done.stderr.decode()
    # Its standard error is told, since that says why; what it printed of secrets is not.
    assert b"no such flag" in done.stderr and b"[redacted]" in done.stderr
    targets = pq.read_table(kept(leaky) / "inputs" / "replay.parquet")["target"].to_pylist()
    assert len(targets) == 120 and set(targets) == {f"/items/{key}?token=[redacted]" for key in range(7)}
    assert leaky.leaks() == {}


@pytest.mark.measures
@pytest.mark.slow
def test_the_difference_of_two_revisions_shows_none(leaky: World) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    source = leaky.project / "leaky_service.py"
    (leaky.project / ".gitignore").write_text("data/\n")
    for number, text in enumerate(
        ("", f'\nAPI_KEY = "{OWN["diff"]}"\nURL = "https://u:{OWN["diff"]}@x/?token={OWN["diff"]}"\n')
    ):
        source.write_text(source.read_text() + text)
        for words in (
            ([] if number else ["init", "-q", "-b", "main"]),
            ["add", "."],
            ["commit", "-qm", f"v{number}"],
            ["tag", f"v{number}"],
        ):
            if words:
                subprocess.run([*git, *words], cwd=leaky.project, check=True)

    def revisions(case: dict[str, Any]) -> None:
        case["change"] = {"kind": "revision", "what": "A revision", "before": "v0", "after": "v1", "smallest": "One."}
        del case["freshness"]

    leaky.write_case(revisions)
    done = leaky.run()
    assert done.returncode == 0, done.stderr.decode()
    assert "[redacted]" in (kept(leaky) / "change.diff").read_text()
    assert leaky.leaks() == {}


@pytest.mark.measures
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_shows_none_once_it_is_reverted(number: signal.Signals, leaky: World) -> None:
    def longer(case: dict[str, Any]) -> None:
        case["plan"]["block"] = "20s"

    leaky.write_case(longer)
    process = leaky.start("run", CASE, *leaky.folders)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        told = "".join(path.read_text() for path in leaky.runs.glob("*/*/progress.jsonl"))
        if "measuring the change" in told and list(leaky.runs.glob("*/*/requests/block-001*")):
            break
        POLL.wait(0.05)
    assert process.poll() is None
    if number == signal.SIGKILL:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    leaky.printed += process.communicate(timeout=90)
    reverted = leaky.luckyhit("revert", "latest", *leaky.folders[:2])
    assert reverted.returncode == 0, reverted.stderr.decode()
    assert leaky.luckyhit("report", "latest", *leaky.folders).returncode == 0
    assert leaky.leaks() == {}


def test_the_load_engine_alone_shows_none(leaky: World) -> None:
    environ = {**leaky.environ, "REDIS_URL": leaky.cache_url}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (leaky.folder / "service.log").open("wb")
    with (
        log,
        subprocess.Popen(
            [sys.executable, "leaky_service.py", str(port)], cwd=leaky.project, env=environ, stdout=log, stderr=log
        ) as service,
    ):
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with socket.socket() as asked:
                    if asked.connect_ex(("127.0.0.1", port)) == 0:
                        break
                POLL.wait(0.05)
            asked_for = ["load", f"http://127.0.0.1:{port}/items/{{key}}?api_key={OWN['log-query']}", "--keys", "@keys.txt",
                         "--rate", "40", "--seconds", "1", "--header-env", "Authorization=SHOP_AUTH", "--header-env", "X-Plain=AUDIT_VALUE",
                         "--header", f"Cookie: id={OWN['cookie']}", "--expect-sha256", "0" * 64, "--out", str(leaky.out / "load")]  # fmt: skip
            done = leaky.luckyhit(*asked_for)
            assert done.returncode == 4, done.stderr.decode()  # no body is the expected one
            asked_for[-1] = str(leaky.out / "again")
            assert leaky.luckyhit(*asked_for, "--json").returncode == 4
        finally:
            service.kill()
    assert leaky.leaks() == {}


@pytest.mark.parametrize("text", ["token", "cache", pytest.param("header", marks=pytest.mark.slow)])
def test_a_case_that_has_the_value_of_its_secret_is_refused(text: str, leaky: World) -> None:
    def quoting(case: dict[str, Any]) -> None:
        case["owner"]["contact"] = f"ask for {PASSED[text]}"

    path = leaky.write_case(quoting)
    path.write_text(path.read_text().replace(json.dumps(PASSED[text])[1:-1], PASSED[text].replace('"', '\\"')))
    done = leaky.run()
    assert done.returncode == 2
    assert b"leaky.yml:5: " in done.stderr
    assert not leaky.runs.exists() and leaky.leaks() == {}


def test_credentials_in_the_url_of_a_service_are_refused(leaky: World) -> None:
    def with_password(case: dict[str, Any]) -> None:
        case["target"] = {"url": f"http://shop:{OWN['url-user']}@127.0.0.1:1/"}

    leaky.write_case(with_password)
    done = leaky.run("--observe")
    assert done.returncode == 2 and b"credentials in a URL" in done.stderr
    assert not leaky.runs.exists() and leaky.leaks() == {}


def test_a_secret_that_was_left_would_be_found(tmp_path: Path) -> None:
    secret = PASSED["token"]
    search = Search({"it": secret, "other": "nowhere-at-all"}, [tmp_path])
    for number, form in enumerate(sorted(spellings(secret))):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        (folder / "plain.log").write_text(f"a {form} b")
        pq.write_table(
            pa.table({"key": pa.array(["x", form]).dictionary_encode()}), folder / "rows.parquet", compression="zstd"
        )
        pq.write_table(pa.table({"n": [1]}).replace_schema_metadata({"by": form}), folder / "about.parquet")
        (folder / "book.ipynb").write_text(json.dumps({"cells": [{"source": [f"in {tmp_path}\n", form]}]}))
        found = search.in_files(folder)
        assert {name.split("/")[1]: "it" in seen for name, seen in found.items()} == dict.fromkeys(
            ("plain.log", "rows.parquet", "about.parquet", "book.ipynb"), True
        )
        assert found[f"run-{number}/book.ipynb"] == {"it", f"the path {tmp_path}"}

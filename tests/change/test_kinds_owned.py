"""Changes by a call, a command and a setting on a service and a cache that the run started itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from luckyhit.atomic import write_atomically
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, apply, in_place, prepare, reset_block, revert_run, roll_back, start_stacks
from luckyhit.change.processes import of_stack
from luckyhit.system import Stack

# Its switch lives in memory, and in a file where it is given one; it reads a setting from that file's neighbour at start.
SERVICE = """
import http.server, json, pathlib, sys

kept = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
setting = pathlib.Path("setting.txt").read_text() if pathlib.Path("setting.txt").exists() else "none"
state = {"on": kept is not None and kept.exists() and kept.read_text() == "on"}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"on": state["on"], "setting": setting})
    def do_PUT(self):
        state["on"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["on"]
        if kept:
            kept.write_text("on" if state["on"] else "off")
        self.answer({})
    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
BY_HTTP = {
    "kind": "http",
    "what": "Switch it on",
    "apply": {"path": "/switch", "body": {"on": True}},
    "revert": {"path": "/switch", "body": {"on": False}},
    "verify": {"path": "/", "value": "$.on"},
    "before": "false",
    "after": "true",
    "smallest": "One switch.",
}


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


@pytest.fixture
def started(run: CaseRun, make_case: Callable[..., Case], journal: Journal) -> Iterator[Callable[..., Stack]]:
    """`started(change, *arguments)`: a real service with a real cache, both the run's own."""
    (run.path / "service.py").write_text(SERVICE)
    with ExitStack() as running:

        def start(change: dict[str, Any], *arguments: str) -> Stack:
            command = ["{python}", "service.py", "{port}", *arguments]
            case = make_case(
                change=change,
                design="crossover",
                target={"start": {"command": command, "ready": "/", "env": {"CACHE": "{cache_url}"}}},
            )
            write_atomically(run.path / "case.yml", case.model_dump_json(exclude_defaults=True))
            stack = Stack(case, "before", run.path / "work" / "before", project=run.path)
            running.callback(stack.stop)
            start_stacks([stack], journal)
            prepare(stack)
            return stack

        yield start


def shows(stack: Stack) -> dict[str, Any]:
    return dict(httpx.get(stack.base_url, trust_env=False).json())


def kill(stack: Stack) -> None:
    for entry in of_stack(stack):
        psutil.Process(entry["pid"]).kill()


def test_a_switch_in_memory_is_set_again_after_each_restart(started: Callable[..., Stack], journal: Journal) -> None:
    stack = started(BY_HTTP)
    for arm, on in (("before", False), ("after", True), ("after", True), ("before", False), ("after", True)):
        reset_block({arm: stack}, stack.case, journal)  # type: ignore[dict-item]
        assert shows(stack)["on"] is on and in_place(stack, journal) is on
    assert roll_back(stack, journal).confirmed and shows(stack)["on"] is False


def test_what_outlives_the_service_is_taken_back_by_starting_it_once_more(
    started: Callable[..., Stack], journal: Journal, run: CaseRun, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.txt"
    stack = started(BY_HTTP, str(kept))
    apply(stack, journal)
    kill(stack)
    assert kept.read_text() == "on"
    rollback = revert_run(run, project=run.path)
    assert rollback.confirmed and kept.read_text() == "off" and journal.open_steps() == []


def test_a_setting_of_the_runs_own_cache_is_gone_with_it(
    started: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    change = {
        "kind": "cache-setting",
        "what": "Evict",
        "name": "maxmemory-policy",
        "before": "volatile-lru",  # not what a new server has: it is given that
        "after": "allkeys-lru",
        "smallest": "One setting.",
    }
    stack = started(change)
    assert stack.cache is not None
    with stack.cache.client() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        apply(stack, journal)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        reset_block({"before": stack}, stack.case, journal)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        apply(stack, journal)
    kill(stack)
    assert revert_run(run, project=run.path).confirmed and journal.open_steps() == []


def by_command(file: str, *, restart: bool = False) -> dict[str, Any]:
    write = f"import pathlib, sys; pathlib.Path({file!r}).write_text(sys.argv[1])"
    read = f"import pathlib; f = pathlib.Path({file!r}); print(f.read_text() if f.exists() else 'none')"
    return {
        "kind": "command",
        "what": "Write a setting",
        "apply": [sys.executable, "-c", write, "new"],
        "revert": [sys.executable, "-c", write, "none"],
        "verify": [sys.executable, "-c", read],
        "before": "none",
        "after": "new",
        "restart": restart,
        "within": "10s",
        "smallest": "One file.",
    }


def test_a_service_that_reads_its_setting_at_start_is_restarted_for_it(
    started: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    stack = started(by_command("setting.txt", restart=True))
    for arm, setting in (("before", "none"), ("after", "new"), ("after", "new"), ("before", "none")):
        reset_block({arm: stack}, stack.case, journal)  # type: ignore[dict-item]
        assert shows(stack)["setting"] == setting
    apply(stack, journal)
    kill(stack)
    assert revert_run(run, project=run.path).confirmed
    assert (run.path / "setting.txt").read_text() == "none"


def test_what_was_changed_in_the_runs_own_cache_needs_no_command_to_be_gone(
    started: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    tool = "import redis, sys; c = redis.Redis.from_url(sys.argv[1]); a = sys.argv[2:]; a and c.set('mode', a[0]); "
    tool += "print((c.get('mode') or b'old').decode())"
    words = [sys.executable, "-c", tool, "{cache_url}"]
    change = {**by_command("x"), "apply": [*words, "new"], "revert": [*words, "old"], "verify": words, "before": "old"}
    stack = started(change)
    apply(stack, journal)
    assert in_place(stack, journal)
    kill(stack)
    rollback = revert_run(run, project=run.path)
    assert rollback.confirmed and "gone with the run's own service" in rollback.detail


def test_a_command_that_needs_the_service_gets_it_once_more(
    started: Callable[..., Stack], journal: Journal, run: CaseRun, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.txt"
    put = "import httpx, sys; httpx.put(sys.argv[1] + '/', json=dict(on=sys.argv[2] == 'on')).raise_for_status()"
    get = "import httpx, sys; print(httpx.get(sys.argv[1]).json()['on'])"
    change = {
        **by_command("x"),
        "apply": [sys.executable, "-c", put, "{base_url}", "on"],
        "revert": [sys.executable, "-c", put, "{base_url}", "off"],
        "verify": [sys.executable, "-c", get, "{base_url}"],
        "before": "False",
        "after": "True",
    }
    stack = started(change, str(kept))
    apply(stack, journal)
    kill(stack)
    assert kept.read_text() == "on"
    assert revert_run(run, project=run.path).confirmed and kept.read_text() == "off"

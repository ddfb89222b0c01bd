"""Changes of live kinds on a service and a cache that the run started itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
from served import program

from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, in_place, prepare, reset_block, revert_run
from luckyhit.change.processes import of_stack
from luckyhit.system import Stack
from tier import one_of_many

# Its switch lives in memory, and in a file where it is given one; it reads a setting from that file's neighbour at start.
SERVICE = program(
    """
if method == "PUT":
    state["on"] = body["on"]
    if kept.name != "memory-only":
        kept.write_text("on" if state["on"] else "off")
return {"on": state["on"], "setting": setting}
""",
    """
kept, file = pathlib.Path(sys.argv[2]), pathlib.Path("setting.txt")
setting = file.read_text() if file.exists() else "none"
state = {"on": kept.exists() and kept.read_text() == "on"}
""",
)
WRITE = "import pathlib, sys; pathlib.Path('setting.txt').write_text(sys.argv[1])"
READ = "import pathlib; f = pathlib.Path('setting.txt'); print(f.read_text() if f.exists() else 'none')"
# Without a client library, which takes long to import.
IN_CACHE = """
import socket, sys
from urllib.parse import urlsplit
url, given = urlsplit(sys.argv[1]), sys.argv[2:]
stream = socket.create_connection((url.hostname, url.port)).makefile("rwb", buffering=0)
for words in ([f"AUTH {url.password}"] if url.password else []) + [f"SET mode {word}" for word in given] + ["GET mode"]:
    stream.write(words.encode() + b"\\r\\n")
    answer = stream.readline()
print(stream.readline().decode() if answer != b"$-1\\r\\n" else "old")
"""
PUT = "import http.client, sys; c = http.client.HTTPConnection(sys.argv[1].removeprefix('http://')); "
PUT += "c.request('PUT', '/', sys.argv[2]); assert c.getresponse().status == 200"
GET = "import json, sys, urllib.request; print(json.load(urllib.request.urlopen(sys.argv[1]))['on'])"


def by_command(apply: list[str], revert: list[str], verify: list[str], **fields: Any) -> dict[str, Any]:
    commands = {"apply": apply, "revert": revert, "verify": verify}
    python = {name: [sys.executable, *(["-c"] if " " in words[0] else []), *words] for name, words in commands.items()}
    return {"kind": "command", **python, "within": "10s", **fields}


class Row(NamedTuple):
    """`state`: what the service shows. `file`: in the run's directory, what outlives the service, and its text after a
    revert."""

    change: dict[str, Any]
    state: Callable[[Stack], Any]
    values: tuple[Any, Any]
    file: tuple[str, str] | None = None
    kept: str = "memory-only"
    quick: bool = True


def shown(name: str) -> Callable[[Stack], Any]:
    return lambda stack: httpx.get(stack.base_url, trust_env=False).json()[name]


def in_cache(stack: Stack) -> Any:
    assert stack.cache is not None
    with stack.cache.client() as client:
        return client.get("mode")


def policy(stack: Stack) -> Any:
    assert stack.cache is not None
    with stack.cache.client() as client:
        return client.config_get("maxmemory-policy")["maxmemory-policy"]


SWITCH = {"path": "/switch", "body": {"on": True}}
BY_HTTP = {
    "kind": "http",
    "apply": SWITCH,
    "revert": {"path": "/switch", "body": {"on": False}},
    "verify": {"path": "/", "value": "$.on"},
    "before": "false",
    "after": "true",
}
WORDS = {"before": "none", "after": "new"}
ROWS = {
    "a switch in memory, set again after each restart": Row(BY_HTTP, shown("on"), (False, True)),
    "a switch that outlives the service": Row(BY_HTTP, shown("on"), (False, True), ("kept", "off"), "kept", quick=False),
    # Not what a new server has: it is given that.
    "a setting of the cache": Row(
        {"kind": "cache-setting", "name": "maxmemory-policy", "before": "volatile-lru", "after": "allkeys-lru"},
        policy, ("volatile-lru", "allkeys-lru"),
    ),
    "a setting that is read at start": Row(
        by_command([WRITE, "new"], [WRITE, "none"], [READ], restart=True, **WORDS),
        shown("setting"), ("none", "new"), ("setting.txt", "none"),
    ),
    "a key of the run's own cache": Row(
        by_command(["in_cache.py", "{cache_url}", "new"], ["in_cache.py", "{cache_url}", "old"], ["in_cache.py", "{cache_url}"],
                   before="old", after="new"),
        in_cache, (b"old", b"new"),
    ),
    "a command that needs the service": Row(
        by_command([PUT, "{base_url}", '{{"on": true}}'], [PUT, "{base_url}", '{{"on": false}}'], [GET, "{base_url}"],
                   before="False", after="True"),
        shown("on"), (False, True), ("kept", "off"), "kept",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", [one_of_many(row, quick=row.quick) for row in ROWS.values()], ids=list(ROWS))
def test_change_of_an_own_service_holds_and_is_undone(
    row: Row, own: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    (run.path / "service.py").write_text(SERVICE)
    (run.path / "in_cache.py").write_text(IN_CACHE)
    command = ["{python}", "service.py", "{port}", str(run.path / row.kept)]
    stack = own(
        {"command": command, "env": {"CACHE": "{cache_url}"}}, change={"what": "w", "smallest": "s", **row.change}
    )
    prepare(stack)
    for arm in ("after", "before", "after"):
        reset_block({arm: stack}, stack.case, journal)  # type: ignore[dict-item]
        assert in_place(stack, journal) is (arm == "after")
        if arm == "after" or row.change["kind"] != "command":
            assert row.state(stack) == row.values[arm == "after"]
    for process in of_stack(stack):
        psutil.Process(process["pid"]).kill()
    assert revert_run(run, project=run.path).confirmed and journal.open_steps() == []
    if row.file is not None:  # the service was started once more for it, where that takes one
        assert Path(run.path / row.file[0]).read_text() == row.file[1]

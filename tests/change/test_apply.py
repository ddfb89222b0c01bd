from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import (
    Journal,
    apply,
    difference_guard,
    look_at,
    reset_block,
    revert_run,
    roll_back,
    same_guard,
    settings_of,
    settle,
    start_stacks,
)
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.processes import of_stack
from luckyhit.errors import GuardError, LuckyHitError
from luckyhit.system import Settings, Stack

# A service with a cache of its own inside the process, and keys in Redis: `/config` tells what it was given.
SERVICE = """
import http.server, json, os, sys
import redis

client = redis.Redis.from_url(sys.argv[2])
inside = {}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/products/"):
            key = self.path.rsplit("/", 1)[1]
            inside[key] = inside.get(key, 0) + 1
            client.set(f"product:{key}:v1", "p", ex=600)
            client.set(f"session:{key}", "s")
        config = {"ttl": int(os.environ.get("SHOP_TTL", "5")), "arguments": sys.argv[3:], "pid": os.getpid()}
        body = json.dumps({**config, "inside": inside} if self.path != "/config" else config).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

if os.environ.get("SHOP_TTL") == "broken":
    sys.exit("SHOP_TTL must be a number")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "service.py").write_text(SERVICE)
    return tmp_path


@pytest.fixture
def service_case(make_case: Callable[..., Case]) -> Callable[..., Case]:
    def make(**parts: Any) -> Case:
        start = {
            "command": ["{python}", "service.py", "{port}", "{cache_url}", "--mode=a"],
            "env": {"SHOP_OTHER": "1"},
            "ready": "/config",
        }
        return make_case(**{"target": {"start": start, "config": "/config"}, **parts})

    return make


@pytest.fixture
def stacks(run: CaseRun, project: Path) -> Iterator[Callable[..., Stack]]:
    """`stacks(case, name)`: a real service with a real cache, not started; stopped at the end."""
    with ExitStack() as made:

        def make(case: Case, name: str = "before") -> Stack:
            workdir = run.path / "work" / name
            workdir.mkdir(parents=True)
            stack = Stack(case, name, workdir, project=project)
            stack.settings = settings_of(stack, "before")
            made.callback(stack.stop)
            return stack

        yield make


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


def ask(stack: Stack, path: str) -> Any:
    return httpx.get(stack.base_url + path, trust_env=False).json()


def test_settings_of_each_kind_of_change(make_case: Callable[..., Case], stacks: Callable[..., Stack]) -> None:
    changed = stacks(make_case())
    assert settings_of(changed, "before") == Settings(env={"SHOP_TTL": "30"})
    assert settings_of(changed, "after") == Settings(env={"SHOP_TTL": "60"})
    none = stacks(make_case(change={"kind": "none", "what": "compare with itself"}), "other")
    assert settings_of(none, "before") == settings_of(none, "after") == Settings()


def test_the_change_goes_in_and_out_again(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal
) -> None:
    case = service_case()
    stack = stacks(case)
    start_stacks([stack], journal)
    assert ask(stack, "/config")["ttl"] == 30
    before = fingerprint(stack, case)

    apply(stack, journal)
    assert ask(stack, "/config")["ttl"] == 60
    guard = difference_guard(case, before, fingerprint(stack, case))
    assert guard.ok and "config.ttl (30 -> 60)" in guard.detail
    assert "apply" in [step.step for step in journal.open_steps()]
    apply(stack, journal)
    assert [step.step for step in journal.steps()].count("apply") == 1

    rollback = roll_back(stack, journal)
    assert rollback.confirmed and ask(stack, "/config")["ttl"] == 30
    assert same_guard(before, fingerprint(stack, case)).ok
    assert "apply" not in [step.step for step in journal.open_steps()]
    assert roll_back(stack, journal).confirmed

    stack.stop()
    settle(journal)
    assert journal.open_steps() == []


def test_an_argument_is_changed(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal
) -> None:
    change = {"kind": "argument", "what": "w", "before": "--mode=a", "after": "--mode=b", "smallest": "s"}
    case = service_case(change=change)
    stack = stacks(case)
    start_stacks([stack])
    before = fingerprint(stack, case)
    apply(stack, journal)
    guard = difference_guard(case, before, fingerprint(stack, case))
    assert guard.ok and ask(stack, "/config")["arguments"] == ["--mode=b"], guard.detail
    roll_back(stack, journal)
    assert ask(stack, "/config")["arguments"] == ["--mode=a"]


def test_two_stacks_are_alike_until_one_is_changed(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal
) -> None:
    case = service_case()
    arms = {"before": stacks(case, "before"), "after": stacks(case, "after")}
    start_stacks(arms.values(), journal)
    guard = same_guard(fingerprint(arms["before"], case), fingerprint(arms["after"], case))
    assert guard.ok, guard.detail

    for stack in arms.values():
        for key in (1, 1, 2):
            ask(stack, f"/products/{key}")
    apply(arms["after"], journal)
    facts, seen = reset_block(arms, case, journal), look_at(arms, case)
    for arm, ttl in (("before", 30), ("after", 60)):
        clear = facts["clear"][arm]
        assert (clear["scanned"], clear["cleared"], clear["outside"], clear["backup"]) == (4, 2, 2, None)
        assert seen[arm]["config.ttl"] == str(ttl)
        # The cache inside the process starts empty as well.
        assert ask(arms[arm], "/products/7")["inside"] == {"7": 1}
        assert ask(arms[arm], "/config")["ttl"] == ttl


def test_one_stack_takes_both_arms_in_turn(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal
) -> None:
    case = service_case(design="crossover")
    stack = stacks(case)
    start_stacks([stack], journal)
    for arm, ttl, changed in (("before", 30, False), ("after", 60, True), ("after", 60, True), ("before", 30, False)):
        reset_block({arm: stack}, case, journal)
        assert ask(stack, "/config")["ttl"] == ttl
        assert ("apply" in [step.step for step in journal.open_steps()]) is changed


def test_no_change_is_only_restarted(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal
) -> None:
    case = service_case(change={"kind": "none", "what": "compare with itself"})
    stack = stacks(case)
    start_stacks([stack], journal)
    first = ask(stack, "/config")["pid"]
    apply(stack, journal)
    assert ask(stack, "/config")["pid"] == first
    reset_block({"before": stack}, case, journal)
    assert ask(stack, "/config")["pid"] != first
    assert roll_back(stack, journal).confirmed


def test_nothing_is_changed_where_the_intent_cannot_be_written(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = service_case()
    stack = stacks(case)
    start_stacks([stack])
    first = ask(stack, "/config")["pid"]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuardError, match="can't be written"):
        apply(stack, journal)
    assert ask(stack, "/config")["pid"] == first and journal.steps() == []


def test_a_rollback_happens_even_where_it_cannot_be_journalled(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    case = service_case()
    stack = stacks(case)
    start_stacks([stack])
    apply(stack, journal)
    kept = journal.path.rename(run.path / "kept")
    journal.path.mkdir()
    rollback = roll_back(stack, journal)
    assert rollback.confirmed and "could not be journalled" in rollback.detail
    assert ask(stack, "/config")["ttl"] == 30
    journal.path.rmdir()
    kept.rename(journal.path)
    stack.stop()
    assert revert_run(run).confirmed and journal.open_steps() == []


def test_a_change_that_the_service_does_not_survive_stays_open_and_is_reverted(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    change = {"kind": "env", "what": "w", "name": "SHOP_TTL", "before": "30", "after": "broken", "smallest": "s"}
    case = service_case(change=change)
    stack = stacks(case)
    start_stacks([stack], journal)
    with pytest.raises(LuckyHitError, match=r"."):
        apply(stack, journal)
    assert "apply" in [step.step for step in journal.open_steps()]
    assert revert_run(run).confirmed
    assert journal.open_steps() == []


def test_a_killed_run_leaves_nothing_behind_after_revert(
    service_case: Callable[..., Case], stacks: Callable[..., Stack], journal: Journal, run: CaseRun
) -> None:
    case = service_case()
    stack = stacks(case)
    start_stacks([stack], journal)
    apply(stack, journal)
    started = [psutil.Process(entry["pid"]) for entry in of_stack(stack)]
    assert len(started) >= 2  # the service, and its cache
    rollback = revert_run(run)
    assert rollback.confirmed and "were ended" in rollback.detail
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_a_service_given_by_its_url_is_never_touched(
    make_case: Callable[..., Case], make_stack: Any, serve: Any, cache: Any, client: Any, journal: Journal
) -> None:
    case = make_case(target={"url": "http://shop.test"}, design="crossover", change={"kind": "none", "what": "look"})
    stack = make_stack(case, serve({}), cache=cache, owned=False, changeable=False)
    client.set("product:1:v1", "x", ex=60)
    facts, seen = reset_block({"before": stack}, case, journal), look_at({"before": stack}, case)
    assert facts["clear"] == {} and "cache.version" in seen["before"]
    assert client.get("product:1:v1") == b"x" and journal.steps() == []
    stack.case = make_case()
    with pytest.raises(GuardError, match="only observed"):
        apply(stack, journal)
    with pytest.raises(GuardError, match="only observed"):
        roll_back(stack, journal)

"""A stack, as a run uses it: real processes, a real cache, a small real service."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from process_watch import HERE, Owner, all_gone, runs
from shop_case import case_document

from luckyhit.case.model import Case
from luckyhit.errors import (
    ArgumentError,
    CacheUnreachable,
    GuardError,
    LuckyHitError,
    PortTaken,
    ServiceNotReady,
    ServiceStopped,
    TargetError,
)
from luckyhit.system import Settings, Stack, ports, start_together, stop_together
from waiting import eventually
from world import Reply, Service


def shop(stack: Stack) -> dict:
    """What the service was started with, as it reports it."""
    return httpx.get(f"{stack.base_url}/health", trust_env=False).json()


def of_tree(stack: Stack) -> list[int]:
    """Pids of all processes of the stack."""
    roots = [psutil.Process(pid) for pid in (stack.pid, stack.cache.pid) if pid]
    return [process.pid for root in roots for process in (root, *root.children(recursive=True))]


def left_in(folder: Path) -> list[str]:
    """Command lines of processes that work for this folder."""
    commands = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in value for value in process.environ().values()):
                commands.append(" ".join(process.cmdline()))
    return commands


@pytest.fixture(autouse=True)
def nothing_left(make_stack, tmp_path: Path) -> Iterator[None]:
    yield
    make_stack.close()
    assert not left_in(tmp_path)


def test_a_stack_starts_serves_and_leaves_nothing(make_stack, tmp_path: Path) -> None:
    stack = make_stack("fine")
    with stack:
        given = shop(stack)
        pids = of_tree(stack)
        assert stack.owned and stack.alive and stack.cache.owned
        assert stack.base_url == f"http://127.0.0.1:{given['argv'][1]}"
        assert stack.command == [sys.executable, "-S", str(HERE / "shop_service.py"), given["argv"][1], "fine"]
        assert stack.service_pid == given["pid"] and given["cwd"] == str(tmp_path)
        assert given["env"]["SHOP_CACHE"] == stack.cache.url
        assert given["env"]["SHOP_FILES"] == f"{stack.workdir}/files"
        assert {name: given["env"][name] for name in stack.env} == stack.env
        with stack.cache.client() as client:
            assert client.set("product:1", b"\xff") and client.get("product:1") == b"\xff"
        assert len(pids) >= 4
        stack.start()  # it runs: no effect
        assert of_tree(stack) == pids
    assert not any(map(runs, pids)) and not left_in(tmp_path)
    assert not stack.alive and stack.pid is None
    stack.stop()
    assert any("shop: fine on" in line for line in stack.log_tail())


def test_environment_and_arguments_have_several_sources(make_stack) -> None:
    environ = {"HOME": "/somewhere", "SHOP_TOKEN": "s3cr3t-canary", "http_proxy": "http://proxy.test", "EDITOR": "ed"}
    settings = Settings(
        env={"SHOP_TTL": None, "SHOP_NEW": "{workdir}/{port}"}, replace={"fine": "at-{port}", "{port}": "{port}"}
    )
    with make_stack("fine", environ=environ, settings=settings, start={"pass_env": ["SHOP_TOKEN"]}) as stack:
        given = shop(stack)
        assert any(line.endswith("token [redacted]") for line in stack.log_tail())
    env, port = given["env"], given["argv"][1]
    assert env["HOME"] == "/somewhere" and env["PYTHONUNBUFFERED"] == "1" and env["SHOP_TOKEN"] == "s3cr3t-canary"
    assert not {"http_proxy", "EDITOR", "PYTEST_CURRENT_TEST"} & set(env)
    assert given["argv"][2] == f"at-{port}" and "SHOP_TTL" not in env and env["SHOP_NEW"] == f"{stack.workdir}/{port}"
    log = (stack.workdir / "service.log").read_bytes()
    assert b"canary" not in log and b"token [redacted]" in log


def test_a_restart_keeps_cache_port_and_files(make_stack) -> None:
    with make_stack("fine") as stack:
        before, url, cache_pids = shop(stack), stack.base_url, psutil.Process(stack.cache.pid).children()
        with stack.cache.client() as client:
            client.set("product:1", "kept")
        (stack.workdir / "file").write_text("kept")
        with pytest.raises(ArgumentError, match="'sold'"):  # unusable: nothing changes
            stack.restart(Settings(replace={"sold": "out"}))
        assert shop(stack)["pid"] == before["pid"]
        stack.restart(Settings(env={"SHOP_TTL": "60"}))
        after = shop(stack)
        assert stack.base_url == url and psutil.Process(stack.cache.pid).children() == cache_pids
        assert before["pid"] != after["pid"] and not runs(before["pid"])
        assert (before["env"]["SHOP_TTL"], after["env"]["SHOP_TTL"]) == ("30", "60")
        assert stack.env["SHOP_TTL"] == "60" and stack.settings.env == {"SHOP_TTL": "60"}
        with stack.cache.client() as client:
            assert client.get("product:1") == b"kept"
        assert (stack.workdir / "file").exists()
        assert len([line for line in stack.log_tail() if "shop: fine" in line]) == 1  # of this start alone
        with pytest.raises(ServiceStopped, match="exit code 1"):
            stack.restart(Settings(replace={"fine": "crash"}))
        assert not stack.alive
        stack.cache.check()
        stack.restart(Settings())
        assert shop(stack)["env"]["SHOP_TTL"] == "30"


def test_a_service_that_ignores_sigterm_is_stopped(make_stack, tmp_path: Path) -> None:
    with make_stack("daemon", grace_s=0.3) as stack:
        daemon = int(eventually(lambda: (tmp_path / "daemon.pid").exists() and (tmp_path / "daemon.pid").read_text()))
        pids = [*of_tree(stack), daemon]
        assert daemon in of_tree(stack)
    assert not any(map(runs, pids))


SLEEP = {"command": ["sleep", "600", "{port}"], "ready_within": "300ms"}


@pytest.mark.parametrize(
    ("how", "start", "error", "part"),
    [
        ("unready", {"ready_within": "500ms"}, ServiceNotReady, "status 503"),
        ("fine", SLEEP, ServiceNotReady, "connection refused"),
        ("crash", {"ready_within": "24h"}, ServiceStopped, "exit code 1"),
        ("background", {}, ServiceStopped, "exit code 0"),
        ("fine", {"pass_env": ["SHOP_TOKEN", "SHOP_KEY"]}, ArgumentError, "SHOP_TOKEN, SHOP_KEY"),
        ("fine", {"command": ["no-such-program", "{port}"]}, TargetError, "'no-such-program'"),
        ("fine", {"command": ["./no-such-program", "{port}"]}, TargetError, r"'\./no-such-program'"),
        ("fine", {"cwd": "elsewhere"}, TargetError, "'elsewhere'"),
        ("fine", {"command": ["./text", "{port}"]}, TargetError, "Permission denied"),
        ("fine", {"env": {"SHOP_CACHE": "{cache_url}", "A": "${NO_SUCH_PLACE}"}}, ArgumentError, "NO_SUCH_PLACE"),
    ],
)
def test_a_failed_start_says_why(
    how: str, start: dict[str, Any], error: type[LuckyHitError], part: str, make_stack, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("hello")
    stack = make_stack(how, start=start)
    with pytest.raises(TargetError):  # no address yet
        _ = stack.base_url
    with pytest.raises(error, match=part) as caught:
        stack.start()
    assert caught.value.hint
    if how != "fine":
        assert f"shop: {how} on" in caught.value.log[0]


def test_an_argument_that_is_there_twice_is_refused(make_stack) -> None:
    with pytest.raises(ArgumentError, match="2 times"):
        make_stack("fine", "fine", settings=Settings(replace={"fine": "better"})).start()


def test_a_service_that_ends_later_is_noticed(make_stack) -> None:
    with make_stack("fine") as stack:
        stack.check()
        httpx.get(f"{stack.base_url}/end", trust_env=False)
        eventually(lambda: not stack.alive)
        with pytest.raises(ServiceStopped, match="exit code 0") as caught:
            stack.check()
        assert "shop: sold out" in caught.value.log


def test_a_relative_program_is_found_from_the_cwd(make_stack, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    program = tmp_path / "app" / "serve"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {HERE / "shop_service.py"} "$1"\n')
    program.chmod(0o755)
    with make_stack(start={"command": ["./serve", "{port}"], "cwd": "app"}) as stack:
        assert shop(stack)["cwd"] == str(tmp_path / "app")


def test_a_taken_fixed_port_is_named_with_its_holder(make_stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = make_stack("fine", start={"port": port})
        with pytest.raises(PortTaken, match=rf"port {port} .*process {os.getpid()} \("):
            stack.start()
    with stack:  # it is free now
        assert stack.base_url == f"http://127.0.0.1:{port}"
        stack.restart(Settings())
        assert shop(stack)["argv"][1] == str(port)


@pytest.mark.parametrize("answers", [True, False])
def test_a_port_that_another_process_took_is_not_used(answers: bool, make_stack, monkeypatch) -> None:
    """Whether the other one answers the ready check, or not at all."""
    with Service() if answers else socket.create_server(("127.0.0.1", 0)) as other:
        port, choose = other.port if isinstance(other, Service) else other.getsockname()[1], ports.free_port
        given = [port, port]
        monkeypatch.setattr(ports, "free_port", lambda: given.pop() if given else choose())
        stack = make_stack("fine")
        monkeypatch.setattr(stack, "_start_cache", lambda: None)  # it needs a port, too
        with stack:
            assert shop(stack)["pid"] == stack.service_pid
        assert not given


@pytest.mark.parametrize("environ", [{"SHOP_CACHE_URL": "redis://:s3cr3t-canary@127.0.0.1:1/0"}, {}])
def test_an_unreachable_cache_leaves_nothing_running(environ: dict[str, str], make_stack) -> None:
    cache = {"clear": ["product:{id}"], "url_env": "SHOP_CACHE_URL"}
    with pytest.raises(CacheUnreachable, match="SHOP_CACHE_URL") as caught:
        make_stack("fine", cache=cache, environ=environ).start()
    assert "canary" not in str(caught.value)


def test_two_stacks_at_once_are_isolated(make_stack) -> None:
    stacks = [make_stack("fine", name=name) for name in ("before", "after")]
    start_together(stacks)
    before, after = stacks
    assert before.base_url != after.base_url and before.cache.url != after.cache.url
    assert [shop(stack)["env"]["SHOP_CACHE"] for stack in stacks] == [stack.cache.url for stack in stacks]
    with before.cache.client() as client, after.cache.client() as other:
        client.set("product:1", "x")
        assert other.get("product:1") is None
    before.stop()
    assert shop(after)["pid"] == after.service_pid


def test_where_one_of_two_fails_both_are_stopped(make_stack) -> None:
    """The other one would wait a day for its ready check."""
    start = {"ready_within": "24h"}
    stacks = [make_stack("unready", name="before", start=start), make_stack("crash", name="after", start=start)]
    with pytest.raises(ServiceStopped, match="exit code 1"):
        start_together(stacks)


def test_all_are_stopped_where_one_of_them_can_not_be(make_stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = [make_stack("fine", name=name) for name in ("before", "after")]
    start_together(stacks)
    stop = Stack.stop

    def stop_and_fail(stack: Stack) -> None:
        stop(stack)
        if stack is stacks[0]:
            raise TargetError("processes could not be ended: 1")

    monkeypatch.setattr(Stack, "stop", stop_and_fail)
    with pytest.raises(TargetError):
        stop_together(stacks)
    assert not any(stack.alive or stack.cache.pid for stack in stacks)


@pytest.mark.parametrize("moment", ["the cache", "the service"])
def test_a_stop_ends_a_start_in_another_thread(moment: str, make_stack) -> None:
    stack = make_stack("unready", start={"ready_within": "24h"})
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(stack.start)
        if moment == "the cache":
            eventually(lambda: (stack.workdir / "cache.log").exists())
        else:
            eventually(lambda: stack.pid is not None)
        stack.stop()
        with pytest.raises(ServiceStopped):
            starting.result()


def two_stacks(how: str, **start: Any) -> list[Stack]:
    case = Case.model_validate(case_document(how, start=start))
    return [Stack(case, name, Path.cwd() / name, project=Path.cwd(), grace_s=0.3) for name in ("before", "after")]


def test_the_whole_stack_ends_when_its_owner_is_killed(owner: Callable[..., Owner], tmp_path: Path) -> None:
    def hold_stacks() -> None:
        stacks = two_stacks("deaf")
        start_together(stacks)
        print(*[pid for stack in stacks for pid in (stack.pid, stack.service_pid, stack.cache.pid)], flush=True)
        time.sleep(600)

    process = owner(hold_stacks)
    pids = process.pids()
    assert len(pids) == 6 and all(map(runs, pids))
    process.signal(signal.SIGKILL)
    all_gone(pids)
    eventually(lambda: not left_in(tmp_path))


def test_ctrl_c_while_two_are_starting_stops_both(owner: Callable[..., Owner], tmp_path: Path) -> None:
    def start_for_ever() -> None:
        stacks = two_stacks("unready", ready_within="24h")
        try:
            start_together(stacks)
        except KeyboardInterrupt:
            print("interrupted", [stack.alive for stack in stacks], flush=True)

    process = owner(start_for_ever)
    logs = [tmp_path / name / "service.log" for name in ("before", "after")]
    eventually(lambda: all(log.exists() and "shop: unready" in log.read_text() for log in logs))
    process.signal(signal.SIGINT, group=True)
    assert process.stdout.readline() == "interrupted [False, False]\n"


def test_an_observed_service_is_left_alone(make_stack) -> None:
    with Service(lambda _: Reply(status=404)) as service:
        url = service.url
        with make_stack(target={"url": url, "config": "/config"}) as stack:
            assert not stack.owned and stack.alive and stack.base_url == url
            assert (stack.command, stack.env, stack.pid, stack.cache) == ([], {}, None, None)
            assert stack.log_tail() == []
            with pytest.raises(GuardError, match="observed"):
                stack.restart(Settings())
        assert stack.alive  # stop() is of no effect
    assert not stack.alive
    with pytest.raises(TargetError, match=f"{url}/config"):
        stack.start()

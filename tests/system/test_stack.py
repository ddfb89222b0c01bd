"""A stack, as a run uses it: real processes, a real cache, a small real service."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from process_watch import HERE, all_gone, runs

from luckyhit.errors import (
    ArgumentError,
    CacheUnreachable,
    GuardError,
    PortTaken,
    ServiceNotReady,
    ServiceStopped,
    TargetError,
)
from luckyhit.system import Settings, Stack, ports, start_together
from waiting import eventually
from world import Reply, Service


def shop(stack: Stack) -> dict:
    """What the service says it was given."""
    return httpx.get(f"{stack.base_url}/health", trust_env=False).json()


def of_tree(stack: Stack) -> list[int]:
    """Pids of all processes of the stack."""
    roots = [psutil.Process(pid) for pid in (stack.pid, stack.cache.pid) if pid]
    return [process.pid for root in roots for process in (root, *root.children(recursive=True))]


def left_in(folder: Path) -> list[str]:
    """Command lines of processes that work for this folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in value for value in process.environ().values()):
                found.append(" ".join(process.cmdline()))
    return found


def test_a_stack_starts_serves_and_leaves_nothing(make_stack, tmp_path: Path) -> None:
    stack = make_stack("fine")
    with stack:
        given = shop(stack)
        pids = of_tree(stack)
        assert stack.owned and stack.alive and stack.cache.owned
        assert stack.base_url == f"http://127.0.0.1:{given['argv'][1]}"
        assert stack.command == [sys.executable, "-S", str(HERE / "shop_service.py"), given["argv"][1], "fine"]
        assert stack.service_pid == given["pid"]
        assert given["cwd"] == str(tmp_path)
        assert given["env"]["SHOP_CACHE"] == stack.cache.url
        assert given["env"]["SHOP_FILES"] == f"{stack.workdir}/files"
        assert {name: given["env"][name] for name in stack.env} == stack.env
        with stack.cache.client() as client:
            client.set("product:1", b"\xff")
            assert client.get("product:1") == b"\xff"
        assert len(pids) >= 4
        stack.start()  # it runs: of no effect
        assert of_tree(stack) == pids
    assert not any(map(runs, pids)) and not left_in(tmp_path)
    assert not stack.alive and stack.pid is None
    stack.stop()
    assert any("shop: fine on" in line for line in stack.log_tail())


def test_the_service_gets_no_more_of_our_environment_than_it_needs(make_stack) -> None:
    environ = {
        "HOME": "/somewhere",
        "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
        "http_proxy": "http://proxy.test:3128",
        "SHOP_TOKEN": "s3cr3t-canary",
        "EDITOR": "ed",
    }
    with make_stack("fine", environ=environ, start={"pass_env": ["SHOP_TOKEN"]}) as stack:
        seen = shop(stack)["env"]
    assert seen["HOME"] == "/somewhere" and seen["PYTHONUNBUFFERED"] == "1"
    assert seen["SHOP_TOKEN"] == "s3cr3t-canary"
    assert not {"AWS_SECRET_ACCESS_KEY", "http_proxy", "EDITOR", "PYTEST_CURRENT_TEST"} & set(seen)


def test_a_secret_that_the_service_logs_is_not_shown_and_not_kept(make_stack) -> None:
    environ = {"SHOP_TOKEN": "s3cr3t-canary"}
    with make_stack("fine", environ=environ, start={"pass_env": ["SHOP_TOKEN"]}) as stack:
        assert any(line.endswith("token [redacted]") for line in stack.log_tail())
    assert b"canary" not in (stack.workdir / "service.log").read_bytes()
    assert b"token [redacted]" in (stack.workdir / "service.log").read_bytes()


def test_settings_override_the_case_and_are_filled_in(make_stack) -> None:
    settings = Settings(
        env={"SHOP_TTL": None, "SHOP_NEW": "{workdir}/{port}"}, replace={"fine": "at-{port}", "{port}": "{port}"}
    )
    with make_stack("fine", settings=settings) as stack:
        given = shop(stack)
    port = given["argv"][1]
    assert given["argv"][2] == f"at-{port}"
    assert "SHOP_TTL" not in given["env"] and given["env"]["SHOP_NEW"] == f"{stack.workdir}/{port}"


def test_a_restart_keeps_cache_port_and_files(make_stack) -> None:
    with make_stack("fine") as stack:
        before, url, cache_pids = shop(stack), stack.base_url, psutil.Process(stack.cache.pid).children()
        with stack.cache.client() as client:
            client.set("product:1", "kept")
        (stack.workdir / "file").write_text("kept")
        stack.restart(Settings(env={"SHOP_TTL": "60"}))
        after = shop(stack)
        assert stack.base_url == url and psutil.Process(stack.cache.pid).children() == cache_pids
        assert before["pid"] != after["pid"] and not runs(before["pid"])
        assert (before["env"]["SHOP_TTL"], after["env"]["SHOP_TTL"]) == ("30", "60")
        assert stack.env["SHOP_TTL"] == "60" and stack.settings.env == {"SHOP_TTL": "60"}
        with stack.cache.client() as client:
            assert client.get("product:1") == b"kept"
        assert (stack.workdir / "file").exists()
        stack.restart(Settings())
        assert shop(stack)["env"]["SHOP_TTL"] == "30"
        assert len([line for line in stack.log_tail() if "shop: fine" in line]) == 1  # of this start alone


def test_a_restart_with_settings_that_cannot_be_used_leaves_the_service_alone(make_stack) -> None:
    with make_stack("fine") as stack:
        pid = shop(stack)["pid"]
        with pytest.raises(ArgumentError, match=r"'sold'.* 0 times"):
            stack.restart(Settings(replace={"sold": "out"}))
        assert shop(stack)["pid"] == pid


def test_a_restart_that_fails_ends_the_service_and_keeps_the_cache(make_stack, tmp_path: Path) -> None:
    with make_stack("fine") as stack:
        with pytest.raises(ServiceStopped, match="exit code 1") as caught:
            stack.restart(Settings(replace={"fine": "crash"}))
        assert "no module named till" in str(caught.value)
        assert not stack.alive
        stack.cache.check()
        stack.restart(Settings())
        assert stack.alive
    assert not left_in(tmp_path)


def test_an_argument_that_stands_there_twice_is_refused(make_stack) -> None:
    stack = make_stack("fine", "fine", settings=Settings(replace={"fine": "better"}))
    with pytest.raises(ArgumentError, match="2 times"):
        stack.start()


def test_a_service_that_ignores_sigterm_is_stopped(make_stack, tmp_path: Path) -> None:
    with make_stack("daemon", grace_s=0.3) as stack:
        daemon = int(eventually(lambda: (tmp_path / "daemon.pid").exists() and (tmp_path / "daemon.pid").read_text()))
        pids = [*of_tree(stack), daemon]
        assert daemon in of_tree(stack)
    assert not any(map(runs, pids)) and not left_in(tmp_path)


def test_a_service_that_never_gets_ready_shows_its_last_log_lines(make_stack, tmp_path: Path) -> None:
    stack = make_stack("unready", start={"ready_within": "500ms"})
    with pytest.raises(ServiceNotReady, match=r"within 500ms .*status 503") as caught:
        stack.start()
    assert "shop: unready on" in str(caught.value) and caught.value.hint and caught.value.exit_code == 3
    assert not left_in(tmp_path)


def test_a_service_that_does_not_listen_is_not_ready(make_stack, tmp_path: Path) -> None:
    stack = make_stack(start={"command": ["sleep", "600", "{port}"], "ready_within": "300ms"})
    with pytest.raises(ServiceNotReady, match="connection refused"), stack:
        pass
    assert not left_in(tmp_path)


def test_a_service_that_ends_at_once_is_not_waited_for(make_stack, tmp_path: Path) -> None:
    stack = make_stack("crash", start={"ready_within": "24h"})
    with pytest.raises(ServiceStopped, match="ended with exit code 1 before it was ready") as caught:
        stack.start()
    assert caught.value.log[-1] == "shop: no module named till"
    assert not left_in(tmp_path)


def test_a_service_that_goes_to_the_background_is_told_to_stay(make_stack) -> None:
    with pytest.raises(ServiceStopped, match="exit code 0") as caught:
        make_stack("background").start()
    assert "foreground" in caught.value.hint


def test_a_service_that_ends_later_is_noticed(make_stack) -> None:
    with make_stack("fine") as stack:
        stack.check()
        httpx.get(f"{stack.base_url}/end", trust_env=False)
        eventually(lambda: not stack.alive)
        with pytest.raises(ServiceStopped, match="exit code 0") as caught:
            stack.check()
        assert "shop: sold out" in caught.value.log


def test_what_is_missing_is_named_before_anything_starts(make_stack, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="SHOP_TOKEN, SHOP_KEY"):
        make_stack("fine", start={"pass_env": ["SHOP_TOKEN", "SHOP_KEY"]}).start()
    with pytest.raises(TargetError, match=r"'no-such-program' .*not found on PATH"):
        make_stack(start={"command": ["no-such-program", "{port}"]}).start()
    with pytest.raises(TargetError, match=r"'\./no-such-program' .*not found in "):
        make_stack(start={"command": ["./no-such-program", "{port}"]}).start()
    with pytest.raises(TargetError, match="'elsewhere'"):
        make_stack("fine", start={"cwd": "elsewhere"}).start()
    (tmp_path / "text").write_text("hello")
    with pytest.raises(TargetError, match="Permission denied"):
        make_stack(start={"command": ["./text", "{port}"]}).start()
    with pytest.raises(TargetError, match="was not started"):
        _ = make_stack("fine").base_url
    assert not left_in(tmp_path)


def test_a_program_given_by_a_path_is_found_from_the_working_directory(make_stack, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    program = tmp_path / "app" / "serve"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {HERE / "shop_service.py"} "$1"\n')
    program.chmod(0o755)
    with make_stack(start={"command": ["./serve", "{port}"], "cwd": "app"}) as stack:
        assert shop(stack)["cwd"] == str(tmp_path / "app")


def test_a_fixed_port_that_is_taken_is_named_with_its_holder(make_stack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = make_stack("fine", start={"port": port})
        with pytest.raises(PortTaken, match=rf"port {port} is in use by process {os.getpid()} \(") as caught:
            stack.start()
        assert caught.value.hint
    assert not left_in(tmp_path)
    with stack:  # it is free now
        assert stack.base_url == f"http://127.0.0.1:{port}"
        stack.restart(Settings())
        assert shop(stack)["argv"][1] == str(port)


def test_a_free_port_lost_in_a_race_is_chosen_again(make_stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, choose = taken.getsockname()[1], ports.free_port
        given = [port, port]
        monkeypatch.setattr(ports, "free_port", lambda: given.pop() if given else choose())
        stack = make_stack("fine")
        monkeypatch.setattr(stack, "_start_cache", lambda: None)  # it needs a port, too
        with stack:
            assert shop(stack)["argv"][1] != str(port)
        assert not given


def test_a_cache_that_is_down_is_named_and_nothing_is_left(make_stack, tmp_path: Path) -> None:
    port = ports.free_port()
    environ = {"SHOP_CACHE_URL": f"redis://:s3cr3t-canary@127.0.0.1:{port}/0"}
    cache = {"clear": ["product:{id}"], "url_env": "SHOP_CACHE_URL"}
    with pytest.raises(CacheUnreachable, match=rf"127.0.0.1:{port}.*SHOP_CACHE_URL") as caught:
        make_stack("fine", cache=cache, environ=environ).start()
    assert "canary" not in str(caught.value)
    with pytest.raises(CacheUnreachable, match=r"SHOP_CACHE_URL.*is not set"):
        make_stack("fine", cache=cache).start()
    assert not left_in(tmp_path)
    ports.release(port)


def test_two_stacks_at_once_are_isolated(make_stack, tmp_path: Path) -> None:
    stacks = [make_stack("fine", name=name) for name in ("before", "after")]
    start_together(stacks)
    before, after = stacks
    pids = [pid for stack in stacks for pid in of_tree(stack)]
    assert before.base_url != after.base_url and before.cache.url != after.cache.url
    assert shop(before)["env"]["SHOP_CACHE"] == before.cache.url
    assert shop(after)["env"]["SHOP_CACHE"] == after.cache.url
    with before.cache.client() as client, after.cache.client() as other:
        client.set("product:1", "mine")
        assert other.get("product:1") is None
    before.stop()
    assert shop(after)["pid"] == after.service_pid
    after.stop()
    assert not any(map(runs, pids)) and not left_in(tmp_path)


def test_where_one_of_two_fails_both_are_stopped(make_stack, tmp_path: Path) -> None:
    """The other one would take a day to notice by itself that it never gets ready."""
    stacks = [
        make_stack("unready", name="before", start={"ready_within": "24h"}),
        make_stack("crash", name="after", start={"ready_within": "24h"}),
    ]
    with pytest.raises(ServiceStopped, match="exit code 1"):
        start_together(stacks)
    assert not left_in(tmp_path)


@pytest.mark.parametrize("moment", ["the cache", "the service"])
def test_a_stop_ends_a_start_that_another_thread_waits_for(moment: str, make_stack, tmp_path: Path) -> None:
    stack = make_stack("unready", start={"ready_within": "24h"})
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(stack.start)
        if moment == "the cache":
            eventually(lambda: (stack.workdir / "cache.log").exists())
        else:
            eventually(lambda: stack.pid is not None)
        stack.stop()
        with pytest.raises(ServiceStopped, match="stopped while it was being started"):
            starting.result()
    assert not left_in(tmp_path)


def test_the_whole_stack_ends_when_its_owner_is_killed(owner, tmp_path: Path) -> None:
    process = owner(
        "import time\n"
        "from pathlib import Path\n"
        "import conftest\n"
        "from luckyhit.case.model import Case\n"
        "from luckyhit.system import Stack, start_together\n"
        "case = Case.model_validate(conftest.case_document('deaf'))\n"
        "stacks = [Stack(case, name, Path.cwd() / name, project=Path.cwd(), grace_s=0.3) for name in ('before', 'after')]\n"
        "start_together(stacks)\n"
        "print(*[pid for stack in stacks for pid in (stack.pid, stack.service_pid, stack.cache.pid)], flush=True)\n"
        "time.sleep(600)"
    )
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 6 and all(map(runs, pids))
    os.kill(process.pid, signal.SIGKILL)
    all_gone(pids)
    eventually(lambda: not left_in(tmp_path))


def test_ctrl_c_while_two_are_starting_stops_both(owner, tmp_path: Path) -> None:
    process = owner(
        "from pathlib import Path\n"
        "import conftest\n"
        "from luckyhit.case.model import Case\n"
        "from luckyhit.system import Stack, start_together\n"
        "case = Case.model_validate(conftest.case_document('unready', start={'ready_within': '24h'}))\n"
        "stacks = [Stack(case, name, Path.cwd() / name, project=Path.cwd()) for name in ('before', 'after')]\n"
        "try:\n"
        "    start_together(stacks)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', [stack.alive for stack in stacks], flush=True)\n"
    )
    logs = [tmp_path / name / "service.log" for name in ("before", "after")]
    eventually(lambda: all(log.exists() and "shop: unready" in log.read_text() for log in logs))
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "interrupted [False, False]\n"
    assert not [line for line in left_in(tmp_path) if "import conftest" not in line]


def test_a_service_that_runs_elsewhere_is_looked_at_and_left_alone(make_stack) -> None:
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
    with pytest.raises(TargetError, match=f"nothing answers at {url}/config"):
        stack.start()


def test_somebody_else_who_answers_at_the_port_is_not_taken_for_the_service(make_stack, monkeypatch) -> None:
    """They were quicker to take the port that was chosen, and their ready check answers 200."""
    with Service() as service:
        choose = ports.free_port
        given = [service.port]
        monkeypatch.setattr(ports, "free_port", lambda: given.pop() if given else choose())
        stack = make_stack("fine")
        monkeypatch.setattr(stack, "_start_cache", lambda: None)  # it needs a port, too
        with stack:
            assert shop(stack)["pid"] == stack.service_pid
        assert not given

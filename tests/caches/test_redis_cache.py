"""A Redis cache by its URL: what the URL names, what is shown of it, and what is said where it does not answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import redis

from luckyhit.caches import from_environment, placeholders
from luckyhit.caches.cache_urls import url_secrets
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.redis_url import identity, read_sentinel, redacted
from luckyhit.errors import CacheUnreachable, RefusalId


def unreachable(url: str) -> CacheUnreachable:
    """The error for a cache at this URL, which never shows the URL's password."""
    with pytest.raises(CacheUnreachable) as caught:
        from_environment("SHOP_CACHE_URL", {"SHOP_CACHE_URL": url})
    assert "canary" not in str(caught.value) + caught.value.hint
    assert "SHOP_CACHE_URL" in caught.value.message and caught.value.hint and caught.value.exit_code == 3
    return caught.value


@pytest.fixture
def with_password(cache: RedisCache, client: redis.Redis) -> Iterator[RedisCache]:
    client.config_set("requirepass", "right:canary/@")
    yield cache
    client.config_set("requirepass", "")


def test_a_running_cache_is_used_and_left_alone(with_password: RedisCache) -> None:
    url = with_password.url.replace("//", "//:right%3Acanary%2F%40@").replace("/0", "/2")
    cache = from_environment("SHOP_CACHE_URL", {"SHOP_CACHE_URL": url})
    assert not cache.owned and cache.url == url and "canary" not in cache.redacted
    cache.stop()
    cache.check()


@pytest.mark.parametrize("credentials", ["", ":canary-canary@", "me:canary-canary@"])
def test_missing_or_wrong_credentials(credentials: str, with_password: RedisCache) -> None:
    error = unreachable(with_password.url.replace("//", f"//{credentials}"))
    assert error.refusal == "credentials" and "SHOP_CACHE_URL" in error.hint


def test_a_user_without_the_right_to_ping(cache: RedisCache, client: redis.Redis) -> None:
    client.execute_command("ACL SETUSER shop on >canary-canary ~* +@all -ping")
    error = unreachable(cache.url.replace("//", "//shop:canary-canary@"))
    assert error.refusal == "permission" and "+ping" in error.hint


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


@pytest.mark.parametrize(
    ("data", "hint", "refusal"),
    [
        (b"-LOADING Valkey is loading the dataset in memory\r\n", "loading:0", None),
        (b"-NOAUTH Authentication required.\r\n", "USER:PASSWORD", "credentials"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "SHOP_CACHE_URL", None),
    ],
    ids=["loading", "no password", "no cache"],
)
def test_what_answers_instead_of_a_pong(data: bytes, hint: str, refusal: RefusalId | None) -> None:
    with answering(data * 4) as port:
        error = unreachable(f"redis://:canary-canary@127.0.0.1:{port}/0")
    assert hint in error.hint and error.refusal == refusal and str(port) in error.message


@pytest.mark.parametrize(("scheme", "hint"), [("redis", "firewall"), ("rediss", "rediss://")])
def test_a_cache_that_does_not_answer_in_time(scheme: str, hint: str) -> None:
    with answering(None) as port, pytest.raises(CacheUnreachable) as caught:
        RedisCache(f"{scheme}://:canary-canary@127.0.0.1:{port}/0").check(within_s=0.2)
    assert hint in caught.value.hint and "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:canary-canary@127.0.0.1:1/0",
        "redis://no-such-host.invalid:6379/0",
        "unix:///no/such.sock",
        "{server}/99",
        "127.0.0.1:6379",
        "http://:canary-canary@cache.test",
        "redis://:canary-canary@cache.test:port/0",
        "redis://[::1",
        "  ",
    ],
)
def test_urls_without_a_cache_behind_them(url: str, server: RedisCache) -> None:
    unreachable(url.replace("{server}", server.url.removesuffix("/0")))


URLS: list[tuple[str, str, str]] = [
    # URL, identity, as shown
    ("redis://me:canary@Cache:6379/2?x=y", "cache:6379/2", "redis://me:***@cache:6379/2"),
    ("redis://:canary@cache/0", "cache:6379/0", "redis://:***@cache/0"),
    ("redis://canary@cache/0", "cache:6379/0", "redis://***@cache/0"),
    ("redis://cache?password=canary&db=3", "cache:6379/3", "redis://cache"),
    ("rediss://:canary@[2001:DB8::1]:1/0", "[2001:db8::1]:1/0", "rediss://:***@[2001:db8::1]:1/0"),
    ("unix://me:canary@/run/redis.sock?db=1", "/run/redis.sock?db=1", "unix://me:***@/run/redis.sock"),
    (
        "redis+sentinel://me:canary@Two,one:1/shop/2?sentinel_password=canary",
        "sentinel one:1,two:26379/shop/2",
        "redis+sentinel://me:***@two:26379,one:1/shop/2",
    ),
    (
        "rediss+sentinel://canary@one:1,two:26379/shop",
        "sentinel one:1,two:26379/shop/0",
        "rediss+sentinel://***@one:1,two:26379/shop",
    ),
]


@pytest.mark.parametrize(("url", "known_as", "shown"), URLS)
def test_a_url_has_an_identity_and_is_shown_without_secrets(url: str, known_as: str, shown: str) -> None:
    assert identity(url) == known_as and redacted(url) == shown
    assert {url, "canary"} <= set(url_secrets(url))


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("redis://cache:6379/0?x=y", []),
        ("redis://:can%40ary@cache/0", ["can%40ary", "can@ary"]),
        ("redis+sentinel://one/shop?sentinel_password=canary%2F", ["canary%2F", "canary/"]),
    ],
)
def test_secrets_of_a_url_are_hidden_quoted_and_unquoted(url: str, secrets: list[str]) -> None:
    assert url_secrets(url) == ([url, *secrets] if secrets else [])


@pytest.mark.parametrize(
    "url", ["me:canary@cache:6379", "redis://:canary@[cache", "redis+sentinel://:canary@one:port/x"]
)
def test_an_unreadable_url_is_not_shown(url: str) -> None:
    assert "canary" not in redacted(url)


def test_a_sentinel_url_names_sentinels_service_and_database() -> None:
    named = read_sentinel("redis+sentinel://me:pw%40@one,Two:26380,[::1]:26381/shop%20cache/3?socket_timeout=2")
    assert named.hosts == (("one", 26379), ("two", 26380), ("::1", 26381))
    assert named.service == "shop cache"
    assert dict(named.options) == {"username": "me", "password": "pw@", "db": 3, "socket_timeout": 2.0}
    assert dict(named.sentinel_options) == {"socket_timeout": 2.0}


def test_sentinels_over_tls_have_their_own_credentials() -> None:
    named = read_sentinel("rediss+sentinel://one/shop?ssl_ca_certs=/ca.pem&sentinel_username=s&sentinel_password=p")
    assert dict(named.options) == {"db": 0, "ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert dict(named.sentinel_options) == {"ssl": True, "ssl_ca_certs": "/ca.pem", "username": "s", "password": "p"}


@pytest.mark.parametrize(
    "rest", ["one:26379", "one:26379/", "/shop", "one,,two/shop", "one:port/shop", "one/shop/first"]
)
def test_an_invalid_sentinel_url_is_refused(rest: str) -> None:
    with pytest.raises(CacheUnreachable) as raised:
        RedisCache(f"redis+sentinel://:canary@{rest}", url_env="SHOP_CACHE").client()
    assert "redis+sentinel://HOST" in raised.value.hint and "canary" not in str(raised.value)


NAMES = ("cache_url", "cache_host", "cache_port", "cache_password")


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("", ("", "", "", "")),
        ("redis://cache/1", ("redis://cache/1", "cache", "6379", "")),
        ("rediss://me:p%40ss@[::1]:7000/0", ("rediss://me:p%40ss@[::1]:7000/0", "::1", "7000", "p@ss")),
        ("unix://:pw@/run/cache.sock", ("unix://:pw@/run/cache.sock", None, None, "pw")),
        ("redis+sentinel://one,two/shop/0", ("redis+sentinel://one,two/shop/0", None, None, "")),
    ],
)
def test_placeholders_are_filled_in_from_a_url(url: str, values: tuple[str | None, ...]) -> None:
    assert placeholders(url) == {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}

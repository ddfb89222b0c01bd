"""URLs of caches: what they name, and what is shown of them."""

from __future__ import annotations

import pytest

from luckyhit.caches.cache_urls import url_secrets
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.redis_url import identity, read_sentinel, redacted
from luckyhit.errors import CacheUnreachable


def test_a_sentinel_url_names_sentinels_a_service_and_a_database() -> None:
    named = read_sentinel("redis+sentinel://me:pw%40@one,Two:26380,[::1]:26381/shop%20cache/3?socket_timeout=2")
    assert named.hosts == (("one", 26379), ("two", 26380), ("::1", 26381))
    assert named.service == "shop cache"
    assert dict(named.options) == {"username": "me", "password": "pw@", "db": 3, "socket_timeout": 2.0}
    assert dict(named.sentinel_options) == {"socket_timeout": 2.0}


def test_sentinels_over_tls_have_credentials_of_their_own() -> None:
    named = read_sentinel("rediss+sentinel://one/shop?ssl_ca_certs=/ca.pem&sentinel_username=s&sentinel_password=p")
    assert dict(named.options) == {"db": 0, "ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert dict(named.sentinel_options) == {"ssl": True, "ssl_ca_certs": "/ca.pem", "username": "s", "password": "p"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://one:26379", "names no service"),
        ("redis+sentinel://one:26379/", "names no service"),
        ("redis+sentinel:///shop", "has no host"),
        ("redis+sentinel://one,,two/shop", "has no host"),
        ("redis+sentinel://one:port/shop", "port"),
        ("redis+sentinel://one/shop/first", "'first', which is no number"),
    ],
)
def test_what_is_wrong_with_a_sentinel_url_is_said(url: str, said: str) -> None:
    with pytest.raises(CacheUnreachable, match=said) as raised:
        RedisCache(url.replace("//", "//:canary@"), url_env="SHOP_CACHE").client()
    assert "redis+sentinel://HOST" in raised.value.hint and "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "known_as"),
    [
        ("redis://me:canary@Cache:6379/2?x=y", "cache:6379/2"),
        ("rediss://cache", "cache:6379/0"),
        ("redis://cache?db=3", "cache:6379/3"),
        ("redis://[2001:DB8::1]:1/0", "[2001:db8::1]:1/0"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        ("unix:///run/redis.sock?db=1&password=canary", "/run/redis.sock?db=1"),
        ("redis+sentinel://:canary@Two,one:1/shop/2?sentinel_password=canary", "sentinel one:1,two:26379/shop/2"),
        ("rediss+sentinel://one:1,two:26379/shop/2", "sentinel one:1,two:26379/shop/2"),
    ],
)
def test_a_cache_is_known_by_where_it_is(url: str, known_as: str) -> None:
    assert identity(url) == known_as


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+sentinel://me:canary@one,two:1/shop/0?sentinel_password=canary", "redis+sentinel://me:***@one:26379,two:1/shop/0"),
        ("redis+sentinel://canary@one/shop", "redis+sentinel://***@one:26379/shop"),
        ("redis+sentinel://:canary@one:port/shop", "a URL that can't be read"),
    ],
)  # fmt: skip
def test_a_sentinel_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown
    assert "canary" in url_secrets(url) and url in url_secrets(url)


def test_a_password_of_the_sentinels_alone_is_a_secret_too() -> None:
    url = "redis+sentinel://one/shop?sentinel_password=canary%2F"
    assert url_secrets(url) == [url, "canary%2F", "canary/"]
    assert url_secrets("redis://cache/0?x=y") == []

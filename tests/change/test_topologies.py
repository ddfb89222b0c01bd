"""The scoped clear on caches of every kind: a cluster, behind Sentinels, over TLS, through a socket; and what goes wrong
there while it works."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from os import kill
from pathlib import Path
from typing import Any

import pytest
import redis
from valkey_servers import Cluster, Server, Watched, behind_tls, until

from luckyhit.caches import cache_identity, from_environment
from luckyhit.caches.backup import BackupWriter, read_backup
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.restore import restore
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.change.kinds.cache_setting_kind import put_back_setting
from luckyhit.change.kinds.kind import UndoContext
from luckyhit.errors import CacheUnreachable, TargetError
from luckyhit.records.journal import Step

SPEC = CacheSpec.model_validate({"clear": ["a:{id}"], "url_env": "SHOP_CACHE"})
MANY = 400


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """Healthy, with many keys in scope and as many outside."""
    shared_cluster.await_health()
    with shared_cluster.client() as client:
        client.flushall(target_nodes=client.PRIMARIES)
        fill(client)
    yield shared_cluster


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path / "watched")
    fill(watched.primary.client)
    watched.primary.client.wait(1, 5000)
    yield watched
    watched.stop()


def fill(client: Any) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(MANY):
        pipeline.set(f"a:{number}", f"value {number}", ex=1000 + number)
        pipeline.set(f"session:{number}", "theirs")
    pipeline.execute()


def as_filled(client: Any) -> bool:
    """Whether every key is there as it was, with its time to live (some seconds may have gone by)."""
    pipeline = client.pipeline(transaction=False)
    for number in range(MANY):
        pipeline.get(f"a:{number}")
        pipeline.ttl(f"a:{number}")
    replies = pipeline.execute()
    values = replies[::2] == [f"value {number}".encode() for number in range(MANY)]
    return values and all(940 + number < ttl <= 1000 + number for number, ttl in enumerate(replies[1::2]))


def outside(client: Any) -> int:
    """How many of the keys outside are as they were."""
    pipeline = client.pipeline(transaction=False)
    for number in range(MANY):
        pipeline.get(f"session:{number}")
        pipeline.ttl(f"session:{number}")
    replies = pipeline.execute()
    return sum(replies[at : at + 2] == [b"theirs", -1] for at in range(0, len(replies), 2))


def once(do: Callable[[], object], behind: int = 100) -> Callable[[int, int], None]:
    """A hook for the clear's progress: `do`, once that many keys are done."""
    left = [do]
    return lambda done, total: left.pop()() and None if left and done >= behind else None  # type: ignore[func-returns-value]


def the_open_step(journal: Journal) -> Step:
    (step,) = journal.open_steps()
    assert step.step == "clear" and step.inverse["kind"] == "restore"
    return step


# --- cluster -----------------------------------------------------------------------------------------------------


def test_a_cluster_is_cleared_on_every_primary_and_put_back(cluster: Cluster, journal: Journal, tmp_path: Path) -> None:
    cache = RedisCache(cluster.url, url_env="SHOP_CACHE")
    report = clear(cache, SPEC, journal)
    assert (report.scanned, report.matched, report.cleared, report.servers) == (2 * MANY, MANY, MANY, 3)
    assert (report.outside, report.outside_gone, report.appeared, report.unguarded) == (MANY, 0, 0, 0)
    with cluster.client() as client:
        assert outside(client) == MANY == sum(node.client.dbsize() for node in cluster.primaries())
        assert restore(cache, journal.path.parent / str(report.backup)).restored == MANY
        assert as_filled(client)
        assert restore(cache, journal.path.parent / str(report.backup)).present == MANY


def test_any_node_stands_for_the_cluster(cluster: Cluster, journal: Journal) -> None:
    replica = f"redis://127.0.0.1:{cluster.nodes[3].port}/0"
    assert clear(RedisCache(replica, url_env="SHOP_CACHE"), SPEC, journal).cleared == MANY


def test_key_rewritten_at_the_last_moment_in_a_cluster(
    cluster: Cluster, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, written = BackupWriter.sync, []
    with cluster.client() as client:

        def rewriting(writer: BackupWriter) -> None:
            sync(writer)
            for entry in list(read_backup(writer.path)) if not written else []:
                written.append(entry.key)
                client.set(entry.key, "newer", ex=1000)

        monkeypatch.setattr(BackupWriter, "sync", rewriting)
        cache = RedisCache(cluster.url, url_env="SHOP_CACHE")
        report = clear(cache, SPEC, journal)
        assert report.cleared == MANY and report.rewritten == len(written) > 0
        restore(cache, journal.path.parent / str(report.backup))
        assert all(client.get(key) == b"newer" for key in written)


def test_primary_that_hands_over_in_the_middle(cluster: Cluster, journal: Journal, tmp_path: Path) -> None:
    roles = [cluster.nodes[0], cluster.nodes[3]]
    if roles[0].client.info("replication")["role"] != "master":
        roles.reverse()
    old, new = roles

    def hand_over() -> None:
        new.run("CLUSTER", "FAILOVER")
        until(lambda: new.client.info("replication")["role"] == "master", "the failover")
        until(lambda: old.client.info("replication")["role"] == "slave", "the failover")

    cache = RedisCache(cluster.url, url_env="SHOP_CACHE")
    report = clear(cache, SPEC, journal, on_progress=once(hand_over))
    assert (report.matched, report.cleared, report.appeared, report.outside_gone) == (MANY, MANY, 0, 0)
    with cluster.client() as client:
        assert outside(client) == MANY
        assert restore(cache, journal.path.parent / str(report.backup)).restored == MANY and as_filled(client)


def test_slots_that_move_in_the_middle(cluster: Cluster, journal: Journal, tmp_path: Path) -> None:
    """Of one slot some keys are still here, some already there; another is handed over as a whole."""
    client = cluster.client()
    slots = [client.keyslot("a:{mover}"), client.keyslot("a:{whole}")]
    source = [cluster.owner(slot) for slot in slots]
    target = [next(node for node in cluster.primaries() if node is not old) for old in source]
    keys = [[f"a:{name}{number}" for number in range(20)] for name in ("{mover}", "{whole}")]
    for key in keys[0] + keys[1]:
        client.set(key, "x", ex=1000)

    def move() -> None:
        for slot, old, new, names in zip(slots, source, target, keys, strict=True):
            new.run("CLUSTER", "SETSLOT", slot, "IMPORTING", old.run("CLUSTER", "MYID"))
            old.run("CLUSTER", "SETSLOT", slot, "MIGRATING", new.run("CLUSTER", "MYID"))
            moving = names[:10] if slot == slots[0] else names
            there_still = [name for name in moving if old.run("EXISTS", name)]
            if there_still:
                old.run("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "KEYS", *there_still)
        settle(slots[1], target[1])

    def settle(slot: int, new: Server) -> None:
        for node in [new, *(node for node in cluster.primaries() if node is not new)]:
            node.run("CLUSTER", "SETSLOT", slot, "NODE", new.run("CLUSTER", "MYID"))

    cache = RedisCache(cluster.url, url_env="SHOP_CACHE")
    try:
        spec = SPEC.model_copy(update={"dedicated": True})
        report = clear(cache, spec, journal, on_progress=once(move, behind=1))
        assert report.matched == MANY + 40 == report.cleared + report.gone
        assert (report.gone, report.appeared, report.outside_gone) == (0, 0, 0)
        assert report.unguarded >= 10  # those that redis-py had to find
        assert not any(key.startswith(b"a:") for node in cluster.primaries() for key in node.client.scan_iter())
        assert restore(cache, journal.path.parent / str(report.backup)).restored == MANY + 40
        assert as_filled(cluster.client()) and outside(cluster.client()) == MANY
    finally:
        for slot in slots:
            for name in keys[slots.index(slot)]:
                client.delete(name)
            settle(slot, target[slots.index(slot)])
        client.close()


def test_cluster_that_is_down_is_unreachable(cluster: Cluster, journal: Journal) -> None:
    missing = 16_000
    home = cluster.owner(missing)
    for node in cluster.nodes:
        node.run("CLUSTER", "DELSLOTS", missing)
    try:
        until(lambda: home.client.cluster("info")["cluster_state"] == "fail", "cluster_state:fail")
        with pytest.raises(CacheUnreachable) as raised:
            clear(RedisCache(cluster.url), SPEC, journal)
        assert "CLUSTER INFO" in raised.value.hint and journal.steps() == []
    finally:
        home.run("CLUSTER", "ADDSLOTS", missing)
        cluster.await_health()


@pytest.mark.slow
def test_primary_of_a_cluster_killed_in_the_middle(journal: Journal, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster", replicas=0)
    try:
        with cluster.client() as client:
            fill(client)
        dying = cluster.nodes[2]
        cache = RedisCache(cluster.url, url_env="SHOP_CACHE")
        assert dying.process.command_pid
        with pytest.raises(CacheUnreachable) as raised:
            clear(cache, SPEC, journal, on_progress=once(lambda: kill(dying.process.command_pid, signal.SIGKILL)))
        assert raised.value.hint
        backed_up = {entry.key for entry in read_backup(journal.path.parent / the_open_step(journal).inverse["backup"])}
        left = {key for node in cluster.nodes[:2] for key in node.client.scan_iter("*", count=1000)}
        sessions = sum(key.startswith(b"session:") for key in left)
        gone = {
            key for number in range(MANY) for key in [f"a:{number}".encode()]
            if key not in left and client.keyslot(key) * 3 // 16384 < 2
        }  # fmt: skip
        assert gone and gone <= backed_up and sessions > MANY // 2
    finally:
        cluster.stop()


# --- Sentinel ----------------------------------------------------------------------------------------------------


def test_primary_of_sentinels_is_cleared_and_put_back(watched: Watched, journal: Journal, tmp_path: Path) -> None:
    cache = from_environment("SHOP_CACHE", {"SHOP_CACHE": watched.url})
    report = clear(cache, SPEC, journal)
    client = watched.primary.client
    assert report.cleared == MANY and outside(client) == MANY == client.dbsize()
    assert the_open_step(journal).inverse["cache"] == f"sentinel 127.0.0.1:{watched.sentinel.port}/{watched.service}/0"
    assert restore(cache, journal.path.parent / str(report.backup)).restored == MANY and as_filled(client)


@pytest.mark.parametrize(("option", "ours"), [("notify-keyspace-events", "KA"), ("hash-max-listpack-entries", "64")])
def test_setting_of_the_sentinels_primary_is_put_back(
    option: str, ours: str, watched: Watched, journal: Journal, make_case: Any
) -> None:
    case = make_case()
    client = watched.primary.client
    old = client.config_get(option)[option]
    inverse = {
        "name": option,
        "value": old,
        "ours": [ours],
        "cache": cache_identity(watched.url),
        "url_env": "SHOP_CACHE",
    }
    journal.intend("setting", {}, inverse)
    client.config_set(option, ours)
    context = UndoContext(case, journal.path.parent, journal.path.parent, {"SHOP_CACHE": watched.url}, lambda _: None)
    assert put_back_setting(journal.steps()[-1], context).outcome == "put-back"
    assert client.config_get(option)[option] == old
    assert put_back_setting(journal.steps()[-1], context).outcome == "was-back"


@pytest.mark.parametrize("how", ["handed over", "killed"])
def test_failover_can_be_reverted_on_the_new_primary(
    how: str, watched: Watched, journal: Journal, tmp_path: Path
) -> None:
    old, new = watched.primary, watched.replica

    def fail_over() -> None:
        old.client.wait(1, 5000)  # what was removed so far is removed there as well
        if how == "handed over":
            until(lambda: watched.sentinel.run("SENTINEL", "FAILOVER", watched.service), "a replica that can take over")
            until(lambda: old.client.info("replication")["role"] == "slave", "the old primary follows")
        else:
            assert old.process.command_pid
            kill(old.process.command_pid, signal.SIGKILL)

    cache = RedisCache(watched.url, url_env="SHOP_CACHE")
    with pytest.raises((CacheUnreachable, TargetError)) as raised:
        clear(cache, SPEC, journal, on_progress=once(fail_over))
    assert "primary" in raised.value.hint
    until(lambda: new.client.info("replication")["role"] == "master", "the new primary")
    until(lambda: cache.client().ping() and cache.client().info("server")["tcp_port"] == new.port, "Sentinel names it")
    assert new.client.dbsize() < 2 * MANY
    restore(cache, journal.path.parent / the_open_step(journal).inverse["backup"])
    assert as_filled(new.client) and outside(new.client) == MANY


def test_wrong_sentinel_urls_are_errors(watched: Watched, journal: Journal) -> None:
    wrong = watched.url.replace(watched.service, "other-service")
    no_sentinel = f"redis+sentinel://127.0.0.1:1/{watched.service}/0"
    at_sentinel = f"redis://127.0.0.1:{watched.sentinel.port}/0"
    for url, hint in ((wrong, "SENTINEL MASTERS"), (at_sentinel, "redis+sentinel://"), (no_sentinel, "")):
        with pytest.raises(CacheUnreachable) as raised:
            clear(RedisCache(url), SPEC, journal)
        assert raised.value.hint and hint in raised.value.hint
    for url in (wrong, no_sentinel):
        with pytest.raises(CacheUnreachable):
            RedisCache(url).check()
    assert journal.steps() == []


def test_sentinels_and_cache_have_passwords_of_their_own(tmp_path: Path, journal: Journal) -> None:
    watched = Watched(tmp_path / "watched")
    try:
        # Nothing fails over here: a busy machine that is late with an answer is not down.
        watched.sentinel.run("SENTINEL", "SET", watched.service, "down-after-milliseconds", 60_000)
        fill(watched.primary.client)
        for server in (watched.primary, watched.replica):
            server.client.config_set("masterauth", "cache-canary")
            server.client.config_set("requirepass", "cache-canary")
        watched.sentinel.run("SENTINEL", "SET", watched.service, "auth-pass", "cache-canary")
        watched.sentinel.run("ACL", "SETUSER", "default", "resetpass", ">sentinel-canary")
        at = f"127.0.0.1:{watched.sentinel.port}/{watched.service}/0"
        whole = RedisCache(f"redis+sentinel://:cache-canary@{at}?sentinel_password=sentinel-canary")
        assert "canary" not in whole.redacted and {"cache-canary", "sentinel-canary"} <= set(whole.secrets)
        for url in (f"redis+sentinel://:cache-canary@{at}", f"redis+sentinel://{at}?sentinel_password=sentinel-canary"):
            with pytest.raises(CacheUnreachable) as raised:
                RedisCache(url, url_env="SHOP_CACHE").check()
            assert "canary" not in str(raised.value)
        whole.check()
        assert clear(whole, SPEC, journal).cleared == MANY
    finally:
        watched.stop()


# --- TLS, sockets ------------------------------------------------------------------------------------------------


def test_over_tls(cache: Any, client: redis.Redis, server: Any, journal: Journal, tmp_path: Path) -> None:
    fill(client)
    with behind_tls(server.port, tmp_path) as (port, certificate):
        trusted = RedisCache(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}", url_env="SHOP_CACHE")
        trusted.check()
        report = clear(trusted, SPEC, journal)
        assert report.cleared == MANY and outside(client) == MANY
        assert restore(trusted, journal.path.parent / str(report.backup)).restored == MANY and as_filled(client)
        with pytest.raises(CacheUnreachable, match="TLS"):
            RedisCache(f"rediss://localhost:{port}/0").check()


def test_through_a_unix_socket(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, journal: Journal) -> None:
    socket = Path("/tmp") / f"luckyhit-{tmp_path_factory.getbasetemp().name}-{id(journal)}.sock"  # such names are short
    server = Server(tmp_path / "server", "--unixsocket", str(socket))
    try:
        fill(server.client)
        cache = RedisCache(f"unix://{socket}?db=0", url_env="SHOP_CACHE")
        report = clear(cache, SPEC, journal)
        assert report.cleared == MANY and outside(server.client) == MANY
        assert restore(cache, journal.path.parent / str(report.backup)).restored == MANY
    finally:
        server.stop()


def test_user_of_a_cluster_with_just_enough_permissions(cluster: Cluster, journal: Journal, tmp_path: Path) -> None:
    rights = "+scan +dbsize +pttl +dump +unlink +restore +time +watch +unwatch +multi +exec +cluster|slots +command +info +ping"
    for node in cluster.nodes:
        node.run("ACL", "SETUSER", "shop", "reset", "on", ">pw", "~a:*", *rights.split())
    cache = RedisCache(cluster.url.replace("//", "//shop:pw@"), url_env="SHOP_CACHE")
    report = clear(cache, SPEC, journal)
    assert (report.cleared, report.unguarded) == (MANY, 0)
    assert restore(cache, journal.path.parent / str(report.backup)).restored == MANY
    for node in cluster.nodes:
        node.run("ACL", "SETUSER", "shop", "-unlink")
    with pytest.raises(TargetError) as raised:
        clear(cache, SPEC, journal)
    assert "+unlink" in raised.value.hint

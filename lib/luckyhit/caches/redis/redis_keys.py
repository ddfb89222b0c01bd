"""The keys of a Redis or Valkey cache: listed by SCAN on every primary, restored by RESTORE."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import redis
from redis import exceptions as redis_errors

from luckyhit.caches.backup import BackupEntry, BackupWriter
from luckyhit.caches.redis.redis_connections import packed
from luckyhit.caches.redis.removal import KeyRemoval
from luckyhit.caches.redis.topology import Topology
from luckyhit.caches.scope import MOST_EXAMPLES, ClearPace, Listing, Scope

_SCAN_COUNT = 2000
"""Keys that the server looks at for one page: it does nothing else meanwhile, which is half a millisecond."""


class RedisKeys:
    """The keys of a cache while `topology` is open."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology

    @property
    def servers(self) -> int:
        return len(self.topology.primaries())

    def batches(self) -> Iterator[list[bytes]]:
        for primary in self.topology.primaries():
            yield from scan(primary.client)

    def listing(self, scope: Scope, *, every: bool = False) -> Listing:
        return listing(self.topology, scope, every=every)

    def dropped(self) -> int:
        """0 where INFO is not allowed."""
        count = 0
        for primary in self.topology.primaries():
            with contextlib.suppress(redis_errors.NoPermissionError):
                stats = primary.client.info("stats")
                count += int(stats.get("expired_keys", 0)) + int(stats.get("evicted_keys", 0))
        return count

    def lifetimes_ms(self, keys: Sequence[bytes]) -> list[int]:
        """By PTTL, which counts as a hit."""
        return [int(self.topology.groups([key])[0].primary.client.pttl(key)) for key in keys]

    def clock_ms(self) -> int:
        return server_time_ms(self.topology.primaries()[0].client)

    def put_back(self, entries: list[BackupEntry]) -> int:
        present = 0
        pipeline = self.topology.anywhere.pipeline(transaction=False)
        for entry in entries:
            pipeline.restore(entry.key, entry.expires_at_ms, entry.payload, absttl=entry.expires_at_ms > 0)
        for answer in pipeline.execute(raise_on_error=False) if entries else []:
            if isinstance(answer, redis_errors.ResponseError) and "BUSYKEY" in str(answer):
                present += 1
            elif isinstance(answer, Exception):
                raise answer
        return present

    def remover(self, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool) -> KeyRemoval:
        return KeyRemoval(self.topology, scope, pace, writer=writer, rebuildable=rebuildable)


def server_time_ms(client: redis.Redis) -> int:
    """The cache's clock, in ms since 1970."""
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def scan(client: redis.Redis, match: bytes | None = None) -> Iterator[list[bytes]]:
    """All keys in batches, in a cluster those of this node. A key that comes and goes may be missing or come twice.
    `match` is a glob. The server makes the next page while the caller deals with one."""
    options = (b"COUNT", b"%d" % _SCAN_COUNT, *((b"MATCH", match) if match is not None else ()))
    pool = client.connection_pool
    connection = pool.get_connection()
    cursor, ended = b"0", False
    try:
        connection.send_packed_command([packed([(b"SCAN", cursor, *options)])], check_health=False)
        while not ended:
            try:
                cursor, keys = connection.read_response()
            except (redis_errors.ConnectionError, redis_errors.TimeoutError):
                connection.disconnect()  # a late answer must not be taken for that of the next page
                following, keys = client.scan(int(cursor), match=match, count=_SCAN_COUNT)  # which tries again
                cursor = b"%d" % following
            ended = cursor == b"0"
            if not ended:
                connection.send_packed_command([packed([(b"SCAN", cursor, *options)])], check_health=False)
            yield cast(list[bytes], keys)
    finally:
        if not ended:
            connection.disconnect()
        pool.release(connection)


def listing(topology: Topology, scope: Scope, *, every: bool = False) -> Listing:
    """The keys in scope on all servers of the cache. `total` is DBSIZE, which includes expired keys that are not
    removed yet; a server that does not allow this user DBSIZE is counted key by key. `every`: count all key by key,
    since SCAN removes and skips expired keys."""
    inside: dict[bytes, None] = {}
    examples: dict[bytes, None] = {}
    total = 0
    for primary in topology.primaries():
        size = None if every else _size(primary.client)
        if not scope.templates and size is not None:
            total += size
            continue
        counted: set[int] = set()  # SCAN may give a key twice
        for keys in scan(primary.client, scope.glob if size is not None else None):
            inside.update(dict.fromkeys(scope.within(keys)))
            if size is None:
                counted.update(map(hash, keys))
                others = (key for key in keys if key not in scope)
                examples.update(dict.fromkeys(islice(others, MOST_EXAMPLES - len(examples))))
        total += len(counted) if size is None else size
    return Listing(list(inside), max(total, len(inside)), alive=every, examples=list(examples))


def _size(client: redis.Redis) -> int | None:
    try:
        return int(client.dbsize())
    except redis_errors.NoPermissionError:
        return None

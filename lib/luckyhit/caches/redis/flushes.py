"""Flushes of a cache: FLUSHDB and FLUSHALL remove every key without a keyspace event.

Client-side caching (Redis 6 and later, Valkey) shows them: a connection that tracks keys gets one message without keys
when a database is flushed. The tracked prefix fits no key, so no other message comes. The message does not name the
database, so the size of this one is asked afterwards.
Source: https://redis.io/docs/latest/develop/reference/client-side-caching/ ; Redis 7.0.15 and Valkey 8.1.8 tried.
"""

from __future__ import annotations

import secrets
from collections import deque

import redis
from redis import exceptions as redis_errors

CHANNEL = b"__redis__:invalidate"
FEW = 10
"""Keys that may exist again when the size is asked."""


class FlushWatch:
    """Messages come by the connection `listener_id`; sizes are asked on another one."""

    def __init__(self, client: redis.Redis, listener_id: int, database: int) -> None:
        """Raises redis.RedisError where flushes can't be seen."""
        self._connection = client.connection_pool.get_connection()
        prefix = f"luckyhit:{secrets.token_hex(12)}:"
        try:
            self._ask("CLIENT", "TRACKING", "ON", "REDIRECT", listener_id, "BCAST", "PREFIX", prefix)
            self._size = int(self._ask("DBSIZE"))
        except BaseException:
            self._connection.disconnect()
            raise
        self._alone = self._is_alone(database)
        self._waiting: deque[int | None] = deque()

    def note_flush(self, at_ns: int) -> None:
        """Some database was flushed. `take` reports later whether it was this one."""
        self._waiting.append(at_ns)
        self._connection.send_command("DBSIZE", check_health=False)

    def ask_size(self) -> None:
        """Ask for the size before the next flush, without waiting for it."""
        if not self._waiting:
            self._waiting.append(None)
            self._connection.send_command("DBSIZE", check_health=False)

    def take(self) -> list[int]:
        """When this database was flushed, by the answers so far."""
        flushed = []
        while self._waiting and self._connection.can_read(timeout=0):
            size, at_ns = int(self._connection.read_response()), self._waiting.popleft()
            if at_ns is not None and size <= max(self._size // 2, FEW if self._alone else -1):
                flushed.append(at_ns)
            self._size = size
        return flushed

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def wait(self, seconds: float) -> None:
        """Until an answer comes."""
        self._connection.can_read(timeout=seconds)

    def close(self) -> None:
        self._connection.disconnect()

    def _ask(self, *command: object) -> bytes:
        self._connection.send_command(*command, check_health=False)
        answer: bytes = self._connection.read_response()
        return answer

    def _is_alone(self, database: int) -> bool:
        """Whether no other database of the server holds a key."""
        try:
            text = self._ask("INFO", "keyspace").decode(errors="replace")
        except redis_errors.ResponseError:
            return False
        names = {line.partition(":")[0] for line in text.splitlines() if line.startswith("db")}
        return names <= {f"db{database}"}

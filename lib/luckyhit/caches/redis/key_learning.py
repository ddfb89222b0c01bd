"""What reads of a few probed keys store, told by a Redis or Valkey server's events while nothing else is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import redis

from luckyhit.caches.redis.topology import RedisEndpoint
from luckyhit.caches.shapes import LearnedShapes, learned_shapes

_SETS_NOTHING = frozenset({"del", "expired", "evicted", "rename_from", "move_from", "expire", "persist", "keymiss"})


def learn(
    cache: RedisEndpoint, keys: Sequence[str], read: Callable[[str], object], templates: Sequence[str] = ()
) -> LearnedShapes:
    """Read each key, and see what that stored. Raises redis.RedisError where the cache can't be listened to."""
    stored: dict[str, dict[str, str]] = {}
    with cache.client(protocol=2) as client:
        database = int(client.connection_pool.connection_kwargs.get("db") or 0)
        prefix = f"__keyspace@{database}__:"
        connection = client.connection_pool.get_connection()
        try:
            connection.send_command("PSUBSCRIBE", f"{prefix}*")
            connection.read_response(push_request=True)
            for key in keys:
                _events_until_now(connection)  # of what came before: none of this read's
                read(key)
                stored[key] = {
                    name.removeprefix(prefix): event
                    for name, event in _events_until_now(connection)
                    if event not in _SETS_NOTHING
                }
        finally:
            connection.disconnect()
    return learned_shapes(stored, templates)


def _events_until_now(connection: redis.Connection) -> list[tuple[str, str]]:
    connection.send_command("PING", "luckyhit", check_health=False)
    events: list[tuple[str, str]] = []
    while True:
        message = connection.read_response(push_request=True)
        if not isinstance(message, list) or message[0] == b"pong":
            return events
        if message[0] == b"pmessage":
            events.append((message[2].decode(errors="surrogateescape"), message[3].decode(errors="replace")))

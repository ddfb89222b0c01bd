"""Connections of their own, on which many commands go out before the first answer is awaited.

redis-py's pipelines can't mix WATCH with other commands, and a transaction belongs to one connection: so these are its
connections, used directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis import exceptions as redis_errors

from luckyhit.caches.redis.topology import NodeGroup

Command = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RedisConnection:
    """One connection to one server."""

    pool: redis.ConnectionPool
    connection: redis.Connection


class RedisConnections:
    """Connections that stay, by server."""

    def __init__(self) -> None:
        self._lanes: dict[str, list[RedisConnection]] = {}

    def take(self, groups: Sequence[NodeGroup]) -> list[RedisConnection]:
        """A lane for each group, none for two of them."""
        used: dict[str, int] = {}
        taken = []
        for group in groups:
            lanes = self._lanes.setdefault(group.primary.name, [])
            number = used.get(group.primary.name, 0)
            used[group.primary.name] = number + 1
            if number == len(lanes):
                pool = group.primary.client.connection_pool
                lanes.append(RedisConnection(pool, pool.get_connection()))
            taken.append(lanes[number])
        return taken

    def close(self) -> None:
        """End the connections, and with them what is watched on them."""
        for lanes in self._lanes.values():
            for lane in lanes:
                lane.connection.disconnect()
                lane.pool.release(lane.connection)
        self._lanes.clear()


def exchange(work: Sequence[tuple[RedisConnection, list[Command]]]) -> list[list[Any]]:
    """Send all commands, each list on its lane; then take all answers. What a server refuses is an answer too (a
    ResponseError). Raises redis.ConnectionError, also where a connection broke since it was taken: what was watched on
    it is not watched any more; and redis.TimeoutError."""
    for lane, commands in work:
        if not lane.connection.is_connected:
            raise redis_errors.ConnectionError("the connection broke")
        lane.connection.send_packed_command([_packed(commands)], check_health=False)
    return [[_answer(lane.connection) for _ in commands] for lane, commands in work]


def refusal(answers: Sequence[Any]) -> redis_errors.ResponseError | None:
    """The first refusal among answers, also inside the answer to an EXEC (what EXEC itself says comes last)."""
    for answer in answers:
        if isinstance(answer, redis_errors.ResponseError):
            return answer
        if isinstance(answer, list) and (inside := refusal(answer)) is not None:
            return inside
    return None


def removed(answers: Sequence[Any]) -> int:
    """How many keys the answers to UNLINK, also inside of EXEC, say that they removed."""
    inside = sum(removed(answer) for answer in answers if isinstance(answer, list))
    return inside + sum(answer for answer in answers if isinstance(answer, int))


def _packed(commands: Sequence[Command]) -> bytes:
    """Commands as they go over the wire. (redis-py's own packing, which takes all kinds of values, costs more than all
    that the server does.)"""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in command]
    return b"".join(parts)


def _answer(connection: redis.Connection) -> Any:
    try:
        return connection.read_response()
    except redis_errors.ResponseError as error:
        return error

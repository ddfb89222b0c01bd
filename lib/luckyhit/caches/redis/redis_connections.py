"""Connections on which many commands are sent before the first answer is awaited.

redis-py's pipelines can't mix WATCH with other commands, and a transaction belongs to one connection, so its
connections are used directly.
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
    """Open connections, by server."""

    def __init__(self) -> None:
        self._connections: dict[str, list[RedisConnection]] = {}

    def take(self, groups: Sequence[NodeGroup]) -> list[RedisConnection]:
        """A connection for each group, none of them twice."""
        used: dict[str, int] = {}
        taken = []
        for group in groups:
            connections = self._connections.setdefault(group.primary.name, [])
            number = used.get(group.primary.name, 0)
            used[group.primary.name] = number + 1
            if number == len(connections):
                pool = group.primary.client.connection_pool
                connections.append(RedisConnection(pool, pool.get_connection()))
            taken.append(connections[number])
        return taken

    def close(self) -> None:
        """Close the connections, which also ends their WATCH."""
        for connections in self._connections.values():
            for one in connections:
                one.connection.disconnect()
                one.pool.release(one.connection)
        self._connections.clear()


def exchange(work: Sequence[tuple[RedisConnection, list[Command]]]) -> list[list[Any]]:
    """Send each list of commands on its connection, then take all answers. A refusal is an answer too (a
    ResponseError). Raises redis.TimeoutError and redis.ConnectionError, also where a connection broke since it was
    taken, since its WATCH is lost then."""
    for taken, commands in work:
        if not taken.connection.is_connected:
            raise redis_errors.ConnectionError("the connection broke")
        taken.connection.send_packed_command([packed(commands)], check_health=False)
    return [[_answer(taken.connection) for _ in commands] for taken, commands in work]


def refusal(answers: Sequence[Any]) -> redis_errors.ResponseError | None:
    """The first refusal among answers, also inside the answer to an EXEC."""
    for answer in answers:
        if isinstance(answer, redis_errors.ResponseError):
            return answer
        if isinstance(answer, list) and (inside := refusal(answer)) is not None:
            return inside
    return None


def removed(answers: Sequence[Any]) -> int:
    """Keys removed, by the answers to UNLINK, also inside of EXEC."""
    inside = sum(removed(answer) for answer in answers if isinstance(answer, list))
    return inside + sum(answer for answer in answers if isinstance(answer, int))


def packed(commands: Sequence[Command]) -> bytes:
    """Commands in the wire format. (redis-py's packing, which takes values of any type, costs more than all that the
    server does.)"""
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

"""Removing keys, each only in the state in which it was backed up.

For each batch:

1. Inspect: WATCH, PTTL and, for a backup, DUMP. Keys without a time to live are left alone unless they can be rebuilt.
2. Write the backup to disk.
3. Remove: MULTI, UNLINK of just these keys, EXEC. The server refuses where somebody wrote one of them since step 1;
   then the batch is inspected again, in halves.

A user without the permission to WATCH clears without the check of step 3; such keys are counted. In a cluster one
transaction has one slot; moved slots are asked for again, and a key that is being moved is left to redis-py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis import exceptions as redis_errors

from luckyhit.caches.backup import BackedUpRemoval, BackupEntry, BackupWriter
from luckyhit.caches.redis.redis_connections import (
    Command,
    RedisConnection,
    RedisConnections,
    exchange,
    refusal,
    removed,
)
from luckyhit.caches.redis.refusals import explained
from luckyhit.caches.redis.topology import NodeGroup, Topology
from luckyhit.caches.scope import ClearPace, Progress, Scope

_MOST_GROUPS, _MOST_KEY_BYTES = 32, 1 << 18
_ATTEMPTS, _REFRESHES = 14, 50
_TOGETHER = 32
"""Keys in one command or transaction. The server does nothing else meanwhile, and for WATCH it compares each key with
all that the connection watches."""


@dataclass(frozen=True, slots=True)
class _Inspected:
    """The keys of one group that are to be removed, or why the server did not answer for them."""

    group: NodeGroup
    connection: RedisConnection
    entries: list[BackupEntry] = field(default_factory=list)
    elsewhere: redis_errors.ResponseError | None = None


class KeyRemoval(BackedUpRemoval):
    """Removes the keys of one clear."""

    def __init__(
        self, topology: Topology, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> None:
        super().__init__(scope, pace, writer=writer, rebuildable=rebuildable)
        self._topology = topology
        self._inspects = writer is not None or not rebuildable
        self._guards = True
        self._connections = RedisConnections()
        self._refreshes = 0

    def run(self, keys: list[bytes], on_progress: Progress | None) -> None:
        """Raises CacheUnreachable or TargetError from the cache, GuardError where the backup can't be written."""
        dealt = 0
        try:
            for batch in self._batches(self._topology.in_order(keys)):
                self._batch(batch)
                dealt += len(batch)
                if on_progress is not None:
                    on_progress(dealt, len(keys))
        finally:
            self._connections.close()

    def _batches(self, keys: list[bytes]) -> Iterator[list[bytes]]:
        start = 0
        while start < len(keys):
            batch = keys[start : start + self._pace.size]
            while len(batch) > 1 and sum(map(len, batch)) > _MOST_KEY_BYTES:
                batch = batch[: len(batch) // 2]
            yield batch
            start += len(batch)

    def _batch(self, keys: list[bytes]) -> None:
        self._written.clear()
        # Without WATCH, a batch is one command: in a cluster, one for each key.
        together = _TOGETHER if self._inspects or self._topology.cluster is not None else len(keys)
        with explained("clearing the keys"):
            groups = [part for group in self._topology.groups(keys) for part in _parts(group, together)]
        for _ in range(_ATTEMPTS):
            again: list[NodeGroup] = []
            for start in range(0, len(groups), _MOST_GROUPS):
                now = groups[start : start + _MOST_GROUPS]
                started = time.monotonic()
                again += self._inspect_and_remove(now) if self._inspects else self._remove_uninspected(now)
                self._pace.took(sum(len(group.keys) for group in now), time.monotonic() - started)
            groups = again
            if not groups:
                return
        left = [key for group in groups for key in group.keys]
        self.done.contended += len(left)
        self.cancel(left)

    def _inspect_and_remove(self, groups: list[NodeGroup]) -> list[NodeGroup]:
        """Returns what is to be tried again."""
        with explained("backing up the keys" if self._writer is not None else "asking for their times to live"):
            inspected = self._inspect(groups)
        here = [one for one in inspected if one.elsewhere is None]
        self.back_up([entry for one in here for entry in one.entries])
        with explained("clearing the keys"):
            again = self._remove(here)
            # Only now, since asking for the slots again closes the connections, which ends their WATCH.
            for one in inspected:
                again += self._follow(one.group, one.elsewhere) if one.elsewhere is not None else []
        return again

    def _inspect(self, groups: list[NodeGroup]) -> list[_Inspected]:
        connections = self._connections.take(groups)
        clock: list[Command] = [(b"TIME",)] if self._writer is not None else []
        asked = (b"PTTL", b"DUMP") if self._writer is not None else (b"PTTL",)
        answers = exchange(
            [
                (connection, [*self._watch(group), *clock, *((name, key) for name in asked for key in group.keys)])
                for connection, group in zip(connections, groups, strict=True)
            ]
        )
        if self._guards and any(isinstance(answer[0], redis_errors.NoPermissionError) for answer in answers):
            self._guards = False
            self._connections.close()
            return self._inspect(groups)
        return [self._inspected(*parts) for parts in zip(groups, connections, answers, strict=True)]

    def _watch(self, group: NodeGroup) -> list[Command]:
        return [(b"WATCH", *group.keys)] if self._guards else []

    def _inspected(self, group: NodeGroup, connection: RedisConnection, answers: list[Any]) -> _Inspected:
        if (refused := refusal(answers)) is not None:
            if not _moved(refused):
                raise refused
            return _Inspected(group, connection, elsewhere=refused)
        replies = answers[1:] if self._guards else answers
        if self._writer is None:
            return _Inspected(group, connection, self._wanted(group.keys, replies, [b""] * len(group.keys), (0, 0)))
        count = len(group.keys)
        return _Inspected(
            group, connection, self._wanted(group.keys, replies[1 : count + 1], replies[count + 1 :], replies[0])
        )

    def _wanted(
        self, keys: Sequence[bytes], ttls_ms: Sequence[Any], payloads: Sequence[Any], time_there: Sequence[Any]
    ) -> list[BackupEntry]:
        now_ms = int(time_there[0]) * 1000 + int(time_there[1]) // 1000
        states = zip(keys, payloads, map(int, ttls_ms), strict=True)
        entries = (self.entry(key, payload, ttl_ms, now_ms) for key, payload, ttl_ms in states)
        return [entry for entry in entries if entry is not None]

    def _remove(self, inspected: list[_Inspected]) -> list[NodeGroup]:
        """Remove what was inspected, unless it was written since. Returns what is to be tried again."""
        work = []
        for one in inspected:
            keys = [entry.key for entry in one.entries]
            if self._guards:
                commands: list[Command] = [(b"MULTI",), self._unlink(keys), (b"EXEC",)] if keys else [(b"UNWATCH",)]
            else:
                commands = [self._unlink([key]) for key in keys]
                self.done.unguarded += len(keys)
            work.append((one.connection, NodeGroup(one.group.primary, keys), commands))
        again = []
        answers = self._sent([(connection, commands) for connection, _, commands in work])
        for (_, group, _), replies in zip(work, answers, strict=True):
            if group.keys and replies[-1] is None:  # somebody wrote one of the keys
                again += _parts(group, max(1, len(group.keys) // 2))
            elif group.keys:
                again += self._counted(group, replies)
        return again

    def _remove_uninspected(self, groups: list[NodeGroup]) -> list[NodeGroup]:
        with explained("clearing the keys"):
            # In a cluster, each key may get a different answer.
            one_by_one = self._topology.cluster is not None
            work = [
                [self._unlink([key]) for key in group.keys] if one_by_one else [self._unlink(group.keys)]
                for group in groups
            ]
            answers = self._sent(list(zip(self._connections.take(groups), work, strict=True)))
            again = [self._counted(group, replies) for group, replies in zip(groups, answers, strict=True)]
        return [group for groups in again for group in groups]

    def _unlink(self, keys: list[bytes]) -> Command:
        """The only command that removes anything."""
        return (b"UNLINK", *self.checked(keys))

    def _sent(self, work: list[tuple[RedisConnection, list[Command]]]) -> list[list[Any]]:
        """Send removals, and count. Until the answers have come, something may have been removed."""
        removed_any, self.done.removed_any = self.done.removed_any, True
        answers = exchange(work)
        count = sum(map(removed, answers))
        self.done.cleared += count
        self.done.removed_any = removed_any or count > 0
        return answers

    def _counted(self, group: NodeGroup, answers: list[Any]) -> list[NodeGroup]:
        """Count what was gone already. Returns what moved, at the place where it is to be tried again."""
        refused = refusal(answers)
        if refused is not None and not _moved(refused):
            raise refused
        if refused is None:
            self.done.gone += len(group.keys) - removed(answers)
            return []
        if self._inspects and self._guards:  # all or nothing
            return self._follow(group, refused)
        self.done.gone += answers.count(0)
        keys = [key for key, answer in zip(group.keys, answers, strict=True) if not isinstance(answer, int)]
        return self._follow(NodeGroup(group.primary, keys), refused)

    def _follow(self, group: NodeGroup, elsewhere: redis_errors.ResponseError) -> list[NodeGroup]:
        """Find keys whose slot has moved. Returns them at their new place; those that are being moved are removed
        here."""
        if isinstance(elsewhere, redis_errors.MovedError) and self._refreshes < _REFRESHES:
            self._refreshes += 1
            self._connections.close()
            self._topology.refresh(elsewhere)
            return [part for now in self._topology.groups(group.keys) for part in _parts(now)]
        for key in group.keys:
            self._by_redis_py(key)
        return []

    def _by_redis_py(self, key: bytes) -> None:
        """Remove a key that is being moved between two servers: redis-py asks both."""
        anywhere = cast(Any, self._topology.anywhere)
        if self._inspects:
            keeps = self._writer is not None
            payload = anywhere.dump(key) if keeps else b""
            time_there = self._topology.groups([key])[0].primary.client.time() if keeps else (0, 0)
            entries = self._wanted([key], [anywhere.pttl(key)], [payload], cast(Sequence[Any], time_there))
            self.back_up(entries)
            self.done.unguarded += len(entries)
            if not entries:
                return
        self.done.removed_any = True
        count = int(anywhere.unlink(*self._unlink([key])[1:]))
        self.done.cleared += count
        self.done.gone += 1 - count


def _moved(error: redis_errors.ResponseError) -> bool:
    return isinstance(error, redis_errors.AskError | redis_errors.TryAgainError)


def _parts(group: NodeGroup, size: int = _TOGETHER) -> list[NodeGroup]:
    """A group cut into some of `size` keys at most."""
    return [NodeGroup(group.primary, group.keys[start : start + size]) for start in range(0, len(group.keys), size)]

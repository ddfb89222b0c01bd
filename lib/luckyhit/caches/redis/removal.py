"""Removing keys, each only as it was last seen: backed up, its time to live known, and not rewritten since.

For each batch:

1. Look: WATCH, PTTL and, for a backup, DUMP. What never expires is left alone where the case says so.
2. The backup is on the disk.
3. Remove: MULTI, UNLINK of just these keys, EXEC. The server refuses where somebody wrote one of them since step 1:
   then the batch is looked at again, in halves.

A user without the right to WATCH clears without step 3's check; such keys are counted. In a cluster one transaction has
one slot; slots that have moved are asked for anew, and a key that is just on the move is left to redis-py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis import exceptions as redis_errors

from luckyhit.caches.backup import BackupEntry, BackupWriter
from luckyhit.caches.clear_pace import ClearPace
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
from luckyhit.caches.scope import Progress, RemovalCounts, Scope
from luckyhit.errors import ScopeRefused

_MOST_GROUPS, _MOST_KEY_BYTES = 32, 1 << 18
_ATTEMPTS, _REFRESHES = 14, 50
_TOGETHER = 32
"""Keys in one command or transaction: the server does nothing else meanwhile (and for WATCH, it compares each key with
all that are watched on that connection)."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at one group found: the keys that are to be removed, or why the server did not tell."""

    group: NodeGroup
    lane: RedisConnection
    entries: list[BackupEntry] = field(default_factory=list)
    elsewhere: redis_errors.ResponseError | None = None


class KeyRemoval:
    """Removes the keys of one clear. `writer` is its backup, None for none."""

    def __init__(
        self, topology: Topology, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> None:
        self.done = RemovalCounts()
        self._topology, self._scope, self._pace = topology, scope, pace
        self._writer, self._rebuildable = writer, rebuildable
        self._looks = writer is not None or not rebuildable
        self._guards = True
        self._lanes = RedisConnections()
        self._refreshes = 0
        self._written: dict[bytes, bytes] = {}  # what the backup has of the keys of this batch

    def run(self, keys: list[bytes], on_progress: Progress | None) -> None:
        """Remove `keys`. Raises CacheUnreachable or TargetError from the cache, GuardError where the backup can't be
        written; `done` tells how far it came."""
        dealt = 0
        try:
            for batch in self._batches(self._topology.in_order(keys)):
                self._batch(batch)
                dealt += len(batch)
                if on_progress is not None:
                    on_progress(dealt, len(keys))
        finally:
            self._lanes.close()

    def _batches(self, keys: list[bytes]) -> Iterator[list[bytes]]:
        start = 0
        while start < len(keys):
            end, size = start, 0
            while end < len(keys) and end - start < self._pace.size and size <= _MOST_KEY_BYTES:
                size += len(keys[end])
                end += 1
            yield keys[start:end]
            start = end

    def _batch(self, keys: list[bytes]) -> None:
        self._written.clear()
        with explained("clearing the keys"):
            groups = [part for group in self._topology.groups(keys) for part in _parts(group)]
        for _ in range(_ATTEMPTS):
            again: list[NodeGroup] = []
            for start in range(0, len(groups), _MOST_GROUPS):
                now = groups[start : start + _MOST_GROUPS]
                started = time.monotonic()
                again += self._look_and_remove(now) if self._looks else self._remove_unseen(now)
                self._pace.took(sum(len(group.keys) for group in now), time.monotonic() - started)
            groups = again
            if not groups:
                return
        left = [key for group in groups for key in group.keys]
        self.done.contended += len(left)
        self._take_back(left)

    def _look_and_remove(self, groups: list[NodeGroup]) -> list[NodeGroup]:
        """Look, back up, remove. Returns what is to be tried again."""
        with explained("backing up the keys" if self._writer is not None else "asking for their times to live"):
            looks = self._look(groups)
        here = [look for look in looks if look.elsewhere is None]
        self._back_up([entry for look in here for entry in look.entries])
        with explained("clearing the keys"):
            again = self._remove(here)
            # Only now: to ask anew for the slots ends the connections, and with them what is watched.
            for look in looks:
                again += self._follow(look.group, look.elsewhere) if look.elsewhere is not None else []
        return again

    def _look(self, groups: list[NodeGroup]) -> list[_Look]:
        lanes = self._lanes.take(groups)
        clock: list[Command] = [(b"TIME",)] if self._writer is not None else []
        asked = (b"PTTL", b"DUMP") if self._writer is not None else (b"PTTL",)
        answers = exchange(
            [
                (lane, [*self._watch(group), *clock, *((name, key) for name in asked for key in group.keys)])
                for lane, group in zip(lanes, groups, strict=True)
            ]
        )
        if self._guards and any(isinstance(answer[0], redis_errors.NoPermissionError) for answer in answers):
            self._guards = False
            self._lanes.close()
            return self._look(groups)
        return [self._seen(*seen_group) for seen_group in zip(groups, lanes, answers, strict=True)]

    def _watch(self, group: NodeGroup) -> list[Command]:
        return [(b"WATCH", *group.keys)] if self._guards else []

    def _seen(self, group: NodeGroup, lane: RedisConnection, answers: list[Any]) -> _Look:
        if (refused := refusal(answers)) is not None:
            if not _moved(refused):
                raise refused
            return _Look(group, lane, elsewhere=refused)
        replies = answers[1:] if self._guards else answers
        if self._writer is None:
            return _Look(group, lane, self._wanted(group.keys, replies, [b""] * len(group.keys), (0, 0)))
        count = len(group.keys)
        return _Look(group, lane, self._wanted(group.keys, replies[1 : count + 1], replies[count + 1 :], replies[0]))

    def _wanted(
        self, keys: Sequence[bytes], ttls_ms: Sequence[Any], payloads: Sequence[Any], time_there: Sequence[Any]
    ) -> list[BackupEntry]:
        """Of what was found, the keys that are to be removed; the others are counted."""
        now_ms = int(time_there[0]) * 1000 + int(time_there[1]) // 1000
        wanted, others = [], []
        for key, ttl_ms, payload in zip(keys, map(int, ttls_ms), payloads, strict=True):
            if ttl_ms == -2 or payload is None:
                self.done.gone += 1
                others.append(key)
            elif ttl_ms == -1 and not self._rebuildable:
                self.done.kept.add(key)
                others.append(key)
            else:
                wanted.append(BackupEntry(key, payload, 0 if ttl_ms < 0 else now_ms + ttl_ms))
        self._take_back(others)
        return wanted

    def _back_up(self, entries: list[BackupEntry]) -> None:
        if self._writer is None or not entries:
            return
        again = [entry for entry in entries if entry.key in self._written]
        self.done.rewritten += sum(entry.payload != self._written[entry.key] for entry in again)
        self._writer.add(entry for entry in entries if entry.key not in self._written)
        self._writer.replace(again)
        self._writer.sync()
        self._written.update((entry.key, entry.payload) for entry in entries)

    def _take_back(self, keys: list[bytes]) -> None:
        """What the backup has of these keys is not to be put back: it was not we who removed them."""
        known = [key for key in keys if self._written.pop(key, None) is not None]
        if self._writer is not None and known:
            self._writer.replace(BackupEntry(key, b"", 0) for key in known)

    def _remove(self, looks: list[_Look]) -> list[NodeGroup]:
        """Remove what was looked at, unless it was written since. Returns what is to be tried again."""
        work = []
        for look in looks:
            keys = [entry.key for entry in look.entries]
            if self._guards:
                commands: list[Command] = [(b"MULTI",), self._unlink(keys), (b"EXEC",)] if keys else [(b"UNWATCH",)]
            else:
                commands = [self._unlink([key]) for key in keys]
                self.done.unguarded += len(keys)
            work.append((look.lane, NodeGroup(look.group.primary, keys), commands))
        again = []
        answers = self._sent([(lane, commands) for lane, _, commands in work])
        for (_, group, _), replies in zip(work, answers, strict=True):
            if group.keys and replies[-1] is None:  # somebody wrote one of the keys meanwhile
                again += _parts(group, max(1, len(group.keys) // 2))
            elif group.keys:
                again += self._counted(group, replies)
        return again

    def _remove_unseen(self, groups: list[NodeGroup]) -> list[NodeGroup]:
        with explained("clearing the keys"):
            # A cluster may answer for each key in its own way.
            one_by_one = self._topology.cluster is not None
            work = [
                [self._unlink([key]) for key in group.keys] if one_by_one else [self._unlink(group.keys)]
                for group in groups
            ]
            answers = self._sent(list(zip(self._lanes.take(groups), work, strict=True)))
            again = [self._counted(group, replies) for group, replies in zip(groups, answers, strict=True)]
        return [group for groups in again for group in groups]

    def _unlink(self, keys: list[bytes]) -> Command:
        """The one command that removes anything, and the last look at what it names."""
        if not all(key in self._scope for key in keys):
            raise ScopeRefused(
                "a key outside the scope was about to be cleared", hint="Please report this: it is a bug."
            )
        self.done.named += len(keys)
        return (b"UNLINK", *keys)

    def _sent(self, work: list[tuple[RedisConnection, list[Command]]]) -> list[list[Any]]:
        """Send what removes, and count. As long as no answer has come, something may have been removed."""
        removed_any, self.done.removed_any = self.done.removed_any, True
        answers = exchange(work)
        count = sum(map(removed, answers))
        self.done.cleared += count
        self.done.removed_any = removed_any or count > 0
        return answers

    def _counted(self, group: NodeGroup, answers: list[Any]) -> list[NodeGroup]:
        """Count what was gone already. Returns what lives elsewhere, where it is to be tried again."""
        refused = refusal(answers)
        if refused is not None and not _moved(refused):
            raise refused
        if refused is None:
            self.done.gone += len(group.keys) - removed(answers)
            return []
        if self._looks and self._guards:  # all or nothing
            return self._follow(group, refused)
        self.done.gone += answers.count(0)
        keys = [key for key, answer in zip(group.keys, answers, strict=True) if not isinstance(answer, int)]
        return self._follow(NodeGroup(group.primary, keys), refused)

    def _follow(self, group: NodeGroup, elsewhere: redis_errors.ResponseError) -> list[NodeGroup]:
        """Go after keys whose slot has moved. Returns them where they are now; those in between are dealt with."""
        if isinstance(elsewhere, redis_errors.MovedError) and self._refreshes < _REFRESHES:
            self._refreshes += 1
            self._lanes.close()
            self._topology.refresh(elsewhere)
            return [part for now in self._topology.groups(group.keys) for part in _parts(now)]
        for key in group.keys:
            self._by_redis_py(key)
        return []

    def _by_redis_py(self, key: bytes) -> None:
        """One key that is on its way from one server to another: redis-py asks both."""
        anywhere = cast(Any, self._topology.anywhere)
        if self._looks:
            keeps = self._writer is not None
            payload = anywhere.dump(key) if keeps else b""
            time_there = self._topology.groups([key])[0].primary.client.time() if keeps else (0, 0)
            entries = self._wanted([key], [anywhere.pttl(key)], [payload], cast(Sequence[Any], time_there))
            self._back_up(entries)
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

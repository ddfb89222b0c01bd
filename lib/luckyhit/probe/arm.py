"""The probe's access to one arm: reads and writes, how long they usually take, and what has to be put back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median_high
from typing import TYPE_CHECKING

from luckyhit.case.freshness import Freshness, Prestate, VersionWrite
from luckyhit.case.values.keys import in_path
from luckyhit.case.values.placeholders import fill_text
from luckyhit.probe.probe_reads import GONE, ProbeRead, ProbeReader, Validator
from luckyhit.probe.probe_writes import Writer, WriteResult, writer_for
from luckyhit.probe.undo_log import UndoLog

if TYPE_CHECKING:
    from luckyhit.records import Arm

_MAX_EXAMPLE_KEYS = 5
_RECENT = 8
_GIVE_UP_AFTER = 3
_SHORTEST_USUAL_NS = 500_000
RETRY_AFTER_S = (0.2, 1.0)
"""Pauses before each further attempt at putting values back."""


class ProbeArm:
    """`originals`: values from before the probe, by key; given for cold keys, which nobody may read in the block.
    `undo_log`: where that is written down before a key is written to.

    `values` fill in the placeholders of `target.start.command` (for writes past the service); `databases`: URLs from
    the environment, by variable. `timeout_s`: of each request. Raises ArgumentError for a kind of write that can't
    work.

    `vary`: the request headers that the `Vary` of its answers named so far. `outlived`: a cache answered the first read
    of a key after the clear. `not_put_back`: keys that the probe wrote or created and that are not as they were.
    """

    def __init__(
        self,
        freshness: Freshness,
        reader: ProbeReader,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        originals: Mapping[str, int] | None = None,
        values: Mapping[str, object] | None = None,
        databases: Mapping[str, str] | None = None,
        undo_log: UndoLog | None = None,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:
        self._undo_log, self._retry_after_s = undo_log, retry_after_s
        self._freshness, self._reader, self._headers, self._timeout_s = freshness, reader, dict(headers), timeout_s
        self.routes = [route.name for route in reader.routes]
        self.variants = reader.variants
        self.vary: set[str] = set()
        self.outlived = False
        self.originals = dict(originals or {})
        self.requests_sent = 0
        self.put_back = self._unknown = 0
        self._written: dict[str, None] = {}  # in order; not put back yet
        self._created: dict[str, None] = {}
        self._reads_ns: dict[int, deque[int]] = {}
        self._writes_ns: deque[int] = deque(maxlen=_RECENT)

        def writer(write: VersionWrite) -> Writer:
            database = (databases or {}).get(write.database_env or "")
            return writer_for(write, reader.client, headers, values or {}, database)

        self._writer = writer(freshness.write)
        self._refused = writer(freshness.refused) if freshness.refused else None
        self._creator = writer(freshness.absent.create) if freshness.absent else None

    @property
    def not_put_back(self) -> int:
        return len(self._written) + len(self._created) + self._unknown

    def timeout_left_s(self, end_ns: int) -> float:
        """A timeout that ends with the block, but is never shorter than 50 ms."""
        return min(self._timeout_s, max(0.05, (end_ns - time.monotonic_ns()) / 1e9))

    def remember(self, key: str, value: int) -> None:
        """Keep what a key held before the probe wrote it; later values are the probe's own."""
        if key not in self._written:
            self.originals.setdefault(key, value)

    async def read(
        self,
        route: int,
        key: str,
        timeout_s: float | None = None,
        *,
        validator: Validator | None = None,
        new_connection: bool = False,
        variant: int = 0,
    ) -> ProbeRead:
        self.requests_sent += 1
        read = await self._reader.read(
            route,
            key,
            timeout_s or self._timeout_s,
            validator=validator,
            new_connection=new_connection,
            variant=variant,
        )
        self.vary.update(read.vary)
        return read

    async def write(
        self, key: str, version: int, timeout_s: float | None = None, prestate: Prestate = "warm"
    ) -> WriteResult:
        """Write one version in the way that the prestate asks for."""
        self.requests_sent += 1
        timeout_s = timeout_s or self._timeout_s
        if prestate == "absent" and self._creator is not None:
            if self._undo_log is not None and key not in self._created:
                self._undo_log.created(key)
            self._created[key] = None  # even without an answer: it may exist
            return await self._creator.write(key, version, timeout_s)
        written_before = key in self._written
        if self._undo_log is not None and not written_before:
            self._undo_log.held(key, self.originals.get(key))
        self._written[key] = None
        if prestate == "refused" and self._refused is not None:
            result = await self._refused.write(key, version, timeout_s)
            # Its declared status is that of the refusal. The key is put back all the same: it may have been written.
            accepted = result.status is not None and 200 <= result.status < 300
            return replace(result, refused=result.accepted, accepted=accepted and not result.accepted)
        result = await self._writer.write(key, version, timeout_s)
        if result.refused and not written_before:
            del self._written[key]  # nothing to put back
        if result.done_ns is not None:
            self._writes_ns.append(result.done_ns - result.sent_ns)
        return result

    async def remove(self, key: str, timeout_s: float | None = None) -> bool:
        """Remove what the probe created. False where that was not confirmed."""
        if self._freshness.absent is None or key not in self._created:
            return True
        removal = self._freshness.absent.remove
        self.requests_sent += 1
        response = await self._reader.client.request(
            removal.method,
            fill_text(removal.path, {"key": in_path(key)}),
            headers=self._headers,
            timeout_s=timeout_s or self._timeout_s,
        )
        if response.error is None and response.status in (*removal.statuses, *GONE):
            self._created.pop(key, None)
            return True
        return False

    # Usual durations, so that a write can be made to land inside of a read.

    def note_duration(self, route: int, read: ProbeRead) -> None:
        if read.done_ns is not None:
            self._reads_ns.setdefault(route, deque(maxlen=_RECENT)).append(read.done_ns - read.sent_ns)

    def usual_read_ns(self, route: int) -> int:
        """The longest of the recent first reads of a key: they miss the cache, as a racing read does."""
        return max([*self._reads_ns.get(route, ()), _SHORTEST_USUAL_NS])

    @property
    def usual_write_ns(self) -> int:
        return median_high(self._writes_ns) if self._writes_ns else _SHORTEST_USUAL_NS

    async def restore(self, name: Arm) -> list[str]:
        """Put every value back and remove what was created, with a few attempts, since both may safely be repeated.
        Returns one sentence for each group of keys that could not be put back."""
        unknown = [key for key in self._written if key not in self.originals]
        for key in unknown:
            del self._written[key]
        self._unknown += len(unknown)
        failure = await self._put_back_once()
        left = await self._remove_once()
        for pause_s in self._retry_after_s:
            if not self._written and not left:
                break
            await asyncio.sleep(pause_s)
            failure = await self._put_back_once() or failure
            left = await self._remove_once()
        sentences = []
        if self._written:
            sentences.append(f"Arm {name}: not put back: {_key_list(list(self._written))} ({failure}).")
        if unknown:
            reason = "written without being read before, so their value is not known"
            sentences.append(f"Arm {name}: not put back: {_key_list(unknown)} ({reason}).")
        if left:
            sentences.append(f"Arm {name}: created by the probe and not removed: {_key_list(left)}.")
        return sentences

    async def _put_back_once(self) -> str:
        """One attempt for each key that is not as it was. Returns a description of the first failure."""
        failure, in_a_row = "", 0
        for key in list(self._written):
            if in_a_row == _GIVE_UP_AFTER:  # a service that is down would cost a timeout for each key
                break
            self.requests_sent += 1
            result = await self._writer.write(key, self.originals[key], self._timeout_s)
            if result.accepted:
                del self._written[key]
                self.put_back += 1
                in_a_row = 0
            else:
                in_a_row += 1
                failure = failure or result.description
        return failure

    async def _remove_once(self) -> list[str]:
        """One attempt for each key that was created. Returns those that still exist."""
        left, in_a_row = [], 0
        for key in list(self._created):
            if in_a_row == _GIVE_UP_AFTER or not await self.remove(key):
                left.append(key)
                in_a_row += 1
            else:
                in_a_row = 0
        return left

    async def close(self) -> None:
        for writer in (self._writer, self._refused, self._creator):
            if writer is not None:
                await writer.close()
        await self._reader.close()
        if self._undo_log is not None:
            self._undo_log.close()


def _key_list(keys: Sequence[str]) -> str:
    """`key 7`, or `12 keys (1, 2, 3, 4, 5, ...)`."""
    if len(keys) == 1:
        return f"key {keys[0]}"
    shown = ", ".join(keys[:_MAX_EXAMPLE_KEYS]) + (", ..." if len(keys) > _MAX_EXAMPLE_KEYS else "")
    return f"{len(keys)} keys ({shown})"

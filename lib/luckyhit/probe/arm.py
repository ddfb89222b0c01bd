"""The probe's hands in one arm: reads and writes, what they usually take, and what has to be put back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from luckyhit.case.freshness import Freshness, Prestate
from luckyhit.case.values.placeholders import fill_text
from luckyhit.probe.probe_reads import Door, Look, Validator
from luckyhit.probe.probe_writes import Writer, Written, writer_for
from luckyhit.probe.undo_log import Ledger

if TYPE_CHECKING:
    from luckyhit.records import Arm

_LONGEST_EXAMPLE = 5
_LATELY = 8
_GIVE_UP_AFTER = 3
_SHORTEST_USUAL_NS = 500_000
RETRY_AFTER_S = (0.2, 1.0)
"""Pauses before the further tries of putting back what could not be put back."""


class ProbeArm:
    """`originals`: the values from before the probe, by key; known from earlier for keys that nobody is to read.
    `ledger`: where that is written down before a key is written to.

    `values` fill in what `target.start.command` knows (for writes that go round the service); `databases`: URLs that
    come from the environment, by the variable's name. `timeout_s`: of each exchange. Raises ArgumentError for a way of
    writing that can't work.

    `vary`: the request headers that the `Vary` of its answers named so far. `outlived`: the first read of a key behind
    the clear was answered by a cache.
    """

    def __init__(
        self,
        freshness: Freshness,
        door: Door,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        originals: Mapping[str, int] | None = None,
        values: Mapping[str, object] | None = None,
        databases: Mapping[str, str] | None = None,
        ledger: Ledger | None = None,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:
        self._ledger, self._retry_after_s = ledger, retry_after_s
        self._freshness, self._door, self._headers, self._timeout_s = freshness, door, dict(headers), timeout_s
        self.routes = [reader.name for reader in door.readers]
        self.variants = door.variants
        self.vary: set[str] = set()
        self.outlived = False
        self.originals = dict(originals or {})
        self.requests_sent = 0
        self.put_back = self._unknown = 0
        self._written: dict[str, None] = {}  # in order; not yet put back
        self._created: dict[str, None] = {}
        self._reads_ns: dict[int, deque[int]] = {}
        self._writes_ns: deque[int] = deque(maxlen=_LATELY)

        def writer(write: object) -> Writer:
            spec = freshness.write if write is None else write
            database = (databases or {}).get(spec.database_env or "")  # type: ignore[attr-defined]
            return writer_for(spec, door.kept, headers, values or {}, database)  # type: ignore[arg-type]

        self._writer = writer(None)
        self._refused = writer(freshness.refused) if freshness.refused else None
        self._creator = writer(freshness.absent.create) if freshness.absent else None

    @property
    def not_put_back(self) -> int:
        """Keys that the probe wrote or created, and that are not as they were."""
        return len(self._written) + len(self._created) + self._unknown

    def left_s(self, end_ns: int) -> float:
        """A timeout that ends with the block (a little later where the block is as good as over)."""
        return min(self._timeout_s, max(0.05, (end_ns - time.monotonic_ns()) / 1e9))

    def remember(self, key: str, value: int) -> None:
        """What a key held before the probe wrote it; later values are the probe's own."""
        if key not in self._written:
            self.originals.setdefault(key, value)

    async def look(
        self,
        route: int,
        key: str,
        timeout_s: float | None = None,
        *,
        validator: Validator | None = None,
        new_connection: bool = False,
        variant: int = 0,
    ) -> Look:
        self.requests_sent += 1
        look = await self._door.look(
            route,
            key,
            timeout_s or self._timeout_s,
            validator=validator,
            new_connection=new_connection,
            variant=variant,
        )
        self.vary.update(look.vary)
        return look

    async def write(
        self, key: str, version: int, timeout_s: float | None = None, prestate: Prestate = "warm"
    ) -> Written:
        """Write one version, the way that the prestate asks for."""
        self.requests_sent += 1
        timeout_s = timeout_s or self._timeout_s
        if prestate == "absent" and self._creator is not None:
            if self._ledger is not None and key not in self._created:
                self._ledger.created(key)
            self._created[key] = None  # also where the answer is lost: it may be there
            return await self._creator.write(key, version, timeout_s)
        before = key in self._written
        if self._ledger is not None and not before:
            self._ledger.held(key, self.originals.get(key))
        self._written[key] = None
        if prestate == "refused" and self._refused is not None:
            written = await self._refused.write(key, version, timeout_s)
            # Its declared status is the rejection's. The key is put back all the same: it may have been written.
            accepted = written.status is not None and 200 <= written.status < 300
            return replace(written, refused=written.accepted, accepted=accepted and not written.accepted)
        written = await self._writer.write(key, version, timeout_s)
        if written.refused and not before:
            del self._written[key]  # there is nothing to put back
        if written.done_ns is not None:
            self._writes_ns.append(written.done_ns - written.sent_ns)
        return written

    async def remove(self, key: str, timeout_s: float | None = None) -> bool:
        """Remove what the probe created. False where that was not confirmed."""
        if self._freshness.absent is None or key not in self._created:
            return True
        removal = self._freshness.absent.remove
        self.requests_sent += 1
        answer = await self._door.kept.request(
            removal.method,
            fill_text(removal.path, {"key": key}),
            headers=self._headers,
            timeout_s=timeout_s or self._timeout_s,
        )
        if answer.error is None and answer.status in (*removal.statuses, 404, 410):
            self._created.pop(key, None)
            return True
        return False

    # What things usually take, so that a write can be made to land inside of a read

    def took(self, route: int, look: Look) -> None:
        if look.done_ns is not None:
            self._reads_ns.setdefault(route, deque(maxlen=_LATELY)).append(look.done_ns - look.sent_ns)

    def usual_read_ns(self, route: int) -> int:
        """The longest of the last first reads of a key: those miss the cache, and take as long as a racing one."""
        return max([*self._reads_ns.get(route, ()), _SHORTEST_USUAL_NS])

    @property
    def usual_write_ns(self) -> int:
        return sorted(self._writes_ns)[len(self._writes_ns) // 2] if self._writes_ns else _SHORTEST_USUAL_NS

    async def restore(self, name: Arm) -> list[str]:
        """Put every value back, and remove what was created, with a few tries: a service may be short of something for
        a moment, and both may be done twice. What was not put back, one sentence each."""
        unknown = [key for key in self._written if key not in self.originals]
        for key in unknown:
            del self._written[key]
        self._unknown += len(unknown)
        first = await self._put_back_once()
        left = await self._remove_once()
        for pause_s in self._retry_after_s:
            if not self._written and not left:
                break
            await asyncio.sleep(pause_s)
            first = await self._put_back_once() or first
            left = await self._remove_once()
        failed = list(self._written)
        sentences = []
        if failed:
            sentences.append(f"Arm {name}: not put back as they were: {_some(failed)} ({first}).")
        if unknown:
            sentences.append(
                f"Arm {name}: not put back as they were: {_some(unknown)} (written without being read before, so "
                "their value is not known)."
            )
        if left:
            sentences.append(f"Arm {name}: created by the probe, and not removed: {_some(left)}.")
        return sentences

    async def _put_back_once(self) -> str:
        """One try for each key that is not as it was; what came of the first that failed."""
        first, in_a_row = "", 0
        for key in list(self._written):
            if in_a_row == _GIVE_UP_AFTER:  # a service that is gone would cost a timeout for each key
                break
            self.requests_sent += 1
            written = await self._writer.write(key, self.originals[key], self._timeout_s)
            if written.accepted:
                del self._written[key]
                self.put_back += 1
                in_a_row = 0
            else:
                in_a_row += 1
                first = first or written.said
        return first

    async def _remove_once(self) -> list[str]:
        """One try for each key that was created; those that are still there."""
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
        await self._door.close()
        if self._ledger is not None:
            self._ledger.close()


def _some(keys: Sequence[str]) -> str:
    """`key 7`, or `12 keys (1, 2, 3, 4, 5, ...)`."""
    if len(keys) == 1:
        return f"key {keys[0]}"
    shown = ", ".join(keys[:_LONGEST_EXAMPLE]) + (", ..." if len(keys) > _LONGEST_EXAMPLE else "")
    return f"{len(keys)} keys ({shown})"

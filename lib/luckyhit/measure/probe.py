"""The freshness probe: it writes versions through the service, and looks when readers see them.

Runs beside the background load, on the same clock. Two modes, kept apart since polling refills caches:

    once    warm read, write, wait a preset delay behind the acknowledgement, one read: P(fresh at delay d)
    burst   warm read, write, poll the key until lastingly fresh or the horizon: staleness windows, flapping

All events are planned before the first one starts and go to every arm: same keys, versions, delays and instants.
The written value carries its version, so the service's clocks never matter. An HTTP exchange that fails is data,
never an exception; what the reader of the report has to know about it is in `problems`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from luckyhit.case.model import Freshness
from luckyhit.case.placeholders import fill, fill_text
from luckyhit.errors import ResponseUnexpected
from luckyhit.measure.probe_plan import COLD_EVERY, FINISH_NS, WARM_LEAD_NS, ProbeEvent, plan_events
from luckyhit.measure.probe_record import ProbeRecord
from luckyhit.measure.versions import VersionMissing, read_version
from luckyhit.records import Arm, CacheStatus

if TYPE_CHECKING:
    from luckyhit.measure.wire import Answer, Client

LASTING_READS = 3
GAP_NS, GAP_GROWTH, LARGEST_GAP_NS = 25_000_000, 1.25, 100_000_000
_LONGEST_EXAMPLE = 5
_MOST_KEYS = 1_000_000


class FreshnessProbe:
    """Probes the freshness of every arm's service for one block.

    Times given and taken are raw nanoseconds of the monotonic clock; the rows count from `origin_ns`. Versions
    start at `first_version`, which has to lie above every value that the reserved keys hold; `next_version` is the
    first unused one. `originals` are values known from earlier (per arm and key), for keys that this block never reads
    before it writes them. Call `preflight`, `run`, then `restore`, whatever happened.
    """

    def __init__(
        self,
        freshness: Freshness,
        clients: Mapping[Arm, Client],
        *,
        rng: random.Random,
        first_version: int,
        headers: Mapping[str, str],
        block: int,
        origin_ns: int,
        originals: Mapping[Arm, Mapping[str, int]] | None = None,
        cold_every: int = COLD_EVERY,
        timeout_s: float = 5.0,
        cache_status: Callable[[list[tuple[bytes, bytes]]], CacheStatus] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._freshness, self._clients, self._rng = freshness, dict(clients), rng
        self._headers, self._cold_every, self._timeout_s, self._clock = dict(headers), cold_every, timeout_s, clock
        self._record = ProbeRecord(freshness, list(self._clients), block, origin_ns, cache_status)
        self.next_version = first_version
        self.requests_sent = 0
        self.originals: dict[Arm, dict[str, int]] = {arm: dict((originals or {}).get(arm, {})) for arm in self._clients}
        self._written: dict[Arm, dict[str, None]] = {arm: {} for arm in self._clients}  # in order, not yet put back
        self._open: Counter[str] = Counter()
        keys = range(freshness.keys.first, min(freshness.keys.last + 1, freshness.keys.first + _MOST_KEYS))
        # The preflight's key is left stale behind by a service with a fault, so no probe uses it.
        self._preflight_key = str(keys[-1])
        self._keys = keys[:-1] if len(keys) > 1 else keys
        needed = int(freshness.rate * (freshness.horizon + FINISH_NS / 1e9)) + 1
        if len(self._keys) < needed:
            self._record.note(
                f"{freshness.keys.last - freshness.keys.first + 1} keys are reserved for the probe; "
                f"{freshness.rate:g} writes per second and a horizon of {freshness.horizon:g} s need {needed + 1}: "
                "there are fewer probes than declared. Widen freshness.keys or lower freshness.rate."
            )

    @property
    def problems(self) -> list[str]:
        """What went wrong or could not be seen, one sentence each, with the first example."""
        return self._record.problems

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """(writes, reads) so far, in the columns of `records.WRITES` and `records.READS`."""
        return self._record.tables()

    async def preflight(self) -> None:
        """One read, one write and one read-back in every arm, to know that the probe can work.

        The read-back may show the old value: how long it does is what the probe measures. Raises ResponseUnexpected
        for a wrong status, a version that is missing or no whole number, or a value that nobody wrote; what was
        written until then is put back.
        """
        version, self.next_version = self.next_version, self.next_version + 1
        ends = await asyncio.gather(
            *(self._preflight_arm(arm, version) for arm in self._clients), return_exceptions=True
        )
        for error in ends:
            if isinstance(error, ResponseUnexpected):
                left = await self.restore()
                raise ResponseUnexpected(error.message, hint=" ".join([error.hint, *left]))
            if isinstance(error, BaseException):
                raise error

    async def _preflight_arm(self, arm: Arm, version: int) -> None:
        key, write = self._preflight_key, self._freshness.write
        original = self._readable(*await self._read(arm, key, self._timeout_s))
        if original >= version:
            raise ResponseUnexpected(
                f"key {key} holds {original}, which is not below the probe's first version, {version}",
                hint="Reserve keys for the probe whose value is smaller, or probe another field.",
            )
        self.originals[arm].setdefault(key, original)
        answer = await self._write(arm, key, version, self._timeout_s)
        where = f"{write.method} {fill_text(write.path, {'key': key, 'version': version})}"
        if answer.status is None or answer.error is not None:
            raise ResponseUnexpected(
                f"the probe's write, {where}, got no answer: {answer.error}",
                hint="Is freshness.write right, and does the service answer in time?",
            )
        if answer.status != write.status:
            raise ResponseUnexpected(
                f"the probe's write, {where}, answered {answer.status} instead of {write.status}",
                hint="Mend freshness.write: its method, path, body, or the status of an accepted write.",
            )
        seen = self._readable(*await self._read(arm, key, self._timeout_s))
        if seen not in (original, version):
            raise ResponseUnexpected(
                f"after the probe wrote {version} to key {key} (it was {original}), a read shows {seen}",
                hint="Are the keys in freshness.keys the probe's alone, and is freshness.read.version that field?",
            )

    def _readable(self, answer: Answer, seen: int | None, where: str) -> int:
        if seen is None:
            raise ResponseUnexpected(
                f"the probe's read finds no version: {where}",
                hint="Mend freshness.read: the path, or where the version stands in the answer; "
                "the keys in freshness.keys have to exist.",
            )
        return seen

    async def run(self, start_ns: int, end_ns: int) -> None:
        """Probe from `start_ns` to `end_ns`. No event starts that could not be finished by then."""
        events = plan_events(
            self._freshness,
            self._keys,
            duration_ns=end_ns - start_ns,
            rng=self._rng,
            first_version=self.next_version,
            cold_every=self._cold_every,
        )
        self.next_version += len(events)
        if not events:
            self._record.note(
                f"No probe fits into {(end_ns - start_ns) / 1e9:g} s with a horizon of "
                f"{self._freshness.horizon:g} s: freshness was not measured. "
                "Lengthen the block (plan.block) or shorten freshness.horizon."
            )
        tasks: set[asyncio.Task[None]] = set()
        try:
            for event in events:
                await self._sleep_until(start_ns + event.at_ns)
                if self._open[event.key]:
                    self._record.trouble(
                        "Probes left out, since the one before on the same key was still open", event.key
                    )
                    continue
                for arm in self._clients:
                    self._open[event.key] += 1
                    tasks.add(asyncio.create_task(self._probe(arm, event, start_ns, end_ns)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def restore(self) -> list[str]:
        """Put the values of all probed keys back, through the same write route. Best effort, never raises.

        Returns what was not put back, one sentence each (also in `problems`). Values are not read back to check: a
        service whose cache is stale would show an old one.
        """
        failures = [
            sentence
            for arm_failures in await asyncio.gather(*(self._restore_arm(arm) for arm in self._clients))
            for sentence in arm_failures
        ]
        for sentence in failures:
            self._record.note(sentence)
        return failures

    async def _restore_arm(self, arm: Arm) -> list[str]:
        unknown = [key for key in self._written[arm] if key not in self.originals[arm]]
        failed: list[str] = []
        first_failure, in_a_row = "", 0
        for key in [key for key in self._written[arm] if key in self.originals[arm]]:
            if in_a_row < 3:  # a service that is gone would cost a timeout for each key
                answer = await self._write(arm, key, self.originals[arm][key], self._timeout_s)
                if answer.status == self._freshness.write.status and answer.error is None:
                    del self._written[arm][key]
                    in_a_row = 0
                    continue
                in_a_row += 1
                first_failure = first_failure or f"the write answered {answer.status or answer.error}"
            failed.append(key)
        for key in unknown:
            del self._written[arm][key]
        sentences = []
        if failed:
            sentences.append(f"Arm {arm}: not put back as they were: {_some(failed)} ({first_failure}).")
        if unknown:
            sentences.append(
                f"Arm {arm}: not put back as they were: {_some(unknown)} (written without being read before, "
                "so their value is not known)."
            )
        return sentences

    async def _probe(self, arm: Arm, event: ProbeEvent, start_ns: int, end_ns: int) -> None:
        try:
            if event.prestate == "warm" and not await self._warm(arm, event, end_ns):
                return
            await self._sleep_until(start_ns + event.at_ns + WARM_LEAD_NS)
            called_ns = self._clock()
            if called_ns >= end_ns:
                self._record.trouble("Writes not sent, since the block was over", f"key {event.key}")
                return
            answer = await self._write(arm, event.key, event.version, self._left_s(end_ns))
            accepted = self._record.write(event, arm, called_ns, answer)
            if answer.done_ns is None or answer.error is not None:
                return
            if event.mode == "once":
                await self._read_once(arm, event, answer.done_ns, end_ns)
            elif accepted:
                await self._poll(arm, event, answer.done_ns, end_ns)
        finally:
            self._open[event.key] -= 1

    async def _warm(self, arm: Arm, event: ProbeEvent, end_ns: int) -> bool:
        """Read the key, so that readers have it cached; False where it can't be probed."""
        _, seen, where = await self._read(arm, event.key, self._left_s(end_ns))
        if seen is None:
            self._record.trouble("Keys not probed, since a read before the write showed no version", where)
            return False
        if seen >= event.version:
            self._record.trouble(
                "Keys not probed, since they hold a value that is not below the probe's versions",
                f"key {event.key} holds {seen}",
            )
            return False
        if event.key not in self._written[arm]:
            self.originals[arm].setdefault(event.key, seen)
        return True

    async def _read_once(self, arm: Arm, event: ProbeEvent, acked_ns: int, end_ns: int) -> None:
        due_ns = acked_ns + event.delay_ns
        if due_ns >= end_ns:
            self._record.trouble("Reads not sent, since the block was over", f"key {event.key}")
            return
        await self._sleep_until(due_ns)
        await self._recorded_read(arm, event, event.delay_ns, end_ns)

    async def _poll(self, arm: Arm, event: ProbeEvent, acked_ns: int, end_ns: int) -> None:
        """Read until lastingly fresh, or the horizon; a run of fresh reads that began by then may complete."""
        fresh_in_a_row, gap_ns, waited_ns = 0, GAP_NS, 0
        while fresh_in_a_row < LASTING_READS:
            seen = await self._recorded_read(arm, event, waited_ns, end_ns)
            if seen is not None:
                fresh_in_a_row = fresh_in_a_row + 1 if seen >= event.version else 0
            due_ns = self._clock() + gap_ns
            if due_ns >= end_ns or (due_ns > acked_ns + event.delay_ns and fresh_in_a_row == 0):
                return
            await self._sleep_until(due_ns)
            waited_ns, gap_ns = gap_ns, min(LARGEST_GAP_NS, round(gap_ns * GAP_GROWTH))

    async def _recorded_read(self, arm: Arm, event: ProbeEvent, delay_ns: int, end_ns: int) -> int | None:
        called_ns = self._clock()
        answer, seen, where = await self._read(arm, event.key, self._left_s(end_ns))
        self._record.read(event, arm, delay_ns, called_ns, answer, seen, where)
        return seen

    async def _write(self, arm: Arm, key: str, version: int, timeout_s: float) -> Answer:
        write, values = self._freshness.write, {"key": key, "version": version}
        body, headers = None, self._headers
        if write.body is not None:
            body = json.dumps(fill(write.body, values)).encode()
            headers = {"content-type": "application/json", **self._headers}
        path = fill_text(write.path, values)
        written_before = key in self._written[arm]
        self._written[arm][key] = None  # also where the answer is lost: it may have been committed
        self.requests_sent += 1
        answer = await self._clients[arm].request(write.method, path, headers=headers, body=body, timeout_s=timeout_s)
        if answer.status is not None and 400 <= answer.status < 500 and not written_before:
            del self._written[arm][key]  # refused: there is nothing to put back
        return answer

    async def _read(self, arm: Arm, key: str, timeout_s: float) -> tuple[Answer, int | None, str]:
        """(answer, version or None, what was found, for a sentence)."""
        path = fill_text(self._freshness.read.path, {"key": key})
        self.requests_sent += 1
        answer = await self._clients[arm].request("GET", path, headers=self._headers, timeout_s=timeout_s)
        if answer.status is None or answer.error is not None:
            return answer, None, f"GET {path} gave no answer ({answer.error})"
        if not 200 <= answer.status < 300:
            return answer, None, f"GET {path} answered {answer.status}"
        try:
            return answer, read_version(self._freshness.read.version, answer.body), ""
        except VersionMissing as missing:
            return answer, None, f"GET {path} answered {answer.status} with {missing}"

    def _left_s(self, end_ns: int) -> float:
        """A timeout that ends with the block (a little later where the block is as good as over)."""
        return min(self._timeout_s, max(0.05, (end_ns - self._clock()) / 1e9))

    async def _sleep_until(self, at_ns: int) -> None:
        # Timers may fire a little early (uvloop's count whole milliseconds): a read must not precede its delay.
        while (left_ns := at_ns - self._clock()) > 0:
            await asyncio.sleep(left_ns / 1e9)


def _some(keys: Sequence[str]) -> str:
    """`key 7`, or `12 keys (1, 2, 3, 4, 5, ...)`."""
    if len(keys) == 1:
        return f"key {keys[0]}"
    shown = ", ".join(keys[:_LONGEST_EXAMPLE]) + (", ..." if len(keys) > _LONGEST_EXAMPLE else "")
    return f"{len(keys)} keys ({shown})"

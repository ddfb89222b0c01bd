"""The freshness probe: it writes versions, and reads until it sees them.

It runs beside the background load, on the same clock. Two modes, kept apart since polling refills caches:

    once    write, wait a preset delay after the acknowledgement, one read: P(fresh at delay d)
    burst   write, poll every read route until it stays fresh (with at least one read past the bound), or until the
            horizon: staleness windows, flapping. Plain or conditional in turn.

and five states of a key before it is written ("prestates"):

    warm        just read, so that readers have it cached
    cold        read by nobody in this block: a control, no old copy can exist
    in-flight   written once, which empties the cache, and again while a read is under way: the stale-set race
    absent      nothing there: read so, then created, and removed afterwards
    refused     the service refuses the write: its value must never be seen

All events are planned before the first one starts and are the same for every arm: keys, versions, delays and instants.
The written value carries its version, so the service's clocks never matter. A request that fails is data, never an
exception; `problems` has what the report has to mention.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

from luckyhit.case.freshness import Freshness
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_plan import GAP_NS, LEAD_NS, WARMING_READS, KeyRanges, ProbeEvent, next_gap_ns, plan_events
from luckyhit.probe.probe_preflight import preflight
from luckyhit.probe.probe_reads import ProbeRead, Validator
from luckyhit.probe.probe_recorder import CountedProblem, NotedProblem, ProbeRecord
from luckyhit.probe.probe_writes import WriteResult
from luckyhit.records import Arm

_BEFORE_END_NS = 2_000_000
LASTING_READS, LASTING_AFTER_FLAP = 3, 10
"""Fresh reads in a row that end the polling of a route; more once it was stale again (workers or replicas differ)."""


class FreshnessProbe:
    """Probes the freshness of every arm's service for one block. Call `preflight`, `run`, then always `restore`.

    Times are raw nanoseconds of the monotonic clock; the rows count from `origin_ns`. Versions start at
    `first_version`, which has to be above every value that the reserved keys hold. `requests`: the workload's requests
    to each arm in the block, of which the probe takes a share where the case declares no rate. `purges`: see
    `ProbeRecord`. The original values of cold keys are in `arms`.
    """

    def __init__(
        self,
        freshness: Freshness,
        arms: Mapping[Arm, ProbeArm],
        *,
        rng: random.Random,
        first_version: int,
        block: int,
        origin_ns: int,
        requests: float = 0.0,
        purges: bool = False,
    ) -> None:
        self._freshness, self._arms, self._rng = freshness, dict(arms), rng
        self._first_version, self._requests = first_version, requests
        self._record = ProbeRecord(list(self._arms), block, origin_ns, purges=purges)
        self._ranges = KeyRanges.of(freshness)
        self._open: Counter[str] = Counter()
        self.probes = 0

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(id, one sentence) of what went wrong or could not be seen."""
        return self._record.problems

    def note(self, problem: NotedProblem, sentence: str) -> None:
        """Add a problem."""
        self._record.note(problem, sentence)

    @property
    def left_out(self) -> dict[Arm, int]:
        """By arm: writes that the state of the thing did not allow, as the case declares it."""
        return dict(self._record.left_out)

    @property
    def requests_sent(self) -> int:
        """Reads and writes so far, over all arms."""
        return sum(arm.requests_sent for arm in self._arms.values())

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """(writes, reads) so far, in the columns of `records.WRITES` and `records.READS`."""
        return self._record.tables()

    async def preflight(self) -> None:
        """Do everything that the probe does once in every arm. A read-back may still show the old value: how long is
        what the probe measures. Raises ResponseUnexpected for an answer that can't be right, and puts back what was
        written until then."""
        version, self._first_version = self._first_version, self._first_version + 2
        await preflight(self._freshness, self._arms, self._ranges, version)

    async def run(self, start_ns: int, end_ns: int) -> None:
        """Probe from `start_ns` to `end_ns`. No event starts that could not be finished by then."""
        events = self._plan(end_ns - start_ns)
        tasks: set[asyncio.Task[None]] = set()
        try:
            for event in events:
                await _sleep_until(start_ns + event.at_ns)
                if self._open[event.key]:
                    self._record.count("key-still-open", f"key {event.key}")
                    continue
                self.probes += 1
                for name, arm in self._arms.items():
                    self._open[event.key] += 1
                    probe = _OneProbe(name, arm, event, end_ns, self._freshness, self._record)
                    tasks.add(asyncio.create_task(self._run_one(probe, start_ns + event.at_ns)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def restore(self) -> None:
        """Put the values of all probed keys back by the same kind of write, and remove what was created. Never raises:
        failures are problems. Values are not read back to check, since a stale cache would show an old one."""
        for failures in await asyncio.gather(*(arm.restore(name) for name, arm in self._arms.items())):
            for sentence in failures:
                self._record.note("not-put-back", sentence)

    async def _run_one(self, probe: _OneProbe, at_ns: int) -> None:
        try:
            await probe.run(at_ns)
        finally:
            self._open[probe.event.key] -= 1

    def _plan(self, duration_ns: int) -> list[ProbeEvent]:
        freshness = self._freshness
        known = [set(arm.originals) for arm in self._arms.values()]
        events = plan_events(
            freshness,
            duration_ns=duration_ns,
            rng=self._rng,
            first_version=self._first_version,
            requests=self._requests,
            cold_keys=[key for key in self._ranges.cold if all(str(key) in keys for keys in known)],
            variants=min((len(arm.variants) for arm in self._arms.values()), default=1),
        )
        self._first_version += 2 * len(events)
        seconds = duration_ns / 1e9
        if freshness.rate is not None and freshness.rate * (freshness.horizon + 0.35) > len(self._ranges.warm):
            reserved = freshness.keys.last - freshness.keys.first + 1
            self._record.note(
                "too-few-keys",
                f"{reserved} keys are reserved for the probe; {freshness.rate:g} probes per second and a horizon of "
                f"{freshness.horizon:g} s need more, so there are fewer probes than declared. Widen freshness.keys or "
                "lower freshness.rate.",
            )
        if not events and freshness.rate is None and seconds > freshness.horizon + 0.4:
            self._record.note(
                "no-probe-fits",
                f"No probe fits into 2 % of the block's {self._requests:,.0f} requests: freshness was not measured. "
                "Declare freshness.rate, or lengthen the block (plan.block).",
            )
        elif not events:
            self._record.note(
                "no-probe-fits",
                f"No probe fits into {seconds:g} s with a horizon of {freshness.horizon:g} s: freshness was not "
                "measured. Lengthen the block (plan.block) or shorten freshness.horizon.",
            )
        return events


class _OneProbe:
    """One event in one arm."""

    def __init__(
        self, name: Arm, arm: ProbeArm, event: ProbeEvent, end_ns: int, freshness: Freshness, record: ProbeRecord
    ) -> None:
        self.event = event
        self._name, self._arm, self._end_ns, self._freshness, self._record = name, arm, end_ns, freshness, record

    async def run(self, at_ns: int) -> None:
        event, arm = self.event, self._arm
        try:
            validators = await self._prepare_key()
            if validators is None:
                return
            await _sleep_until(at_ns + LEAD_NS)
            if self._block_over():
                self._record.count("write-past-end", f"key {event.key}")
                return
            acked_ns = await (self._race() if event.prestate == "in-flight" else self._write_version())
            if acked_ns is None:
                return
            if event.mode == "burst":
                await asyncio.gather(
                    *(self._poll(route, validators.get(route), acked_ns) for route in range(len(arm.routes)))
                )
            else:
                await self._read_once(validators[event.route], acked_ns)
        finally:
            if event.prestate == "absent":
                await arm.remove(event.key, self._timeout_s)

    @property
    def _timeout_s(self) -> float:
        return self._arm.timeout_left_s(self._end_ns)

    def _block_over(self) -> bool:
        """Nothing may be sent after the end of the block, so the last 2 ms count as over."""
        return time.monotonic_ns() >= self._end_ns - _BEFORE_END_NS

    async def _read(
        self, route: int, *, validator: Validator | None = None, new_connection: bool | None = None
    ) -> ProbeRead:
        event = self.event
        return await self._arm.read(
            route,
            event.key,
            self._timeout_s,
            validator=validator,
            new_connection=event.new_connection if new_connection is None else new_connection,
            variant=event.variant,
        )

    def _record_read(self, route: int, delay_ns: int, read: ProbeRead) -> None:
        self._record.read(self.event, self._name, self._arm.routes[route], delay_ns, read)

    async def _write(self, version: int) -> WriteResult:
        result = await self._arm.write(self.event.key, version, self._timeout_s, self.event.prestate)
        self._record.write(self.event, self._name, version, result)
        return result

    async def _prepare_key(self) -> dict[int, Validator | None] | None:
        """Bring the key into its prestate. Returns, by route, what a conditional read sends; None where the key can't
        be probed."""
        event, arm = self.event, self._arm
        validators: dict[int, Validator | None] = {event.route: None}
        if event.prestate == "cold":
            return validators
        if event.prestate == "in-flight":
            if event.key not in arm.originals and not await self._read_before_write(event.route, False):
                return None
            return validators if (await self._write(event.version - 1)).accepted else None
        # Where the read after the write has a new connection, this one has too: a worker's own cache is met.
        requests = [(event.route, event.new_connection)]
        if event.mode == "burst":
            requests = [(route, number > 0) for route in range(len(arm.routes)) for number in range(WARMING_READS)]
        reads = await asyncio.gather(*(self._read_before_write(route, new) for route, new in requests))
        if not all(reads):
            return None
        if event.conditional:
            for (route, _), read in zip(requests, reads, strict=True):
                validators[route] = read.validator if read is not None else None
        return validators

    async def _read_before_write(self, route: int, new_connection: bool) -> ProbeRead | None:
        """Read the key, so that readers have it cached and its value can be put back; None where it can't be probed."""
        event, arm = self.event, self._arm
        read = await self._read(route, new_connection=new_connection)
        arm.note_duration(route, read)
        state = f"key {event.key} holds {read.version}"
        problem: CountedProblem | None = None
        if event.prestate == "absent":
            problem = None if read.shows_absence else "key-not-absent"
        elif read.version is None:
            problem = "no-version-before"
        elif read.version >= event.version - 1:
            problem = "value-too-high"
        elif event.key not in arm.originals and read.version >= self._freshness.first_version:
            # An old copy that survived the reset, or a key that was not put back: not what the key held before.
            problem = "earlier-version"
        else:
            arm.remember(event.key, read.version)
        if problem is not None:
            self._record.count(problem, read.problem or state)
            return None
        return read

    async def _write_version(self) -> int | None:
        """The write of every prestate but in-flight. When it was acknowledged; None where no read has to follow."""
        result = await self._write(self.event.version)
        if result.refused_by_state or (self.event.mode == "burst" and not result.accepted):
            return None
        # The read of a refused write counts from now. One that went unanswered gets no read to judge.
        return result.done_ns or (time.monotonic_ns() if self.event.prestate == "refused" else None)

    async def _race(self) -> int | None:
        """A read, and a write that lands somewhere inside of it. When the write was answered; None where no read has
        to follow."""
        event, arm = self.event, self._arm
        read_ns, write_ns = arm.usual_read_ns(event.route), arm.usual_write_ns
        # From "answered as the read is sent" to "sent as the read is answered".
        write_at_ns = round(event.offset * (read_ns + write_ns)) - write_ns
        start_ns = time.monotonic_ns()

        async def read() -> None:
            await _sleep_until(start_ns + max(0, -write_at_ns))
            read = await self._read(event.route)
            arm.note_duration(event.route, read)
            self._record_read(event.route, 0, read)

        async def write() -> int | None:
            await _sleep_until(start_ns + max(0, write_at_ns))
            result = await self._write(event.version)
            over = result.refused_by_state or (event.mode == "burst" and not result.accepted)
            return None if over else result.done_ns

        _, acked_ns = await asyncio.gather(read(), write())
        return acked_ns

    async def _read_once(self, validator: Validator | None, acked_ns: int) -> None:
        event = self.event
        await _sleep_until(min(self._end_ns, acked_ns + event.delay_ns))
        if self._block_over():
            self._record.count("read-past-end", f"key {event.key}")
            return
        self._record_read(event.route, event.delay_ns, await self._read(event.route, validator=validator))

    async def _poll(self, route: int, validator: Validator | None, acked_ns: int) -> None:
        """Read one route until it stays fresh, or until the horizon; a run of fresh reads that began by then may
        complete. The last read is past the declared bound even where the service was fresh long before, so that the
        arms can be compared. Every other read has a connection of its own, so that each worker process may be met.
        `validator`: of the answer before the write, where the polls are conditional."""
        event = self.event
        past_ns = acked_ns + round(self._freshness.within * 1e9) + 1
        in_a_row, lasting, gap_ns, waited_ns, new_connection = 0, LASTING_READS, GAP_NS, 0, event.new_connection
        while not self._block_over():
            read = await self._read(route, validator=validator, new_connection=new_connection)
            self._record_read(route, waited_ns, read)
            if validator is not None:
                validator = read.validator or validator
            if read.version is not None:
                fresh = read.version >= event.version
                lasting = LASTING_AFTER_FLAP if in_a_row and not fresh else lasting
                in_a_row = in_a_row + 1 if fresh else 0
            now_ns = time.monotonic_ns()
            due_ns = now_ns + gap_ns
            if in_a_row >= lasting:
                if read.sent_ns >= past_ns:
                    return
                due_ns = max(due_ns, past_ns)
            if due_ns >= self._end_ns or (due_ns > acked_ns + event.delay_ns and in_a_row == 0):
                return
            await _sleep_until(due_ns)
            waited_ns, gap_ns, new_connection = due_ns - now_ns, next_gap_ns(gap_ns), not new_connection


async def _sleep_until(at_ns: int) -> None:
    # Timers may fire a little early (uvloop's count whole milliseconds): a read must not precede its delay.
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        await asyncio.sleep(left_ns / 1e9)

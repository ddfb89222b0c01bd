"""The freshness probe: it writes versions, and looks when readers see them.

Runs beside the background load, on the same clock. Two modes, kept apart since polling refills caches:

    once    write, wait a preset delay behind the acknowledgement, one read: P(fresh at delay d)
    burst   write, poll every read route until lastingly fresh, with one read past the bound at least, or the horizon:
            staleness windows, flapping; from the states in which an old copy can be, plain or conditional, in turn

and five states in which a key may be when it is written:

    warm        it was just read, so that readers have it cached
    cold        nobody read it in this block: a control, an old copy can't be there
    in-flight   written once (which empties the cache), and once more while a read is under way: the stale-set race
    absent      there was nothing: read so, then created; removed behind it
    refused     the service rejects the write: its value must never be seen

All events are planned before the first one starts and go to every arm: same keys, versions, delays and instants.
The written value carries its version, so the service's clocks never matter. An exchange that fails is data, never an
exception; what the reader of the report has to know about it is in `problems`.
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
from luckyhit.probe.probe_reads import Look, Validator
from luckyhit.probe.probe_recorder import ProbeRecord
from luckyhit.records import Arm

_BEFORE_END_NS = 2_000_000
LASTING_READS, LASTING_AFTER_FLAP = 3, 10
"""So many fresh reads in a row on one route end its polling; more, once it was fresh and then stale again: workers, or
replicas, that differ."""


class FreshnessProbe:
    """Probes the freshness of every arm's service for one block.

    Times given and taken are raw nanoseconds of the monotonic clock; the rows count from `origin_ns`. Versions
    start at `first_version`, which has to lie above every value that the reserved keys hold. `requests`: those of the
    workload in each arm in the time of the block; the case may leave it to that how much is probed. `purges`: see
    `probe_record.ProbeRecord`. Originals of cold
    keys are in the arms (see `luckyhit.probe.probe_preflight`). Call `preflight`, `run`, then `restore`, whatever
    happened.
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
        self._record = ProbeRecord(freshness, list(self._arms), block, origin_ns, purges=purges)
        self._ranges = KeyRanges.of(freshness)
        self._open: Counter[str] = Counter()
        self.probes = 0

    @property
    def problems(self) -> list[str]:
        """What went wrong or could not be seen, one sentence each, with the first example."""
        return self._record.problems

    def note(self, sentence: str) -> None:
        """Something else that the reader of the report has to know."""
        self._record.note(sentence)

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
        """Everything that the probe will do, once in every arm, to know that it can work.

        A read-back may show the old value: how long it does is what the probe measures. Raises ResponseUnexpected
        for an answer that can't be right; what was written until then is put back.
        """
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
                    trouble = "Probes left out, since the one before on the same key was still open"
                    self._record.trouble(trouble, f"key {event.key}")
                    continue
                self.probes += 1
                for name, arm in self._arms.items():
                    self._open[event.key] += 1
                    tasks.add(asyncio.create_task(self._probe(name, arm, event, start_ns + event.at_ns, end_ns)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def restore(self) -> list[str]:
        """Put the values of all probed keys back by the same kind of write, and remove what was created. Best effort,
        never raises.

        Returns what was not put back, one sentence each (also in `problems`). Values are not read back to check: a
        service whose cache is stale would show an old one.
        """
        failures = [
            sentence
            for of_arm in await asyncio.gather(*(arm.restore(name) for name, arm in self._arms.items()))
            for sentence in of_arm
        ]
        for sentence in failures:
            self._record.note(sentence)
        return failures

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
                f"{reserved} keys are reserved for the probe; {freshness.rate:g} probes per second and a horizon of "
                f"{freshness.horizon:g} s need more: there are fewer probes than declared. Widen freshness.keys or "
                "lower freshness.rate."
            )
        if not events and freshness.rate is None and seconds > freshness.horizon + 0.4:
            self._record.note(
                f"No probe fits into 2 % of the block's {self._requests:,.0f} requests: freshness was not measured. "
                "Declare freshness.rate, or lengthen the block (plan.block)."
            )
        elif not events:
            self._record.note(
                f"No probe fits into {seconds:g} s with a horizon of {freshness.horizon:g} s: freshness was not "
                "measured. Lengthen the block (plan.block) or shorten freshness.horizon."
            )
        return events

    async def _probe(self, name: Arm, arm: ProbeArm, event: ProbeEvent, at_ns: int, end_ns: int) -> None:
        try:
            validators = await self._before(name, arm, event, end_ns)
            if validators is None:
                return
            await _sleep_until(at_ns + LEAD_NS)
            if _over(end_ns):
                self._record.trouble("Writes not sent, since the block was over", f"key {event.key}")
                return
            acked_ns: int | None
            if event.prestate == "in-flight":
                acked_ns = await self._race(name, arm, event, end_ns)
            else:
                written = await arm.write(event.key, event.version, arm.left_s(end_ns), event.prestate)
                self._record.write(event, name, event.version, written)
                # A lost answer may have been a commit: its read can't be called stale, but shows what came of it.
                acked_ns = written.done_ns or (time.monotonic_ns() if event.prestate == "refused" else None)
                if written.by_state or (event.mode == "burst" and not written.accepted):
                    return
            if acked_ns is None:
                return
            if event.mode == "burst":
                polls = (
                    self._poll(name, arm, event, route, validators.get(route), acked_ns, end_ns)
                    for route in range(len(arm.routes))
                )
                await asyncio.gather(*polls)
            else:
                await self._read_once(name, arm, event, validators[event.route], acked_ns, end_ns)
        finally:
            if event.prestate == "absent":
                await arm.remove(event.key, arm.left_s(end_ns))
            self._open[event.key] -= 1

    async def _before(
        self, name: Arm, arm: ProbeArm, event: ProbeEvent, end_ns: int
    ) -> dict[int, Validator | None] | None:
        """Bring the key into the state in which it is written: by route, what a conditional read needs. None where it
        can't be probed."""
        validators: dict[int, Validator | None] = {event.route: None}
        if event.prestate == "cold":
            return validators
        if event.prestate == "in-flight":
            if event.key not in arm.originals and not await self._known(arm, event, event.route, end_ns):
                return None
            written = await arm.write(event.key, event.version - 1, arm.left_s(end_ns), event.prestate)
            self._record.write(event, name, event.version - 1, written)
            return validators if written.accepted else None
        ways = [(event.route, event.new_connection)]
        if event.mode == "burst":
            ways = [(route, number > 0) for route in range(len(arm.routes)) for number in range(WARMING_READS)]
        looks = await asyncio.gather(*(self._known(arm, event, route, end_ns, new) for route, new in ways))
        if not all(looks):
            return None
        if event.conditional:
            for (route, _), look in zip(ways, looks, strict=True):
                validators[route] = look.validator if look is not None else None
        return validators

    async def _known(
        self, arm: ProbeArm, event: ProbeEvent, route: int, end_ns: int, new_connection: bool = False
    ) -> Look | None:
        """Read the key, so that readers have it cached and its value can be put back; None where it can't be probed.
        Where the read behind the write has a new connection, this one has too: a worker's own cache is met."""
        look = await arm.look(
            route, event.key, arm.left_s(end_ns), new_connection=new_connection, variant=event.variant
        )
        arm.took(route, look)
        if event.prestate == "absent":
            if look.nothing_there:
                return look
            state = look.where or f"key {event.key} holds {look.version}"
            self._record.trouble("Keys not probed, since a read did not say that there is nothing", state)
            return None
        if look.version is None:
            self._record.trouble("Keys not probed, since a read before the write showed no version", look.where)
            return None
        if look.version >= event.version - 1:
            trouble = "Keys not probed, since they hold a value that is not below the probe's versions"
            self._record.trouble(trouble, f"key {event.key} holds {look.version}")
            return None
        if event.key not in arm.originals and look.version >= self._freshness.first_version:
            # An old copy that survived the reset, or a key that was not put back: not what the key held before.
            trouble = "Keys not probed, since they show what the probe wrote in an earlier block"
            self._record.trouble(trouble, f"key {event.key} holds {look.version}")
            return None
        arm.remember(event.key, look.version)
        return look

    async def _race(self, name: Arm, arm: ProbeArm, event: ProbeEvent, end_ns: int) -> int | None:
        """A read, and a write that lands somewhere inside of it. When the write was answered; None where nothing is to
        be read behind it."""
        read_ns, write_ns = arm.usual_read_ns(event.route), arm.usual_write_ns
        # From "answered as the read is sent" to "sent as the read is answered".
        write_at_ns = round(event.offset * (read_ns + write_ns)) - write_ns
        start_ns = time.monotonic_ns()

        async def read() -> None:
            await _sleep_until(start_ns + max(0, -write_at_ns))
            look = await arm.look(
                event.route,
                event.key,
                arm.left_s(end_ns),
                new_connection=event.new_connection,
                variant=event.variant,
            )
            arm.took(event.route, look)
            self._record.read(event, name, arm.routes[event.route], 0, look)

        async def write() -> int | None:
            await _sleep_until(start_ns + max(0, write_at_ns))
            written = await arm.write(event.key, event.version, arm.left_s(end_ns), event.prestate)
            self._record.write(event, name, event.version, written)
            over = written.by_state or (event.mode == "burst" and not written.accepted)
            return None if over else written.done_ns

        _, acked_ns = await asyncio.gather(read(), write())
        return acked_ns

    async def _read_once(
        self, name: Arm, arm: ProbeArm, event: ProbeEvent, validator: Validator | None, acked_ns: int, end_ns: int
    ) -> None:
        await _sleep_until(min(end_ns, acked_ns + event.delay_ns))
        if _over(end_ns):
            self._record.trouble("Reads not sent, since the block was over", f"key {event.key}")
            return
        look = await arm.look(
            event.route,
            event.key,
            arm.left_s(end_ns),
            validator=validator,
            new_connection=event.new_connection,
            variant=event.variant,
        )
        self._record.read(event, name, arm.routes[event.route], event.delay_ns, look)

    async def _poll(
        self,
        name: Arm,
        arm: ProbeArm,
        event: ProbeEvent,
        route: int,
        validator: Validator | None,
        acked_ns: int,
        end_ns: int,
    ) -> None:
        """Read one route until lastingly fresh, or the horizon; a run of fresh reads that began by then may complete.
        The last read is past the declared bound, also where the service was fresh long before: each arm has one then,
        and the arms can be compared. Every other read has a connection of its own, so that each worker process may be
        met. `validator`: of the answer before the write, where the polls are conditional."""
        past_ns = acked_ns + round(self._freshness.within * 1e9) + 1
        in_a_row, lasting, gap_ns, waited_ns, new_connection = 0, LASTING_READS, GAP_NS, 0, event.new_connection
        while not _over(end_ns):
            look = await arm.look(
                route,
                event.key,
                arm.left_s(end_ns),
                validator=validator,
                new_connection=new_connection,
                variant=event.variant,
            )
            self._record.read(event, name, arm.routes[route], waited_ns, look)
            if validator is not None:
                validator = look.validator or validator
            if look.version is not None:
                fresh = look.version >= event.version
                lasting = LASTING_AFTER_FLAP if in_a_row and not fresh else lasting
                in_a_row = in_a_row + 1 if fresh else 0
            now_ns = time.monotonic_ns()
            due_ns = now_ns + gap_ns
            if in_a_row >= lasting:
                if look.sent_ns >= past_ns:
                    return
                due_ns = max(due_ns, past_ns)
            if due_ns >= end_ns or (due_ns > acked_ns + event.delay_ns and in_a_row == 0):
                return
            await _sleep_until(due_ns)
            waited_ns, gap_ns, new_connection = due_ns - now_ns, next_gap_ns(gap_ns), not new_connection


def _over(end_ns: int) -> bool:
    """Is the block as good as over? What is sent now must not be sent behind its end."""
    return time.monotonic_ns() >= end_ns - _BEFORE_END_NS


async def _sleep_until(at_ns: int) -> None:
    # Timers may fire a little early (uvloop's count whole milliseconds): a read must not precede its delay.
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        await asyncio.sleep(left_ns / 1e9)

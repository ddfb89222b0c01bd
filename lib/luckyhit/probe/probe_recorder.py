"""What the freshness probe recorded in one block: its rows, and the problems that the report has to mention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Literal

import pyarrow as pa

from luckyhit.probe.probe_plan import ProbeEvent
from luckyhit.probe.probe_reads import ProbeRead
from luckyhit.probe.probe_writes import WriteResult
from luckyhit.records import READS, WRITES, Arm, CacheStatus
from luckyhit.text.numbers import plural

CountedProblem = Literal[
    "not-refused",
    "unanswered",
    "not-accepted",
    "no-version",
    "key-still-open",
    "write-past-end",
    "read-past-end",
    "key-not-absent",
    "no-version-before",
    "value-too-high",
    "earlier-version",
]
_COUNTED: dict[CountedProblem, str] = {
    "not-refused": "Writes that the service had to refuse, and did not",
    "unanswered": "Writes without an answer (their versions may or may not be committed)",
    "not-accepted": "Writes that were not accepted (their versions do not count as committed)",
    "no-version": "Reads that showed no version",
    "key-still-open": "Probes left out, since the previous probe of the same key was still open",
    "write-past-end": "Writes not sent, since the block was over",
    "read-past-end": "Reads not sent, since the block was over",
    "key-not-absent": "Keys not probed, since a read did not show that they are absent",
    "no-version-before": "Keys not probed, since a read before the write showed no version",
    "value-too-high": "Keys not probed, since they hold a value that is not below the probe's versions",
    "earlier-version": "Keys not probed, since they show what the probe wrote in an earlier block",
}
NotedProblem = Literal["too-few-keys", "no-probe-fits", "not-put-back", "never-fresh", "never-written"]


class ProbeRecord:
    """Rows of the probe's writes and reads in `block`. Times come as raw nanoseconds; rows count from `origin_ns`.

    `purges`: a cache in front was purged before the block, and may have fetched keys that nobody asked for.
    `left_out`: by arm, writes that the state of the thing did not allow.
    """

    def __init__(self, arms: Sequence[Arm], block: int, origin_ns: int, *, purges: bool = False) -> None:
        self._arms, self._block, self._origin_ns, self._purges = arms, block, origin_ns, purges
        self._writes: list[dict[str, Any]] = []
        self._reads: list[dict[str, Any]] = []
        self._versions: list[tuple[Arm, ProbeEvent, int, CacheStatus]] = []  # that reads showed
        self.left_out: Counter[Arm] = Counter()
        self._notes: list[tuple[NotedProblem, str]] = []
        self._counts: Counter[CountedProblem] = Counter()
        self._examples: dict[CountedProblem, str] = {}

    def note(self, problem: NotedProblem, sentence: str) -> None:
        self._notes.append((problem, sentence))

    def count(self, problem: CountedProblem, example: str) -> None:
        self._counts[problem] += 1
        self._examples.setdefault(problem, example)

    def write(self, event: ProbeEvent, arm: Arm, version: int, result: WriteResult) -> None:
        if result.refused_by_state:
            self.left_out[arm] += 1
        elif event.prestate == "refused":
            if not result.refused:
                self.count("not-refused", result.description)
        elif result.done_ns is None and not result.refused:
            self.count("unanswered", result.description)
        elif not result.accepted:
            self.count("not-accepted", result.description)
        self._writes.append(
            {
                "arm": arm,
                "block": self._block,
                "key": event.key,
                "version": version,
                "probe": event.version,
                "mode": event.mode,
                "prestate": event.prestate,
                "sent_ns": result.sent_ns - self._origin_ns,
                # A refusal is no acknowledgement; `status` tells it from a write without an answer.
                "acked_ns": self._since_origin(result.done_ns) if result.accepted else None,
                "status": result.status,
                "connection": result.connection,
            }
        )

    def read(self, event: ProbeEvent, arm: Arm, route: str, delay_ns: int, read: ProbeRead) -> None:
        absent = read.absent or (event.prestate == "absent" and read.shows_absence)
        if read.version is not None:
            self._versions.append((arm, event, read.version, read.cache))
        elif not (absent and event.prestate == "absent"):
            self.count("no-version", read.problem)
        self._reads.append(
            {
                "arm": arm,
                "block": self._block,
                "key": event.key,
                "probe": event.version,
                "mode": event.mode,
                "route": route,
                "delay_ns": delay_ns,
                "conditional": read.conditional,
                "sent_ns": read.sent_ns - self._origin_ns,
                "done_ns": self._since_origin(read.done_ns),
                "seen_version": read.version,
                "absent": absent,
                "connection": read.connection,
                "fresh_connection": read.new_connection,
                "worker": read.worker,
                "cache": read.cache,
                "status": read.status,
                "variant": read.variant,
                "layers": read.layers,
            }
        )

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """(writes, reads), by time."""
        by_time = itemgetter("sent_ns")
        return (
            pa.Table.from_pylist(sorted(self._writes, key=by_time), schema=WRITES),
            pa.Table.from_pylist(sorted(self._reads, key=by_time), schema=READS),
        )

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(id, one sentence) of all that went wrong or could not be seen; of counted problems with the first
        example."""
        counted = [
            (problem, f"{_COUNTED[problem]}: {plural(count, 'time')}, first: {self._examples[problem]}.")
            for problem, count in self._counts.items()
        ]
        return [*self._notes, *counted, *self._never_fresh()]

    def _never_fresh(self) -> list[tuple[NotedProblem, str]]:
        """Arms in which no read ever showed a version of the probe: perhaps the write does not write."""
        problems: list[tuple[NotedProblem, str]] = []
        for arm in self._arms:
            shown = [(event, version, cache) for read_in, event, version, cache in self._versions if read_in == arm]
            accepted = any(row["arm"] == arm and row["acked_ns"] is not None for row in self._writes)
            if not accepted or not shown or any(version >= event.version - 1 for event, version, _ in shown):
                continue
            # Where a cache was purged it may have fetched a key that nobody read, so `unknown` proves nothing there.
            not_cached = ("miss", "bypass") if self._purges else ("miss", "bypass", "unknown")
            cold = sum(event.prestate == "cold" and cache in not_cached for event, _, cache in shown)
            start = f"Arm {arm}: none of {len(shown)} reads showed a version of the probe"
            if cold:
                reason = f"{cold} of them were of keys that nobody had read before, and came from no cache"
                problems.append(
                    ("never-written", f"{start}; {reason}: it seems that freshness.write is accepted without writing.")
                )
            else:
                reason = "either nothing ever invalidates the cache, or freshness.write is accepted without writing"
                problems.append(("never-fresh", f"{start}: {reason}."))
        return problems

    def _since_origin(self, raw_ns: int | None) -> int | None:
        return None if raw_ns is None else raw_ns - self._origin_ns

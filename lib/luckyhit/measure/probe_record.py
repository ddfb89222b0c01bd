"""What the freshness probe saw in one block: its rows, and what the reader of the report has to know about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from luckyhit.case.model import Freshness
from luckyhit.case.placeholders import fill_text
from luckyhit.measure.probe_plan import ProbeEvent
from luckyhit.records import READS, WRITES, Arm, CacheStatus

if TYPE_CHECKING:
    from luckyhit.measure.wire import Answer

CacheStatusOf = Callable[[list[tuple[bytes, bytes]]], CacheStatus]


class ProbeRecord:
    """Rows of the probe's writes and reads in `block`. Times come as raw nanoseconds; rows count from `origin_ns`."""

    def __init__(
        self,
        freshness: Freshness,
        arms: Sequence[Arm],
        block: int,
        origin_ns: int,
        cache_status: CacheStatusOf | None = None,
    ) -> None:
        self._freshness, self._arms, self._block, self._origin_ns = freshness, arms, block, origin_ns
        self._cache_status = cache_status
        self._writes: list[dict[str, Any]] = []
        self._reads: list[dict[str, Any]] = []
        self._versions: list[tuple[Arm, ProbeEvent, int]] = []  # (arm, event, the version that a read showed)
        self._notes: list[str] = []
        self._troubles: dict[str, tuple[int, str]] = {}  # what happened -> (how often, the first example)

    def note(self, sentence: str) -> None:
        self._notes.append(sentence)

    def trouble(self, what: str, example: str) -> None:
        """Count one of many troubles of a kind; the first example is kept."""
        count, first = self._troubles.get(what, (0, example))
        self._troubles[what] = (count + 1, first)

    def write(self, event: ProbeEvent, arm: Arm, called_ns: int, answer: Answer) -> bool:
        """Note one write; True where the service accepted it. `called_ns` stands in for a send that never was."""
        write = self._freshness.write
        answered = answer.status is not None and answer.error is None and answer.done_ns is not None
        accepted = answered and answer.status == write.status
        where = f"{write.method} {fill_text(write.path, {'key': event.key, 'version': event.version})}"
        if not answered:
            self.trouble(
                "Writes without an answer (their versions may or may not be committed)", f"{where}: {answer.error}"
            )
        elif not accepted:
            self.trouble(
                f"Writes that answered another status than {write.status} (their versions don't count as committed)",
                f"{where} answered {answer.status}",
            )
        self._writes.append(
            {
                "arm": arm,
                "block": self._block,
                "key": event.key,
                "version": event.version,
                "mode": event.mode,
                "prestate": event.prestate,
                "sent_ns": self._since_origin(answer.sent_ns or called_ns),
                # A refusal is no acknowledgement; `status` tells it from a write without an answer.
                "acked_ns": self._since_origin(answer.done_ns) if accepted else None,
                "status": answer.status,
                "connection": answer.connection,  # kept once records.WRITES has the column
            }
        )
        return accepted

    def read(
        self,
        event: ProbeEvent,
        arm: Arm,
        delay_ns: int,
        called_ns: int,
        answer: Answer,
        seen: int | None,
        where: str,
    ) -> None:
        """Note one read after a write: the version it showed, or None and `where` it failed."""
        if seen is None:
            self.trouble("Reads that showed no version", where)
        else:
            self._versions.append((arm, event, seen))
        self._reads.append(
            {
                "arm": arm,
                "block": self._block,
                "key": event.key,
                "mode": event.mode,
                "delay_ns": delay_ns,
                "conditional": False,
                "sent_ns": self._since_origin(answer.sent_ns or called_ns),
                "done_ns": self._since_origin(answer.done_ns),
                "seen_version": seen,
                "connection": answer.connection,
                "cache": self._cache_status(answer.headers) if self._cache_status else "unknown",
                "status": answer.status,
            }
        )

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """(writes, reads), by time."""
        return (
            pa.Table.from_pylist(sorted(self._writes, key=_sent_ns), schema=WRITES),
            pa.Table.from_pylist(sorted(self._reads, key=_sent_ns), schema=READS),
        )

    @property
    def problems(self) -> list[str]:
        """One sentence for each thing that went wrong or could not be seen, with the first example."""
        counted = [
            f"{what}: {count} time{'s' if count != 1 else ''}, first: {example}."
            for what, (count, example) in self._troubles.items()
        ]
        return [*self._notes, *counted, *self._never_fresh()]

    def _never_fresh(self) -> list[str]:
        """Arms where no read ever showed a version of the probe: perhaps the write route doesn't write."""
        status = self._freshness.write.status
        sentences = []
        for arm in self._arms:
            seen = [(event, version) for seen_in, event, version in self._versions if seen_in == arm]
            accepted = any(row["arm"] == arm and row["acked_ns"] is not None for row in self._writes)
            if not accepted or not seen or any(version >= event.version for event, version in seen):
                continue
            cold = sum(event.prestate == "cold" for event, _ in seen)
            told = (
                f"{cold} of them of keys that were never read before: it seems that the write route answers "
                f"{status} without writing."
                if cold
                else f"either nothing ever invalidates the cache, or the write route answers {status} without writing."
            )
            sentences.append(f"Arm {arm}: none of {len(seen)} reads showed a version of the probe; {told}")
        return sentences

    def _since_origin(self, raw_ns: int | None) -> int | None:
        return None if raw_ns is None else raw_ns - self._origin_ns


def _sent_ns(row: dict[str, Any]) -> int:
    return int(row["sent_ns"])

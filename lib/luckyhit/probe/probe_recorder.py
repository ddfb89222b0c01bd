"""What the freshness probe saw in one block: its rows, and what the reader of the report has to know about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from luckyhit.case.freshness import Freshness
from luckyhit.probe.probe_plan import ProbeEvent
from luckyhit.probe.probe_reads import Look
from luckyhit.probe.probe_writes import Written
from luckyhit.records import READS, WRITES, Arm, CacheStatus


class ProbeRecord:
    """Rows of the probe's writes and reads in `block`. Times come as raw nanoseconds; rows count from `origin_ns`.

    `purges`: a cache in front was purged before the block, and may have fetched anew what nobody asked for.
    """

    def __init__(
        self, freshness: Freshness, arms: Sequence[Arm], block: int, origin_ns: int, *, purges: bool = False
    ) -> None:
        self._purges = purges
        self._freshness, self._arms, self._block, self._origin_ns = freshness, arms, block, origin_ns
        self._writes: list[dict[str, Any]] = []
        self._reads: list[dict[str, Any]] = []
        # (arm, event, the version that a read showed, what the cache said)
        self._versions: list[tuple[Arm, ProbeEvent, int, CacheStatus]] = []
        self.left_out: dict[Arm, int] = {}  # writes that the state of the thing did not allow
        self._notes: list[str] = []
        self._troubles: dict[str, tuple[int, str]] = {}  # what happened -> (how often, the first example)

    def note(self, sentence: str) -> None:
        self._notes.append(sentence)

    def trouble(self, trouble: str, example: str) -> None:
        """Count one of many troubles of a kind; the first example is kept."""
        count, first = self._troubles.get(trouble, (0, example))
        self._troubles[trouble] = (count + 1, first)

    def write(self, event: ProbeEvent, arm: Arm, version: int, written: Written) -> None:
        """Note one write of a probe. One that has to be refused is right where it is."""
        if written.by_state:
            self.left_out[arm] = self.left_out.get(arm, 0) + 1
        elif event.prestate == "refused":
            if not written.refused:
                self.trouble("Writes that had to be rejected, and were not", written.said)
        elif written.done_ns is None and not written.refused:
            self.trouble("Writes without an answer (their versions may or may not be committed)", written.said)
        elif not written.accepted:
            self.trouble("Writes that were not accepted (their versions don't count as committed)", written.said)
        self._writes.append(
            {
                "arm": arm,
                "block": self._block,
                "key": event.key,
                "version": version,
                "probe": event.version,
                "mode": event.mode,
                "prestate": event.prestate,
                "sent_ns": self._since_origin(written.sent_ns),
                # A refusal is no acknowledgement; `status` tells it from a write without an answer.
                "acked_ns": self._since_origin(written.done_ns) if written.accepted else None,
                "status": written.status,
                "connection": written.connection,
            }
        )

    def read(self, event: ProbeEvent, arm: Arm, route: str, delay_ns: int, look: Look) -> None:
        """Note one read of a probe."""
        absent = look.absent or (event.prestate == "absent" and look.nothing_there)
        if look.version is not None:
            self._versions.append((arm, event, look.version, look.cache))
        elif not (absent and event.prestate == "absent"):
            self.trouble("Reads that showed no version", look.where)
        self._reads.append(
            {
                "arm": arm,
                "block": self._block,
                "key": event.key,
                "probe": event.version,
                "mode": event.mode,
                "route": route,
                "delay_ns": delay_ns,
                "conditional": look.conditional,
                "sent_ns": self._since_origin(look.sent_ns),
                "done_ns": self._since_origin(look.done_ns),
                "seen_version": look.version,
                "absent": absent,
                "connection": look.connection,
                "fresh_connection": look.new_connection,
                "worker": look.worker,
                "cache": look.cache,
                "status": look.status,
                "variant": look.variant,
                "layers": look.layers,
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
            f"{trouble}: {count} time{'s' if count != 1 else ''}, first: {example}."
            for trouble, (count, example) in self._troubles.items()
        ]
        return [*self._notes, *counted, *self._never_fresh()]

    def _never_fresh(self) -> list[str]:
        """Arms where no read ever showed a version of the probe: perhaps the write doesn't write."""
        sentences = []
        for arm in self._arms:
            of_arm = [(event, version, cache) for seen_in, event, version, cache in self._versions if seen_in == arm]
            versions = [(event, version) for event, version, _ in of_arm]
            accepted = any(row["arm"] == arm and row["acked_ns"] is not None for row in self._writes)
            if not accepted or not versions or any(version >= event.version - 1 for event, version in versions):
                continue
            # An entry was there, though nobody had read the key: a purge that fetches anew, or a crawler, put it there.
            innocent = ("miss", "bypass") if self._purges else ("miss", "bypass", "unknown")
            cold = sum(event.prestate == "cold" and cache in innocent for event, _, cache in of_arm)
            sentence = (
                f"{cold} of them of keys that nobody had read before, and not from a cache: it seems that "
                "freshness.write is accepted without writing."
                if cold
                else "either nothing ever invalidates the cache, or freshness.write is accepted without writing."
            )
            sentences.append(f"Arm {arm}: none of {len(versions)} reads showed a version of the probe; {sentence}")
        return sentences

    def _since_origin(self, raw_ns: int | None) -> int | None:
        return None if raw_ns is None else raw_ns - self._origin_ns


def _sent_ns(row: dict[str, Any]) -> int:
    return int(row["sent_ns"])

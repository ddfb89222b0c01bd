"""What is asked "what if": the reads and writes of one or more caches that began empty, by time.

A trace has entries (what the cache would store, by number), each with its class (a route) and its weight (bytes, or 1),
and segments: stretches in which one cache was used and never cleared. Times rise strictly within a segment: of two
events at one instant, the second one is put one nanosecond later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from luckyhit.errors import NotEnoughData
from luckyhit.whatif.counting.stack_distances import DELETES, OUTDATES

READ, WRITE = 0, OUTDATES
MOST_ROWS = 2**31 - 1


@dataclass(frozen=True)
class Segment:
    """Events of one cache. `at_ns` rises; `kind`: READ or WRITE, a write outdates its entry; `block`: of a read that
    counts, the number of its stretch of time, else -1."""

    at_ns: NDArray[np.int64]
    entry: NDArray[np.int32]
    kind: NDArray[np.uint8]
    block: NDArray[np.int16]

    @classmethod
    def by_time(
        cls,
        at_ns: NDArray[np.int64],
        entry: NDArray[np.int32],
        kind: NDArray[np.uint8],
        block: NDArray[np.int16],
    ) -> Segment:
        """Events in any order. Those of one instant stay in the order in which they are given."""
        order = np.argsort(at_ns, kind="stable")
        rank = np.arange(len(order), dtype=np.int64)
        rising = np.maximum.accumulate(at_ns[order] - rank) + rank if len(order) else at_ns
        return cls(rising, entry[order], kind[order], block[order])

    def __len__(self) -> int:
        return len(self.at_ns)


@dataclass(frozen=True)
class CacheTrace:
    """`entries`: their names; `class_of`, `weight` of each; `classes`: the names of the classes; `blocks`: how many
    stretches of time there are; `by_bytes`: whether weights are bytes. `notes`: what was left out, in sentences."""

    segments: tuple[Segment, ...]
    entries: Sequence[str]
    class_of: NDArray[np.int16]
    weight: NDArray[np.int64]
    classes: tuple[str, ...]
    blocks: int
    by_bytes: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def rows(self) -> int:
        return sum(map(len, self.segments))

    @property
    def reads(self) -> int:
        """Reads that count."""
        return sum(int(np.count_nonzero((one.block >= 0) & (one.kind == READ))) for one in self.segments)

    @property
    def writes(self) -> int:
        return sum(int(np.count_nonzero(one.kind & OUTDATES)) for one in self.segments)

    @property
    def read_entries(self) -> int:
        """How many entries are read, the probe's included."""
        return len(np.unique(np.concatenate([one.entry[one.kind == READ] for one in self.segments])))

    @property
    def seconds(self) -> float:
        """How long all segments last, together."""
        return sum(float(one.at_ns[-1] - one.at_ns[0]) / 1e9 for one in self.segments if len(one))

    @property
    def read_weight(self) -> int:
        """The weight of all entries that are read in the largest segment: a cache of that size never evicts."""
        return max((int(self.weight[np.unique(one.entry[one.kind == READ])].sum()) for one in self.segments), default=0)

    def by_number(self) -> CacheTrace:
        """The same with a weight of 1 for each entry."""
        return replace(self, weight=np.ones(len(self.weight), np.int64), by_bytes=False)


def refuse_unfit(trace: CacheTrace, source: str) -> None:
    """Raise NotEnoughData for a trace whose curve would say nothing; `source`: what it was made from."""
    reads = np.concatenate([one.entry[one.kind == READ] for one in trace.segments] or [np.zeros(0, np.int32)])
    if not trace.reads:
        raise NotEnoughData(
            f"no read of {source} counts: all of its {len(reads):,} are of the warm-up or of the probe",
            hint="Measure longer, or name another run.",
        )
    distinct = len(np.unique(reads))
    if distinct == 1:
        raise NotEnoughData(
            f"all {len(reads):,} reads of {source} are of one entry ({trace.entries[int(reads[0])][:80]}): its size "
            "decides nothing, and there is no curve",
            hint="One entry is loaded once for each time to live. Name a run whose requests have keys.",
        )
    if not any(len(np.unique(of)) < len(of) for of in (one.entry[one.kind == READ] for one in trace.segments)):
        raise NotEnoughData(
            f"none of the {distinct:,} entries of {source} is read twice: no cache of any size has a hit",
            hint="Measure longer, or with fewer keys; or the key has something in it that differs each time.",
        )


@dataclass(frozen=True)
class WriteRule:
    """What a write does to the entry: nothing (`none`), delete it (`on-write`), or delete it `delay_ns` later
    (`delayed`)."""

    id: str
    deletes: bool
    delay_ns: int = 0


def rules(delay_s: float) -> tuple[WriteRule, ...]:
    """The three rules; `delay_s`: of the third one."""
    return (
        WriteRule("none", deletes=False),
        WriteRule("on-write", deletes=True),
        WriteRule("delayed", deletes=True, delay_ns=round(delay_s * 1e9)),
    )


def events_under(segment: Segment, rule: WriteRule) -> Segment:
    """The events with the deletions that the rule makes. A deletion at the instant of another event comes first; it
    takes whatever is stored then, newer than the write or not."""
    writes = segment.kind == WRITE
    if not rule.deletes or not writes.any():
        return segment
    if rule.delay_ns == 0:
        return replace(segment, kind=np.where(writes, OUTDATES | DELETES, segment.kind).astype(np.uint8))
    late = segment.at_ns[writes] + rule.delay_ns
    at_ns = np.concatenate([late, segment.at_ns])
    order = np.argsort(at_ns, kind="stable")
    count = len(late)
    return Segment(
        at_ns[order],
        np.concatenate([segment.entry[writes], segment.entry])[order],
        np.concatenate([np.full(count, DELETES, np.uint8), segment.kind])[order],
        np.concatenate([np.full(count, -1, np.int16), segment.block])[order],
    )

"""What the probe's reads say about freshness: which were stale, and how likely a read is fresh after which delay.

On frames with the columns of `records.READS` and `records.WRITES`. The written values carry their versions and all
times are of one clock, so no server clock matters. Versions grow with time. A write counts as committed once it was
acknowledged. `acked_ns` is null for the others: one that the service refused (4xx) was not committed; one with any
other answer, or none, may or may not have been.

Reads in one block share a cache, so they are not fully independent. Both arms get the same probe events, so the
unpaired interval on the difference is conservative.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from luckyhit.case.freshness import EXPOSED
from luckyhit.judge.freshness.histories import NEVER, Histories, Numbers, at, truths, whole_numbers
from luckyhit.judge.stale.proportion_bounds import ProportionBounds, uncompared
from luckyhit.judge.stats.boundary import Boundary, FixedSample
from luckyhit.judge.stats.proportions import Difference, proportion_difference

Outcome = Literal["fresh", "stale", "never-committed", "unknown"]
GONE = (404, 410)


@dataclass(frozen=True, slots=True)
class StaleShare:
    """How many of the reads that should have been fresh were stale. Reads that showed nothing don't count."""

    stale: int
    fresh: int
    never_committed: int = 0
    unknown: int = 0
    agreed: int = 0
    """Of the fresh ones: those that were stale, but not for longer than is declared acceptable."""

    @property
    def reads(self) -> int:
        """Fresh or stale."""
        return self.stale + self.fresh

    @property
    def share(self) -> float | None:
        """Stale reads over reads; None where there were none (never 0 instead)."""
        return self.stale / self.reads if self.reads else None


def classify_reads(reads: pd.DataFrame, writes: pd.DataFrame) -> pd.DataFrame:
    """The reads, in their order, with what each one means. These columns are added:

    `outcome`: `stale` when the read was sent after the acknowledgement of a version and returned one that was surely
    older: the value from before the first version, or a version whose own acknowledgement came before the newer one
    was sent; or when it returned nothing, after the acknowledgement of the write that created the thing. `fresh` when
    it returned the newest version acknowledged before it was sent, or a newer one; `never-committed` when it returned
    what no accepted write wrote; `unknown` when it showed no version, when nothing was acknowledged before it was
    sent, or when the writes leave open what was current (a write without an answer may land late, after a newer one).
    A service whose reads show what is current never gives a stale read, whatever the order of events.

    `newest_version`: the newest version acknowledged before the read was sent, null where none was.
    `about`: the version that the read is about (its `probe`; the newest where that names none).
    `since_ack_ns`: from the acknowledgement of that write to the read's send; from that of the newest version where
    that write was not acknowledged. `after_ack`: whether that write was acknowledged before the read was sent.
    `prestate`: of that write. `behind`: of a stale read, the number of versions that were acknowledged before it was
    sent, and are newer than what it returned.
    """
    histories = Histories(reads, writes)
    group, sent = histories.group, whole_numbers(reads["sent_ns"])
    version, done = whole_numbers(reads["seen_version"]), whole_numbers(reads["done_ns"])
    newest, latest_sent = histories.newest(group, sent.value)
    newest, latest_sent = newest.among(sent.present), latest_sent.among(sent.present)
    known, oldest = histories.find(group, version), histories.oldest(group)

    outcome = np.full(len(reads), "unknown", dtype=object)
    visible = version.present & oldest.present
    fresh = visible & newest.present & (version.value >= newest.value)
    end = np.where(known.present, at(histories.version_end, known), NEVER)
    # Each acknowledged write that was sent after the shown one was over came after it.
    stale = visible & newest.present & (version.value < newest.value) & (latest_sent.value > end)
    stale &= known.present | ~histories.may_land_late(reads, version, stale & ~known.present)
    never = visible & ~known.present & (version.value > oldest.value)
    never |= visible & known.present & at(histories.version_rejected, known)
    # Shown before it was written: not ours.
    never |= visible & known.present & done.present & (at(histories.version_sent, known) > done.value)

    about = histories.find(group, whole_numbers(reads["probe"]))
    newest_index = histories.find(group, newest)
    own_acked = Numbers(
        at(histories.version_acked.value, about), about.present & at(histories.version_acked.present, about)
    )
    prestate = np.where(about.present, at(histories.version_prestate, about), np.full(len(reads), None))
    prestate = np.where(~about.present & newest.present, at(histories.version_prestate, newest_index), prestate)
    after_ack = (
        np.where(about.present, own_acked.present & (sent.value > own_acked.value), newest.present) & sent.present
    )
    # What the probe created is there until the probe removes it, after its last read.
    gone = _absent(reads) & ~version.present & about.present & after_ack & (prestate == "absent")
    gone &= newest.present & (at(histories.version, about) == newest.value)

    outcome[fresh] = "fresh"
    outcome[stale | gone] = "stale"
    outcome[never] = "never-committed"
    since_from = np.where(own_acked.present, own_acked.value, at(histories.version_acked.value, newest_index))
    return reads.assign(
        outcome=pd.Series(outcome, index=reads.index, dtype="str"),
        newest_version=newest.series(reads.index),
        about=Numbers(
            np.where(about.present, at(histories.version, about), newest.value), about.present | newest.present
        ).series(reads.index),
        since_ack_ns=Numbers(sent.value - since_from, sent.present & (own_acked.present | newest.present)).series(
            reads.index
        ),
        after_ack=after_ack,
        prestate=pd.Series(prestate, index=reads.index, dtype=object),
        behind=_behind(histories, outcome, sent, version, newest).series(reads.index),
    )


def _absent(reads: pd.DataFrame) -> np.ndarray:
    """Mask of the answers that the thing does not exist; an error does not say that."""
    status = whole_numbers(reads["status"])
    says = ~status.present | ((status.value >= 200) & (status.value < 300)) | np.isin(status.value, GONE)
    return truths(reads["absent"]) & says


def _behind(histories: Histories, outcome: np.ndarray, sent: Numbers, version: Numbers, newest: Numbers) -> Numbers:
    stale = outcome == "stale"
    behind = np.zeros(len(outcome), dtype=np.int64)
    rows = np.flatnonzero(stale)
    start, stop = histories.committed(histories.group[rows], sent.value[rows])
    for row, first, last in zip(rows.tolist(), start.tolist(), stop.tolist(), strict=True):
        # A read that showed nothing lacks the one write that created the thing.
        shown = version.value[row] if version.present[row] else newest.value[row] - 1
        behind[row] = np.count_nonzero(histories.commit_version[first:last] > shown)
    return Numbers(behind, stale)


def late_reads(classified: pd.DataFrame, within_s: float, prestates: Collection[str] = EXPOSED) -> pd.DataFrame:
    """The `once` reads sent later than `within_s` after the acknowledgement: staleness there is a fault.

    Burst reads are left out (a poll refills caches, so its reads depend on each other), and so are reads of keys that
    no old copy could be of, reads that race with their write, and those whose write was not acknowledged.
    """
    return classified[late_mask(classified, within_s, prestates)]


def late_mask(classified: pd.DataFrame, within_s: float, prestates: Collection[str] = EXPOSED) -> np.ndarray:
    """Mask of the reads that `late_reads` picks."""
    since = whole_numbers(classified["since_ack_ns"])
    once = (classified["mode"].astype(object) == "once").to_numpy(dtype=bool)
    exposed = classified["prestate"].isin(list(prestates)).to_numpy(dtype=bool)
    after_ack = classified["after_ack"].to_numpy(dtype=bool)
    return np.asarray(once & exposed & after_ack & since.present & (since.value > round(within_s * 1e9)))


def share_of(classified: pd.DataFrame) -> StaleShare:
    """The outcomes in a classified frame, counted."""
    counts = classified["outcome"].value_counts()
    return StaleShare(
        stale=int(counts.get("stale", 0)),
        fresh=int(counts.get("fresh", 0)),
        never_committed=int(counts.get("never-committed", 0)),
        unknown=int(counts.get("unknown", 0)),
    )


def freshness_curve(
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    *,
    bins: int = 8,
    within_s: float | None = None,
    bounds: ProportionBounds = uncompared,
) -> pd.DataFrame:
    """P(fresh at delay d) from the reads that `late_reads` counts, at every delay: one row per arm and bin that holds
    reads, by arm, then delay.

    Columns: `arm, from_ms, to_ms` (the bin: from < delay <= to; log-spaced, the same in all arms; `within_s` is an
    edge of its own, so that no bin mixes acceptable with late), `delay_ms` (median of the delays that happened,
    from acknowledgement to send), `fresh, reads, share, low, high` (of the fresh ones; 1 less the `bounds` of the stale
    ones). Only fresh and stale reads count; each of them is in exactly one bin.
    """
    columns = ["arm", "from_ms", "to_ms", "delay_ms", "fresh", "reads", "share", "low", "high"]
    late = late_reads(classify_reads(reads, writes), 0)
    counted = late[late["outcome"].isin(["fresh", "stale"])]
    if counted.empty:
        return pd.DataFrame(columns=columns)
    delays_ms = counted["since_ack_ns"].to_numpy(dtype=float) / 1e6
    edges = np.geomspace(delays_ms.min(), delays_ms.max(), bins + 1)
    edges[0], edges[-1] = delays_ms.min(), delays_ms.max()
    if within_s is not None and edges[0] < within_s * 1e3 < edges[-1]:
        edges = np.sort(np.append(edges, within_s * 1e3))
    frame = pd.DataFrame(
        {
            "arm": counted["arm"].astype(str).to_numpy(),
            "bin": np.searchsorted(edges[1:-1], delays_ms, side="left"),
            "delay_ms": delays_ms,
            "fresh": (counted["outcome"] == "fresh").to_numpy(),
        }
    )
    rows = []
    for (arm, number), part in frame.groupby(["arm", "bin"], sort=True):
        fresh, count = int(part["fresh"].sum()), len(part)
        least_stale, most_stale = bounds(count - fresh, count)
        low, high = 1 - most_stale, 1 - least_stale
        span = (edges[number], edges[number + 1])
        rows.append((arm, *span, part["delay_ms"].median(), fresh, count, fresh / count, low, high))
    curve = pd.DataFrame(rows, columns=columns)
    return curve.sort_values("arm", key=_before_first, kind="stable", ignore_index=True)


def stale_difference(
    before: StaleShare, after: StaleShare, error_rate: float = 0.05, boundary: Boundary | None = None
) -> Difference:
    """The difference of two stale shares, after - before, by `proportions.proportion_difference`. An arm without reads
    gives the effect NaN and the interval (-1, 1). `boundary`: of one look at a fixed number of reads by default."""
    counts = before.stale, before.reads, after.stale, after.reads
    return proportion_difference(*counts, boundary or FixedSample(), error_rate)


def _before_first(arms: pd.Series) -> pd.Series:
    """Sort key of the arms: before, after, then any other."""
    order = {"before": 0, "after": 1}
    return arms.astype(str).map(lambda arm: order.get(arm, 2))

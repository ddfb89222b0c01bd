"""What the probe's reads say about freshness: which were stale, how likely a read is fresh, how long staleness lasts.

Pure functions on frames with the columns of `records.READS` and `records.WRITES`. The written values carry their
versions and all times are of one clock, so no server clock matters. Versions grow with time. A write counts as
committed once it was acknowledged. `acked_ns` is null for the others: one that the service refused (4xx) was not
committed; one with any other answer, or none, may or may not have been.

Reads in one block share a cache, so they are not fully independent: intervals from counts are at their best
where the blocks agree. Both arms get the same probe events, so the unpaired interval on the difference is
conservative: it leaves out what the pairing would gain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from luckyhit.judge.proportions import Difference, clopper_pearson, share_difference, zero_bound

__all__ = [
    "Difference",
    "StaleShare",
    "classify_reads",
    "clopper_pearson",
    "freshness_curve",
    "kaplan_meier",
    "late_reads",
    "session_violations",
    "stale_difference",
    "stale_share",
    "staleness_windows",
    "window_quantiles",
    "zero_bound",
]

Outcome = Literal["fresh", "stale", "never-committed", "unknown"]
LASTING_READS = 3
"""This many fresh reads in a row, with no stale one after them, count as lastingly fresh."""

_Group = tuple[Hashable, Hashable, Hashable]


@dataclass(frozen=True, slots=True)
class StaleShare:
    """How many of the reads that should have been fresh were stale. Reads that showed nothing are left out."""

    stale: int
    fresh: int
    never_committed: int = 0
    unknown: int = 0

    @property
    def reads(self) -> int:
        """The reads that could be told apart: fresh or stale."""
        return self.stale + self.fresh

    @property
    def share(self) -> float | None:
        """Stale reads over reads; None where there were none (never 0 instead)."""
        return self.stale / self.reads if self.reads else None

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Exact interval of the share; (0, 1) without reads. Zero stale reads still leave a bound above 0."""
        return clopper_pearson(self.stale, self.reads, confidence)


class _History:
    """The writes of one key in one block."""

    def __init__(self) -> None:
        self.sent: dict[int, int] = {}  # version -> sent_ns, whatever came of it
        self.refused: set[int] = set()
        self.uncertain: set[int] = set()
        self.committed: list[tuple[int, int]] = []  # (acked_ns, version), in the order of the acknowledgements
        self.prestate: dict[int, str] = {}
        self.connection: dict[int, int | None] = {}

    def floor(self, at_ns: int) -> tuple[int, int] | None:
        """(acked_ns, version) of the newest version that was acknowledged before `at_ns`."""
        before = self.committed[: bisect_left(self.committed, (at_ns,))]
        return max(before, key=lambda write: write[1], default=None)

    def outcome(self, seen: int | None, floor: int | None, done_ns: int | None) -> Outcome:
        if seen is None or not self.sent:
            return "unknown"
        known = seen in self.sent
        if seen in self.refused or (not known and seen > min(self.sent)):
            return "never-committed"
        if known and done_ns is not None and self.sent[seen] > done_ns:
            return "never-committed"  # shown before it was written: not ours
        if floor is None:
            return "unknown"
        if seen >= floor:
            return "fresh"
        # A write without an answer may land late, behind a newer one: showing it proves no stale copy.
        return "unknown" if seen in self.uncertain else "stale"


def _histories(writes: pd.DataFrame) -> dict[_Group, _History]:
    histories: dict[_Group, _History] = defaultdict(_History)
    for write in _rows(writes):
        history = histories[write["arm"], write["block"], write["key"]]
        version, acked_ns, status = write["version"], write["acked_ns"], write["status"]
        history.sent[version] = write["sent_ns"]
        history.prestate[version] = write["prestate"]
        history.connection[version] = write.get("connection")
        if acked_ns is not None:
            history.committed.append((acked_ns, version))
        elif status is None or not 400 <= status < 500:
            history.uncertain.add(version)
        else:
            history.refused.add(version)
    for history in histories.values():
        history.committed.sort()
    return histories


def classify_reads(reads: pd.DataFrame, writes: pd.DataFrame) -> pd.DataFrame:
    """The reads, in their order, with what each one means. Four columns are added:

    `outcome`: `stale` when the read was sent after the acknowledgement of a version and returned an older one
    (an older version of the probe, or the value from before its first); `fresh` when it returned that version or
    a newer one; `never-committed` when it returned what no accepted write wrote; `unknown` when it showed no
    version, when nothing was acknowledged before it was sent, or when the value is of a write without an answer.
    `newest_version`: the newest version acknowledged before the read was sent, null where none was.
    `since_ack_ns`: from that acknowledgement to the read's send. `prestate`: of that version's write.
    """
    histories = _histories(writes)
    nothing = _History()
    outcomes: list[str] = []
    newest: list[int | None] = []
    since: list[int | None] = []
    prestates: list[str | None] = []
    for read in _rows(reads):
        history = histories.get((read["arm"], read["block"], read["key"]), nothing)
        acked_ns, version = history.floor(read["sent_ns"]) or (None, None)
        outcomes.append(history.outcome(read["seen_version"], version, read["done_ns"]))
        newest.append(version)
        since.append(None if acked_ns is None else read["sent_ns"] - acked_ns)
        prestates.append(None if version is None else history.prestate[version])
    return reads.assign(
        outcome=pd.Series(outcomes, index=reads.index, dtype="str"),
        newest_version=pd.Series(newest, index=reads.index, dtype="Int64"),
        since_ack_ns=pd.Series(since, index=reads.index, dtype="Int64"),
        prestate=pd.Series(prestates, index=reads.index, dtype="str"),
    )


def late_reads(reads: pd.DataFrame, writes: pd.DataFrame, within_s: float) -> pd.DataFrame:
    """Classified `once` reads sent later than `within_s` after the acknowledgement: staleness there is a fault.

    Burst reads are left out: a poll refills caches, so its reads depend on each other.
    """
    classified = classify_reads(reads, writes)
    late = (classified["since_ack_ns"] > round(within_s * 1e9)).fillna(False).astype(bool)
    return classified[late & (classified["mode"] == "once")]


def stale_share(reads: pd.DataFrame, writes: pd.DataFrame, within_s: float) -> StaleShare:
    """Stale reads among those sent later than `within_s` after the acknowledgement (all arms in the frames)."""
    return _share(late_reads(reads, writes, within_s))


def _share(classified: pd.DataFrame) -> StaleShare:
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
    confidence: float = 0.95,
    within_s: float | None = None,
) -> pd.DataFrame:
    """P(fresh at delay d) from the `once` reads: one row per arm and bin that holds reads, by arm, then delay.

    Columns: `arm, from_ms, to_ms` (the bin: from < delay <= to; log-spaced, the same in all arms; `within_s` is an
    edge of its own, so that no bin mixes acceptable with late), `delay_ms` (median of the delays that happened,
    from acknowledgement to send), `fresh, reads, share, low, high` (exact binomial interval, Clopper and Pearson
    1934). Only fresh and stale reads count; each of them is in exactly one bin.
    """
    columns = ["arm", "from_ms", "to_ms", "delay_ms", "fresh", "reads", "share", "low", "high"]
    classified = classify_reads(reads, writes)
    counted = classified[(classified["mode"] == "once") & classified["outcome"].isin(["fresh", "stale"])]
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
        low, high = clopper_pearson(fresh, count, confidence)
        span = (edges[number], edges[number + 1])
        rows.append((arm, *span, part["delay_ms"].median(), fresh, count, fresh / count, low, high))
    curve = pd.DataFrame(rows, columns=columns)
    return curve.sort_values("arm", key=_before_first, kind="stable", ignore_index=True)


def staleness_windows(reads: pd.DataFrame, writes: pd.DataFrame) -> pd.DataFrame:
    """How long each burst-polled write stayed stale, as an interval; one row per write with a read that tells.

    Columns: `arm, block, key, version, prestate, low_ms, high_ms, censored, stale, reads, flaps`.
    `low_ms`: from the acknowledgement to the send of the last stale read (0 where none was stale). `high_ms`: to the
    end of the first fresh read after that one, counted from the *send* of the write, since the value may have been
    committed at any instant between send and acknowledgement: only so does the interval always hold the window.
    `censored`: not lastingly fresh (LASTING_READS in a row) when the polling ended; `high_ms` is null then, and the
    window is longer than `low_ms`: stuck, as far as one could see. `flaps`: changes from fresh back to stale.
    """
    classified = classify_reads(reads[reads["mode"] == "burst"], writes)
    classified = classified[classified["outcome"].isin(["fresh", "stale"])].sort_values("sent_ns", kind="stable")
    histories = _histories(writes)
    rows = []
    groups = classified.groupby(["arm", "block", "key", "newest_version"], sort=False, observed=True)
    for (arm, block, key, version), part in groups:
        history = histories[arm, block, key]
        acked_ns = next(acked for acked, written in history.committed if written == version)
        stale = (part["outcome"] == "stale").to_numpy()
        after_last_stale = int(np.flatnonzero(stale)[-1]) + 1 if stale.any() else 0
        last_stale_ns = int(part["sent_ns"].iloc[after_last_stale - 1]) if after_last_stale else acked_ns
        censored = len(stale) - after_last_stale < LASTING_READS
        high_ms = None if censored else (part["done_ns"].iloc[after_last_stale] - history.sent[version]) / 1e6
        rows.append(
            {
                "arm": str(arm),
                "block": int(block),
                "key": str(key),
                "version": int(version),
                "prestate": history.prestate[version],
                "low_ms": (last_stale_ns - acked_ns) / 1e6,
                "high_ms": high_ms,
                "censored": censored,
                "stale": int(stale.sum()),
                "reads": len(stale),
                "flaps": int(np.count_nonzero(stale[1:] & ~stale[:-1])),
            }
        )
    columns = ["arm", "block", "key", "version", "prestate", "low_ms", "high_ms", "censored", "stale", "reads", "flaps"]
    windows = pd.DataFrame(rows, columns=columns)
    return windows.astype({"low_ms": float, "high_ms": float, "censored": bool})


def kaplan_meier(
    times: Sequence[float] | np.ndarray, observed: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Survival by Kaplan and Meier (1958): (distinct event times, share that lasts longer than each).

    `observed[i]` is False where case i was lost from sight at `times[i]` (right-censored). A tie counts the events
    first, as usual.
    """
    at = np.asarray(times, dtype=float)
    seen = np.asarray(observed, dtype=bool)
    events = np.unique(at[seen])
    at_risk = np.array([np.count_nonzero(at >= time) for time in events], dtype=float)
    ended = np.array([np.count_nonzero(at[seen] == time) for time in events], dtype=float)
    return events, np.cumprod(1 - ended / at_risk) if len(events) else np.empty(0)


def window_quantiles(
    windows: pd.DataFrame, levels: Sequence[float] = (0.5, 0.95, 0.99)
) -> dict[float, tuple[float, float] | None]:
    """Quantiles of the staleness window in ms, as (low, high): from the intervals' lower and upper ends.

    None where so many windows are stuck that the quantile lies beyond the horizon (or where there are none): it
    is not known, and not a big number. `windows` is the frame of `staleness_windows`, of one arm.
    """
    observed = ~windows["censored"].to_numpy(dtype=bool)
    upper = windows["high_ms"].where(observed, windows["low_ms"])
    quantiles: dict[float, tuple[float, float] | None] = {}
    for level in levels:
        ends = [_survival_quantile(times, observed, level) for times in (windows["low_ms"], upper)]
        low, high = ends
        quantiles[level] = None if low is None or high is None else (low, high)
    return quantiles


def _survival_quantile(times: pd.Series, observed: np.ndarray, level: float) -> float | None:
    events, survival = kaplan_meier(times.to_numpy(dtype=float), observed)
    reached = np.flatnonzero(survival <= 1 - level + 1e-12)
    return float(events[reached[0]]) if len(reached) else None


def session_violations(reads: pd.DataFrame, writes: pd.DataFrame) -> pd.DataFrame:
    """Broken session guarantees (Terry et al. 1994) and impossible values, counted per arm.

    Columns: `arm, reads, monotonic_reads` (a read on one connection returned an older value than an earlier read of
    the same key on that connection), `read_your_writes` (a stale read on the connection that wrote; where the writes
    don't tell their connection, the probe as a whole is the session), `never_committed`.
    """
    classified = classify_reads(reads, writes).sort_values("sent_ns", kind="stable")
    histories = _histories(writes)
    by_connection = "connection" in writes.columns
    newest_seen: dict[tuple[Hashable, ...], tuple[int, int]] = {}
    counts: dict[str, dict[str, int]] = {}
    for read in _rows(classified):
        arm, group = str(read["arm"]), (read["arm"], read["block"], read["key"])
        count = counts.setdefault(arm, {"reads": 0, "monotonic_reads": 0, "read_your_writes": 0, "never_committed": 0})
        count["reads"] += 1
        count["never_committed"] += read["outcome"] == "never-committed"
        if read["outcome"] == "stale":
            writer = histories[group].connection[read["newest_version"]] if by_connection else None
            count["read_your_writes"] += not by_connection or (writer is not None and writer == read["connection"])
        seen, done_ns, connection = read["seen_version"], read["done_ns"], read["connection"]
        if seen is None or done_ns is None or connection is None or read["outcome"] == "never-committed":
            continue
        before = newest_seen.get((*group, connection))
        if before is not None and seen < before[0] and read["sent_ns"] > before[1]:
            count["monotonic_reads"] += 1
        if before is None or seen > before[0]:
            newest_seen[(*group, connection)] = (seen, done_ns)
    columns = ["arm", "reads", "monotonic_reads", "read_your_writes", "never_committed"]
    frame = pd.DataFrame([{"arm": arm, **count} for arm, count in counts.items()], columns=columns)
    return frame.sort_values("arm", key=_before_first, ignore_index=True)


def stale_difference(
    reads_before: StaleShare | pd.DataFrame, reads_after: StaleShare | pd.DataFrame, confidence: float = 0.95
) -> Difference:
    """The difference of two stale shares, after - before, with an interval that is honest near 0 and 1.

    Takes what `stale_share` gave for each arm, or the frames of `late_reads`. An arm without reads gives the effect
    NaN and the interval (-1, 1). The method is `proportions.share_difference`'s. A fixed-size interval: look once, or
    split the confidence over the looks.
    """
    before = reads_before if isinstance(reads_before, StaleShare) else _share(reads_before)
    after = reads_after if isinstance(reads_after, StaleShare) else _share(reads_after)
    return share_difference(before.stale, before.reads, after.stale, after.reads, confidence)


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as dicts of plain Python values; every kind of missing value becomes None."""
    columns = [_plain(frame[column]) for column in frame.columns]
    names = list(frame.columns)
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _plain(column: pd.Series) -> list[Any]:
    missing = column.isna().to_numpy(dtype=bool)
    whole = pd.api.types.is_float_dtype(column)
    return [
        None if gone else (int(value) if whole else value) for value, gone in zip(column.tolist(), missing, strict=True)
    ]


def _before_first(arms: pd.Series) -> pd.Series:
    """Sort key of the arms: before, after, then any other."""
    order = {"before": 0, "after": 1}
    return arms.astype(str).map(lambda arm: order.get(arm, 2))

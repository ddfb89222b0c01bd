"""What one user, or two users next to each other, can notice: session guarantees, and disagreement.

Pure functions on frames with the columns of `records.READS` and `records.WRITES`; see `classify` for what makes a
read stale.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from luckyhit.judge.freshness.classify import before_first, classify_reads
from luckyhit.judge.freshness.histories import ALWAYS, NEVER, Histories, Timeline, at, whole_numbers

_VIOLATIONS = [
    *("arm", "reads", "monotonic_reads", "monotonic_reads_of", "monotonic_across_routes", "read_your_writes"),
    *("read_your_writes_of", "never_committed"),
]
_DISAGREEMENTS = ["arm", "block", "key", "version", "between", "first", "second", "lasted_ms"]
_KEY = ["arm", "block", "key"]


def session_violations(reads: pd.DataFrame, writes: pd.DataFrame, within_s: float = 0.0) -> pd.DataFrame:
    """Broken session guarantees (Terry et al. 1994) and impossible values, counted per arm.

    Columns: `arm, reads, monotonic_reads` (a read on one connection returned an older value than an earlier read of
    the same key on that connection, on whichever routes: that is what its user sees), `monotonic_across_routes` (of
    these: no earlier read of the same route had shown anything newer), `read_your_writes` (a stale read on a connection
    on which a newer version had been written, and acknowledged more than `within_s` before; writes that tell no
    connection break none), `never_committed`; `monotonic_reads_of` and `read_your_writes_of`: the reads in which the
    one or the other could have been seen. Where a service closes each connection after one answer there are none, and
    0 says nothing. Reads that were under way together have no order, and a write without an answer may land late:
    neither gives a violation.
    """
    return violations_of(classify_reads(reads, writes), writes, within_s)


def violations_of(classified: pd.DataFrame, writes: pd.DataFrame, within_s: float = 0.0) -> pd.DataFrame:
    """`session_violations` from reads that were classified already."""
    histories = Histories(classified, writes)
    everywhere, on_route, behind_another = _went_back(classified, histories)
    missed, behind_own = _own_write_missed(classified, histories, round(within_s * 1e9))
    frame = pd.DataFrame(
        {
            "arm": classified["arm"].astype(str).to_numpy(),
            "reads": 1,
            "monotonic_reads": everywhere,
            "monotonic_reads_of": behind_another,
            "monotonic_across_routes": everywhere & ~on_route,
            "read_your_writes": missed,
            "read_your_writes_of": behind_own,
            "never_committed": (classified["outcome"] == "never-committed").to_numpy(),
        },
        columns=_VIOLATIONS,
    )
    counts = frame.groupby("arm", sort=False).sum().astype("int64").reset_index()
    return counts.sort_values("arm", key=before_first, ignore_index=True)


def _went_back(classified: pd.DataFrame, histories: Histories) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of the reads that returned a surely older value than an earlier read of the same key on the same
    connection: on any route, and on the same route; and of those that had an earlier one on any route."""
    version, done = whole_numbers(classified["seen_version"]), whole_numbers(classified["done_ns"])
    sent = whole_numbers(classified["sent_ns"])
    known = version.there & done.there & sent.there & classified["connection"].notna().to_numpy(dtype=bool)
    known &= (classified["outcome"] != "never-committed").to_numpy()
    index = histories.find(histories.group, version)
    # An unknown value is from before the first version; so it was over before any was sent.
    start = np.where(index.there, at(histories.version_sent, index), NEVER)
    end = np.where(index.there, at(histories.version_end, index), NEVER)
    lost = ~index.there & histories.may_land_late(classified, version, known & ~index.there)
    end = np.where(lost, ALWAYS, end)
    rows = np.flatnonzero(known)
    masks, behind_another = [], np.zeros(len(classified), dtype=bool)
    for session in (["connection"], ["connection", "route"]):
        sessions = classified.iloc[rows].groupby([*_KEY, *session], sort=False, dropna=False, observed=True).ngroup()
        place = sessions.to_numpy()
        newest = Timeline(place, done.value[rows]).most_before(start[rows], place, sent.value[rows])
        back = np.zeros(len(classified), dtype=bool)
        back[rows] = newest.there & (newest.value > end[rows])
        masks.append(back)
        behind_another[rows] |= newest.there
    return masks[0], masks[1], behind_another


def _own_write_missed(classified: pd.DataFrame, histories: Histories, within_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the stale reads on a connection that wrote a newer version, acknowledged more than `within_ns` before
    they were sent; and of the reads that tell, on a connection that wrote any version so long before."""
    missed, behind_own = np.zeros(len(classified), dtype=bool), np.zeros(len(classified), dtype=bool)
    stale = (classified["outcome"] == "stale").to_numpy()
    connection = whole_numbers(classified["connection"])
    telling = stale | (classified["outcome"] == "fresh").to_numpy()
    rows = np.flatnonzero(telling & connection.there)
    if not len(rows):
        return missed, behind_own
    wrote = whole_numbers(histories.writes["connection"])
    acked = histories.write_acked
    its = np.flatnonzero(wrote.there & acked.there)
    version, newest = whole_numbers(classified["seen_version"]), whole_numbers(classified["newest_version"])
    own_reads = pd.DataFrame(
        {
            "row": rows,
            "group": histories.group[rows],
            "connection": connection.value[rows],
            "sent": whole_numbers(classified["sent_ns"]).value[rows],
            # A read that showed nothing lacks the one write that created the thing.
            "shown": np.where(version.there, version.value, newest.value - 1)[rows],
        }
    )
    written = pd.DataFrame(
        {
            "group": histories.write_group[its],
            "connection": wrote.value[its],
            "version": histories.write_version[its],
            "acked": acked.value[its],
        }
    )
    met = own_reads.merge(written, on=["group", "connection"])
    met = met[met["acked"] + within_ns < met["sent"]]
    behind_own[met["row"].to_numpy()] = True
    missed[met.loc[met["version"] > met["shown"], "row"].to_numpy()] = True
    return missed & stale, behind_own


def disagreements(reads: pd.DataFrame, writes: pd.DataFrame) -> pd.DataFrame:
    """Who showed the old version of a probe while somebody else showed the new one.

    Columns: `arm, block, key, version` (the probe), `between` (routes, workers or connections), `first` (who showed
    the new version, at least twice and without an old one in between), `second` (who was stale in a read that was sent
    after the first and answered before the last of these), `lasted_ms` (from the end of `first`'s first fresh read to
    the send of `second`'s last stale one). So no order of one value's changes explains it that real time allows: a
    value that was new and then old again for every reader is no disagreement. One row per probe and pair. Workers only
    where the reads tell them; connections only where they don't, and then with the one that was fresh first as `first`.
    """
    return disagreements_of(classify_reads(reads, writes))


def disagreements_of(classified: pd.DataFrame) -> pd.DataFrame:
    """`disagreements` from reads that were classified already."""
    outcome = classified["outcome"]
    # Of the probe itself: a fresh read may show a newer version, but not one that was there before the write.
    shown = whole_numbers(classified["seen_version"])
    own = (classified["about"] == classified["newest_version"]).fillna(False).to_numpy(dtype=bool)
    late = whole_numbers(classified["about"])
    fresh = (shown.there & late.there & (shown.value >= late.value)) & (outcome != "never-committed").to_numpy()
    fresh &= classified["done_ns"].notna().to_numpy(dtype=bool)
    stale = (outcome == "stale").to_numpy() & own
    if not (fresh.any() and stale.any()):
        return _typed(pd.DataFrame(columns=_DISAGREEMENTS))
    judged = classified[fresh | stale].assign(fresh=fresh[fresh | stale], version=classified["about"])
    judged = judged.assign(
        **{column: judged[column].astype(object).where(judged[column].notna(), None) for column in ("worker", "route")},
        first_ns=whole_numbers(judged["done_ns"]).value,
        last_ns=whole_numbers(judged["sent_ns"]).value,
        probe=judged.groupby([*_KEY, "version"], sort=False, observed=True).ngroup(),
    )
    by_probe = judged.groupby("probe")
    judged = judged[by_probe["fresh"].transform("any") & ~by_probe["fresh"].transform("all")]
    workers = judged["worker"].notna().groupby(judged["probe"]).transform("any")
    pairs = pd.concat(
        [
            _pairs(judged, "routes", "route"),
            _pairs(judged[workers], "workers", "worker"),
            _pairs(judged[~workers], "connections", "connection").drop_duplicates(["probe", "second"]),
        ],
        ignore_index=True,
    )
    names = judged.drop_duplicates("probe")[[*_KEY, "version", "probe"]]
    frame = names.merge(pairs, on="probe").sort_values(["probe", "between"], kind="stable", ignore_index=True)
    return _typed(frame[_DISAGREEMENTS])


def probes_compared(classified: pd.DataFrame) -> int:
    """The number of probes in which two readers could have disagreed: one route, worker or connection answered twice,
    and another one as well. A probe with one read, or with one connection for each, shows no disagreement."""
    telling = classified[classified["outcome"].isin(["fresh", "stale"]) & classified["about"].notna()]
    probe = telling.groupby([*_KEY, "about"], sort=False, observed=True).ngroup()
    compared: set[int] = set()
    for column in ("route", "worker", "connection"):
        known = telling[column].notna()
        reads = telling[known].groupby([probe[known], telling.loc[known, column].astype(object)], observed=True).size()
        by_probe = reads.groupby(level=0).agg(["size", "max"])
        compared |= {*by_probe.index[(by_probe["size"] > 1) & (by_probe["max"] > 1)]}
    return len(compared)


def _typed(pairs: pd.DataFrame) -> pd.DataFrame:
    texts = dict.fromkeys(("arm", "key", "between", "first", "second"), str)
    return pairs.astype({**texts, "block": "int64", "version": "int64", "lasted_ms": float})


def _pairs(reads: pd.DataFrame, between: str, column: str) -> pd.DataFrame:
    """(probe, between, first, second, lasted_ms): who was stale next to whom; the earliest `first` before others."""
    reads = reads[reads[column].notna()].sort_values("last_ns", kind="stable")
    by_reader = ["probe", column]
    # A stretch of fresh reads ends where its reader was stale.
    turn = (~reads["fresh"]).groupby([reads[name] for name in by_reader], sort=False, observed=True).cumsum()
    fresh = reads[reads["fresh"]].assign(turn=turn)
    spans = fresh.groupby([*by_reader, "turn"], sort=False, observed=True).agg(
        first_ns=("first_ns", "min"), until_ns=("last_ns", "max")
    )
    spans = spans[spans["first_ns"] < spans["until_ns"]].reset_index().rename(columns={column: "first"})
    stale = reads.loc[~reads["fresh"], ["probe", column, "last_ns", "first_ns"]]
    stale = stale.rename(columns={column: "second", "first_ns": "answered_ns"})
    pairs = spans.merge(stale, on="probe")
    apart = (pairs["first"] != pairs["second"]) & (pairs["first_ns"] < pairs["last_ns"])
    pairs = pairs[apart & (pairs["answered_ns"] < pairs["until_ns"])]
    pairs = pairs.groupby(["probe", "first", "second"], sort=False, observed=True).agg(
        first_ns=("first_ns", "min"), last_ns=("last_ns", "max")
    )
    pairs = pairs.reset_index().sort_values(["probe", "first_ns"], kind="stable")
    lasted_ms = (pairs["last_ns"] - pairs["first_ns"]) / 1e6
    return pairs.assign(between=between, lasted_ms=lasted_ms)[["probe", "between", "first", "second", "lasted_ms"]]

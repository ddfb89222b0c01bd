"""What one user, or two users next to each other, can notice: session guarantees, and disagreement. See `classify` for
what makes a read stale."""

from __future__ import annotations

import numpy as np
import pandas as pd

from luckyhit.judge.freshness.histories import ALWAYS, NEVER, Histories, Timeline, at, whole_numbers

_DISAGREEMENTS = ["arm", "block", "key", "version", "between", "first", "second", "lasted_ms"]
_KEY = ["arm", "block", "key"]


def session_violations(classified: pd.DataFrame, writes: pd.DataFrame, within_s: float = 0.0) -> dict[str, int]:
    """Broken session guarantees (Terry et al. 1994) and impossible values in one arm, counted.

    `monotonic_reads`: a read on one connection returned an older value than an earlier read of the same key on that
    connection, on whichever routes. `read_your_writes`: a stale read on a connection on which a newer version had been
    written, and acknowledged more than `within_s` before (writes without a connection break none).
    `never_committed`. `monotonic_reads_of` and `read_your_writes_of`: the reads in which the one or the other could
    have been seen: none where a service closes each connection after one answer. Reads that were under way together
    have no order, and a write without an answer may land late: neither gives a violation.
    """
    histories = Histories(classified, writes)
    back, after_another = _went_back(classified, histories)
    missed, after_own = _own_write_missed(classified, histories, round(within_s * 1e9))
    masks = {
        "monotonic_reads": back,
        "monotonic_reads_of": after_another,
        "read_your_writes": missed,
        "read_your_writes_of": after_own,
        "never_committed": (classified["outcome"] == "never-committed").to_numpy(),
    }
    return {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}


def _went_back(classified: pd.DataFrame, histories: Histories) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the reads that returned a surely older value than an earlier read of the same key on the same
    connection, and of those that had an earlier one."""
    version, done = whole_numbers(classified["seen_version"]), whole_numbers(classified["done_ns"])
    sent = whole_numbers(classified["sent_ns"])
    known = version.present & done.present & sent.present & classified["connection"].notna().to_numpy(dtype=bool)
    known &= (classified["outcome"] != "never-committed").to_numpy()
    index = histories.find(histories.group, version)
    # An unknown value is from before the first version; so it was over before any was sent.
    start = np.where(index.present, at(histories.version_sent, index), NEVER)
    end = np.where(index.present, at(histories.version_end, index), NEVER)
    lost = ~index.present & histories.may_land_late(classified, version, known & ~index.present)
    end = np.where(lost, ALWAYS, end)
    rows = np.flatnonzero(known)
    sessions = classified.iloc[rows].groupby([*_KEY, "connection"], sort=False, dropna=False, observed=True).ngroup()
    place = sessions.to_numpy()
    newest = Timeline(place, done.value[rows]).most_before(start[rows], place, sent.value[rows])
    back, after_another = np.zeros(len(classified), dtype=bool), np.zeros(len(classified), dtype=bool)
    back[rows], after_another[rows] = newest.present & (newest.value > end[rows]), newest.present
    return back, after_another


def _own_write_missed(classified: pd.DataFrame, histories: Histories, within_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the stale reads on a connection that wrote a newer version, acknowledged more than `within_ns` before
    they were sent; and of the fresh or stale reads on a connection that wrote any version so long before."""
    missed, after_own = np.zeros(len(classified), dtype=bool), np.zeros(len(classified), dtype=bool)
    stale = (classified["outcome"] == "stale").to_numpy()
    connection = whole_numbers(classified["connection"])
    telling = stale | (classified["outcome"] == "fresh").to_numpy()
    rows = np.flatnonzero(telling & connection.present)
    if not len(rows):
        return missed, after_own
    wrote = whole_numbers(histories.writes["connection"])
    acked = histories.write_acked
    its = np.flatnonzero(wrote.present & acked.present)
    version, newest = whole_numbers(classified["seen_version"]), whole_numbers(classified["newest_version"])
    own_reads = pd.DataFrame(
        {
            "row": rows,
            "group": histories.group[rows],
            "connection": connection.value[rows],
            "sent": whole_numbers(classified["sent_ns"]).value[rows],
            # A read that showed nothing lacks the one write that created the thing.
            "shown": np.where(version.present, version.value, newest.value - 1)[rows],
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
    after_own[met["row"].to_numpy()] = True
    missed[met.loc[met["version"] > met["shown"], "row"].to_numpy()] = True
    return missed & stale, after_own


def disagreements(classified: pd.DataFrame) -> pd.DataFrame:
    """Who showed the old version of a probe while somebody else showed the new one.

    Columns: `arm, block, key, version` (the probe), `between` (routes, workers or connections), `first` (who showed
    the new version, at least twice and without an old one in between), `second` (who was stale in a read that was sent
    after the first and answered before the last of these), `lasted_ms` (from the end of `first`'s first fresh read to
    the send of `second`'s last stale one). So no order of one value's changes explains it that real time allows: a
    value that was new and then old again for every reader is no disagreement. One row per probe and pair. Workers only
    where the reads name them; connections only where they don't, and then with the one that was fresh first as `first`.
    """
    outcome = classified["outcome"]
    # Of the probe itself: a fresh read may show a newer version, but not one that was there before the write.
    shown = whole_numbers(classified["seen_version"])
    own = (classified["about"] == classified["newest_version"]).fillna(False).to_numpy(dtype=bool)
    late = whole_numbers(classified["about"])
    fresh = (shown.present & late.present & (shown.value >= late.value)) & (outcome != "never-committed").to_numpy()
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
    kinds = [
        _pairs(judged, "routes", "route"),
        _pairs(judged[workers], "workers", "worker"),
        _pairs(judged[~workers], "connections", "connection").drop_duplicates(["probe", "second"]),
    ]
    pairs = pd.concat([kind for kind in kinds if len(kind)] or kinds[:1], ignore_index=True)
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


_PAIR = ["probe", "between", "first", "second", "lasted_ms"]


def _typed(pairs: pd.DataFrame) -> pd.DataFrame:
    texts = dict.fromkeys(("arm", "key", "between", "first", "second"), str)
    return pairs.astype({**texts, "block": "int64", "version": "int64", "lasted_ms": float})


def _pairs(reads: pd.DataFrame, between: str, column: str) -> pd.DataFrame:
    """(probe, between, first, second, lasted_ms): who was stale next to whom; the earliest `first` before others."""
    reads = reads[reads[column].notna()].sort_values("last_ns", kind="stable")
    if not (reads["fresh"].any() and not reads["fresh"].all()):
        return pd.DataFrame(dict.fromkeys(_PAIR, reads[column].iloc[:0]))
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
    return pairs.assign(between=between, lasted_ms=lasted_ms)[_PAIR]

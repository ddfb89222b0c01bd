"""One instructive failure: the write, and what each read of it saw, chosen by a fixed rule.

A probe failed if a read later than the declared bound was stale, or showed a value that no accepted write wrote. From
the arm with the larger share of failed probes comes the probe with most of REASONS, which count only if its reads saw
both the old and the new value: then it shows how the failure came and went. Ties: most stale reads, longest stale,
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from luckyhit.judge.facade import DELETED, FLUSHED, LEFT, KeyspaceLog, by_key, disagreements, staleness_windows
from luckyhit.report.figures.late_reads import Late, late
from luckyhit.report.recorded import Recorded

MOST_READS, MOST_EVENTS, MOST_LANES = 200, 80, 8
OLD, NEW, NOTHING, IMPOSSIBLE, SILENT = "old value", "new value", "nothing there", "never committed", "no version shown"
REASONS = {
    "in_flight": "a read was in progress during the write",
    "disagreed": "readers disagreed",
    "flapped": "reads went back from the new value to the old one",
    "polled": "its polls saw both the old and the new value",
    "impossible": "a read showed a value that no accepted write wrote",
}
_PROBE = ["arm", "block", "key", "about"]
_QUIET = frozenset({"expire", "persist", "keymiss"})


@dataclass(frozen=True)
class Write:
    """In ms from the acknowledgement; `acked_ms` is None without one. `own`: the write that the reads check."""

    sent_ms: float
    acked_ms: float | None
    own: bool


@dataclass(frozen=True)
class Read:
    """In ms from the acknowledgement. `saw` is one of OLD, NEW, NOTHING, IMPOSSIBLE, SILENT; `stale` as judged."""

    lane: int
    sent_ms: float
    done_ms: float
    saw: str
    stale: bool


@dataclass(frozen=True)
class Event:
    """What the cache did with the key's entry: `deleted`, `set` or `expired`; in ms from the acknowledgement."""

    at_ms: float
    kind: str


@dataclass(frozen=True)
class Chosen:
    """One failed probe, with all its reads. `lanes`: the readers, by route and connection or worker."""

    label: str
    key: str
    initial_state: str
    writes: list[Write]
    reads: list[Read]
    events: list[Event]
    lanes: list[str]
    reasons: list[str]

    @property
    def drawn(self) -> list[Read]:
        """The first MOST_READS reads in the first MOST_LANES lanes."""
        return [read for read in self.reads if read.lane < MOST_LANES][:MOST_READS]


@dataclass(frozen=True)
class Strip:
    """The chosen probe (None if none failed), failed probes of all by label, and the late reads."""

    chosen: Chosen | None
    failed: dict[str, tuple[int, int]]
    late: dict[str, Late]
    within_s: float | None
    probed: bool = True


def failed_probe(recorded: Recorded) -> Strip:
    within_ns = round((recorded.within_s or 0.0) * 1e9)
    probes = _probes(recorded, within_ns)
    failed = {}
    for label, own_probes in recorded.by_arm(probes):
        if len(own_probes):
            failed[label] = (int(own_probes["failed"].sum()), len(own_probes))
    bad = probes[probes["failed"]]
    chosen = None
    if len(bad):
        arm = max(
            bad["arm"].unique(), key=lambda name: (_ratio(failed[recorded.label(name)]), name == "before", str(name))
        )
        bad = bad[bad["arm"] == arm].sort_values(
            ["points", "stale_reads", "last_ns", "first_ns", "block", "key"],
            ascending=[False, False, False, True, True, True],
            kind="stable",
        )
        chosen = _chosen(recorded, bad.iloc[0])
    return Strip(chosen, failed, late(recorded), recorded.within_s, recorded.probed)


def _ratio(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1]


def _probes(recorded: Recorded, within_ns: int) -> pd.DataFrame:
    """One row for each probe with a read: whether it failed, and its reasons to be chosen."""
    reads = recorded.classified
    reads = reads[reads["about"].notna()]
    since = reads["since_ack_ns"].to_numpy(dtype=float, na_value=np.nan)
    outcome, after = reads["outcome"].astype(object), reads["after_ack"].to_numpy(dtype=bool)
    stale = (outcome == "stale").to_numpy(dtype=bool) & after
    impossible = (outcome == "never-committed").to_numpy(dtype=bool)
    rows = reads[_PROBE].assign(
        prestate=reads["prestate"],
        stale=stale,
        fresh=(outcome == "fresh").to_numpy(dtype=bool) & after,
        impossible=impossible,
        failed=(stale & (since > within_ns)) | impossible,
        polled=(reads["mode"].astype(object) == "burst").to_numpy(dtype=bool),
        last_ns=np.where(stale, since, 0.0),
        first_ns=reads["sent_ns"].to_numpy(dtype=float, na_value=np.nan),
    )
    flags = {name: (name, "any") for name in ("stale", "fresh", "impossible", "failed", "polled")}
    probes = rows.groupby(_PROBE, sort=False, observed=True).agg(
        prestate=("prestate", "first"),
        stale_reads=("stale", "sum"),
        last_ns=("last_ns", "max"),
        first_ns=("first_ns", "min"),
        **flags,
    )
    probes = probes.reset_index()
    names = ["arm", "block", "key", "version"]
    windows = staleness_windows(recorded.classified, recorded.probe[1])
    flapped = _marks(windows[windows["flaps"] > 0][names])
    disagreed = _marks(disagreements(recorded.classified)[names])
    marks = [_mark(row) for row in probes[_PROBE].itertuples(index=False)]
    both = probes["stale"] & probes["fresh"]
    probes["in_flight"] = (probes["prestate"] == "in-flight") & both
    probes["disagreed"] = np.array([mark in disagreed for mark in marks], dtype=bool) & both
    probes["flapped"] = np.array([mark in flapped for mark in marks], dtype=bool) & both
    probes["polled"] = probes["polled"] & both
    return probes.assign(points=probes[list(REASONS)].astype(int).sum(axis=1))


def _marks(frame: pd.DataFrame) -> set[tuple[str, ...]]:
    return {_mark(row) for row in frame.itertuples(index=False)}


def _mark(row: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in row)


def _chosen(recorded: Recorded, probe: pd.Series) -> Chosen:
    reads, writes = recorded.classified, recorded.probe[1]
    reads = reads[_same(reads, probe) & (reads["about"] == probe["about"]).fillna(False).astype(bool)]
    reads = reads[reads["sent_ns"].notna()].sort_values("sent_ns", kind="stable")
    writes = writes[_same(writes, probe) & (writes["probe"] == probe["about"]).fillna(False).astype(bool)]
    writes = writes[writes["sent_ns"].notna()].sort_values("sent_ns", kind="stable")
    own = writes[(writes["version"] == probe["about"]).to_numpy(dtype=bool, na_value=False)]
    zero = next((int(value) for column in ("acked_ns", "sent_ns") for value in own[column].dropna()), None)
    zero_ns = zero if zero is not None else int(reads["sent_ns"].iloc[0])

    def ms(value: Any) -> float | None:
        return None if pd.isna(value) else (int(value) - zero_ns) / 1e6

    who, names = _lanes(reads)
    marks = []
    for lane, (_, row) in zip(who, reads.iterrows(), strict=True):
        sent_ms, done_ms = ms(row["sent_ns"]) or 0.0, ms(row["done_ns"])
        saw = _saw(row, int(probe["about"]))
        marks.append(Read(lane, sent_ms, sent_ms if done_ms is None else done_ms, saw, row["outcome"] == "stale"))
    written = [
        Write(ms(row["sent_ns"]) or 0.0, ms(row["acked_ns"]), row["version"] == probe["about"])
        for _, row in writes.iterrows()
    ]
    span = [mark.sent_ms for mark in written] + [mark.done_ms for mark in marks]
    return Chosen(
        label=recorded.label(str(probe["arm"])),
        key=str(probe["key"]),
        initial_state=str(probe["prestate"]),
        writes=written,
        reads=marks,
        events=_events(recorded.probe_events, probe, zero_ns, min(span), max(span)),
        lanes=names[:MOST_LANES],
        reasons=[words for name, words in REASONS.items() if probe[name]],
    )


def _same(frame: pd.DataFrame, probe: pd.Series) -> pd.Series:
    return (frame["arm"] == probe["arm"]) & (frame["block"] == probe["block"]) & (frame["key"] == probe["key"])


def _saw(row: pd.Series, version: int) -> str:
    if row["outcome"] == "never-committed":
        return IMPOSSIBLE
    if pd.isna(row["seen_version"]):
        return NOTHING if row["absent"] else SILENT
    return NEW if int(row["seen_version"]) >= version else OLD


def _lanes(reads: pd.DataFrame) -> tuple[list[int], list[str]]:
    """(lane of each read, names of the lanes): by route, and by worker where several are visible, else by connection.
    Both are numbered, since their own names mean nothing to a reader. If there are more lanes than can be drawn, those
    with stale reads come first."""
    workers = [worker for worker in dict.fromkeys(reads["worker"].tolist()) if isinstance(worker, str)]
    connections = list(dict.fromkeys(reads.loc[~reads["fresh_connection"], "connection"].dropna().tolist()))
    names, stale = [], set()
    for _, row in reads.iterrows():
        route = "read" if pd.isna(row["route"]) else str(row["route"])
        if len(workers) > 1 and isinstance(row["worker"], str):
            who = f"worker {workers.index(row['worker']) + 1}"
        elif row["fresh_connection"]:
            who = "new connections"
        else:
            known = not pd.isna(row["connection"])
            who = f"connection {connections.index(row['connection']) + 1}" if known else "connection"
        names.append(f"{route} · {who}")
        if row["outcome"] in ("stale", "never-committed"):
            stale.add(names[-1])
    lanes = list(dict.fromkeys(names))
    if len(lanes) > MOST_LANES:
        lanes.sort(key=lambda name: name not in stale)
    return [lanes.index(name) for name in names], lanes


def _events(events: pd.DataFrame, probe: pd.Series, zero_ns: int, start_ms: float, end_ms: float) -> list[Event]:
    """The events around the probe, without changes of a time to live and without the watch's own notes."""
    of_block = events[(events["arm"] == probe["arm"]) & (events["block"] == probe["block"])]
    logs, _ = by_key(of_block.dropna(subset=["at_ns", "event"]))
    log = logs.get((probe["arm"], probe["block"], probe["key"]), KeyspaceLog())
    events_shown = []
    for at_ns, event in zip(log.at_ns, log.event, strict=True):
        at_ms = (int(at_ns) - zero_ns) / 1e6
        if event in _QUIET or not start_ms <= at_ms <= end_ms:
            continue
        deleted = event in DELETED or event == FLUSHED
        events_shown.append(Event(at_ms, "deleted" if deleted else "expired" if event in LEFT else "set"))
    return events_shown[:MOST_EVENTS]

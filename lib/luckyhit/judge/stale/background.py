"""Stale reads in the workload itself, without extra requests: its writes send a value, and its reads show one.

Values are random numbers and may repeat, so only real time orders them. A read is *stale* where every write of the
shown value was surely overtaken: acknowledged before another write was sent, which was acknowledged before the read was
sent. It is *fresh* where the value may be the current one, in some order of the writes that real time allows (that of
linearizability: Herlihy and Wing 1990, ACM TOPLAS 12: 463). It is *unknown* where no write was acknowledged before it,
and where no known write explains the value. So a service that shows current values never has a stale read, whatever
overlaps, repeats or gets lost.

    accepted writes   answered as expected: they took effect between their send and their response
    open ones         no response, or an unexpected one: they may take effect at any later time, even in a later block
    unnamed ones      of an unknown value, which may be any
    the original      the value of a key when the block starts: what reads sent before its first write show

Every route that writes a value must be declared so (`workload.routes[].version`).

The write before a read goes by the plan: slots count up inside a block, and are the same in both arms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from luckyhit.designs import design_of
from luckyhit.judge.freshness.classify import StaleShare, share_of
from luckyhit.judge.freshness.histories import ALWAYS, NEVER, Numbers, Timeline, whole_numbers
from luckyhit.judge.stale.background_routes import Family, families
from luckyhit.records import REQUESTS

if TYPE_CHECKING:
    from luckyhit.case import Case

ANSWER_COLUMNS = (
    *("arm", "block", "slot", "phase", "route", "key", "sent_ns", "done_ns", "status", "error", "version", "cache"),
)
"""The columns of the requests behind reads and writes."""
ANSWER_SCHEMA = pa.schema([REQUESTS.field(name) for name in ANSWER_COLUMNS])
COLUMNS = [
    *("arm", "block", "slot", "route", "key", "sent_ns", "seen_version", "outcome", "behind", "since_ack_ns"),
    *("write_slot", "since_write_ns", "cache"),
]


def background_reads(requests: pd.DataFrame, case: Case, apart_ns: Mapping[int, int] = {}) -> pd.DataFrame:
    """The workload's reads of the measured phase that were sent and can show a value, in the order of `requests`, with
    its index: `arm, block, slot, route, key, sent_ns, seen_version` (null where the response shows none), `outcome`
    (fresh, stale, unknown), `behind` (of a stale read: how many acknowledged writes were surely newer; else null),
    `since_ack_ns` (of a stale read: how long before its send the first of these was acknowledged; else null),
    `write_slot` and `since_write_ns` (see `_writes_before`) and `cache`.

    `requests`: rows with the columns of `records.REQUESTS`, of any arms and blocks, warm-up included. Paths say which
    reads and writes belong to one resource (see `background_routes`). All reads of a route are unknown if its responses
    mostly show values that nobody wrote (another currency, a price with tax). `apart_ns`: by block, how far the clocks
    of the hosts that sent it may be apart; a write may have been sent so much earlier, and acknowledged so much later.
    """
    frame = requests.reindex(columns=[*requests.columns, *sorted({"cache", "slot", "version"} - set(requests.columns))])
    frame = frame[frame["arm"].notna() & frame["block"].notna() & frame["key"].notna()]
    shared = not design_of(case).isolated  # both arms are one service, and a write may land in the other's block
    parts = [_judged(frame, family, shared, apart_ns) for family in families(case.workload.routes)]
    if not parts:
        return frame.iloc[:0].rename(columns={"version": "seen_version"}).reindex(columns=COLUMNS)
    reads = pd.concat(parts).sort_values("_place", kind="stable")
    return reads.drop(columns="_place")


def bound_s(case: Case) -> float:
    """How old a response may be by the case's declaration; 0 without one."""
    return float(case.freshness.within) if case.freshness is not None else 0.0


def beyond(reads: pd.DataFrame, within_s: float) -> pd.DataFrame:
    """`background_reads` against a bound: a read whose value had been overtaken for at most `within_s` when it was sent
    is fresh, as agreed."""
    agreed = (reads["outcome"] == "stale") & (reads["since_ack_ns"] <= round(within_s * 1e9)).fillna(False)
    return reads.assign(outcome=reads["outcome"].mask(agreed, "fresh"))


def share_beyond(reads: pd.DataFrame, within_s: float) -> StaleShare:
    """The same, counted; `agreed`: those that the bound excuses."""
    counts = share_of(beyond(reads, within_s))
    return replace(counts, agreed=share_of(reads).stale - counts.stale)


def _judged(frame: pd.DataFrame, family: Family, shared: bool, apart_ns: Mapping[int, int]) -> pd.DataFrame:
    """The reads of one family of routes."""
    route = frame["route"].astype(object)
    reading, writing = route.isin(family.reads).to_numpy(), route.isin(family.every_write).to_numpy()
    place = np.flatnonzero(reading | writing)
    rows = frame.iloc[place]
    if apart_ns:
        doubt_ns = rows["block"].map(apart_ns).fillna(0).astype("int64").where(writing[place], 0)
        rows = rows.assign(sent_ns=rows["sent_ns"] - doubt_ns, done_ns=rows["done_ns"] + doubt_ns)
    history = _History.of(rows, family, shared)
    outcome, behind, since_ack = history.outcomes()
    write_slot, since_write = _writes_before(history, reading[place])
    judged = (
        reading[place] & (rows["phase"].astype(object) == "measure").to_numpy() & rows["sent_ns"].notna().to_numpy()
    )
    reads = pd.DataFrame(
        {
            **{name: rows[name] for name in ("arm", "block", "slot", "route", "key", "sent_ns")},
            "seen_version": history.shown_version.series(rows.index),
            "outcome": pd.Series(outcome, index=rows.index, dtype="str"),
            "behind": behind.series(rows.index),
            "since_ack_ns": since_ack.series(rows.index),
            "write_slot": write_slot.series(rows.index),
            "since_write_ns": since_write.series(rows.index),
            "cache": rows["cache"],
            "_place": place,
        }
    )
    return reads[judged]


def _writes_before(history: _History, reading: np.ndarray) -> tuple[Numbers, Numbers]:
    """Of each read: the slot of the last write of its key before it, and how long before the read's send, in ns, that
    was acknowledged. Missing where that write is unknown or was not accepted, where it repeats an earlier value, and
    where no read came before this one in its block, so that nothing can have been cached."""
    slot = whole_numbers(history.rows["slot"])
    # A row without a slot has no place in the order.
    last, read = last_before(history.group, slot.value, ~reading & slot.present, reading & slot.present)
    own = (last >= 0) & (read >= 0) & slot.present & reading & history.sent.present
    own &= (history.accepted & ~history.repeated())[last]
    return Numbers(slot.value[last], own), Numbers(history.sent.value - history.done.value[last], own)


@dataclass(frozen=True)
class _History:
    """One family's rows as arrays, reads and writes. `group`: arm, block and key; `scope`: where a write may still land
    (key, and arm where arms are separate services). `begun`: the earliest instant at which a write can take effect."""

    rows: pd.DataFrame
    group: np.ndarray
    scope: np.ndarray
    pair: np.ndarray  # group and value
    lasting: np.ndarray  # scope and value
    sent: Numbers
    done: Numbers
    shown_version: Numbers
    accepted: np.ndarray
    open: np.ndarray
    unnamed: np.ndarray  # accepted, of an unknown value
    wild: np.ndarray  # the same, but open

    @classmethod
    def of(cls, rows: pd.DataFrame, family: Family, shared: bool) -> _History:
        route, error = rows["route"].astype(object), rows["error"].astype(object)
        sent, done = whole_numbers(rows["sent_ns"]), whole_numbers(rows["done_ns"])
        version, status = whole_numbers(rows["version"]), whole_numbers(rows["status"])
        reading, full = route.isin(family.reads).to_numpy(), route.isin(family.writes).to_numpy()
        elsewhere, plain = route.isin(family.elsewhere).to_numpy(), route.isin(family.unnamed).to_numpy()
        as_expected = error.isna().to_numpy()
        # A request that was sent twice may have lost its first instant.
        went_out = ~reading & (sent.present | version.present | (error == "reset").to_numpy(dtype=bool))
        # A route may expect a rejection; a form redirects once it took the value.
        good = status.present & (status.value >= 200) & (status.value < 400)
        answered = went_out & as_expected & sent.present & done.present & good
        named = (full | elsewhere) & went_out & version.present
        group = _codes(rows, "arm", "block", "key")
        scope = _codes(rows, "key") if shared else _codes(rows, "arm", "key")
        _, value = np.unique(np.where(version.present, version.value, 0), return_inverse=True)
        values = int(value.max(initial=0)) + 1
        return cls(
            rows=rows,
            group=group,
            scope=scope,
            pair=np.unique(group * values + value, return_inverse=True)[1],
            lasting=np.unique(scope * values + value, return_inverse=True)[1],
            sent=sent,
            done=done,
            shown_version=version.among(reading & as_expected & sent.present & done.present),
            accepted=named & full & answered,
            open=named & ~(full & answered),
            unnamed=plain & answered,
            wild=(plain & went_out & ~answered) | (full & went_out & ~version.present),
        )

    def outcomes(self) -> tuple[np.ndarray, Numbers, Numbers]:
        """By row: its outcome, how many newer writes were acknowledged, and how long before its send, in ns, the first
        of them was. Rows of writes are unknown."""
        asked = np.flatnonzero(self.shown_version.present)
        sent, done = self.sent.value[asked], self.done.value[asked]
        group, pair = self.group[asked], self.pair[asked]
        accepted, begun = self.accepted, np.where(self.sent.present, self.sent.value, NEVER)

        acked = Timeline(self.group[accepted], self.done.value[accepted])
        latest = acked.most_before(begun[accepted], group, sent)  # the latest send among those acknowledged
        wrote = Timeline(self.pair[accepted], begun[accepted])
        shown = wrote.most_before(self.done.value[accepted], pair, done + 1)
        any_value = Timeline(self.group[self.unnamed], begun[self.unnamed])
        anything = any_value.most_before(self.done.value[self.unnamed], group, done + 1)
        original = self._originals(begun)[asked]
        # From here on no write of the shown value is under way. Where the latest acknowledged write wrote that very
        # value, its response came after its send, and nothing looks overtaken.
        over = np.maximum(
            np.where(shown.present, shown.value, NEVER), np.where(anything.present, anything.value, NEVER)
        )
        placed = shown.present | original
        overtaken = latest.present & placed & (latest.value > over)

        returns = _earliest(self.lasting[self.open], begun[self.open], self.lasting[asked]) <= done
        returns |= _earliest(self.scope[self.wild], begun[self.wild], self.scope[asked]) <= done
        just_open = Timeline(self.pair[self.open], begun[self.open]).most_before(begun[self.open], pair, done + 1)
        current = shown.present & (shown.value >= latest.value)
        current |= just_open.present & (just_open.value >= latest.value)

        stale = overtaken & ~returns & ~current
        foreign = latest.present & ~placed & ~returns & ~anything.present
        telling = ~self._of_foreign_routes(asked, foreign, latest.present & placed)
        outcome = np.full(len(self.rows), "unknown", dtype=object)
        outcome[asked[latest.present & current & telling]] = "fresh"
        outcome[asked[stale & telling]] = "stale"
        behind = np.zeros(len(self.rows), dtype=np.int64)
        behind[asked[stale]] = self._newer(acked, group[stale], over[stale], sent[stale])
        since = np.zeros(len(self.rows), dtype=np.int64)
        since[asked[stale]] = sent[stale] - self._first_newer(group[stale], over[stale])
        is_stale = outcome == "stale"
        return outcome, Numbers(behind, is_stale), Numbers(since, is_stale)

    def _originals(self, begun: np.ndarray) -> np.ndarray:
        """Mask of the rows that show the same as a read sent before the first write of its key."""
        written = self.accepted | self.open | self.unnamed | self.wild
        first = _earliest(self.group[written], begun[written], self.group)
        known = self.shown_version.present
        return _earliest(self.pair[known], self.sent.value[known], self.pair) < first

    def repeated(self) -> np.ndarray:
        """Mask of the writes that repeat an earlier value of their key, of this block or another."""
        value = np.flatnonzero(self.accepted | self.open)
        repeats = np.zeros(len(self.rows), dtype=bool)
        sent = self.sent.value[value]
        repeats[value] = sent > _earliest(self.lasting[value], sent, self.lasting[value])
        return repeats

    def _of_foreign_routes(self, asked: np.ndarray, foreign: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """Mask of the reads of routes that more often show a value that nobody wrote."""
        routes = _codes(self.rows, "arm", "route")[asked]
        count = int(routes.max(initial=-1)) + 1
        excess = np.bincount(routes[foreign], minlength=count) > np.bincount(routes[placed], minlength=count)
        return np.asarray(excess[routes], dtype=bool)

    def _first_newer(self, group: np.ndarray, over: np.ndarray) -> np.ndarray:
        """When the first accepted write sent after `over` was acknowledged; there is one."""
        sends = Timeline(self.group[self.accepted], self.sent.value[self.accepted])
        done = self.done.value[self.accepted][sends.order]
        of_group = self.group[self.accepted][sends.order]
        earliest = pd.Series(done[::-1]).groupby(of_group[::-1]).cummin().to_numpy()[::-1]
        return np.asarray(earliest[sends.before(group, over + 1)[1]], dtype=np.int64)

    def _newer(self, acked: Timeline, group: np.ndarray, over: np.ndarray, sent: np.ndarray) -> np.ndarray:
        """How many accepted writes were sent after `over`, and acknowledged before `sent`."""
        send, done = self.sent.value[self.accepted], self.done.value[self.accepted]
        sends = Timeline(self.group[self.accepted], send)
        start, stop = acked.before(group, sent)
        first, before = sends.before(group, over + 1)
        newer = (stop - start) - (before - first)
        # The first count lacks those sent before `over` and acknowledged after the read's send.
        last = sends.most_before(done, group, over + 1)
        done = done[sends.order]
        for row in np.flatnonzero(last.present & (last.value >= sent)).tolist():
            newer[row] += np.count_nonzero(done[first[row] : before[row]] >= sent[row])
        return newer


def _codes(rows: pd.DataFrame, *columns: str) -> np.ndarray:
    """A number for each combination of the columns, from 0 on."""
    code = np.zeros(len(rows), dtype=np.int64)
    for column in columns:
        codes, distinct = pd.factorize(rows[column])
        # Renumbered each time, so that the product of the columns stays small.
        code = np.unique(code * max(1, len(distinct)) + codes, return_inverse=True)[1].astype(np.int64)
    return code


def _earliest(places: np.ndarray, instants: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The earliest instant at each asked place; ALWAYS where there is none."""
    if not len(places):
        return np.full(len(asked), ALWAYS, dtype=np.int64)
    order = np.lexsort((instants, places))
    distinct, first = np.unique(places[order], return_index=True)
    index = np.searchsorted(distinct, asked).clip(max=len(distinct) - 1)
    return np.where(distinct[index] == asked, instants[order][first[index]], ALWAYS)


def last_before(group: np.ndarray, slot: np.ndarray, *wanted: np.ndarray) -> list[np.ndarray]:
    """For each mask, by row: the index of the last wanted row of its group in an earlier slot; -1 where there is
    none."""
    if not len(group):
        return [np.full(0, -1, dtype=np.int64) for _ in wanted]
    order = np.lexsort((slot, group))
    groups, slots = group[order], slot[order]
    place = np.arange(len(order))
    # Rows of one slot are neighbours: earlier slots end where theirs begins.
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (groups[1:] != groups[:-1]) | (slots[1:] != slots[:-1])
    begin = np.maximum.accumulate(np.where(begins, place, 0))
    versions = []
    for mask in wanted:
        last = np.maximum.accumulate(np.where(mask[order], place, -1))
        before = np.where(begin > 0, last[begin - 1], -1)
        rows = np.full(len(order), -1, dtype=np.int64)
        rows[order] = np.where((before >= 0) & (groups[before] == groups), order[before], -1)
        versions.append(rows)
    return versions

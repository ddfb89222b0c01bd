"""What was written to every key, in a form that rows of reads can be looked up in: arrays instead of loops.

A key's history is its writes in one block of one arm. A write counts as committed once it was acknowledged. Where no
acknowledgement came it was either rejected, and never committed (4xx), or not known: it may have been committed, or be
committed later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

NEVER, ALWAYS = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""Ends of a write: of a rejected one, which never was; of one without an answer, which may land at any later time."""
UNANSWERED = 408
"""The one status of 4xx that says nothing about a commit: the server stopped waiting."""


@dataclass(frozen=True)
class Numbers:
    """Whole numbers, and which of them are present."""

    value: np.ndarray
    present: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    def among(self, mask: np.ndarray) -> Numbers:
        return Numbers(self.value, self.present & mask)

    def series(self, index: pd.Index) -> pd.Series:
        return pd.Series(pd.arrays.IntegerArray(self.value.astype(np.int64), ~self.present), index=index)


def whole_numbers(column: pd.Series) -> Numbers:
    """The numbers of a column of any numeric kind; exact where the column's are, missing where it holds none."""
    if not pd.api.types.is_integer_dtype(column):
        column = pd.to_numeric(column.astype(object), errors="coerce")
    if pd.api.types.is_float_dtype(column):
        floats = column.to_numpy(dtype=float, na_value=np.nan)
        known = np.isfinite(floats) & (np.abs(floats) < 2.0**62)
        return Numbers(np.where(known, floats, 0).astype(np.int64), known)
    known = column.notna().to_numpy(dtype=bool)
    value = column.to_numpy(dtype=np.int64, na_value=0) if not known.all() else column.to_numpy(dtype=np.int64)
    return Numbers(value, known)


def truths(column: pd.Series) -> np.ndarray:
    """Which rows say yes; what is missing, or no truth value, doesn't."""
    if column.dtype == bool:
        return column.to_numpy()
    return np.array([value is True or value is np.True_ for value in column.tolist()], dtype=bool)


def at(values: np.ndarray, index: Numbers) -> np.ndarray:
    """`values` at the indices; anything where there is no index."""
    if not len(values):
        return np.zeros(len(index), dtype=values.dtype)
    return values[np.where(index.present, index.value, 0)]


class Histories:
    """The histories of some reads, for `reads` and `writes` with the columns of `luckyhit.records`.

    `group` gives each read its history; `write_*` are arrays over the writes, `version_*` over the distinct versions
    of each history. Indices of versions come from `find`.
    """

    def __init__(self, reads: pd.DataFrame, writes: pd.DataFrame) -> None:
        writes = writes[writes["version"].notna() & writes["sent_ns"].notna()]
        self.writes = writes
        self.group, group = _groups(reads, writes)
        self.groups = int(max(self.group.max(initial=-1), group.max(initial=-1))) + 1
        self.write_group = group
        self.write_version = whole_numbers(writes["version"]).value
        self.write_sent = whole_numbers(writes["sent_ns"]).value
        acked, status = whole_numbers(writes["acked_ns"]), whole_numbers(writes["status"])
        rejected = status.present & (status.value >= 400) & (status.value < 500) & (status.value != UNANSWERED)
        # A declared rejection is an answer as expected, and no acknowledgement.
        to_refuse = (writes["prestate"].astype(object) == "refused").to_numpy(dtype=bool)
        self.write_acked = acked.among(~(to_refuse & rejected))
        self.write_rejected = rejected & ~self.write_acked.present
        self._note_versions()
        self._note_commits()

    # The distinct versions of each history

    def _note_versions(self) -> None:
        self._versions, code = np.unique(self.write_version, return_inverse=True)
        place = self.write_group * max(1, len(self._versions)) + code
        self._places, self._first, of_write = np.unique(place, return_index=True, return_inverse=True)
        self.version_of_write = of_write
        acked = self.write_acked
        end = np.where(acked.present, acked.value, np.where(self.write_rejected, NEVER, ALWAYS))
        count = len(self._places)
        self.version = self.write_version[self._first]
        self.version_sent = _least(self.write_sent, of_write, count)
        self.version_end = _most(end, of_write, count)
        """When the last write of it was surely over: ALWAYS where that is not known."""
        answered = _least(np.where(acked.present, acked.value, ALWAYS), of_write, count)
        self.version_acked = Numbers(answered, _most(acked.present.astype(np.int64), of_write, count) == 1)
        self.version_rejected = _least(self.write_rejected.astype(np.int64), of_write, count) == 1
        self.version_prestate = self.writes["prestate"].astype(object).to_numpy()[self._first]
        self._oldest = _least(self.write_version, self.write_group, self.groups)

    def find(self, group: np.ndarray, version: Numbers) -> Numbers:
        """The index of each version in its history."""
        if not len(self._places):
            return Numbers(np.zeros(len(version), dtype=np.int64), np.zeros(len(version), dtype=bool))
        code = np.searchsorted(self._versions, version.value).clip(max=len(self._versions) - 1)
        place = group * len(self._versions) + code
        index = np.searchsorted(self._places, place).clip(max=len(self._places) - 1)
        known = (self._versions[code] == version.value) & (self._places[index] == place)
        return Numbers(index, version.present & known)

    def oldest(self, group: np.ndarray) -> Numbers:
        """The smallest version of each history: a smaller value is from before it."""
        oldest = self._oldest[group]
        return Numbers(oldest, oldest != ALWAYS)

    def may_land_late(self, reads: pd.DataFrame, shown: Numbers, asked: np.ndarray) -> np.ndarray:
        """Which of the `asked` rows show a value whose write, in any block, got no answer: it may land at any time."""
        late = np.zeros(len(reads), dtype=bool)
        lost = np.flatnonzero(self.version_end == ALWAYS)
        if len(lost):
            keys = self.writes["key"].to_numpy(dtype=object)[self._first[lost]]
            pairs = set(zip(keys.tolist(), self.version[lost].tolist(), strict=True))
            rows = np.flatnonzero(asked)
            read_keys = reads["key"].to_numpy(dtype=object)[rows].tolist()
            late[rows] = [pair in pairs for pair in zip(read_keys, shown.value[rows].tolist(), strict=True)]
        return late

    # What was committed by some instant

    def _note_commits(self) -> None:
        rows = np.flatnonzero(self.write_acked.present)
        self._commits = Timeline(self.write_group[rows], self.write_acked.value[rows])
        self._commit_version, self._commit_sent = self.write_version[rows], self.write_sent[rows]
        self.commit_version = self._commit_version[self._commits.order]

    def committed(self, group: np.ndarray, at_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The versions acknowledged before each instant, as a slice (from, to) of `commit_version`."""
        return self._commits.before(group, at_ns)

    def newest(self, group: np.ndarray, at_ns: np.ndarray) -> tuple[Numbers, Numbers]:
        """By each instant: the newest version acknowledged before it, and the latest send among those acknowledged."""
        return (
            self._commits.most_before(self._commit_version, group, at_ns),
            self._commits.most_before(self._commit_sent, group, at_ns),
        )


class Timeline:
    """Things that happened at some instant, in groups: what had happened in a group before another instant?

    `order` puts the things in the order of the slices that `before` gives.
    """

    def __init__(self, group: np.ndarray, at_ns: np.ndarray) -> None:
        self.order = np.lexsort((at_ns, group))
        self._group = group[self.order]
        self._instants, rank = np.unique(at_ns, return_inverse=True)
        self._stride = len(self._instants) + 1
        self._place = self._group * self._stride + rank[self.order]

    def before(self, group: np.ndarray, at_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(from, to): what happened in each group before each instant, not at it."""
        rank = np.searchsorted(self._instants, at_ns, side="left")
        start = np.searchsorted(self._place, group * self._stride)
        return start, np.searchsorted(self._place, group * self._stride + rank)

    def most_before(self, values: np.ndarray, group: np.ndarray, at_ns: np.ndarray) -> Numbers:
        """The largest of the `values` (one for each thing) before each instant; missing where nothing had happened."""
        start, stop = self.before(group, at_ns)
        some = stop > start
        if not len(self.order):
            return Numbers(np.zeros(len(group), dtype=np.int64), some)
        running = pd.Series(values[self.order]).groupby(self._group).cummax().to_numpy()
        return Numbers(running[np.where(some, stop - 1, 0)], some)


def _groups(reads: pd.DataFrame, writes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """A number for each (arm, block, key), for the rows of both frames."""
    code = np.zeros(len(reads) + len(writes), dtype=np.int64)
    for column in ("arm", "block", "key"):
        values = np.concatenate([frame[column].astype(object).to_numpy() for frame in (reads, writes)])
        codes, distinct = pd.factorize(values, use_na_sentinel=False)
        # Renumbered each time, so that the product of the columns stays small.
        code = np.unique(code * max(1, len(distinct)) + codes, return_inverse=True)[1].astype(np.int64)
    return code[: len(reads)], code[len(reads) :]


def _least(values: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    least = np.full(count, ALWAYS, dtype=np.int64)
    np.minimum.at(least, index, values)
    return least


def _most(values: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    most = np.full(count, NEVER, dtype=np.int64)
    np.maximum.at(most, index, values)
    return most

"""Order statistics of many whole numbers without sorting them: values are counted in narrow bins, and only those of the
bins that somebody asks for are picked out and sorted. The answers are those of sorting all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from luckyhit.records import nearest_rank

BIN_BITS = 14
"""Of nanoseconds: 16 µs."""
MANY = 1 << 16
"""Fewer values are simply sorted."""
BESIDE = 0.005
"""Of all ranks: on both sides of those that are asked for, what is picked out with them, since they are asked next."""


class BinCounts:
    """How many values (int32) are in each bin."""

    def __init__(self) -> None:
        self._counts = np.zeros(1 << (32 - BIN_BITS), dtype=np.int64)

    def add(self, values: np.ndarray) -> None:
        if len(values):
            low = int(values.min()) >> BIN_BITS
            counted = np.bincount((values >> BIN_BITS) - np.int32(low))
            first = low + len(self._counts) // 2
            self._counts[first : first + len(counted)] += counted

    def upto(self) -> tuple[int, np.ndarray]:
        """(the lowest bin with a value, how many values there are below each bin from there on, and in all)."""
        used = np.flatnonzero(self._counts)
        if not len(used):
            return 0, np.zeros(1, dtype=np.int64)
        counts = self._counts[used[0] : used[-1] + 1]
        return int(used[0]) - len(self._counts) // 2, np.concatenate([[0], np.cumsum(counts)])


class OrderStatistics:
    """`parts`: gives the values (int32, or floats without NaN), part by part, as often as it is called; `size`: how
    many there are; `counts`: of int32; `quantiles`: those that will be asked for."""

    def __init__(
        self,
        parts: Callable[[], Iterator[np.ndarray]],
        size: int,
        counts: BinCounts | None = None,
        quantiles: Sequence[float] = (),
    ) -> None:
        self._parts, self._size = parts, size
        self._ranked: dict[int, np.ndarray] = {}
        self._low, self._upto = 0, np.array([0, size])
        if counts is None or size < max(MANY, 1):
            self._ranked[0] = np.sort(np.concatenate([*parts()])) if size else np.zeros(0)
        else:
            self._low, self._upto = counts.upto()
            self._rank(np.array([nearest_rank(quantile, size) for quantile in quantiles], dtype=np.int64))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, rank: int | np.ndarray) -> np.ndarray:
        """The values at these ranks, from 0 on."""
        ranks = np.asarray(rank)
        bins = self._bin_of(ranks)
        needed = np.unique(bins)
        if not all(number in self._ranked for number in needed.tolist()):
            self._rank(ranks)
        values = np.empty(ranks.shape, dtype=next(iter(self._ranked.values())).dtype)
        for number in needed.tolist():
            here = bins == number
            values[here] = self._ranked[number][ranks[here] - self._upto[number]]
        return values

    def _bin_of(self, ranks: np.ndarray) -> np.ndarray:
        return np.asarray(np.searchsorted(self._upto, ranks, side="right") - 1)

    def _rank(self, ranks: np.ndarray) -> None:
        """Pick out and sort the bins of these ranks, with what lies beside them."""
        wanted = np.zeros(len(self._upto) - 1, dtype=bool)
        beside = int(BESIDE * self._size)
        lowest, highest = np.maximum(ranks - beside, 0), np.minimum(ranks + beside, self._size - 1)
        for first, last in zip(self._bin_of(lowest).tolist(), self._bin_of(highest).tolist(), strict=True):
            wanted[first : last + 1] = True
        wanted[list(self._ranked)] = False
        picked = [values[wanted[(values >> BIN_BITS) - np.int32(self._low)]] for values in self._parts()]
        whole, first = np.sort(np.concatenate(picked)), 0
        for number in np.flatnonzero(wanted).tolist():
            size = int(self._upto[number + 1] - self._upto[number])
            self._ranked[number] = whole[first : first + size]
            first += size

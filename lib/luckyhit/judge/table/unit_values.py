"""What the requests of one arm count as, part by part and unit by unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from luckyhit.judge.stats.order_statistics import BinCounts, OrderStatistics
from luckyhit.judge.table.column_forms import Column, SinceDue
from luckyhit.judge.table.rows import NS_PER_MS, RequestTable
from luckyhit.judge.table.samples import Groups, Side


@dataclass(frozen=True, slots=True)
class UnitSums:
    """By unit, the sum of its visible values (`total`) and how many there are (`rows`); how many in all (`count`)."""

    total: np.ndarray
    rows: np.ndarray
    count: int


class UnitValues:
    """The values of one arm by their order: visible ones (see `OrderStatistics`), by unit. `values`: one for each row,
    or a function that makes those of some rows; latencies may also be whole nanoseconds, others are milliseconds."""

    def __init__(self, values: Column | Callable[[RequestTable], Column], side: Side) -> None:
        self._values, self._side = values, side
        self.count, self.rows, in_ns = 0, np.zeros(len(side.block), dtype=np.int64), True
        self._counts = BinCounts()
        for column, units in self._columns():
            known = _known(column)
            count = int(np.count_nonzero(known))
            self.rows += units.counts(known) if count < len(known) else units.sizes
            self.count += count
            if isinstance(column, SinceDue):
                self._counts.add(column.ns if count == len(known) else column.ns[known])
            else:
                in_ns = False
        self._in_ns, self.scale = in_ns, NS_PER_MS if in_ns else 1.0

    def _columns(self) -> Iterator[tuple[Column, Groups]]:
        if callable(self._values):
            for rows, units in self._side.parts():
                yield self._values(rows), units
            return
        for first, stop, units in self._side.units.parts():
            whole = self._values
            yield whole.part(first, stop) if isinstance(whole, SinceDue) else whole[first:stop], units

    def parts(self) -> Iterator[tuple[np.ndarray, np.ndarray, Groups]]:
        """(values, which of them are visible, their units)."""
        for column, units in self._columns():
            known = _known(column)
            if isinstance(column, SinceDue):
                yield column.ns if self._in_ns else column.ns / NS_PER_MS, known, units
            else:
                yield column, known, units

    def _visible(self) -> Iterator[np.ndarray]:
        for values, known, _ in self.parts():
            yield values if known.all() else values[known]

    def in_order(self, quantiles: Sequence[float]) -> OrderStatistics:
        return OrderStatistics(self._visible, self.count, self._counts if self._in_ns else None, quantiles)

    def above(self, limits: Sequence[float]) -> list[np.ndarray]:
        """How many visible values of each unit are greater than each of some values."""
        above = [np.zeros(len(self._side.block), dtype=np.int64) for _ in limits]
        for values, known, units in self.parts():
            for counts, limit in zip(above, limits, strict=True):
                counts += units.counts((values > limit) & known)
        return above

    def by_class(self, class_of: np.ndarray, classes: int) -> list[np.ndarray]:
        """The visible values of each class of units. `class_of`: that of each unit."""
        by_class: list[list[np.ndarray]] = [[] for _ in range(classes)]
        for values, known, units in self.parts():
            own = class_of[units.index]
            for number in np.unique(own).tolist():
                by_class[number].append(values[known & (own == number)])
        return [np.concatenate(parts) if parts else np.zeros(0) for parts in by_class]


def _known(column: Column) -> np.ndarray:
    return column.present if isinstance(column, SinceDue) else np.isfinite(column)

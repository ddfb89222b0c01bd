"""From recorded tables to a RequestTable, whatever is in them.

`rows_of` takes a frame; `rows_of_parts` takes the part files of a long run one after the other, and keeps only what the
judge needs: a frame of all of them would take twenty times the memory. Both give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from luckyhit.judge.table.forms import Kept
from luckyhit.judge.table.frame_columns import JUDGED, as_they_come, identities, rows_of
from luckyhit.judge.table.part_columns import TEXTS, Words, columns_of
from luckyhit.judge.table.row_order import shared
from luckyhit.judge.table.rows import ARMS, Columns, RequestTable
from luckyhit.judge.table.slabs import GROUPED, Scratch, Slab, a_stretch
from luckyhit.records import REQUESTS

Group = tuple[bool, int]
"""Whether it was measured, and the code of the arm."""


def rows_of_parts(parts: Iterable[pa.Table]) -> RequestTable:
    """The same, from tables with the columns of `records.REQUESTS` (JUDGED are enough), one after the other. A block is
    put in order as soon as it is over."""
    coming = _Coming()
    for part in parts:
        for batch in part.to_batches():
            coming.add(columns_of(batch))
    return coming.all()


class _Coming:
    """Rows on their way: as they came, of the block under way, and the stretches of those that are over."""

    def __init__(self) -> None:
        self._block: int | None = None
        self._slabs: dict[Group, list[Slab]] = {}
        self._free: list[Slab] = []
        self._scratch = Scratch()
        self._stretches: dict[tuple[bool, int, int], dict[str, Kept]] = {}
        self._words = {name: Words() for name in TEXTS}

    def add(self, columns: dict[str, Any]) -> None:
        for name, words in self._words.items():
            columns[name] = words.codes(columns[name])
        block, arm, measured = (columns.pop(name) for name in GROUPED)
        runs = [0, *(np.flatnonzero(block[1:] != block[:-1]) + 1).tolist(), len(block)]
        for first, stop in pairwise(runs):
            if stop > first:
                self._begin(int(block[first]))
            for phase in (False, True):
                for code in range(-1, len(ARMS)):
                    own = (measured[first:stop] == phase) & (arm[first:stop] == code)
                    if count := int(np.count_nonzero(own)):
                        rows = slice(None) if count == len(block) else np.flatnonzero(own) + first
                        self._put((phase, code), columns, rows, count)

    def _begin(self, block: int) -> None:
        if self._block is not None and self._block != block:
            self._put_in_order()
        self._block = block

    def _put(self, group: Group, columns: dict[str, Any], rows: slice | np.ndarray, count: int) -> None:
        slabs = self._slabs.setdefault(group, [])
        if not slabs or not slabs[-1].fits(columns, count):
            usable = next((slab for slab in self._free if slab.fits(columns, count)), None)
            if usable is not None:
                self._free.remove(usable)
            slabs.append(usable or Slab(columns, count))
        slabs[-1].add(columns, rows, count)

    def _put_in_order(self) -> None:
        for phase, code in sorted(self._slabs):
            slabs = self._slabs.pop((phase, code))
            key = phase, code, int(self._block or 0)
            batches = [slab.columns for slab in slabs]
            if key in self._stretches:
                # The block seemed to be over: what came before is the first again.
                batches.insert(0, _unpacked(self._stretches[key]))
            same = dict(zip(GROUPED, (key[2], code, phase), strict=True))
            other = self._stretches.get((phase, code - 1, key[2]), {}) if code > 0 else {}
            self._stretches[key] = shared(a_stretch(batches, same, self._scratch), other)
            self._free += [slab.emptied() for slab in slabs]

    def all(self) -> RequestTable:
        self._put_in_order()
        if not self._stretches:
            return rows_of(REQUESTS.empty_table().to_pandas())
        self._free.clear()
        pa.default_memory_pool().release_unused()
        stretches = [self._stretches.pop(key) for key in sorted(self._stretches)]
        return RequestTable(*stretches, routes=self._words["route"].names)


def _unpacked(columns: Columns) -> dict[str, Any]:
    rows = RequestTable(columns)
    return {name: rows.column(name) for name in columns if name not in GROUPED}


__all__ = ["JUDGED", "as_they_come", "identities", "rows_of", "rows_of_parts"]

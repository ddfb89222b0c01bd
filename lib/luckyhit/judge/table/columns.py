"""From recorded tables to a RequestTable, whatever is in them.

`rows_of` takes a frame; `rows_of_parts` takes the part files of a long run one after the other, and keeps only what the
judge needs: a frame of all of them would take twenty times the memory. Both give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from luckyhit.judge.table.column_forms import Kept, picked
from luckyhit.judge.table.frame_columns import JUDGED, as_they_come, identities, rows_of
from luckyhit.judge.table.groups import run_starts
from luckyhit.judge.table.part_columns import TEXTS, KnownTexts, columns_of
from luckyhit.judge.table.row_order import shared
from luckyhit.judge.table.rows import ARMS, Columns, RequestTable
from luckyhit.judge.table.slabs import GROUPED, Batch, Picked, Scratch, Slab, a_stretch
from luckyhit.records import REQUESTS

MOST, LATEST = 3 << 17, 1 << 16
"""Rows of one phase of the block under way that are kept as they came; and slots, the latest ones, that stay so."""
Group = tuple[bool, int]
"""Whether it was measured, and the code of the arm."""
GROUPS: tuple[Group, ...] = tuple((phase, code) for phase in (False, True) for code in range(-1, len(ARMS)))
Place = tuple[bool, int, int]
"""The same, and the block."""


def rows_of_parts(parts: Iterable[pa.Table]) -> RequestTable:
    """The same, from tables with the columns of `records.REQUESTS` (JUDGED are enough), one after the other. A block is
    put in order as soon as it is over."""
    coming = Coming()
    coming.extend(parts)
    return coming.all()


class Coming:
    """Rows on their way: as they came, of the block under way, and the stretches of what is surely over. A row whose
    place has gone by (an answer that took very long, a block that goes on in a later file) is put there at the end of
    its block: then all of its arm are put in order anew."""

    def __init__(self) -> None:
        self._block = 0
        self._slabs: dict[Group, list[Slab]] = {}
        self._free: list[Slab] = []
        self._scratch = Scratch()
        self._stretches: dict[Place, list[dict[str, Kept]]] = {}
        self._gone_by: dict[Place, list[Batch]] = {}
        self._words = {name: KnownTexts() for name in TEXTS}

    def extend(self, parts: Iterable[pa.Table]) -> None:
        """More rows, from tables with the columns of `records.REQUESTS`."""
        for part in parts:
            for batch in part.to_batches():
                self._add(columns_of(batch))

    def _add(self, columns: dict[str, Any]) -> None:
        for name, words in self._words.items():
            columns[name] = words.codes(columns[name])
        block, arm, measured = (columns.pop(name) for name in GROUPED)
        for first, stop in pairwise([*run_starts(block).tolist(), len(block)]):
            if int(block[first]) != self._block:
                self._end_block()
                self._block = int(block[first])
            for group in GROUPS:
                own = (measured[first:stop] == group[0]) & (arm[first:stop] == group[1])
                if count := int(np.count_nonzero(own)):
                    rows = slice(None) if count == len(block) else np.flatnonzero(own) + first
                    self._put(group, columns, rows, count)
        for phase in (False, True):
            if sum(slab.size for group, slabs in self._slabs.items() if group[0] == phase for slab in slabs) > MOST:
                self._cut_off(phase)

    def _put(self, group: Group, columns: Batch, rows: slice | np.ndarray, count: int) -> None:
        slabs = self._slabs.setdefault(group, [])
        if not slabs or not slabs[-1].fits(columns, count):
            usable = next((slab for slab in self._free if slab.fits(columns, count)), None)
            if usable is not None:
                self._free.remove(usable)
            slabs.append(usable or Slab(columns, count))
        slabs[-1].add(columns, rows, count)

    def _cut_off(self, phase: bool) -> None:
        """Put the rows of both arms in order, but for those of the latest slots: more of these may come."""
        groups = [group for group in GROUPS if group[0] == phase and group in self._slabs]
        edge = max(int(slab.columns["slot"].max()) for group in groups for slab in self._slabs[group]) - LATEST
        for group in groups:
            slabs, over = self._slabs.pop(group), list[Batch]()
            for slab in slabs:
                early = slab.columns["slot"] < edge
                over.append(Picked(slab.columns, np.flatnonzero(early)))
                if left := len(early) - int(np.count_nonzero(early)):
                    self._put(group, slab.columns, np.flatnonzero(~early), left)
            self._put_in_order(group, over)
            self._free += [slab.emptied() for slab in slabs]

    def _put_in_order(self, group: Group, batches: Sequence[Batch]) -> None:
        place = *group, self._block
        stretches = self._stretches.setdefault(place, [])
        if stretches:
            done = int(np.asarray(picked(stretches[-1]["slot"], np.array([len(stretches[-1]["slot"]) - 1])))[0])
            late = [np.flatnonzero(batch["slot"] <= done) for batch in batches]
            # Copies: the slabs behind these batches are filled anew before the block ends.
            gone = [
                {name: picked(column, rows) for name, column in batch.items()}
                for batch, rows in zip(batches, late, strict=True)
                if len(rows)
            ]
            if gone:
                self._gone_by.setdefault(place, []).extend(gone)
                batches = [Picked(batch, np.flatnonzero(batch["slot"] > done)) for batch in batches]
        batches = [batch for batch in batches if len(batch["slot"])]
        if batches:
            beside = self._stretches.get((group[0], group[1] - 1, self._block), ()) if group[1] > 0 else ()
            other = beside[len(stretches)] if len(beside) > len(stretches) else {}
            stretches.append(shared(self._stretch(place, batches), other))

    def _stretch(self, place: Place, batches: Sequence[Batch]) -> dict[str, Kept]:
        return a_stretch(batches, dict(zip(GROUPED, (place[2], place[1], place[0]), strict=True)), self._scratch)

    def _end_block(self) -> None:
        for group in sorted(self._slabs):
            slabs = self._slabs.pop(group)
            self._put_in_order(group, [slab.columns for slab in slabs])
            self._free += [slab.emptied() for slab in slabs]
        for place, gone in self._gone_by.items():
            whole = [_unpacked(stretch) for stretch in self._stretches[place]]
            self._stretches[place] = [self._stretch(place, [*whole, *gone])]
        self._gone_by.clear()
        pa.default_memory_pool().release_unused()

    def all(self) -> RequestTable:
        """All rows that came; more may come later."""
        self._end_block()
        self._free.clear()
        if not self._stretches:
            return rows_of(REQUESTS.empty_table().to_pandas())
        stretches = [stretch for place in sorted(self._stretches) for stretch in self._stretches[place]]
        return RequestTable(*stretches, routes=self._words["route"].names)


def _unpacked(columns: Columns) -> Batch:
    rows = RequestTable(columns)
    return {name: rows.column(name) for name in columns if name not in GROUPED}


__all__ = ["JUDGED", "Coming", "as_they_come", "identities", "rows_of", "rows_of_parts"]

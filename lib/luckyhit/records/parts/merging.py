"""All part files of a block as one, once the block is over.

While a block is measured, its rows are written each second, so that a crash costs no more than that: many small files.
Merged, in the order of the schedule, with instants as durations (see `times`) and each column in the encoding that suits
it, a row takes half the room. What can't be merged stays as it is: the parts are read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from luckyhit.atomic import replacing
from luckyhit.records.parquet import MERGED_VERSION, encodings_of, in_part_schema
from luckyhit.records.parts.names import merged_name, part_number, prefix_of
from luckyhit.records.parts.times import with_durations

ROWS_AT_ONCE = 1 << 17
"""Rows of one row group: some 17 MB in memory."""


class _Unmerged(Exception):
    """They stay as they are."""


def merge_parts(
    folder: Path, block: int, worker: int = 0, *, stopped: Callable[[], bool] = lambda: False
) -> Path | None:
    """Merge what one process recorded of a block. Returns the merged file's path; None if nothing was merged: there is
    nothing, part files are missing or damaged, there is no room, or it was `stopped` in the middle."""
    prefix = prefix_of(block, worker)
    parts = sorted(
        (number, path)
        for path in folder.glob(f"{prefix}-part-*.parquet")
        if (number := part_number(path, prefix)) is not None
    )
    if not parts or [number for number, _ in parts] != list(range(len(parts))):
        return None
    merged = folder / f"{merged_name(prefix, 0, len(parts) - 1)}.parquet"
    try:
        with replacing(merged) as temporary:
            _write(temporary, folder, [path for _, path in parts], stopped)
    except (OSError, pa.ArrowException, _Unmerged):
        return None
    for _, path in parts:
        with suppress(OSError):  # the merged file counts
            path.unlink()
    return merged


def _write(temporary: Path, folder: Path, parts: list[Path], stopped: Callable[[], bool]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for rows in _groups(parts):
            if stopped():
                raise _Unmerged
            group = in_part_schema(with_durations(_by_slot(rows)), folder, MERGED_VERSION)
            if writer is None:
                writer = pq.ParquetWriter(temporary, group.schema, compression="zstd", **encodings_of(group))
            writer.write_table(group, row_group_size=ROWS_AT_ONCE)
    finally:
        if writer is not None:
            writer.close()


def _groups(parts: list[Path]) -> Iterator[pa.Table]:
    """The rows of the part files, as many at a time as make a row group."""
    waiting: list[pa.Table] = []
    count = 0
    for path in parts:
        with pq.ParquetFile(path) as part:
            waiting.append(part.read(use_threads=False))
        count += len(waiting[-1])
        while count >= ROWS_AT_ONCE:
            rows = pa.concat_tables(waiting)
            yield rows.slice(0, ROWS_AT_ONCE)
            waiting, count = [rows.slice(ROWS_AT_ONCE)], count - ROWS_AT_ONCE
    if count or not parts:
        yield pa.concat_tables(waiting)


def _by_slot(rows: pa.Table) -> pa.Table:
    """In the order of the schedule: arms of one slot have the same due time. Instants of neighbours are alike then."""
    rows = rows.unify_dictionaries().combine_chunks()
    arm = rows["arm"].chunk(0).indices.to_numpy()
    order: NDArray[np.intp] = np.lexsort((arm, rows["slot"].to_numpy()))
    return rows.take(pa.array(order))

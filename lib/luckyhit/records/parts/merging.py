"""All part files of a block as one, once the block is over.

While a block is measured, its rows are written each second, so that a crash costs no more than that: many small files.
Merged, in the order of the schedule and with each column in the encoding that suits it, a row takes little more than
half the room. What can't be merged stays as it is: the parts are read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from luckyhit.atomic import replacing
from luckyhit.records.parquet import DURATIONS_VERSION, has_durations, in_part_schema
from luckyhit.records.parts.names import merged_name, part_number, prefix_of
from luckyhit.records.parts.times import DURATIONS, with_durations

ROWS_AT_ONCE = 1 << 16
"""Rows of one row group: some 8 MB in memory. Twice as many take 0.2 bytes a row less."""
_LOOKED_AT = 8192
"""Rows that tell whether a column's values repeat."""


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
    except (OSError, KeyError, pa.ArrowException, _Unmerged):  # KeyError: other columns
        return None
    for _, path in parts:
        with suppress(OSError):  # the merged file counts
            path.unlink()
    return merged


def _write(temporary: Path, folder: Path, parts: list[Path], stopped: Callable[[], bool]) -> None:
    writer: pq.ParquetWriter | None = None
    groups = map(_by_slot, _groups(parts))  # nobody holds on to rows that are in order by now
    try:
        while (rows := next(groups, None)) is not None:
            if stopped():
                raise _Unmerged
            rows = in_part_schema(rows, folder, DURATIONS_VERSION)
            if writer is None:
                writer = pq.ParquetWriter(temporary, rows.schema, compression="zstd", **_encodings(rows))
            writer.write_table(rows, row_group_size=ROWS_AT_ONCE)
    finally:
        if writer is not None:
            writer.close()


def _encodings(rows: pa.Table) -> dict[str, Any]:
    """How columns take the least room, as arguments of pyarrow's writer. Values that repeat are numbered (texts
    always): statuses, sizes and hashes of bodies. Of durations the upper bytes are alike, and compress well if they
    stand together. The arms of a slot have one due time: the compressor sees that best in plain numbers."""
    some = rows.slice(0, _LOOKED_AT)
    encodings: dict[str, str] = dict.fromkeys((*DURATIONS.values(), "connection"), "BYTE_STREAM_SPLIT")
    of_pairs = 4 * pc.count_distinct(some["due_ns"]).as_py() < 3 * len(some)
    encodings |= {"slot": "DELTA_BINARY_PACKED", "due_ns": "PLAIN" if of_pairs else "DELTA_BINARY_PACKED"}
    repeated = [
        field.name
        for field in rows.schema
        if field.name not in encodings
        and (not pa.types.is_primitive(field.type) or 2 * pc.count_distinct(some[field.name]).as_py() <= len(some) + 1)
    ]
    return {"use_dictionary": repeated, "column_encoding": encodings, "compression_level": 6}


def _groups(parts: list[Path]) -> Iterator[pa.Table]:
    """The rows of the part files, as many at a time as make a row group."""
    waiting: list[pa.Table] = []
    count = 0
    for path in parts:
        with pq.ParquetFile(path) as part:
            rows = part.read(use_threads=False)
        waiting.append(rows if has_durations(rows.schema.metadata) else with_durations(rows))
        count += len(rows)
        while count >= ROWS_AT_ONCE:
            rows = pa.concat_tables(waiting)
            waiting, count = [rows.slice(ROWS_AT_ONCE)], count - ROWS_AT_ONCE
            yield rows.slice(0, ROWS_AT_ONCE)
    if count:
        yield pa.concat_tables(waiting)


def _by_slot(rows: pa.Table) -> pa.Table:
    """In the order of the schedule: arms of one slot have the same due time. Instants of neighbours are alike then."""
    rows = rows.unify_dictionaries()
    arm = np.concatenate([chunk.indices.to_numpy() for chunk in rows["arm"].chunks])
    order: NDArray[np.intp] = np.lexsort((arm, rows["slot"].to_numpy()))
    return rows.take(pa.array(order))

"""Part files: the Parquet files that tables are made of, written as a whole, and looked at before they are read.

A part file says which schema version it was written in, and which run it belongs to. One of a newer version, of another
run, or with columns that are not those of `luckyhit.records` is refused with its name: half understood, its rows would
be taken for something else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from luckyhit import records
from luckyhit.errors import RunUnreadable
from luckyhit.records import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd  # imported where it is needed: the load engine, which never does, starts for each block

T = TypeVar("T")
Table = Literal["requests", "writes", "reads", "counters", "events"]
SCHEMAS: dict[str, pa.Schema] = {
    "requests": records.REQUESTS,
    "writes": records.WRITES,
    "reads": records.READS,
    "counters": records.COUNTERS,
    "events": records.EVENTS,
}
PART_SCHEMA, PART_RUN = b"luckyhit.schema", b"luckyhit.run"
"""What a part file says of itself, beside its columns: its schema version, and the run that it belongs to."""
_FOREIGN = "Put the file back as it was measured, or move it away if it is not of this run: luckyhit.records has the "
_FOREIGN += "columns of each table, with their types."


def write_part(directory: Path, name: str, table: pa.Table) -> Path:
    """Write one Parquet part file: under a temporary name first, so that a crash leaves no half of one."""
    final = directory / f"{name}.parquet"
    temporary = directory / f".{name}.{os.getpid()}.tmp"
    # Numbers seldom repeat: a dictionary of them costs as much time as all the rest.
    repeated = [field.name for field in table.schema if not pa.types.is_primitive(field.type)]
    told = {PART_SCHEMA: str(SCHEMA_VERSION), PART_RUN: directory.absolute().parent.name}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **told})
    pq.write_table(table, temporary, compression="zstd", use_dictionary=repeated)
    temporary.replace(final)
    return final


def part_files(folder: Path) -> list[Path]:
    """In the order of their names; none where there is no such directory. Raises RunUnreadable."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".parquet")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunUnreadable(
            f"{folder.name}/ of {folder.parent.name} can't be listed: {error.strerror or error}",
            hint="It has to be a directory that you may read, with the part files in it.",
        ) from None


def refuse_foreign(about: pq.FileMetaData, table: Table, name: str, owner: str) -> str:
    """Look at what a part file says it is, before its rows are read. Returns the run that it belongs to, empty where it
    doesn't say. Raises RunUnreadable for one of a newer version, of another run than `owner`, or with other columns."""
    told = about.metadata or {}
    version = told.get(PART_SCHEMA, b"1").decode("ascii", "replace")
    if not version.isdecimal() or len(version) > 9:
        raise RunUnreadable(f"{name} has no schema version, but {version[:20]!r}", hint=_FOREIGN)
    if int(version) > SCHEMA_VERSION:
        raise RunUnreadable(
            f"{name} was written by a newer version (schema {version}, this one reads {SCHEMA_VERSION})",
            hint="Update Lucky Hit and try again.",
        )
    run = told.get(PART_RUN, b"").decode("utf-8", "replace")
    if run and owner and run != owner:
        raise RunUnreadable(
            f"{name} belongs to another run ({run[:60]})",
            hint="Move it back to where it came from: rows of two runs can't be judged together.",
        )
    written = about.schema.to_arrow_schema()
    problems = []
    for field in SCHEMAS[table]:
        found = written.get_all_field_indices(field.name)
        if not found and f"{table}.{field.name}" not in records.MAY_LACK:
            problems.append(f"no column {field.name}")
        elif len(found) > 1:
            problems.append(f"{len(found)} columns {field.name}")
        elif found and not _fits(written.field(found[0]).type, field):
            problems.append(f"{written.field(found[0]).type} in its column {field.name}, not {_kind(field.type)}")
    if problems:
        more = f", and {len(problems) - 3} more faults" if problems[3:] else ""
        raise RunUnreadable(f"{name} has {'; '.join(problems[:3])}{more}", hint=_FOREIGN)
    return run


def _kind(dtype: pa.DataType) -> str:
    dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    if pa.types.is_integer(dtype):
        return "whole numbers"
    if pa.types.is_floating(dtype):
        return "numbers"
    if pa.types.is_boolean(dtype):
        return "truth values"
    return "text" if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) else str(dtype)


def _fits(written: pa.DataType, field: pa.Field) -> bool:
    """Whether values of this type are what the field holds; the width of numbers is the writer's choice. A column of
    nothing but nulls has no type of its own."""
    if pa.types.is_null(written):
        return bool(field.nullable)
    kind = _kind(field.type)
    return _kind(written) == kind or (kind == "numbers" and _kind(written) == "whole numbers")


def read_part(
    path: Path, about: pq.FileMetaData, schema: pa.Schema, wanted: Sequence[str] | None
) -> Iterator[pa.Table]:
    """One part file in its schema, group of rows by group; in the wanted columns, or as a whole."""
    if wanted is None:
        yield pq.read_table(path, schema=schema)
        return
    columns, written = [name for name in schema.names if name in wanted], about.schema.to_arrow_schema()
    texts = [name for name in columns if pa.types.is_string(schema.field(name).type)]
    for name in texts:
        field = schema.field(name)
        schema = schema.set(schema.get_field_index(name), field.with_type(pa.dictionary(pa.int32(), field.type)))
    # What somebody else wrote may lack a column, or hold smaller numbers in it: more work, so only where it is.
    if all(name in written.names and _alike(written.field(name), schema.field(name)) for name in columns):
        with pq.ParquetFile(path, metadata=about, read_dictionary=texts) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns, use_threads=False)
        return
    there = [name for name in texts if name in written.names]
    yield pq.read_table(path, schema=schema, columns=columns, read_dictionary=there)


def read_parts(folder: Path, table: Table, columns: Sequence[str] | None, owner: str) -> Iterator[pa.Table]:
    """The part files of one table of a run, one after the other; `owner`: the run that they have to belong to, empty
    where nobody knows. Raises RunUnreadable where one is damaged or foreign."""
    for path in part_files(folder):
        name = f"{table}/{path.name} of {folder.parent.name}"
        try:
            about = pq.read_metadata(path)
            owner = refuse_foreign(about, table, name, owner) or owner
            yield from read_part(path, about, SCHEMAS[table], columns)
        except (OSError, pa.ArrowException) as error:
            raise RunUnreadable(
                f"{name} can't be read: {error}",
                hint="Move the damaged part away; what remains can be judged, and is marked incomplete.",
            ) from None


def row_count(folder: Path) -> int:
    """How many rows the part files say they have; those that can't be read say nothing."""
    rows = 0
    try:
        for path in part_files(folder):
            with suppress(OSError, pa.ArrowException):
                rows += pq.read_metadata(path).num_rows
    except RunUnreadable:
        return 0
    return rows


def counters_by_block(folder: Path) -> pd.DataFrame:
    """The counters of all part files with the number of their `block`, which the files' names tell; files that tell
    none are left out. Raises RunUnreadable where one is damaged."""
    import pandas as pd

    frames = [SCHEMAS["counters"].empty_table().to_pandas().assign(block=0)]
    for path in part_files(folder):
        if (number := re.match(r"block-(\d+)", path.name)) is None:
            continue
        try:
            part = pq.read_table(path, schema=SCHEMAS["counters"]).to_pandas()
        except (OSError, pa.ArrowException) as error:
            name = f"counters/{path.name} of {folder.parent.name}"
            raise RunUnreadable(f"{name} can't be read: {error}") from None
        frames.append(part.astype({"arm": object, "name": object}).assign(block=int(number[1])))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def nullable_integers(dtype: pa.DataType) -> Any:
    """Columns that may hold nulls keep whole numbers: a nanosecond must not pass through a float."""
    import pandas as pd

    return {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}.get(dtype)


def _alike(written: pa.Field, wanted: pa.Field) -> bool:
    """Of the same type; whatever numbers the words of a dictionary have."""
    one, other = written.type, wanted.type
    if pa.types.is_dictionary(one) and pa.types.is_dictionary(other):
        one, other = one.value_type, other.value_type
    return bool(one == other)


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same, made in a thread of its own: the next one while somebody works on this one."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item

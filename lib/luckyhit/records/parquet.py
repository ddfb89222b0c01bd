"""Part files: the Parquet files that tables are made of. All of them are written and read here.

A part file says which schema version it was written in, and which run it belongs to. One of a newer version, of another
run, or with columns that are not those of `luckyhit.records` is refused with its name: half understood, its rows would
be taken for something else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from luckyhit.atomic import replacing
from luckyhit.errors import RunUnreadable
from luckyhit.records.parts.names import without_merged
from luckyhit.records.parts.times import schema_with_instants, stored, with_durations, with_instants
from luckyhit.records.schemas import MAY_LACK, SCHEMAS, Table
from luckyhit.records.vocabulary import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd  # imported where it is needed: the load engine, which never does, starts for each block

# Arrow's own allocator keeps what it gave up; here, a tenth of all that judging a long run takes.
pa.set_memory_pool(pa.system_memory_pool())

T = TypeVar("T")
PART_SCHEMA, PART_RUN = b"luckyhit.schema", b"luckyhit.run"
"""What a part file says of itself, beside its columns: its schema version, and the run that it belongs to."""
DURATIONS_VERSION = 2
"""The version of a part file that keeps instants as durations (luckyhit.records.parts)."""
AT_ONCE = 1 << 15
_BLOCK = re.compile(r"block-(\d+)")
_FOREIGN = "Put the file back as it was measured, or move it away if it is not of this run: luckyhit.records has the "
_FOREIGN += "columns of each table, with their types."


def write_part(directory: Path, name: str, table: pa.Table) -> Path:
    """Write one part file of a run, as a whole or not at all. Returns its path."""
    path = directory / f"{name}.parquet"
    write_table(path, in_part_schema(table, directory))
    return path


def write_rows(directory: Path, name: str, requests: pa.Table) -> Path:
    """The same for rows of requests while they are measured: with instants as durations, and as quickly as can be."""
    path = directory / f"{name}.parquet"
    write_table(path, in_part_schema(with_durations(requests), directory, DURATIONS_VERSION), compression="lz4")
    return path


def in_part_schema(table: pa.Table, directory: Path, version: int = SCHEMA_VERSION) -> pa.Table:
    """The table with what its part file says of itself."""
    says = {PART_SCHEMA: str(version), PART_RUN: directory.absolute().parent.name}
    # What a column means stands in `records`, not in each of many files.
    fields = [field.remove_metadata() for field in table.schema]
    schema = pa.schema(fields, metadata={**(table.schema.metadata or {}), **says})
    return pa.Table.from_arrays(table.columns, schema=schema)


def write_table(path: Path, table: pa.Table, compression: str = "zstd") -> None:
    """Write one Parquet file, as a whole or not at all."""
    # Numbers seldom repeat: a dictionary of them costs as much time as all the rest.
    repeated = [field.name for field in table.schema if not pa.types.is_primitive(field.type)]
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression=compression, use_dictionary=repeated)


def has_durations(says: Mapping[bytes, bytes] | None) -> bool:
    """Whether a part file keeps durations, by what it says of itself."""
    return (says or {}).get(PART_SCHEMA) == str(DURATIONS_VERSION).encode()


def table_of(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows, each with a value for every column of `schema`, as a table of it."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        pa.array(column, field.type.value_type).dictionary_encode().cast(field.type)
        if pa.types.is_dictionary(field.type)
        else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def read_table(path: Path) -> pa.Table:
    """A Parquet file as it is, with its instants. Raises RunUnreadable."""
    try:
        table = pq.read_table(path)
        if not has_durations(table.schema.metadata):
            return table
        names = schema_with_instants(table.schema).names
        return with_instants(table).select(names)
    except (OSError, pa.ArrowException) as error:
        raise RunUnreadable(f"{path.parent.name}/{path.name} can't be read: {error}") from None


def part_files(folder: Path, block: int | None = None) -> list[Path]:
    """In the order of their names, all or those of one block; none where there is no such directory. Raises
    RunUnreadable."""
    try:
        paths = without_merged(sorted(path for path in folder.iterdir() if path.suffix == ".parquet"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunUnreadable(
            f"{folder.name}/ of {folder.parent.name} can't be listed: {error.strerror or error}",
            hint="It has to be a directory that you may read, with the part files in it.",
        ) from None
    return paths if block is None else [path for path in paths if block_of(path) == block]


def block_of(path: Path) -> int | None:
    """The number of the block that a part file is of; None where its name doesn't tell."""
    match = _BLOCK.match(path.name)
    return int(match[1]) if match is not None else None


def damaged_parts(folder: Path) -> list[str]:
    """Names of the part files whose contents can't even be listed."""
    damaged = []
    for path in part_files(folder):
        try:
            pq.read_metadata(path)
        except (OSError, pa.ArrowException):
            damaged.append(path.name)
    return damaged


def refuse_foreign(metadata: pq.FileMetaData, table: Table, name: str, owner: str) -> str:
    """Look at what a part file says it is, before its rows are read. Returns the run that it belongs to, empty where it
    doesn't say. Raises RunUnreadable for one of a newer version, of another run than `owner`, or with other columns."""
    says = metadata.metadata or {}
    version = says.get(PART_SCHEMA, b"1").decode("ascii", "replace")
    if not version.isdecimal() or len(version) > 9:
        raise RunUnreadable(f"{name} has no schema version, but {version[:20]!r}", hint=_FOREIGN)
    newest = DURATIONS_VERSION if table == "requests" else SCHEMA_VERSION
    if int(version) > newest:
        raise RunUnreadable(
            f"{name} was written by a newer version (schema {version}, this one reads {newest})",
            hint="Update Lucky Hit and try again.",
        )
    run = says.get(PART_RUN, b"").decode("utf-8", "replace")
    if run and owner and run != owner:
        raise RunUnreadable(
            f"{name} belongs to another run ({run[:60]})",
            hint="Move it back to where it came from: rows of two runs can't be judged together.",
        )
    written = _written_schema(metadata)
    problems = []
    for field in SCHEMAS[table]:
        places = written.get_all_field_indices(field.name)
        if not places and f"{table}.{field.name}" not in MAY_LACK:
            problems.append(f"no column {field.name}")
        elif len(places) > 1:
            problems.append(f"{len(places)} columns {field.name}")
        elif places and not _fits(written.field(places[0]).type, field):
            problems.append(f"{written.field(places[0]).type} in its column {field.name}, not {kind_of(field.type)}")
    if problems:
        more = f", and {len(problems) - 3} more faults" if problems[3:] else ""
        raise RunUnreadable(f"{name} has {'; '.join(problems[:3])}{more}", hint=_FOREIGN)
    return run


def kind_of(dtype: pa.DataType) -> str:
    """What the values of a type are called: `whole numbers`, `numbers`, `truth values`, `text`."""
    dtype = _value_type(dtype)
    if pa.types.is_integer(dtype):
        return "whole numbers"
    if pa.types.is_floating(dtype):
        return "numbers"
    if pa.types.is_boolean(dtype):
        return "truth values"
    return "text" if holds_text(dtype) else str(dtype)


def holds_text(dtype: pa.DataType) -> bool:
    dtype = _value_type(dtype)
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def _fits(written: pa.DataType, field: pa.Field) -> bool:
    """Whether values of this type are what the field holds; the width of numbers is the writer's choice. A column of
    nothing but nulls has no type of its own."""
    if pa.types.is_null(written):
        return bool(field.nullable)
    kind = kind_of(field.type)
    return kind_of(written) == kind or (kind == "numbers" and kind_of(written) == "whole numbers")


def read_part(
    path: Path, metadata: pq.FileMetaData, schema: pa.Schema, wanted: Sequence[str] | None
) -> Iterator[pa.Table]:
    """One part file in its schema, AT_ONCE rows at a time, in the wanted columns; or as a whole."""
    durations = has_durations(metadata.metadata)
    if wanted is None:
        yield _in_schema(read_table(path), schema) if durations else pq.read_table(path, schema=schema)
        return
    columns, written = [name for name in schema.names if name in wanted], _written_schema(metadata)
    texts = [name for name in columns if pa.types.is_string(schema.field(name).type)]
    for name in texts:
        field = schema.field(name)
        schema = schema.set(schema.get_field_index(name), field.with_type(pa.dictionary(pa.int32(), field.type)))
    # What somebody else wrote may lack a column, or hold smaller numbers in it: more work, so only where it is.
    if all(
        name in written.names and _alike(written.field(name), schema.field(name), coded=name in texts)
        for name in columns
    ):
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=texts) as file:
            # A few rows at a time stay in the processor's cache; a whole group would be brought there twice.
            kept = stored(columns) if durations else columns
            for batch in file.iter_batches(AT_ONCE, columns=kept, use_threads=False):
                rows = pa.Table.from_batches([batch])
                yield with_instants(rows).select(columns) if durations else rows
        return
    present = [name for name in texts if name in written.names]
    if durations:
        rows = pq.read_table(path, columns=stored(columns), read_dictionary=present)  # leaves out what is not there
        yield _in_schema(with_instants(rows), pa.schema([schema.field(name) for name in columns]))
        return
    yield pq.read_table(path, schema=schema, columns=columns, read_dictionary=present)


def _in_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema; those that a file lacks are null."""
    missing = {field.name: pa.nulls(len(rows), field.type) for field in schema if field.name not in rows.column_names}
    for name, column in missing.items():
        rows = rows.append_column(name, column)
    return rows.select(schema.names).cast(schema)


def read_parts(
    folder: Path,
    table: Table,
    columns: Sequence[str] | None,
    owner: str = "",
    *,
    block: int | None = None,
    without: Collection[str] = (),
) -> Iterator[pa.Table]:
    """The part files of one table of a run, or of one block of it, one after the other; `owner`: the run that they have
    to belong to, empty where nobody knows; `without`: names of files that are left out. Raises RunUnreadable where one
    is damaged or foreign."""
    paths = [path for path in part_files(folder, block) if path.name not in without]
    for _, part in _read(paths, folder, table, columns, owner):
        yield part


def read_parts_by_block(
    folder: Path, table: Table, columns: Sequence[str] | None, owner: str = ""
) -> Iterator[tuple[int | None, pa.Table]]:
    """The same of all part files, each with the number of its block, which its name tells (None: it tells none)."""
    for path, part in _read(part_files(folder), folder, table, columns, owner):
        yield block_of(path), part


def _read(
    paths: Sequence[Path], folder: Path, table: Table, columns: Sequence[str] | None, owner: str
) -> Iterator[tuple[Path, pa.Table]]:
    for path in paths:
        name = f"{table}/{path.name} of {folder.parent.name}"
        try:
            metadata = pq.read_metadata(path)
            owner = refuse_foreign(metadata, table, name, owner) or owner
            for part in read_part(path, metadata, SCHEMAS[table], columns):
                yield path, part
        except (OSError, pa.ArrowException) as error:
            raise RunUnreadable(
                f"{name} can't be read: {error}",
                hint="Move the damaged part away; what remains can be judged, and is marked incomplete.",
            ) from None


def read_what_can_be(
    folder: Path, table: Table, columns: Sequence[str], *, block: int | None = None
) -> tuple[pa.Table, dict[str, str]]:
    """The rows of all part files that can be read, in these columns, and the kind of error by the name of each file
    that can't; no rows where there are none."""
    wanted = pa.schema([SCHEMAS[table].field(name) for name in columns])
    parts, damaged = [wanted.empty_table()], {}
    paths = without_merged([path for path in sorted(folder.glob("*.parquet")) if block in (None, block_of(path))])
    for path in paths:
        try:
            parts.append(_columns_of(path, columns).cast(wanted))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            damaged[path.name] = type(error).__name__
    return pa.concat_tables(parts[1:] or parts), damaged


def rows_of_slots(folder: Path, block: int, slots: Collection[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of some slots of one block, with these columns. Row groups without such a slot are not read; what can't
    be read is left out."""
    rows: list[dict[str, Any]] = []
    for path in part_files(folder, block):
        with suppress(OSError, pa.ArrowException):
            rows += _columns_of(path, columns, [("slot", "in", list(slots))]).to_pylist()
    return rows


def _columns_of(path: Path, columns: Sequence[str], filters: list[tuple[str, str, Any]] | None = None) -> pa.Table:
    """Some columns of a part file, in this order. Raises KeyError where it lacks one."""
    wanted = stored(columns) if has_durations(pq.read_metadata(path).metadata) else list(columns)
    return with_instants(pq.read_table(path, columns=wanted, filters=filters)).select(list(columns))


def _written_schema(metadata: pq.FileMetaData) -> pa.Schema:
    """The columns of a part file, by the names that the tables have."""
    written = metadata.schema.to_arrow_schema()
    return schema_with_instants(written) if has_durations(metadata.metadata) else written


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


def has_values(folder: Path, column: str) -> bool:
    """False where the part files say that none of their rows has a value in this column; true where they don't say."""
    for path in part_files(folder):
        try:
            metadata = pq.read_metadata(path)
        except (OSError, pa.ArrowException):
            return True
        names = _written_schema(metadata).names
        for group in map(metadata.row_group, range(metadata.num_row_groups) if column in names else ()):
            counted = group.column(names.index(column)).statistics
            if counted is None or not counted.has_null_count or counted.null_count < group.num_rows:
                return True
    return False


def counters_by_block(folder: Path) -> pd.DataFrame:
    """The counters of all part files with the number of their `block`, which the files' names tell; files that tell
    none are left out. Raises RunUnreadable where one is damaged."""
    import pandas as pd

    frames = [SCHEMAS["counters"].empty_table().to_pandas().assign(block=0)]
    for path in part_files(folder):
        if (block := block_of(path)) is None:
            continue
        try:
            part = pq.read_table(path, schema=SCHEMAS["counters"]).to_pandas()
        except (OSError, pa.ArrowException) as error:
            name = f"counters/{path.name} of {folder.parent.name}"
            raise RunUnreadable(f"{name} can't be read: {error}") from None
        frames.append(part.astype({"arm": object, "name": object}).assign(block=block))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def nullable_integers(dtype: pa.DataType) -> Any:
    """Columns that may hold nulls keep whole numbers: a nanosecond must not pass through a float."""
    import pandas as pd

    return {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}.get(dtype)


def _alike(written: pa.Field, wanted: pa.Field, *, coded: bool) -> bool:
    """Of the same type, whatever numbers the words of a dictionary have; `coded`: it is read with a dictionary, whether
    it was written with one or not."""
    both = pa.types.is_dictionary(written.type) and pa.types.is_dictionary(wanted.type)
    if both or coded:
        return bool(_value_type(written.type) == _value_type(wanted.type))
    return bool(written.type == wanted.type)


def _value_type(dtype: pa.DataType) -> pa.DataType:
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same, made in a thread of its own: the next one while somebody works on this one."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item

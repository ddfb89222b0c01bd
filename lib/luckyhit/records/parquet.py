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
from luckyhit.records.schemas import MAY_LACK, SCHEMAS, Table
from luckyhit.records.vocabulary import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd  # imported where it is needed: the load engine, which never does, starts for each block

# Arrow's own allocator keeps what it gave up; here, a tenth of all that judging a long run takes.
pa.set_memory_pool(pa.system_memory_pool())

T = TypeVar("T")
PART_SCHEMA, PART_RUN = b"luckyhit.schema", b"luckyhit.run"
"""What a part file says of itself, beside its columns: its schema version, and the run that it belongs to."""
_ARROW_SCHEMA = b"ARROW:schema"
"""The schema as Arrow has it, in base64; it is written anew with the file."""
AT_ONCE = 1 << 15
_BLOCK = re.compile(r"block-(\d+)")
_FOREIGN = "Put the file back as it was measured, or move it away if it is not of this run: luckyhit.records has the "
_FOREIGN += "columns of each table, with their types."


def write_part(directory: Path, name: str, table: pa.Table) -> Path:
    """Write one part file of a run, as a whole or not at all. Returns its path."""
    path = directory / f"{name}.parquet"
    says = {PART_SCHEMA: str(SCHEMA_VERSION), PART_RUN: directory.absolute().parent.name}
    # What a column means stands in `records`, not in each of many files.
    fields = [field.remove_metadata() for field in table.schema]
    schema = pa.schema(fields, metadata={**(table.schema.metadata or {}), **says})
    write_table(path, pa.Table.from_arrays(table.columns, schema=schema))
    return path


def write_table(path: Path, table: pa.Table) -> None:
    """Write one Parquet file, as a whole or not at all."""
    # Numbers seldom repeat: a dictionary of them costs as much time as all the rest.
    repeated = [field.name for field in table.schema if not pa.types.is_primitive(field.type)]
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", use_dictionary=repeated)


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
    """A Parquet file as it is. Raises RunUnreadable."""
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RunUnreadable(f"{path.parent.name}/{path.name} can't be read: {error}") from None


def part_files(folder: Path, block: int | None = None) -> list[Path]:
    """In the order of their names, all or those of one block; none where there is no such directory. Raises
    RunUnreadable."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".parquet")
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
    if int(version) > SCHEMA_VERSION:
        raise RunUnreadable(
            f"{name} was written by a newer version (schema {version}, this one reads {SCHEMA_VERSION})",
            hint="Update Lucky Hit and try again.",
        )
    run = says.get(PART_RUN, b"").decode("utf-8", "replace")
    if run and owner and run != owner:
        raise RunUnreadable(
            f"{name} belongs to another run ({run[:60]})",
            hint="Move it back to where it came from: rows of two runs can't be judged together.",
        )
    written = metadata.schema.to_arrow_schema()
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
    dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    if pa.types.is_integer(dtype):
        return "whole numbers"
    if pa.types.is_floating(dtype):
        return "numbers"
    if pa.types.is_boolean(dtype):
        return "truth values"
    return "text" if _holds_text(dtype) else str(dtype)


def _holds_text(dtype: pa.DataType) -> bool:
    dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
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
    if wanted is None:
        yield pq.read_table(path, schema=schema)
        return
    columns, written = [name for name in schema.names if name in wanted], metadata.schema.to_arrow_schema()
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
            for batch in file.iter_batches(AT_ONCE, columns=columns, use_threads=False):
                yield pa.Table.from_batches([batch])
        return
    present = [name for name in texts if name in written.names]
    yield pq.read_table(path, schema=schema, columns=columns, read_dictionary=present)


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
    paths = [path for path in sorted(folder.glob("*.parquet")) if block is None or block_of(path) == block]
    for path in paths:
        try:
            parts.append(pq.read_table(path, columns=list(columns)).select(list(columns)).cast(wanted))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            damaged[path.name] = type(error).__name__
    return pa.concat_tables(parts[1:] or parts), damaged


def rows_of_slots(folder: Path, block: int, slots: Collection[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of some slots of one block, with these columns. Row groups without such a slot are not read; what can't
    be read is left out."""
    rows: list[dict[str, Any]] = []
    for path in part_files(folder, block):
        with suppress(OSError, pa.ArrowException):
            rows += pq.read_table(path, columns=list(columns), filters=[("slot", "in", list(slots))]).to_pylist()
    return rows


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
        names = metadata.schema.names
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


def readable_texts(path: Path) -> set[str]:
    """Every text of a part file that differs: of its columns, and of what it says of itself; none of a damaged one."""
    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
        names = [field.name for field in schema if _holds_text(field.type)]
        plain = [name for name in names if not pa.types.is_dictionary(schema.field(name).type)]
        columns = pq.read_table(path, columns=names, read_dictionary=plain).columns if names else []
    except (OSError, pa.ArrowException):
        return set()
    says = metadata.metadata or {}
    texts = {value.decode("utf-8", "replace") for name, value in says.items() if name != _ARROW_SCHEMA}
    for chunk in (chunk for column in columns for chunk in column.chunks):
        words = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk.unique()
        texts |= {word for word in words.to_pylist() if word is not None}
    return texts


def rewrite_texts(path: Path, replacements: Mapping[str, str]) -> None:
    """Write a part file anew with other texts; types and order stay."""
    table = pq.read_table(path)
    arrays = [_replaced(column, replacements) if _holds_text(column.type) else column for column in table.columns]
    says = {
        name: replacements.get(text := value.decode("utf-8", "replace"), text).encode()
        for name, value in (table.schema.metadata or {}).items()
        if name != _ARROW_SCHEMA
    }
    write_table(path, pa.Table.from_arrays(arrays, schema=table.schema.with_metadata(says)))


def _replaced(column: pa.ChunkedArray, replacements: Mapping[str, str]) -> pa.ChunkedArray:
    def of_chunk(chunk: pa.Array) -> pa.Array:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        words = [replacements.get(word, word) for word in coded.dictionary.to_pylist()]
        clean = pa.DictionaryArray.from_arrays(coded.indices, pa.array(words, coded.dictionary.type))
        return clean if pa.types.is_dictionary(chunk.type) else clean.cast(chunk.type)

    return pa.chunked_array([of_chunk(chunk) for chunk in column.chunks], type=column.type)


def nullable_integers(dtype: pa.DataType) -> Any:
    """Columns that may hold nulls keep whole numbers: a nanosecond must not pass through a float."""
    import pandas as pd

    return {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}.get(dtype)


def _alike(written: pa.Field, wanted: pa.Field, *, coded: bool) -> bool:
    """Of the same type, whatever numbers the words of a dictionary have; `coded`: it is read with a dictionary, whether
    it was written with one or not."""
    one, other = written.type, wanted.type
    if coded or (pa.types.is_dictionary(one) and pa.types.is_dictionary(other)):
        one, other = (each.value_type if pa.types.is_dictionary(each) else each for each in (one, other))
    return bool(one == other)


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same, made in a thread of its own: the next one while somebody works on this one."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item

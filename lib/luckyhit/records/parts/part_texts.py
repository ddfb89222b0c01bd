"""The texts of part files: what stands in them, and other words instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from luckyhit.records.parquet import holds_text, write_table

_ARROW_SCHEMA = b"ARROW:schema"
"""The schema as Arrow has it, in base64; it is written anew with the file."""


def readable_texts(path: Path) -> set[str]:
    """Every text of a part file that differs: of its columns, and of what it says of itself; none of a damaged one."""
    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
        names = [field.name for field in schema if holds_text(field.type)]
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
    arrays = [_replaced(column, replacements) if holds_text(column.type) else column for column in table.columns]
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

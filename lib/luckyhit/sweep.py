"""What a run leaves is scrubbed when a step has ended: rows, logs, ledgers, notebooks, files that it was given.

Nothing is scrubbed while something is timed. Of a table the few texts that differ are looked at, and a part file is
written anew only where one of them has to change: the same text becomes the same everywhere, and different ones stay
different, so that what belongs together is still found together.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from luckyhit.parts import SCHEMAS
from luckyhit.redact import Redactor
from luckyhit.run import Run, write_atomically
from luckyhit.visible import SURROGATE

INPUTS, LEDGERS, LOGS, WORK = "inputs", "probe", "logs", "work"
_PIECE_BYTES = 1 << 20
_ARROW = b"ARROW:schema"
"""The schema as Arrow has it, in base64; it is written anew with the file."""


def sweep(run: Run, *, closed: bool) -> bool:
    """Scrub what a step that has ended left behind. `closed`: nothing more will be measured, nor undone, so that files
    which that would need (keys and logs that were given, ledgers of the probe) are scrubbed as well. Returns whether
    what was given had to be changed."""
    redactor = run.redactor
    keep_logs(run)
    tables = [path for table in SCHEMAS for path in _files(run.path / table, "*.parquet")]
    keys: list[Path] = []
    if closed:
        tables += _files(run.path / INPUTS, "*.parquet")
        keys = _files(run.path / INPUTS, "*.txt")
        for ledger in _files(run.path / LEDGERS, "*.jsonl"):
            scrub_text(ledger, redactor)
    changed = _scrub_rows(tables, keys, redactor)
    return any(path.parent.name == INPUTS for path in changed)


def sweep_records(folder: Path, redactor: Redactor) -> None:
    """Scrub the records of the load engine alone."""
    files = [*_files(folder / "requests", "*.parquet"), *_files(folder / INPUTS, "*.parquet")]
    _scrub_rows(files, _files(folder / INPUTS, "*.txt"), redactor)


def keep_logs(run: Run) -> None:
    """Keep the services' logs, scrubbed, and nothing else of their working directories."""
    work = run.path / WORK
    for log in sorted(work.glob("*/*.log")):
        kept = run.path / LOGS / f"{log.parent.name}-{log.name}"
        kept.parent.mkdir(exist_ok=True)
        with log.open("rb") as source, kept.open("ab") as target:
            # Whole lines: no secret is torn in two.
            while lines := source.readlines(_PIECE_BYTES):
                target.write(_scrubbed(b"".join(lines), run.redactor))
    shutil.rmtree(work, ignore_errors=True)


def scrub_notebook(path: Path, redactor: Redactor) -> None:
    """Scrub an executed notebook in place: cells, outputs, tracebacks, metadata. It stays a valid notebook.

    A file that is no JSON (papermill may have been ended while writing) is scrubbed as text.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        notebook = json.loads(text)
    except ValueError:
        write_atomically(path, redactor.text(text))
        return
    told = json.dumps(redactor.anything(notebook), ensure_ascii=False, indent=1)
    # A lone surrogate is legal in JSON and can't be encoded: keep it escaped.
    write_atomically(path, SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", told) + "\n")


def scrub_text(path: Path, redactor: Redactor) -> None:
    """Scrub a file of texts in place; it is left alone where there is nothing to do."""
    data = path.read_bytes()
    scrubbed = _scrubbed(data, redactor)
    if scrubbed != data:
        write_atomically(path, scrubbed.decode("utf-8", "replace"))


def _scrubbed(data: bytes, redactor: Redactor) -> bytes:
    return redactor.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _scrub_rows(tables: Iterable[Path], lists: Iterable[Path], redactor: Redactor) -> list[Path]:
    """`lists`: files with a text a line. Returns those that were changed. A part file that is damaged stays as it is:
    nothing can be read in it."""
    words, changed = _Words(redactor), []
    for path in tables:
        with suppress(OSError, pa.ArrowException):
            changed += [path] if words.note(_texts_of(path)) else []
    changed += [path for path in lists if words.note(path.read_text(encoding="utf-8").split("\n"))]
    said = words.replacements()
    for path in changed:
        if path.suffix == ".parquet":
            _rewrite(path, said)
        else:
            lines = path.read_text(encoding="utf-8").split("\n")
            write_atomically(path, "\n".join(said.get(line, line) for line in lines))
    return changed


class _Words:
    """The texts of many tables: those that have to change, and what each becomes."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._clean: set[str] = set()
        self._scrubbed: dict[str, str] = {}

    def note(self, texts: Iterable[str]) -> bool:
        """Whether any of them has to change."""
        texts = set(texts)
        new = texts - self._clean - self._scrubbed.keys()
        # All at once: it is seldom that one of them has to change. A line break ends whatever could be scrubbed.
        whole = "\n".join(new)
        if self._redactor.of_here(whole) != whole:
            told = {text: self._redactor.of_here(text) for text in new}
            self._scrubbed |= {text: scrubbed for text, scrubbed in told.items() if scrubbed != text}
        self._clean |= new - self._scrubbed.keys()
        return not texts.isdisjoint(self._scrubbed)

    def replacements(self) -> Mapping[str, str]:
        """What each text becomes. Two that would become the same get a number: they are two keys. (One that is there
        already is what an earlier step's sweep made of the same.)"""
        alike: dict[str, list[str]] = {}
        for text, scrubbed in sorted(self._scrubbed.items()):
            alike.setdefault(scrubbed, []).append(text)
        return {
            text: scrubbed if len(texts) == 1 else f"{scrubbed}#{number}"
            for scrubbed, texts in alike.items()
            for number, text in enumerate(texts, 1)
        }


def _texts_of(path: Path) -> set[str]:
    """Every text of a part file that differs: of its columns, and of what it says of itself."""
    found: set[str] = set()
    about = pq.read_metadata(path)
    found |= {value.decode("utf-8", "replace") for name, value in (about.metadata or {}).items() if name != _ARROW}
    schema = about.schema.to_arrow_schema()
    names = [field.name for field in schema if _holds_text(field.type)]
    if names:
        plain = [name for name in names if not pa.types.is_dictionary(schema.field(name).type)]
        table = pq.read_table(path, columns=names, read_dictionary=plain)
        for column in table.itercolumns():
            for chunk in column.chunks:
                words = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk.unique()
                found |= {word for word in words.to_pylist() if word is not None}
    return found


def _holds_text(dtype: pa.DataType) -> bool:
    dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def _rewrite(path: Path, said: Mapping[str, str]) -> None:
    """Write a part file anew with other texts, under a temporary name first; types and order stay."""
    table = pq.read_table(path)
    arrays = [_replaced(column, said) if _holds_text(column.type) else column for column in table.itercolumns()]
    told = {
        name: said.get(text := value.decode("utf-8", "replace"), text).encode()
        for name, value in (table.schema.metadata or {}).items()
        if name != _ARROW
    }
    clean = pa.Table.from_arrays(arrays, schema=table.schema.with_metadata(told))
    repeated = [field.name for field in clean.schema if not pa.types.is_primitive(field.type)]
    temporary = path.with_name(f".{path.stem}.swept.tmp")
    pq.write_table(clean, temporary, compression="zstd", use_dictionary=repeated)
    temporary.replace(path)


def _replaced(column: pa.ChunkedArray, said: Mapping[str, str]) -> pa.ChunkedArray:
    def of_chunk(chunk: pa.Array) -> pa.Array:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        words = [said.get(word, word) for word in coded.dictionary.to_pylist()]
        told = pa.DictionaryArray.from_arrays(coded.indices, pa.array(words, coded.dictionary.type))
        return told if pa.types.is_dictionary(chunk.type) else told.cast(chunk.type)

    return pa.chunked_array([of_chunk(chunk) for chunk in column.chunks], type=column.type)


__all__: list[str] = ["INPUTS", "keep_logs", "scrub_notebook", "scrub_text", "sweep", "sweep_records"]

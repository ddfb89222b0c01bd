"""Scrub the files of a run once a step has ended: rows, logs, undo logs, notebooks, given files.

Nothing is scrubbed while something is timed. Of a table only the distinct texts are scrubbed, and a part file is
written again only where one of them changes: equal texts stay equal in all tables, and different ones stay different,
so that rows can still be grouped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO

from luckyhit.atomic import replacing, write_atomically
from luckyhit.records.parts.part_texts import readable_texts, rewrite_texts
from luckyhit.records.schemas import SCHEMAS
from luckyhit.scrub.characters import SURROGATE
from luckyhit.scrub.redactor import Redactor

INPUTS, LEDGERS, LOGS, WORK = "inputs", "probe", "logs", "work"
_PIECE_BYTES = 1 << 20


def sweep(folder: Path, redactor: Redactor, *, closed: bool) -> bool:
    """Scrub what a step left in a run directory. `closed`: nothing more will be measured or undone, so that given keys
    and logs and the probe's undo logs are scrubbed as well. Returns whether given files had to be changed."""
    keep_logs(folder, redactor)
    changed = _scrub_tables(folder, (*SCHEMAS, INPUTS) if closed else SCHEMAS, redactor)
    for ledger in _files(folder / LEDGERS, "*.jsonl") if closed else ():
        scrub_text(ledger, redactor)
    return any(path.parent.name == INPUTS for path in changed)


def sweep_records(folder: Path, redactor: Redactor) -> None:
    """Scrub only the records of the load engine."""
    _scrub_tables(folder, ("requests", INPUTS), redactor)


def keep_logs(folder: Path, redactor: Redactor) -> None:
    """Keep the services' logs, scrubbed, and delete the rest of their working directories."""
    for log in sorted((folder / WORK).glob("*/*.log")):
        kept = folder / LOGS / f"{log.parent.name}-{log.name}"
        kept.parent.mkdir(exist_ok=True)
        with log.open("rb") as source, kept.open("ab") as target:
            _scrub_lines(source, target, redactor.text)
    shutil.rmtree(folder / WORK, ignore_errors=True)


def scrub_log(path: Path, redactor: Redactor) -> None:
    """Scrub the secrets of a finished log, if it exists. Its paths stay. Written only where it changes."""
    if not path.is_file():
        return
    with path.open("rb") as source:
        pieces = iter(lambda: b"".join(source.readlines(_PIECE_BYTES)), b"")
        if all(_scrubbed(piece, redactor.secrets) == piece for piece in pieces):
            return
    with replacing(path) as clean, path.open("rb") as source, clean.open("wb") as target:
        _scrub_lines(source, target, redactor.secrets)


def scrub_notebook(path: Path, redactor: Redactor) -> None:
    """Scrub an executed notebook in place: cells, outputs, tracebacks, metadata. It stays a valid notebook. A file that
    is not JSON (papermill may have been killed while writing) is scrubbed as text."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        notebook = json.loads(text)
    except ValueError:
        write_atomically(path, redactor.text(text))
        return
    scrubbed = json.dumps(redactor.anything(notebook), ensure_ascii=False, indent=1)
    # A lone surrogate is legal in JSON but can't be encoded: keep it escaped.
    write_atomically(path, SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", scrubbed) + "\n")


def scrub_text(path: Path, redactor: Redactor) -> None:
    """Scrub a text file in place. Written only where it changes."""
    data = path.read_bytes()
    scrubbed = _scrubbed(data, redactor.text)
    if scrubbed != data:
        write_atomically(path, scrubbed.decode("utf-8", "replace"))


def _scrub_lines(source: IO[bytes], target: IO[bytes], scrub: Callable[[str], str]) -> None:
    """Whole lines, so that no secret is split."""
    while lines := source.readlines(_PIECE_BYTES):
        target.write(_scrubbed(b"".join(lines), scrub))


def _scrubbed(data: bytes, scrub: Callable[[str], str]) -> bytes:
    return scrub(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _scrub_tables(folder: Path, names: Iterable[str], redactor: Redactor) -> list[Path]:
    """Scrub the part files and the lists (a text a line) of these folders. Returns the changed ones. A damaged part
    file stays as it is: it can't be read."""
    tables = [path for name in names for path in _files(folder / name, "*.parquet")]
    lists = [path for name in names for path in _files(folder / name, "*.txt")]
    texts = _DistinctTexts(redactor)
    changed = [path for path in tables if texts.note(readable_texts(path))]
    changed += [path for path in lists if texts.note(path.read_text(encoding="utf-8").split("\n"))]
    replacements = texts.replacements()
    for path in changed:
        if path.suffix == ".parquet":
            rewrite_texts(path, replacements)
        else:
            lines = path.read_text(encoding="utf-8").split("\n")
            write_atomically(path, "\n".join(replacements.get(line, line) for line in lines))
    return changed


class _DistinctTexts:
    """The distinct texts of many tables, and the replacements of those that have to change."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._clean: set[str] = set()
        self._scrubbed: dict[str, str] = {}

    def note(self, texts: Iterable[str]) -> bool:
        """Note these texts. Returns whether any of them has to change."""
        texts = set(texts)
        new = texts - self._clean - self._scrubbed.keys()
        # All at once, since one of them seldom has to change. Nothing that is scrubbed spans a line break.
        whole = "\n".join(new)
        if self._redactor.local_text(whole) != whole:
            scrubbed_texts = {text: self._redactor.local_text(text) for text in new}
            self._scrubbed |= {text: scrubbed for text, scrubbed in scrubbed_texts.items() if scrubbed != text}
        self._clean |= new - self._scrubbed.keys()
        return not texts.isdisjoint(self._scrubbed)

    def replacements(self) -> Mapping[str, str]:
        """By text. Texts that would become equal get a number, since they are different keys. (An equal text of an
        earlier step was made from the same one.)"""
        same: dict[str, list[str]] = {}
        for text, scrubbed in sorted(self._scrubbed.items()):
            same.setdefault(scrubbed, []).append(text)
        return {
            text: scrubbed if len(texts) == 1 else f"{scrubbed}#{number}"
            for scrubbed, texts in same.items()
            for number, text in enumerate(texts, 1)
        }

"""What a run leaves is scrubbed when a step has ended: rows, logs, ledgers, notebooks, files that it was given.

Nothing is scrubbed while something is timed. Of a table the few texts that differ are looked at, and a part file is
written anew only where one of them has to change: the same text becomes the same everywhere, and different ones stay
different, so that what belongs together is still found together.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO

from luckyhit.atomic import replacing, write_atomically
from luckyhit.records.parquet import readable_texts, rewrite_texts
from luckyhit.records.schemas import SCHEMAS
from luckyhit.scrub.characters import SURROGATE
from luckyhit.scrub.redactor import Redactor

INPUTS, LEDGERS, LOGS, WORK = "inputs", "probe", "logs", "work"
_PIECE_BYTES = 1 << 20


def sweep(folder: Path, redactor: Redactor, *, closed: bool) -> bool:
    """Scrub what a step that has ended left in a run directory. `closed`: nothing more will be measured, nor undone, so
    that files which that would need (keys and logs that were given, ledgers of the probe) are scrubbed as well. Returns
    whether what was given had to be changed."""
    keep_logs(folder, redactor)
    changed = _scrub_tables(folder, (*SCHEMAS, INPUTS) if closed else SCHEMAS, redactor)
    for ledger in _files(folder / LEDGERS, "*.jsonl") if closed else ():
        scrub_text(ledger, redactor)
    return any(path.parent.name == INPUTS for path in changed)


def sweep_records(folder: Path, redactor: Redactor) -> None:
    """Scrub the records of the load engine alone."""
    _scrub_tables(folder, ("requests", INPUTS), redactor)


def keep_logs(folder: Path, redactor: Redactor) -> None:
    """Keep the services' logs, scrubbed, and nothing else of their working directories."""
    for log in sorted((folder / WORK).glob("*/*.log")):
        kept = folder / LOGS / f"{log.parent.name}-{log.name}"
        kept.parent.mkdir(exist_ok=True)
        with log.open("rb") as source, kept.open("ab") as target:
            _scrub_lines(source, target, redactor.text)
    shutil.rmtree(folder / WORK, ignore_errors=True)


def scrub_log(path: Path, redactor: Redactor) -> None:
    """Scrub the secrets of a log that nobody writes to any more, if it is there; it is left alone
    where there is nothing to do. The paths in it stay."""
    if not path.is_file():
        return
    with path.open("rb") as source:
        if all(_scrubbed(line, redactor.secrets) == line for line in source):
            return
    with replacing(path) as clean, path.open("rb") as source, clean.open("wb") as target:
        _scrub_lines(source, target, redactor.secrets)


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
    scrubbed = json.dumps(redactor.anything(notebook), ensure_ascii=False, indent=1)
    # A lone surrogate is legal in JSON and can't be encoded: keep it escaped.
    write_atomically(path, SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", scrubbed) + "\n")


def scrub_text(path: Path, redactor: Redactor) -> None:
    """Scrub a file of texts in place; it is left alone where there is nothing to do."""
    data = path.read_bytes()
    scrubbed = _scrubbed(data, redactor.text)
    if scrubbed != data:
        write_atomically(path, scrubbed.decode("utf-8", "replace"))


def _scrub_lines(source: IO[bytes], target: IO[bytes], scrub: Callable[[str], str]) -> None:
    """Whole lines: no secret is torn in two."""
    while lines := source.readlines(_PIECE_BYTES):
        target.write(_scrubbed(b"".join(lines), scrub))


def _scrubbed(data: bytes, scrub: Callable[[str], str]) -> bytes:
    return scrub(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _scrub_tables(folder: Path, names: Iterable[str], redactor: Redactor) -> list[Path]:
    """Scrub the part files, and the lists with a text a line, of these folders. Returns those that were changed. A part
    file that is damaged stays as it is: nothing can be read in it."""
    tables = [path for name in names for path in _files(folder / name, "*.parquet")]
    lists = [path for name in names for path in _files(folder / name, "*.txt")]
    words = _Words(redactor)
    changed = [path for path in tables if words.note(readable_texts(path))]
    changed += [path for path in lists if words.note(path.read_text(encoding="utf-8").split("\n"))]
    replacements = words.replacements()
    for path in changed:
        if path.suffix == ".parquet":
            rewrite_texts(path, replacements)
        else:
            lines = path.read_text(encoding="utf-8").split("\n")
            write_atomically(path, "\n".join(replacements.get(line, line) for line in lines))
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
            scrubbed_texts = {text: self._redactor.of_here(text) for text in new}
            self._scrubbed |= {text: scrubbed for text, scrubbed in scrubbed_texts.items() if scrubbed != text}
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


__all__ = ["INPUTS", "keep_logs", "scrub_log", "scrub_notebook", "scrub_text", "sweep", "sweep_records"]

"""Secrets that were planted, and whether any of them, or a path of this machine, is in a file."""

from __future__ import annotations

import base64
import html
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq

LEAST = 12
"""Of a canary, so many characters at its start are as bad as all of it."""


def spellings(secret: str) -> set[str]:
    """The ways in which a value may be written: as it is, cut, in a URL, in JSON, in Python, in HTML, in base64."""
    texts = {secret, secret[:LEAST]}
    for text in list(texts):
        texts |= {
            quote(text, safe=""),
            quote(text),
            quote_plus(text),
            html.escape(text),
            html.escape(text, quote=False),
        }
        texts |= {html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")}
        texts |= {json.dumps(text)[1:-1], json.dumps(json.dumps(text))[3:-3], repr(text)[1:-1]}
    raw = secret.encode()
    # Where it stands inside of something else, the encoding depends on what is before it.
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + raw).decode()
        texts |= {part[4 if before else 0 : -4] for part in (encoded, encoded.replace("+", "-").replace("/", "_"))}
    return {text for text in texts if len(text) >= 8}


class Search:
    """`planted`: secrets by the name of the place where each was planted. `folders`: of this machine, to be nowhere."""

    def __init__(self, planted: Mapping[str, str], folders: Iterable[Path | str]) -> None:
        self._needles = [(name, text.encode()) for name, secret in planted.items() for text in spellings(secret)]
        places = {str(folder) for folder in folders}
        places |= {json.dumps(place)[1:-1] for place in places} | {quote(place, safe="") for place in places}
        self._paths = [place.encode() for place in places if len(place) > 4]

    def in_bytes(self, data: bytes, *, paths: bool = True) -> set[str]:
        """Names of the secrets in it."""
        secrets = {name for name, needle in self._needles if needle in data}
        return secrets | ({f"the path {path.decode()}" for path in self._paths if path in data} if paths else set())

    def in_files(self, *folders: Path) -> dict[str, set[str]]:
        """The secrets in each file, its name included."""
        by_file: dict[str, set[str]] = {}
        for folder in folders:
            for path in [folder, *folder.rglob("*")] if folder.is_dir() else [folder]:
                name = path.relative_to(folder.parent)
                secrets = self.in_bytes(str(name).encode())
                for data in _contents(path):
                    secrets |= self.in_bytes(data)
                if secrets:
                    by_file[str(name)] = secrets
        return by_file


def _contents(path: Path) -> Iterator[bytes]:
    if path.is_symlink():
        yield str(path.readlink()).encode()
    elif path.is_file():
        yield path.read_bytes()
        if path.suffix == ".parquet":
            yield from _of_parquet(path)
        if path.suffix == ".ipynb":
            yield _plain(json.loads(path.read_text())).encode()


def _of_parquet(path: Path) -> Iterator[bytes]:
    """Values, names of columns, and whatever the file says of itself: none of it can be read in the compressed
    bytes."""
    about = pq.read_metadata(path)
    yield repr({**(about.metadata or {}), "created": about.created_by, "columns": about.schema.names}).encode()
    table = pq.read_table(path)
    yield repr(table.schema.metadata).encode()
    for column in table.itercolumns():
        yield "\n".join(map(str, column.unique().to_pylist())).encode()


def _plain(value: object) -> str:
    """Every text of a JSON document, unescaped; the lines of a cell as one."""
    if isinstance(value, dict):
        return "\n".join(f"{name}\n{_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        texts = all(isinstance(item, str) for item in value)
        return "".join(value) if texts else "\n".join(map(_plain, value))
    return str(value)


def folders_of_this_machine(*more: Path) -> list[Path | str]:
    """Folders whose names must not be told, but for those that every machine has."""
    known = [*more, Path(__file__).resolve().parents[2], sys.prefix, sys.base_prefix, Path.home()]
    return [place for place in known if str(place) not in ("/", "/usr", "/usr/local")]

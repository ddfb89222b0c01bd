"""The rows of the table, as `benchmarks/rows.toml` has them: one line a row.

A row's command is a script of this folder with its arguments; `{base}` stands for the checkout that "today" refers to.
Several rows may name the same command: it runs once, and tells all of them.
"""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
FILE = HERE / "rows.toml"
_FIELDS = {"id", "what", "by", "seconds", "at_most", "at_least", "recorded", "skip"}


class RowError(Exception):
    """A row of the table that can't be used."""


@dataclass(frozen=True, slots=True)
class Row:
    """`wanted`: the ratio that the row should reach; `more`: whether a larger one is better. `recorded`: the ratio as
    it was last written down, None for a row that never ran. `seconds`: how long its command takes, about. `skip`: why
    it is not run here; its command is then for by hand."""

    id: str
    what: str
    by: str
    wanted: float
    more: bool
    recorded: float | None
    seconds: float
    skip: str = ""

    @property
    def needs_base(self) -> bool:
        return "{base}" in self.by

    def words(self, base: Path | None) -> list[str]:
        """The command's words behind the interpreter."""
        script, *arguments = shlex.split(self.by)
        return [str(HERE / script), *(str(base) if word == "{base}" else word for word in arguments)]


def read_rows(path: Path = FILE) -> tuple[str, list[Row]]:
    """(the revision that "today" refers to, the rows). Raises RowError with the row and what is expected."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RowError(f"{path.name} can't be read: {error}") from None
    base = table.get("base")
    if not isinstance(base, str) or not base:
        raise RowError(f"{path.name}: `base` should name the revision that the ratios refer to")
    rows = [_row(number, fields) for number, fields in enumerate(table.get("rows", []), start=1)]
    ids = [row.id for row in rows]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    if twice:
        raise RowError(f"{path.name}: {', '.join(twice)} stands in it twice")
    return base, rows


def _row(number: int, fields: dict[str, Any]) -> Row:
    name = fields.get("id", f"number {number}")
    if unknown := sorted(fields.keys() - _FIELDS):
        raise RowError(f"row {name}: unknown field {unknown[0]!r}; there are {', '.join(sorted(_FIELDS))}")
    if missing := [field for field in ("id", "what", "by", "seconds") if field not in fields]:
        raise RowError(f"row {name}: {missing[0]!r} is missing")
    if ("at_most" in fields) == ("at_least" in fields):
        raise RowError(f"row {name}: one of at_most and at_least should say what is wanted")
    more = "at_least" in fields
    return Row(
        id=fields["id"],
        what=fields["what"],
        by=fields["by"],
        wanted=float(fields["at_least" if more else "at_most"]),
        more=more,
        recorded=float(fields["recorded"]) if "recorded" in fields else None,
        seconds=float(fields["seconds"]),
        skip=fields.get("skip", ""),
    )

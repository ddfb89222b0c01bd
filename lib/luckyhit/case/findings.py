"""A finding of a check: where in the case, what is there, what was expected. The loader adds file and line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from luckyhit.scrub.secrets import find_secret

FieldPath = tuple[str | int, ...]
SHOWN_CHARACTERS = 80
NOT_SHOWN = "a value that is not shown, since it looks like a secret"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem at `path`. `line` is set only where it can't be looked up by the path."""

    path: FieldPath
    actual: str
    expected: str
    line: int | None = None


def field_name(path: FieldPath) -> str:
    """`("workload", "routes", 0, "path")` as `workload.routes[0].path`; the whole file is `(file)`."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += ("." if name else "") + plain_name(part)
    return name or "(file)"


def plain_name(part: str) -> str:
    """A key for a message: short, printable, never a secret."""
    if find_secret(part):
        return "(not shown)"
    if len(part) <= 40 and part.isprintable() and part:
        return part
    return shown(part, limit=40)


def shown(value: Any, *, limit: int = SHOWN_CHARACTERS) -> str:
    """`value` for a message, in at most `limit` characters, and never a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"a mapping with {len(value)} fields" if len(value) != 1 else "a mapping with 1 field"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str) and find_secret(value):
        return NOT_SHOWN
    text = ascii(value) if not _printable(value) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain_text(text: str) -> str:
    """The same for a text, without quotes around it."""
    return NOT_SHOWN if find_secret(text) else shown(text)[1:-1]


def _printable(value: Any) -> bool:
    return not isinstance(value, str) or value.replace("\n", "").isprintable()

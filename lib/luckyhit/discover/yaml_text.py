"""Parts of a YAML text: comments, values on one line, names."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from luckyhit.text.json_values import is_list, is_object

_WIDTH = 118
_LONGEST_COMMENT = 300
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def quoted(value: Any) -> str:
    """A value in YAML, on one line: JSON, which YAML reads. Plain words and paths have no quotes."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return value
    return in_quotes(value)


def in_quotes(value: Any) -> str:
    """A value as JSON that YAML reads alike. JSON escapes a character beyond U+FFFF as two; YAML keeps them two."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in text)


def comment(text: str, indent: str = "") -> list[str]:
    """Comment lines. Text from outside is cut, and printable only."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    if len(clean) > _LONGEST_COMMENT:
        clean = clean[:_LONGEST_COMMENT] + " ..."
    start = f"{indent}# "
    return textwrap.wrap(clean, _WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def listed_comment(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield f"# {title}"
        for sentence in sentences[:40]:
            yield from comment(f"- {sentence}")


def flow(values: Iterable[Any]) -> str:
    return "[" + ", ".join(in_quotes(value) for value in values) + "]"


def route_name(text: str, used: set[str]) -> str:
    """A short name for tables, not yet in `used`."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\{[^}]*\}", " ", text).lower())
    base = "-".join(words)[:30].strip("-") or "route"
    name, number = base, 1
    while name in used:
        number += 1
        name = f"{base}-{number}"
    used.add(name)
    return quoted(name)


def with_text_replaced(value: Any, old: str, new: str) -> Any:
    if is_object(value):
        return {key: with_text_replaced(part, old, new) for key, part in value.items()}
    if is_list(value):
        return [with_text_replaced(part, old, new) for part in value]
    return value.replace(old, new) if isinstance(value, str) else value

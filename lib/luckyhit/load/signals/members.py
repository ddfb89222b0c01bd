"""Lists in headers: their members and parameters, with commas and semicolons inside of quotes left alone."""

from __future__ import annotations

from collections.abc import Iterator


def members(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The members of a list such as `a;x=1, b;y="2"` (in small letters): name and parameters, without quotes."""
    for member in _split(text, ","):
        name, *parameters = _split(member, ";")
        pairs = (parameter.partition("=") for parameter in parameters)
        yield name.strip(), {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def _split(text: str, separator: str) -> list[str]:
    """`text` cut at `separator`, but not inside of quotes."""
    if '"' not in text:
        return text.split(separator)
    parts, start, quoted, escaped = [], 0, False, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]

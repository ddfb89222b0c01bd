"""Placeholders such as `{key}` in the texts of a case, and the templates of cache keys.

`{name}` is filled in; `{{` and `}}` stand for one brace each; any other brace is refused. In a JSON body only texts are
filled in, and a text that is just one placeholder becomes the value itself: `"{version}"` becomes the number 7,
`"v{version}"` the text `v7`. Filled-in values are not parsed again, so braces in them are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from luckyhit.text.json_values import leaves, map_texts

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")


class PlaceholderError(ValueError):
    """A template that can't be filled in; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`{name}` in a template."""

    name: str


def parse_template(template: str) -> list[str | Placeholder]:
    """The parts of a template, in order: literal texts (never empty, never two in a row) and placeholders.

    Raises PlaceholderError for a brace that is neither part of a `{name}` nor doubled.
    """
    parts: list[str | Placeholder] = []
    literal, end = "", 0
    for token in _TOKEN.finditer(template):
        literal += template[end : token.start()]
        end = token.end()
        if token[1]:
            if literal:
                parts.append(literal)
            parts.append(Placeholder(token[1]))
            literal = ""
        elif token[0] in ("{{", "}}"):
            literal += token[0][0]
        else:
            raise PlaceholderError(f"a placeholder such as {{key}}, or {token[0] * 2} for a literal brace")
    literal += template[end:]
    return [*parts, literal] if literal else parts


def placeholder_names(value: Any) -> Iterator[str]:
    """The names in a template, or in all texts of a JSON value (its keys are no templates)."""
    for _, leaf in leaves(value):
        if isinstance(leaf, str):
            yield from (part.name for part in parse_template(leaf) if isinstance(part, Placeholder))


def fill(value: Any, mapping: Mapping[str, Any]) -> Any:
    """A template, or a JSON value with templates in it, filled in. A lone `{name}` becomes the value itself.

    Raises PlaceholderError for a name that `mapping` doesn't have, and for a stray brace.
    """

    def filled(template: str) -> Any:
        parts = parse_template(template)
        if len(parts) == 1 and isinstance(parts[0], Placeholder):
            return _value(parts[0].name, mapping)
        return _joined(parts, mapping)

    return map_texts(value, filled)


def fill_text(template: str, mapping: Mapping[str, Any]) -> str:
    """A template filled in as a text, also where it is a lone `{name}`: paths, arguments, environment variables.

    Raises PlaceholderError as `fill` does.
    """
    return _joined(parse_template(template), mapping)


def escape(text: str) -> str:
    """A template that fills in to `text`."""
    return text.replace("{", "{{").replace("}", "}}")


def _joined(parts: list[str | Placeholder], mapping: Mapping[str, Any]) -> str:
    return "".join(part if isinstance(part, str) else str(_value(part.name, mapping)) for part in parts)


def _value(name: str, mapping: Mapping[str, Any]) -> Any:
    try:
        return mapping[name]
    except KeyError:
        known = " or ".join(f"{{{known}}}" for known in mapping) or "no placeholder"
        raise PlaceholderError(f"{known}, not {{{name}}}") from None


def key_pattern(template: str) -> re.Pattern[bytes]:
    """What a template of cache keys matches: `{name}` is one or more bytes other than a colon, all else is literal.

    The pattern is anchored at both ends. It takes time linear in the key's length, however hostile the key is:
    between two colons all placeholders are alike, so that taking each literal at its first place is never worse, and
    an atomic group keeps it there (the last literal before a colon has to end there: the latest place is the one).
    Names only tell the reader what varies; the same name twice may match two values. Raises PlaceholderError.
    """
    return re.compile(rb"\A" + rb":".join(map(_piece_pattern, _between_colons(template))) + rb"\Z")


def key_glob(template: str) -> bytes:
    """A glob for SCAN MATCH that covers at least the keys of a template (colons too: it never decides alone)."""
    glob = b""
    for part in parse_template(template):
        glob += b"?*" if isinstance(part, Placeholder) else re.sub(rb"([*?\[\]\\^-])", rb"\\\1", part.encode())
    return glob


_Piece = list[bytes | int]


def _between_colons(template: str) -> list[_Piece]:
    """A template cut at its colons: each piece alternates literals and gaps (how many placeholders in a row)."""
    pieces: list[_Piece] = [[]]
    for part in parse_template(template):
        if isinstance(part, Placeholder):
            piece = pieces[-1]
            if piece and isinstance(piece[-1], int):
                piece[-1] += 1
            else:
                piece.append(1)
            continue
        first, *others = part.encode().split(b":")
        pieces[-1] += [first] if first else []
        pieces += [[other] if other else [] for other in others]
    return pieces


def _piece_pattern(piece: _Piece) -> bytes:
    pattern = b""
    for index, part in enumerate(piece):
        if isinstance(part, bytes):
            pattern += re.escape(part) if index == 0 else b""  # else it was taken together with the gap before it
        elif index == len(piece) - 1:
            pattern += rb"[^:]{%d,}+" % part
        else:
            literal = piece[index + 1]
            assert isinstance(literal, bytes)  # gaps and literals alternate
            lazy = b"" if index == len(piece) - 2 else b"?"
            pattern += rb"(?>[^:]{%d,}%s%s)" % (part, lazy, re.escape(literal))
    return pattern

"""Parse the text of a case file to plain data, with the line of each field.

A strict subset of YAML 1.2: no anchors, aliases, tags or second documents; no duplicate keys; keys are texts; nothing
that YAML 1.1 and 1.2 read differently (`yes`, `off`). The parser's events are turned into data one by one and without
recursion, so that a hostile file is refused before it costs anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError

from luckyhit.case.findings import FieldPath, Finding, plain_text, shown

MOST_LEVELS = 32
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKS = frozenset("\u2028\u2029\ufeff\ufffe\uffff")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_READ_DIFFERENTLY = re.compile(r"(yes|no|on|off)", re.IGNORECASE)


@dataclass
class Document:
    """`data` in JSON's types, and the `lines` of each field (first line of its key, last line of its value)."""

    data: Any = None
    lines: dict[FieldPath, tuple[int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True
    """False if the text could not be parsed, so that further checks make no sense."""

    def line(self, path: FieldPath) -> int:
        """The line of a field, or of the nearest existing part around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, (1, 1))[0]

    def field_at(self, line: int) -> FieldPath:
        """The innermost field on that line."""
        best: FieldPath = ()
        for path, (first, last) in self.lines.items():
            if first <= line <= last and len(path) >= len(best):
                best = path
        return best

    def refuse(self, path: FieldPath, line: int, value: str, expected: str) -> None:
        self.findings.append(Finding(path, value, expected, line))


def read_document(text: str) -> Document:
    """The data in a case file's text, and its problems as YAML. Never raises."""
    document = Document()
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    forbidden = _forbidden_characters(text)
    cleaned = text.translate({ord(character): "\ufffd" for character, _, _ in forbidden})
    builder = _Builder(document)
    try:
        builder.build(YAML(typ="safe", pure=True).parse(cleaned))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else builder.line
        document.usable = False
        document.refuse((), line, _syntax(error), _quote_hint(error))
    except Exception as error:  # the parser has no complete tree of errors: OverflowError for "\U99999999"
        document.usable = False
        document.refuse((), builder.line, f"invalid YAML ({type(error).__name__})", "YAML 1.2")
    for character, line, count in forbidden:
        places = f" ({count} places, this is the first)" if count > 1 else ""
        document.refuse(document.field_at(line), line, f"{_name(character)}{places}", "text without it")
    return document


def _syntax(error: MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context or "a syntax error").split())
    return f"invalid YAML: {plain_text(problem)}"


def _quote_hint(error: MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "\\t" in problem:
        return "spaces for indentation, never tabs"
    if "mapping values" in problem or "cannot start any token" in problem:
        return (
            "the indentation of its neighbours, and quotes around a text that contains `: ` or ` #`, or begins with a "
            "character like @ % ` * & ! { ["
        )
    return "YAML 1.2 (check indentation, quotes and brackets on this line and above)"


def _forbidden_characters(text: str) -> list[tuple[str, int, int]]:
    """Characters that a case file may not contain: (character, line of the first, count)."""
    counts = Counter(text)
    bad = sorted(character for character in counts if is_forbidden(character))
    return [(character, text.count("\n", 0, text.index(character)) + 1, counts[character]) for character in bad]


def is_forbidden(character: str) -> bool:
    """Control characters, lone surrogates, marks that reorder text, and line breaks that some editors hide."""
    if character in "\n\t":
        return False
    return character in _BIDI or character in _BREAKS or unicodedata.category(character) in ("Cc", "Cs")


def _name(character: str) -> str:
    kind = "a character that reorders text" if character in _BIDI else "a control character"
    return f"{kind}, U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


@dataclass
class _Frame:
    container: dict[str, Any] | list[Any]
    path: FieldPath
    first_line: int
    last_line: int
    key: str | None = None
    key_line: int = 0

    @property
    def next_step(self) -> str | int | None:
        """Where the next value goes: under the last key (None if a key comes first), or at the end of the list."""
        return self.key if isinstance(self.container, dict) else len(self.container)

    def put(self, value: Any) -> None:
        if isinstance(self.container, dict):
            self.container[self.key or ""] = value
            self.key = None
        else:
            self.container.append(value)


class _Builder:
    """Turns the parser's events into data with an explicit stack, so that depth can't cause a RecursionError."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.line = 1
        self.frames: list[_Frame] = []
        self.skipping = 0

    def build(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            self.line = event.start_mark.line + 1
            if isinstance(event, ev.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.document.refuse(
                        (), self.line, "a second document", "one case per file, without `---` after it"
                    )
                    return
                if event.version not in (None, (1, 2)) or event.tags:
                    self.document.refuse((), self.line, "a % directive", "plain YAML 1.2, without directives")
            elif isinstance(event, ev.NodeEvent):
                self._node(event)
                if len(self.frames) > MOST_LEVELS or self.skipping > MOST_LEVELS:
                    self.document.usable = False
                    path = self.frames[-1].path[:4] if self.frames else ()
                    self.document.refuse(path, self.line, f"more than {MOST_LEVELS} levels of nesting", "fewer levels")
                    return
            elif isinstance(event, (ev.MappingEndEvent, ev.SequenceEndEvent)):
                self._end(event)
        if documents == 0:
            self.document.usable = False
            self.document.refuse((), 1, "an empty file", "a case (`luckyhit new NAME` writes one)")

    def _node(self, event: Any) -> None:
        starts = isinstance(event, (ev.MappingStartEvent, ev.SequenceStartEvent))
        if self.skipping:
            self.skipping += starts
            return
        frame = self.frames[-1] if self.frames else None
        if frame is not None and frame.next_step is None:
            self._key(frame, event, starts)
            return
        path = self._next_path(frame)
        self._plainness(path, event)
        first_line = frame.key_line if frame is not None and frame.key is not None else self.line
        value: Any = None
        if isinstance(event, ev.MappingStartEvent):
            value = {}
        elif isinstance(event, ev.SequenceStartEvent):
            value = []
        elif isinstance(event, ev.ScalarEvent):
            value = self._scalar(path, event)
        if frame is None:
            self.document.data = value
        else:
            frame.put(value)
        last_line = self.line if starts else self._last_line(event)
        self.document.lines[path] = (first_line, last_line)
        if frame is not None:
            frame.last_line = max(frame.last_line, last_line)
        if starts:
            self.frames.append(_Frame(value, path, first_line, last_line))

    @staticmethod
    def _next_path(frame: _Frame | None) -> FieldPath:
        if frame is None:
            return ()
        return (*frame.path, "" if frame.next_step is None else frame.next_step)

    def _last_line(self, event: Any) -> int:
        # A block scalar ends at the start of the line after it.
        end = event.end_mark
        return max(self.line, end.line + 1 if end.column else end.line)

    def _end(self, event: Any) -> None:
        if self.skipping:
            self.skipping -= 1
            return
        frame = self.frames.pop()
        # A block's end mark is where the next one begins, after blank lines and comments: take its last value's line.
        in_brackets = event.end_mark.index > event.start_mark.index
        last = max(frame.last_line, self._last_line(event) if in_brackets else 0)
        self.document.lines[frame.path] = (frame.first_line, last)
        if self.frames:
            self.frames[-1].last_line = max(self.frames[-1].last_line, last)

    def _key(self, frame: _Frame, event: Any, starts: bool) -> None:
        self._plainness(frame.path, event)
        frame.key_line = self.line
        if not isinstance(event, ev.ScalarEvent):
            kind = "an alias" if isinstance(event, ev.AliasEvent) else "a list or mapping"
            self.document.refuse(
                frame.path,
                self.line,
                f"{kind} as a key",
                "a text as the key (quote a text that begins with a brace or bracket)",
            )
            self.skipping = int(starts)
            frame.key = f"(key {len(frame.container)})"
            return
        key = event.value
        if not isinstance(_resolve(event), str):
            right = f'"{key}" in quotes' if key else "a name before the colon"
            self.document.refuse(frame.path, self.line, f"the key {shown(_resolve(event))}, which is not a text", right)
        self._characters((*frame.path, key), key)
        if key in frame.container:
            first = self.document.lines.get((*frame.path, key), (frame.first_line, 0))[0]
            self.document.refuse(
                (*frame.path, key), self.line, f"a duplicate key (first on line {first})", "each key once"
            )
        frame.key = key

    def _plainness(self, path: FieldPath, event: Any) -> None:
        if isinstance(event, ev.AliasEvent):
            self.document.refuse(path, self.line, f"an alias, {shown('*' + event.anchor)}", "the value itself")
        elif event.anchor is not None:
            self.document.refuse(path, self.line, f"an anchor, {shown('&' + event.anchor)}", "the value without one")
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self.document.refuse(path, self.line, f"a tag, {shown(tag)}", "the value without a tag")

    def _scalar(self, path: FieldPath, event: Any) -> Any:
        value = _resolve(event)
        if isinstance(value, str):
            self._characters(path, value)
        if _is_plain(event):
            if isinstance(value, str) and _READ_DIFFERENTLY.fullmatch(value):
                self.document.refuse(
                    path,
                    self.line,
                    f"{value} without quotes (YAML 1.1 reads it as true or false, YAML 1.2 as a text)",
                    f'"{value}" in quotes for the text, or true or false',
                )
            elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
                self.document.refuse(
                    path, self.line, f"{plain_text(event.value)}, which is not finite", "a finite number"
                )
                value = None
            elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63 - 1:
                self.document.refuse(
                    path, self.line, "a number beyond 64 bits", "a smaller number, or a text in quotes"
                )
                value = None
        return value

    def _characters(self, path: FieldPath, text: str) -> None:
        # Those written as themselves are found in the text; these come from escapes such as "\u202e".
        for character in sorted({character for character in text if is_forbidden(character)}):
            self.document.refuse(path, self.line, f"{_name(character)}, as an escape", "text without it")


def _is_plain(event: Any) -> bool:
    return event.style is None or event.style == ""


def _resolve(event: Any) -> Any:
    """A scalar's value by YAML 1.2's core schema: what is quoted is a text, whatever it looks like."""
    text = event.value
    if not _is_plain(event):
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        if len(text) > 40:
            return 2**200  # refused as too large; never converted, since that takes time
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    if _FLOAT.fullmatch(text) or _NOT_A_NUMBER.fullmatch(text):
        return float(
            text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan")
        )
    return text

"""Change single values in the text of a case file: every other character is kept, comments included."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from luckyhit.case.findings import FieldPath, field_name
from luckyhit.case.load import parse_case
from luckyhit.errors import ArgumentError

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./%+-]*(?: [A-Za-z0-9_./%+-]+)*")
_INDENT = 2


def written_values(text: str) -> dict[FieldPath, str]:
    """The single values of a case file by path, as they are written, without quotes. `text`: valid YAML."""
    values: dict[FieldPath, str] = {}
    _walk(_root(_normal(text)), (), values)
    return values


def with_values(text: str, values: Mapping[FieldPath, str], *, file: str = "case.yml") -> str:
    """The text of a case file with these values; a field that it lacks is added to its section.

    Raises ArgumentError for an empty value, or a path that leads through a single value, and CaseError if the result
    would be no valid case.
    """
    crlf = "\r\n" in text and text.count("\r\n") == text.count("\n")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    edited = _normal(text)
    for path, value in values.items():
        if not value.strip():
            raise ArgumentError(f"{field_name(path)} has no value", hint="Write one, or leave the field as it was.")
        # One after the other, since each moves the places of the next.
        start, end, replacement = _edit(_root(edited), edited, path, _scalar(value.strip()))
        edited = edited[:start] + replacement + edited[end:]
    parse_case(edited, file=file)
    return mark + (edited.replace("\n", "\r\n") if crlf else edited)


def _normal(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _root(text: str) -> Node:
    root: Node = YAML(typ="rt", pure=True).compose(text)
    return root


def _walk(node: Node, path: FieldPath, values: dict[FieldPath, str]) -> None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            _walk(value, (*path, key.value), values)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), values)
    elif isinstance(node, ScalarNode):
        values[path] = str(node.value)


def _scalar(value: str) -> str:
    """A value as YAML: plain where that can't be taken for anything else."""
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _edit(node: Node, text: str, path: FieldPath, written: str) -> tuple[int, int, str]:
    """(start, end, replacement) of one edit."""
    for depth, step in enumerate(path):
        if not isinstance(node, (MappingNode, SequenceNode)):
            raise ArgumentError(
                f"{field_name(path)} can't be set: {field_name(path[:depth])} is a single value",
                hint="Write it as a section of its own in the case file first.",
            )
        inner = _member(node, step)
        if inner is None:
            return _addition(node, text, path, depth, written)
        node = inner
    if not isinstance(node, ScalarNode):
        raise ArgumentError(f"{field_name(path)} is a section, not a single value", hint="Edit it in the case file.")
    if node.start_mark.index == node.end_mark.index:  # a name with nothing after its colon
        return node.start_mark.index, node.start_mark.index, f" {written}"
    return node.start_mark.index, node.end_mark.index, written


def _member(node: Node, step: str | int) -> Node | None:
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    entries: list[Any] = node.value
    return entries[step] if isinstance(step, int) and 0 <= step < len(entries) else None


def _addition(node: Node, text: str, path: FieldPath, depth: int, written: str) -> tuple[int, int, str]:
    """The edit that adds the entry at `path[depth:]` at the end of a mapping, below what stands there and its
    comment."""
    if not isinstance(node, MappingNode) or any(isinstance(step, int) for step in path[depth:]):
        raise ArgumentError(f"{field_name(path)} can't be added to a list", hint="Edit the case file.")
    names = [_scalar(str(step)) for step in path[depth:]]
    if node.flow_style:
        entry = f"{': {'.join(names)}: {written}{'}' * (len(names) - 1)}"
        at = _end(node.value[-1][1]) if node.value else node.start_mark.index + 1
        return at, at, f", {entry}" if node.value else entry
    column = node.value[0][0].start_mark.column
    lines = [f"{' ' * (column + _INDENT * depth)}{name}:" for depth, name in enumerate(names)]
    entry = "\n".join(lines) + f" {written}"
    at = _end(node.value[-1][1])
    if text[at - 1 : at] == "\n":  # a text of several lines ends with its last line break
        return at, at, f"{entry}\n"
    line_end = text.find("\n", at)
    at = len(text) if line_end < 0 else line_end
    return at, at, f"\n{entry}"


def _end(node: Node) -> int:
    """The end of a value. A block's own mark is after the comments below it."""
    if isinstance(node, (MappingNode, SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, MappingNode) else last)
    return int(node.end_mark.index)

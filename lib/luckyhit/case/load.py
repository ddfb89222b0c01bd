"""Load a case file strictly: it is valid, or refused with its problems, each with line and field.

Problems come in two rounds: what is wrong with single fields, all at once; then what doesn't fit together. Secrets
written in clear are refused too, with the place where they belong.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from luckyhit.case.checks.cross_field import findings_in
from luckyhit.case.document import Document, read_document
from luckyhit.case.findings import FieldPath, Finding, field_name, plain_name
from luckyhit.case.model import Case
from luckyhit.case.validation_findings import findings_of
from luckyhit.case.values.path_variables import fill_requested
from luckyhit.errors import CaseError, Problem
from luckyhit.scrub.secrets import find_secret, is_literal, is_secret_header, is_secret_name
from luckyhit.text.json_values import value_at

LARGEST_BYTES = 256_000
MOST_PROBLEMS = 200


def load_case(path: Path, *, variables: Mapping[str, str] = MappingProxyType({})) -> Case:
    """The case in a file. Raises CaseError with its problems, sorted by line. `variables`: values of `${NAME}` in the
    paths of requests; other variables are left as they are."""
    path = Path(path)
    return parse_case(_read(path), file=str(path), variables=variables)


def parse_case(text: str, *, file: str = "case.yml", variables: Mapping[str, str] = MappingProxyType({})) -> Case:
    """The case in a text. Raises CaseError; `file` is the file name in its problems."""
    document = read_document(text)
    fill_requested(document.data, variables)
    case: Case | None = None
    disclosed = list(disclosed_in(document, text))
    findings = [*document.findings, *disclosed]
    if document.usable:
        try:
            case = Case.model_validate(document.data)
        except ValidationError as error:
            reported = {finding.path for finding in findings}
            findings += [
                finding
                for finding in findings_of(error, document.data)
                if finding.path not in reported or finding.path not in document.lines
            ]
        else:
            reported = {finding.path for finding in findings}
            findings += [finding for finding in findings_in(case) if finding.path not in reported]
    if case is None or findings:
        secret_values = values_at(document, disclosed)
        raise _case_error([without_values(finding, secret_values) for finding in findings], document, text, file)
    return case


def _case_error(findings: list[Finding], document: Document, text: str, file: str) -> CaseError:
    last = max(1, len(text.splitlines()))
    problems: dict[Problem, None] = {}
    for finding in findings:
        line = document.line(finding.path) if finding.line is None else finding.line
        where = max(1, min(line, last))
        problems[Problem(file, where, field_name(finding.path), finding.actual, finding.expected)] = None
    ordered = sorted(problems, key=lambda problem: problem.line)
    hint = "docs/case-file.md describes each field."
    if len(ordered) > MOST_PROBLEMS:
        hint = f"{len(ordered) - MOST_PROBLEMS} more problems are not shown. {hint}"
    return CaseError(ordered[:MOST_PROBLEMS], hint=hint)


def _read(path: Path) -> str:
    """The file's text. Its size and type are checked first: a pipe could block, a device never end."""

    def refused(value: str, expected: str, line: int = 1) -> CaseError:
        return CaseError([Problem(str(path), line, "(file)", value, expected)])

    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise refused("a directory", "a case file, such as data/cases/NAME.yml")
        if not stat.S_ISREG(about.st_mode):
            raise refused("a pipe, socket or device", "a regular file")
        if about.st_size > LARGEST_BYTES:
            raise refused(f"{about.st_size:,} bytes", f"at most {LARGEST_BYTES:,} bytes")
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise refused("no such file", "a case file (`luckyhit new NAME` writes one)") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown reason"
        raise refused(f"unreadable file: {reason}", "a readable file") from None
    except ValueError:
        raise refused("a file name with a NUL character", "a file name without it") from None
    if len(content) > LARGEST_BYTES:
        raise refused("a file that grew while it was read", f"at most {LARGEST_BYTES:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refused(f"the byte 0x{content[error.start]:02x}, which is not UTF-8", "text in UTF-8", line) from None


_NAMES_ONLY = {"headers_env", "pass_env", "url_env"}
_ASSIGNMENT = re.compile(r"-{0,2}([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


def without_values(finding: Finding, values: Iterable[str]) -> Finding:
    """A finding with these secret values hidden."""
    shown_value, expected = finding.actual, finding.expected
    for value in values:
        # A long one may have been cut, a strange one written with escapes.
        for spelling in {value, repr(value)[1:-1][:60], ascii(value)[1:-1][:60]}:
            if len(spelling) >= 4:
                shown_value, expected = (text.replace(spelling, "(not shown)") for text in (shown_value, expected))
            elif repr(spelling) in shown_value + expected:
                shown_value, expected = (
                    text.replace(repr(spelling), "(not shown)") for text in (shown_value, expected)
                )
    return replace(finding, actual=shown_value, expected=expected)


def values_at(document: Document, findings: Iterable[Finding]) -> set[str]:
    """The secret values that those findings are about."""
    values = set()
    for finding in findings:
        value = value_at(document.data, finding.path)
        if _is_scalar(value):
            values.add(_text(value))
    return values - {""}


def disclosed_in(document: Document, text: str) -> Iterator[Finding]:
    """Each secret in a case file, comments included. No finding contains the value of a secret."""
    covered: set[int] = set()
    for finding in _in_value(document.data, ()):
        first, last = document.lines.get(finding.path, (0, 0))
        covered.update(range(first, last + 1))
        yield finding
    for number, line in enumerate(text.splitlines(), start=1):
        if number not in covered and (kind := find_secret(line)):
            path = document.field_at(number)
            yield Finding(path, f"{kind}, written in clear", _where(path), number)


def _in_value(value: Any, path: FieldPath) -> Iterator[Finding]:
    if isinstance(value, dict):
        yield from _in_mapping(value, path)
    elif isinstance(value, list):
        yield from _in_list(value, path)
    elif isinstance(value, str) and (kind := find_secret(value)):
        yield Finding(path, f"{kind}, written in clear", _where(path))


def _in_mapping(mapping: dict[str, Any], path: FieldPath) -> Iterator[Finding]:
    for name, value in mapping.items():
        at = (*path, name)
        if find_secret(name):
            yield Finding(at, "a secret in a field's name", _where(at))
        elif _is_scalar(value) and _holds_secret(name, path) and is_literal(_text(value)):
            yield Finding(at, "a secret, written in clear", _where(at))
        else:
            yield from _in_value(value, at)
    if path == ("change",) and is_secret_name(str(mapping.get("name", ""))):
        for name in ("before", "after"):
            if _is_scalar(mapping.get(name)) and is_literal(_text(mapping[name])):
                yield Finding((*path, name), "a secret, written in clear", "a variable that is not a secret")


def _holds_secret(name: str, path: FieldPath) -> bool:
    if _NAMES_ONLY & {name, *path}:
        return False
    if path[-1:] == ("headers",) and path[:1] != ("expected",) and "response" not in path:
        return is_secret_header(name)
    return is_secret_name(name)


def _in_list(items: list[Any], path: FieldPath) -> Iterator[Finding]:
    names_only = bool(_NAMES_ONLY & set(path))
    for index, item in enumerate(items):
        at = (*path, index)
        before = items[index - 1] if index else None
        if not names_only and _is_scalar(item) and _is_option(before) and _is_argument_value(item):
            yield Finding(at, f"a value for {plain_name(_text(before))}, written in clear", _where(at))
        elif isinstance(item, str) and (match := _ASSIGNMENT.fullmatch(item)) and is_secret_name(match[1]):
            if is_literal(match[2]):
                yield Finding(at, f"a value for {plain_name(match[1])}, written in clear", _where(at))
        else:
            yield from _in_value(item, at)


def _is_option(item: Any) -> bool:
    return (
        isinstance(item, str) and len(item) <= 40 and item.startswith("-") and "=" not in item and is_secret_name(item)
    )


def _is_argument_value(item: Any) -> bool:
    return not _text(item).startswith("-") and is_literal(_text(item))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _where(path: FieldPath) -> str:
    """The place for this secret: the name of an environment variable, never the value."""
    if path[:2] == ("target", "start"):
        return "no secret here: export it, and name its variable in target.start.pass_env"
    if path[:1] == ("cache",):
        return "no secret here: export the URL, and name its variable in cache.url_env"
    if "headers" in path or path[:1] in (("target",), ("workload",), ("freshness",)):
        return "no secret here: export it, and name its variable in target.headers_env (or start.pass_env)"
    return "no secret here: write {name} or ... instead (values come from pass_env, headers_env or url_env)"


def with_plan(text: str, case: Case) -> str:
    """The text of a case file with the plan (and the probe's rate) of `case`; every other character is kept.

    `text` has a `plan`. Raises CaseError if the numbers of `case` are invalid in a case file.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    root = YAML(typ="rt", pure=True).compose(text)
    edits = []
    plan = _value(root, "plan")
    edits.append((plan.start_mark.index, _end(plan), _flow(case.plan.model_dump(mode="json", exclude_unset=True))))
    if case.freshness is not None and case.freshness.rate is not None:
        probe = _value(root, "freshness")
        rate = case.freshness.model_dump(mode="json", include={"rate"})["rate"]
        if not any(key.value == "rate" for key, _ in probe.value):
            edits.append(_first_entry(probe, f"rate: {rate}"))
        else:
            old = _value(probe, "rate")
            edits.append((old.start_mark.index, _end(old), str(rate)))
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    assert parse_case(text) == case
    return text


def _value(mapping: MappingNode, name: str) -> Any:
    return next(value for key, value in mapping.value if key.value == name)


def _end(node: Node) -> int:
    """The end of a value. A block mapping's own mark is after its comments."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    return int(node.end_mark.index)


def _first_entry(mapping: MappingNode, entry: str) -> tuple[int, int, str]:
    """The edit that inserts an entry at the start of a mapping."""
    at = mapping.value[0][0].start_mark
    between = ", " if mapping.flow_style else "\n" + " " * at.column
    return at.index, at.index, entry + between


def _flow(values: dict[str, Any]) -> str:
    """A flow mapping on one line: `{auto: true, block: 9s}`."""
    written = (f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items())
    return "{" + ", ".join(written) + "}"

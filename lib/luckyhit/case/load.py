"""The strict loader: a case file is either right, or refused with everything that is wrong with it at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from luckyhit.case.checks import findings_in
from luckyhit.case.disclosed import disclosed_in, values_at, without_values
from luckyhit.case.document import Document, read_document
from luckyhit.case.explain import explain
from luckyhit.case.findings import Finding, field_name
from luckyhit.case.model import Case
from luckyhit.case.path_variables import fill_requested
from luckyhit.case.salvage import salvage
from luckyhit.errors import CaseError, Problem

LARGEST_BYTES = 256_000
MOST_PROBLEMS = 200


def load_case(path: Path, *, variables: Mapping[str, str] = MappingProxyType({})) -> Case:
    """The case in a file. Raises CaseError with every problem there is, sorted by line. `variables`: what `${NAME}` in
    the paths of requests stands for; those that are not among them stay as they are written."""
    path = Path(path)
    return parse_case(_read(path), file=str(path), variables=variables)


def parse_case(text: str, *, file: str = "case.yml", variables: Mapping[str, str] = MappingProxyType({})) -> Case:
    """The case in a text. Raises CaseError; `file` is the name that its problems carry."""
    document = read_document(text)
    fill_requested(document.data, variables)
    case: Case | None = None
    disclosed = list(disclosed_in(document, text))
    findings = [*document.findings, *disclosed]
    if document.usable:
        try:
            case = Case.model_validate(document.data)
        except ValidationError as error:
            findings += _further(error, document, {finding.path for finding in findings})
        else:
            reported = {finding.path for finding in findings}
            findings += [finding for finding in findings_in(case) if finding.path not in reported]
    if case is None or findings:
        secret_values = values_at(document, disclosed)
        raise _case_error([without_values(finding, secret_values) for finding in findings], document, text, file)
    return case


def _further(error: ValidationError, document: Document, reported: set[Any]) -> Iterator[Finding]:
    """What is wrong with the data. A field that was reported already is not reported for its consequences too."""
    refused = set()
    for finding in explain(error, document.data):
        refused.add(finding.path)
        if finding.path not in reported or finding.path not in document.lines:
            yield finding
    if isinstance(document.data, dict):
        for finding in findings_in(salvage(Case, document.data)):
            if finding.path not in reported | refused:
                yield finding


def _case_error(findings: list[Finding], document: Document, text: str, file: str) -> CaseError:
    last = max(1, len(text.splitlines()))
    problems: dict[Problem, None] = {}
    for finding in findings:
        line = document.line(finding.path) if finding.line is None else finding.line
        where = max(1, min(line, last))
        problems[Problem(file, where, field_name(finding.path), finding.found, finding.expected)] = None
    ordered = sorted(problems, key=lambda problem: problem.line)
    hint = "docs/case-file.md describes each field."
    if len(ordered) > MOST_PROBLEMS:
        hint = f"There are {len(ordered) - MOST_PROBLEMS} more; these come first. {hint}"
    return CaseError(ordered[:MOST_PROBLEMS], hint=hint)


def _read(path: Path) -> str:
    """The file's text. Its size and kind are looked at before it is read: a pipe could block, a device never end."""

    def refused(found: str, expected: str, line: int = 1) -> CaseError:
        return CaseError([Problem(str(path), line, "(file)", found, expected)])

    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise refused("a directory", "a case file, such as data/cases/NAME.yml")
        if not stat.S_ISREG(about.st_mode):
            raise refused("a pipe, socket or device", "a regular file")
        if about.st_size > LARGEST_BYTES:
            raise refused(f"{about.st_size:,} bytes", f"{LARGEST_BYTES:,} bytes at most")
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise refused("no such file", "a case file (`luckyhit new NAME` writes one to start from)") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown reason"
        raise refused(f"a file that can't be read: {reason}", "a file that can be read") from None
    except ValueError:
        raise refused("a file name with a NUL in it", "a file name without it") from None
    if len(content) > LARGEST_BYTES:
        raise refused("a file that grew while it was read", f"{LARGEST_BYTES:,} bytes at most")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refused(f"the byte 0x{content[error.start]:02x}, which is no UTF-8", "text in UTF-8", line) from None

"""The texts of `luckyhit load`'s options: what each means, and what would be right where it means nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from luckyhit.case.placeholders import escape
from luckyhit.case.units import parse_duration, parse_rate
from luckyhit.errors import ArgumentError

LARGEST_BODY = 1_000_000
_FILLED_IN = re.compile(r"\{(key|number)\}")
_STAGE = re.compile(r"(?P<rate>.+?)(?:\s+to\s+(?P<to>.+?))?\s+for\s+(?P<time>.+)")
_RANGE = re.compile(r"(-?\d+)\s*-\s*(-?\d+)")


def number(text: str, what: str, *, rate: bool = False) -> float:
    """`200`, `200/s`, `30/m` (a rate) or `10`, `10s`, `2m` (a time) as requests per second, or seconds."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_rate(text) if rate else parse_duration(text)
    except ValueError as error:
        example = "200 or 200/s" if rate else "10 or 500ms"
        hint = f"For example {example} ({error})."
        raise ArgumentError(f"{what} is {text[:60]!r}, which is no {'rate' if rate else 'time'}", hint=hint) from None


def stage_facts(text: str) -> dict[str, Any]:
    """`50/s for 10s`, `50/s to 200/s for 20s`."""
    found = _STAGE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError("a stage")
        stage = {"lasts": found["time"], "rate": found["rate"]}
        parse_duration(found["time"]), parse_rate(found["rate"])
        if found["to"]:
            parse_rate(found["to"])
            stage["to"] = found["to"]
        return stage
    except ValueError as error:
        hint = f"For example --stage '50/s for 10s' or --stage '50/s to 200/s for 20s' ({error})."
        raise ArgumentError(f"{text[:80]!r} is no stage", hint=hint) from None


def key_facts(given: str) -> dict[str, Any]:
    """`1-1000` or `@FILE` as fields of the case's `keys`."""
    if given.startswith("@"):
        return {"file": given[1:]}
    if found := _RANGE.fullmatch(given.strip()):
        first, last = int(found[1]), int(found[2])
        if first <= last:
            return {"first": first, "last": last}
    raise ArgumentError(f"--keys is {given[:60]!r}", hint="A range such as 1-1000, or @FILE with a key a line.")


def headers_of(lines: Sequence[str], from_env: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """`Name: value` and `Name=VARIABLE` as headers. Values are never shown: they may be secrets."""
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ArgumentError("--header is not Name: value", hint="For example --header 'Accept-Language: de'.")
        headers[name.strip()] = value.strip()
    for pair in from_env:
        name, equals, variable = pair.partition("=")
        if not equals or not name.strip() or not variable.strip():
            raise ArgumentError(
                "--header-env is not Name=VARIABLE", hint="For example --header-env Authorization=API_TOKEN."
            )
        if variable.strip() not in environ:
            raise ArgumentError(
                f"not set in the environment: {variable.strip()[:60]}", hint="Export it, then start again."
            )
        headers[name.strip()] = environ[variable.strip()]
    return headers


def template(text: str, names: Sequence[str]) -> str:
    """`text` as a template in which only `names` are filled in: other braces are what they are."""
    parts = _FILLED_IN.split(text)  # literal, name, literal, name, ..., literal
    return "".join(
        escape(part) if index % 2 == 0 else f"{{{part}}}" if part in names else escape(f"{{{part}}}")
        for index, part in enumerate(parts)
    )


def given_text(given: str, option: str) -> str:
    """A text, or with @ before it the text of a file."""
    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        if path.stat().st_size > LARGEST_BODY:
            raise ArgumentError(f"{path} is larger than {LARGEST_BODY:,} bytes", hint=f"A smaller file for {option}.")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ArgumentError(f"{path} can't be read: {error.strerror}", hint=f"{option} @FILE names a text.") from None
    except UnicodeDecodeError:
        raise ArgumentError(f"{path} is no UTF-8 text", hint=f"{option} sends texts only.") from None


def is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(_FILLED_IN.sub("0", text)), (dict, list))
    except ValueError:
        return False

"""Turn pydantic's validation errors into findings in the terms of a case file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from luckyhit.case.changes import MODELS
from luckyhit.case.findings import FieldPath, Finding, shown
from luckyhit.case.model import Case
from luckyhit.case.part import Part, field_of
from luckyhit.scrub.secrets import find_secret
from luckyhit.text.json_values import as_object, value_at

_MAPPING = "a mapping (one `name: value` line per field)"
_KINDS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list (one `- ` line per item)",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
}


def findings_of(error: ValidationError, data: Any) -> Iterator[Finding]:
    """A finding for each error of a case that was validated from `data`."""
    for details in error.errors(include_url=False):
        path = _path(details, data)
        yield _finding(details, path, data)


def _path(details: ErrorDetails, data: Any) -> FieldPath:
    """The path in the file: pydantic's without the tag of a union and without "[key]"."""
    steps = [step for step in details["loc"] if step != "[key]"]
    if len(steps) > 1 and steps[0] == "change" and steps[1] == _kind(data):
        del steps[1]
    return tuple(steps)


def _kind(data: Any) -> Any:
    return value_at(data, ("change", "kind"))


def _finding(details: ErrorDetails, path: FieldPath, data: Any) -> Finding:
    kind, value = details["type"], details["input"]
    context = details.get("ctx", {})
    at_key = details["loc"][-1:] == ("[key]",)
    if kind == "missing":
        return _missing(path, data)
    if kind == "extra_forbidden":
        return _unknown(path, data)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _no_kind(path, value)
    if at_key:
        return _key_finding(details, path)
    if kind in _KINDS:
        return Finding(path, shown(value), _of_type(kind, value, path, data))
    if kind == "value_error":
        return Finding(path, _shown_at(path, value), str(context["error"]))
    if kind in ("literal_error", "enum"):
        return _not_one_of(path, shown(value), _choices(path, data), value)
    if kind == "too_short":
        return Finding(path, "an empty list" if value == [] else "empty", "at least one")
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"):
        return Finding(path, shown(value), _range(path, data, details["msg"]))
    return Finding(path, _shown_at(path, value), _sentence(details["msg"]))


def _shown_at(path: FieldPath, value: Any) -> str:
    """The value; hidden where the name of an environment variable belongs, since people put a secret there."""
    names = [step for step in path if isinstance(step, str)]
    if any(name.endswith("_env") for name in names) and isinstance(value, str):
        return "another value (not shown, since it may be a secret)"
    return shown(value)


def _missing(path: FieldPath, data: Any) -> Finding:
    _, field = field_of(Case, path, data)
    description = (field.description or "") if field is not None else ""
    return Finding(path, "missing field", f"{description[:1].lower()}{description[1:].rstrip('.')}")


def _unknown(path: FieldPath, data: Any) -> Finding:
    part, _ = field_of(Case, path[:-1], data)
    names = list(part.model_fields) if part is not None else []
    hidden = find_secret(str(path[-1]))
    return _not_one_of(path, "unknown field" if hidden else f"unknown field {shown(path[-1])}", names, path[-1])


def _no_kind(path: FieldPath, value: Any) -> Finding:
    if "kind" in as_object(value):
        return _not_one_of((*path, "kind"), shown(value["kind"]), MODELS, value["kind"])
    if isinstance(value, dict):
        return Finding((*path, "kind"), "missing field", f"one of {', '.join(MODELS)}")
    return Finding(path, shown(value), _MAPPING)


def _key_finding(details: ErrorDetails, path: FieldPath) -> Finding:
    actual = f"the name {shown(path[-1])}"
    if details["type"] == "literal_error":
        _, field = field_of(Case, path[:-1], None)
        return _not_one_of(path, actual, get_args(get_args(field.annotation)[0]) if field is not None else [], path[-1])
    error = str(details["ctx"]["error"]) if details["type"] == "value_error" else _sentence(details["msg"])
    return Finding(path, actual, error)


def _of_type(kind: str, value: Any, path: FieldPath, data: Any) -> str:
    expected = _KINDS[kind]
    part, _ = field_of(Case, path, data)
    if kind.startswith("model"):
        part = part or _part_at(path)
        return f"a mapping with {', '.join(part.model_fields)}" if part is not None else expected
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f'a text in quotes: "{shown(value)}"'
    if kind == "string_type" and isinstance(value, (dict, list)):
        return "a text (quote one that begins with a brace or bracket)"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "on", "true", "1"):
        return "true (without quotes)"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("no", "off", "false", "0"):
        return "false (without quotes)"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return expected
        return f"{expected}, without quotes"
    return expected


def _part_at(path: FieldPath) -> type[Part] | None:
    return field_of(Case, path, {})[0]


def _choices(path: FieldPath, data: Any) -> list[str]:
    _, field = field_of(Case, path, data)
    if field is None:
        # Inside a mapping of choices, such as target.cache_values.
        _, field = field_of(Case, path[:-1], data)
        annotation = get_args(field.annotation)[-1] if field is not None else None
        return [str(choice) for choice in get_args(annotation)]
    return [str(choice) for choice in get_args(field.annotation)]


def _range(path: FieldPath, data: Any, message: str) -> str:
    _, field = field_of(Case, path, data)
    bounds: dict[str, Any] = {}
    for item in field.metadata if field is not None else ():
        for name in ("gt", "ge", "lt", "le"):
            bound = getattr(item, name, None)
            if bound is not None:
                bounds[name] = bound
    words = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}
    text = " and ".join(f"{words[name]} {bound:,}" for name, bound in bounds.items())
    return f"a number that is {text}" if text else _sentence(message)


def _not_one_of(path: FieldPath, actual: str, names: Iterable[str], value: Any) -> Finding:
    """With the nearest of the names, where one is near."""
    names = list(names)
    near = difflib.get_close_matches(str(value)[:100], names, n=1, cutoff=0.6)
    meant = f" (did you mean '{near[0]}'?)" if near else ""
    return Finding(path, actual + meant, f"one of {', '.join(names)}" if names else "a known name")


def _sentence(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("Value error, ")

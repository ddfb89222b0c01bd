"""A validation error in the words of a case file: what was found, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from luckyhit.case.findings import FieldPath, Finding, shown
from luckyhit.case.model import Case
from luckyhit.case.part import Part
from luckyhit.case.reading.salvage import field_of
from luckyhit.scrub.secrets import find_secret
from luckyhit.text.json_values import as_object, value_at

_KINDS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list, one `- ` line for each",
    "dict_type": "a mapping, one `name: value` line for each",
    "model_type": "a mapping, one `name: value` line for each",
    "model_attributes_type": "a mapping, one `name: value` line for each",
}


def explain(error: ValidationError, data: Any) -> Iterator[Finding]:
    """Each error of a case that was validated from `data`; the checks between fields are left to the caller."""
    for details in error.errors(include_url=False):
        path = _path(details, data)
        yield _finding(details, path, data)


def _path(details: ErrorDetails, data: Any) -> FieldPath:
    """The path in the file: without the kind that stands in the path into a union, without "[key]"."""
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
        return Finding(path, f"the name {shown(path[-1])}", _name_expected(details, path))
    if kind in _KINDS:
        return Finding(path, shown(value), _of_type(kind, value, path, data))
    if kind == "value_error":
        return Finding(path, _shown_at(path, value), str(context["error"]))
    if kind in ("literal_error", "enum"):
        return Finding(path, shown(value), _one_of(_choices(path, data), value))
    if kind == "too_short":
        return Finding(path, "an empty list" if value == [] else "nothing in it", "at least one")
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"):
        return Finding(path, shown(value), _range(path, data, details["msg"]))
    return Finding(path, _shown_at(path, value), _sentence(details["msg"]))


def _shown_at(path: FieldPath, value: Any) -> str:
    """What was found; not where the name of an environment variable belongs, since people put the value there."""
    names = [step for step in path if isinstance(step, str)]
    if any(name.endswith("_env") for name in names) and isinstance(value, str):
        return "something else (not shown, in case it is a secret)"
    return shown(value)


def _missing(path: FieldPath, data: Any) -> Finding:
    _, field = field_of(Case, path, data)
    name = path[-1]
    description = (field.description or "") if field is not None else ""
    return Finding(path, f"no {name}", f"{name}: {description[:1].lower()}{description[1:].rstrip('.')}")


def _unknown(path: FieldPath, data: Any) -> Finding:
    part, _ = field_of(Case, path[:-1], data)
    names = list(part.model_fields) if part is not None else []
    hidden = find_secret(str(path[-1]))
    text = "a field that there is not" if hidden else f"a field that there is not, {shown(path[-1])}"
    return Finding(path, text, _one_of(names, path[-1]))


def _no_kind(path: FieldPath, value: Any) -> Finding:
    kinds = _kinds()
    if "kind" in as_object(value):
        return Finding((*path, "kind"), shown(value["kind"]), _one_of(kinds, value["kind"]))
    if isinstance(value, dict):
        return Finding(path, "no kind", f"kind: {' or '.join(kinds)}")
    return Finding(path, shown(value), "a mapping, one `name: value` line for each")


def _kinds() -> list[str]:
    parts = get_args(Case.model_fields["change"].annotation)
    return [get_args(part.model_fields["kind"].annotation)[0] for part in parts]


def _name_expected(details: ErrorDetails, path: FieldPath) -> str:
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    if details["type"] == "literal_error":
        _, field = field_of(Case, path[:-1], None)
        return _one_of(get_args(get_args(field.annotation)[0]) if field is not None else [], path[-1])
    return _sentence(details["msg"])


def _of_type(kind: str, value: Any, path: FieldPath, data: Any) -> str:
    expected = _KINDS[kind]
    part, _ = field_of(Case, path, data)
    if kind.startswith("model"):
        part = part or _part_at(path)
        return f"a mapping with {_listed(part.model_fields)}" if part is not None else expected
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f'a text: quote it, "{shown(value)}"'
    if kind == "string_type" and isinstance(value, (dict, list)):
        return "a text (one that begins with a brace or bracket needs quotes)"
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
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}
    text = " and ".join(f"{words[name]} {bound:,}" for name, bound in bounds.items())
    return f"a number {text}" if text else _sentence(message)


def _one_of(names: Iterable[str], value: Any) -> str:
    names = list(names)
    near = difflib.get_close_matches(str(value)[:100], names, n=1, cutoff=0.6)
    if near:
        return f"`{near[0]}`?" if len(names) > 8 else f"`{near[0]}`? One of {_listed(names)}"
    return f"one of {_listed(names)}" if names else "a name that is known"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _sentence(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("Value error, ")

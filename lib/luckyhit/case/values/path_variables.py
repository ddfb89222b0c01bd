"""Variables of the environment inside texts of a case: `${NAME}`, in capitals.

They are for what differs between machines and is not secret: where a service is installed, which tenant a path names.
Their values are shown; a variable that is a secret by its name is refused here.

`target.start`, `target.facts` and `change` are filled in when the service is started. Paths of requests are filled in
when the case is loaded, from the values recorded in the run, so that it is judged alike on any machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from luckyhit.case.findings import FieldPath
from luckyhit.case.values.placeholders import escape
from luckyhit.text.json_values import members

_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_][A-Z0-9_]*)\}")
_IN_A_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
STARTED: tuple[str, ...] = (
    "target.start.python",
    "target.start.cwd",
    "target.start.command.*",
    "target.start.env.*",
    "target.facts.*.*",
    "change.before",
    "change.after",
)
"""Fields that are filled in when the service is started; `*` stands for each name or place."""
REQUESTED: tuple[str, ...] = (
    "target.config",
    "target.start.ready",
    "workload.routes.*.path",
    "freshness.write.path",
    "freshness.refused.path",
    "freshness.reads.*.path",
    "freshness.absent.create.path",
    "freshness.absent.remove.path",
    "cache.purge.*.path",
)
"""Paths of requests; filled in when the case is loaded."""


def variable_names(text: str) -> list[str]:
    """The variables in a text, in order."""
    return _VARIABLE.findall(text)


def without_variables(text: str) -> str:
    """The text with nothing in their place: what is left is a template as any other."""
    return _VARIABLE.sub("", text)


def fill_variables(text: str, values: Mapping[str, str]) -> str:
    """A template with the variables filled in that `values` has; braces in a value stay braces."""
    return _VARIABLE.sub(lambda match: escape(values[match[1]]) if match[1] in values else match[0], text)


def variables_in(data: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, FieldPath]]:
    """(variable, field) in a case as plain data, for these fields."""
    for field in fields:
        for container, key, path in _places(data, field.split("."), ()):
            if isinstance(container[key], str):
                yield from ((name, path) for name in variable_names(container[key]))


def fill_requested(data: Any, values: Mapping[str, str]) -> None:
    """Fill in the paths of requests, in place. `data` is a case as plain data, right or not."""
    for field in REQUESTED:
        for container, key, _ in _places(data, field.split("."), ()):
            if isinstance(container[key], str):
                container[key] = fill_variables(container[key], values)


def fits_a_path(value: str) -> bool:
    """Whether a value can stand in the path of a request as it is."""
    return _IN_A_PATH.fullmatch(value) is not None


def _places(data: Any, steps: list[str], path: FieldPath) -> Iterator[tuple[Any, Any, FieldPath]]:
    """(container, name or place in it, path) of each field that `steps` lead to."""
    step, *further = steps
    for name, value in list(members(data)):
        if step not in ("*", name):
            continue
        if further:
            yield from _places(value, further, (*path, name))
        else:
            yield data, name, (*path, name)

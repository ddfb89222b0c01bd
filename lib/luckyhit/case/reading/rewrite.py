"""A case file's text with the numbers of its plan filled in; every other character stays as it was written."""

from __future__ import annotations

import json
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from luckyhit.case.load import parse_case
from luckyhit.case.model import Case


def with_plan(text: str, case: Case) -> str:
    """`text`, of which `case` is the case but for its plan (and the probe's rate), with these two as `case` has them.

    `text` has a `plan`. Raises CaseError where the numbers of `case` are none that a case file may hold.
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
    """Behind the last character of a value. A block mapping's own mark is at what follows it, comments included."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    return int(node.end_mark.index)


def _first_entry(mapping: MappingNode, entry: str) -> tuple[int, int, str]:
    """The edit that puts one more entry before the first one of a mapping."""
    at = mapping.value[0][0].start_mark
    between = ", " if mapping.flow_style else "\n" + " " * at.column
    return at.index, at.index, entry + between


def _flow(values: dict[str, Any]) -> str:
    """A flow mapping on one line: `{auto: true, block: 9s}`."""
    written = (f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items())
    return "{" + ", ".join(written) + "}"


__all__ = ["with_plan"]

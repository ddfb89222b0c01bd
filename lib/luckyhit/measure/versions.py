"""The version in an answer: a whole number at a JSON path such as `$.price_cents` or `$.items[0].version`."""

from __future__ import annotations

import json
import re

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_LARGEST = 2**63 - 1


class VersionMissing(ValueError):
    """No version in this answer; the message says what stands there instead (its kind, never its content)."""


def read_version(path: str, body: bytes) -> int:
    """The whole number at `path` in the JSON text `body`; a text of digits and 7.0 count as whole numbers too.

    Raises VersionMissing.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise VersionMissing(f"{len(body)} bytes that are not JSON") from None
    so_far = "$"
    for step in _STEP.finditer(path):
        name, index = step[1], step[2]
        if name is not None:
            if not isinstance(value, dict) or name not in value:
                raise VersionMissing(f"no {so_far}.{name}")
            value = value[name]
        else:
            if not isinstance(value, list) or int(index) >= len(value):
                raise VersionMissing(f"no {so_far}[{index}]")
            value = value[int(index)]
        so_far += step[0]
    return _whole(value, path)


def _whole(value: object, path: str) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        kind = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
        raise VersionMissing(f"{kind.get(type(value), 'a number')} at {path}, not a whole number of 64 bits")
    return value

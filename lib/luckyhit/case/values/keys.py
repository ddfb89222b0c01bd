"""A key of the probe as it is filled in: in a path, and as a value of a body or a statement."""

from __future__ import annotations

import re
from urllib.parse import quote

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def in_path(key: str) -> str:
    """A key as a part of a path, quoted as the workload does it."""
    return quote(key, safe="")


def key_value(key: str) -> int | str:
    """A key as a value: a number where it is written as one."""
    return int(key) if _NUMBER.fullmatch(key) else key

"""Whether two spellings of a cache's setting mean the same: a server reads some back in its own words."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+)\s*(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_BYTES = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}


def same_value(one: str, other: str) -> bool:
    """Whether two spellings mean the same to the server."""
    first, second = one.strip().lower(), other.strip().lower()
    if first == second:
        return True
    sizes = [_SIZE.fullmatch(text) for text in (first, second)]
    numbers = [int(size[1]) * _BYTES[(size[2] or "").lower()] for size in sizes if size is not None]
    return len(numbers) == 2 and numbers[0] == numbers[1]

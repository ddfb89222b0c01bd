"""Whether the service's own configuration shows the declared change under another name or in another spelling."""

from __future__ import annotations

import re

from luckyhit.change.fingerprints.normalize import as_declared, shown_env

_TRUE = frozenset({"1", "true", "yes", "on", "enabled"})
_FALSE = frozenset({"0", "false", "no", "off", "disabled"})
_NOTHING = frozenset({"", "null", "none", "not set"})
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def echoes_values(declared: tuple[str | None, str | None], name: str, values: tuple[str, str]) -> bool:
    """Whether the entry `name`, if it is of the configuration, shows the `declared` values. One side may be unset (then
    the service's default shows), but not both."""
    if not name.startswith("config."):
        return False
    leaf = name.rsplit(".", 1)[-1]
    stated = [(as_declared(value), shown) for value, shown in zip(declared, values, strict=True) if value is not None]
    return bool(stated) and all(_shows(value, shown, leaf_name=leaf) for value, shown in stated)


def _shows(declared: str, shown: str, *, leaf_name: str) -> bool:
    """Whether a configuration value is a declared value, or has it in it as a whole word."""
    if shown in (declared, shown_env(leaf_name, declared)):
        return True
    left, right = declared.strip().lower(), shown.strip().lower()
    for alike in (_TRUE, _FALSE, _NOTHING):
        if left in alike and right in alike:
            return True
    first, second = _NUMBER.fullmatch(left), _NUMBER.fullmatch(right)
    if first and second:
        ratio = (float(first[1]) * _SECONDS[first[2]], float(second[1]) * _SECONDS[second[2]])
        return ratio[0] == ratio[1] or ratio[0] * 1000 == ratio[1] or ratio[0] == ratio[1] * 1000
    return bool(left) and re.search(rf"(?<!\w){re.escape(left)}(?!\w)", right) is not None

"""Facts of one stack in words that are the same for every stack, so that two of them can be compared.

What belongs to one stack alone (its port, working directory, cache URL) is written as its placeholder in a case.
Secrets are hashed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from luckyhit.caches import kind_at, placeholders
from luckyhit.case.values.path_variables import fill_variables, variable_names
from luckyhit.case.values.placeholders import PlaceholderError, fill_text
from luckyhit.case.values.texts import START_NAMES

if TYPE_CHECKING:
    from luckyhit.system import Stack

_SECRET_NAME = re.compile(r"pass|secret|token|api_?key|credential|private|auth|cookie|session|dsn", re.IGNORECASE)
_URL_WITH_SECRET = re.compile(r"(?<=://)[^/@\s]+@")
_TIME_OF_DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_DECLARED = {name: f"{{{name}}}" for name in START_NAMES}
_OF_A_VERSION = frozenset(
    ("version", "revision", "commit", "build", "built", "sha", "release", "released", "deployed", "git", "tag")
)
_TRUE = frozenset({"1", "true", "yes", "on", "enabled"})
_FALSE = frozenset({"0", "false", "no", "off", "disabled"})
_NOTHING = frozenset({"", "null", "none", "not set"})
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def hashed(value: str) -> str:
    """A secret as it may be shown: only equal secrets give equal texts."""
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def shown_env(name: str, value: str, *, secret: bool = False) -> str:
    """The value of an environment variable as the fingerprint shows it."""
    if secret or _SECRET_NAME.search(name) or _URL_WITH_SECRET.search(value):
        return hashed(value)
    return value


def as_declared(template: str) -> str:
    """A text of `target.start` as the fingerprint shows it: `{port}` and `${NAME}` stay, `{{` becomes `{`."""
    return fill_text(fill_variables(template, {name: f"${{{name}}}" for name in variable_names(template)}), _DECLARED)


def words(name: str) -> list[str]:
    """`CATALOGUE_CacheTTL` as ['catalogue', 'cache', 'ttl']."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def names_a_version(name: str) -> bool:
    """Whether the name of a header or of a configuration entry says that it holds a version."""
    return bool(_OF_A_VERSION & set(words(name)))


class StackNormalizer:
    """Replaces what belongs to one stack alone by placeholders."""

    def __init__(self, stack: Stack) -> None:
        self._values = {"python": stack.python, **stack.start_values}
        self._environ = stack.environ
        self._port = urlsplit(stack.base_url).port
        self._texts: list[tuple[str, str]] = [(stack.python, "{python}")] if stack.python else []
        address = None
        if stack.cache is not None:
            self._texts.append((stack.cache.url, "{cache_url}"))
            address = urlsplit(stack.cache.url) if kind_at(stack.cache.url).address(stack.cache.url) else None
            if address is not None and address.hostname and address.port:
                self._texts.append((f"{address.hostname}:{address.port}", "{cache_address}"))
            if stack.cache.owned and (password := placeholders(stack.cache.url)["cache_password"]):
                self._texts.append((password, "{cache_password}"))
        self._cache_port = address.port if address is not None else None
        workdir = Path(stack.workdir)
        self._texts += [(str(workdir.resolve()), "{workdir}"), (str(workdir), "{workdir}")]

    def normalize(self, text: str, *, times: bool = True) -> str:
        """`text` with placeholders. `times`: also for times of day, as in a service's own reports."""
        for literal, placeholder in self._texts:
            text = text.replace(literal, placeholder)
        for port, placeholder in ((self._port, "{port}"), (self._cache_port, "{cache_port}")):
            if port is not None:
                # A port stands alone, or after a colon or an equals sign; elsewhere the digits mean something else.
                text = re.sub(rf"(^|[:=]){port}(?!\d)", rf"\g<1>{placeholder}", text)
        return _TIME_OF_DAY.sub("{time}", text) if times else text

    def normalize_filled(self, text: str, templates: Iterable[str]) -> str:
        """A text of the start section: the first of `templates` that gives it when filled in, as declared. So a time to
        live of 60000 is never taken for a port, nor a date that was set for a time of day."""
        for template in templates:
            try:
                if fill_text(fill_variables(template, self._environ), self._values) == text:
                    return as_declared(template)
            except PlaceholderError:
                continue
        return self.normalize(text, times=False)


def echoes_values(declared: tuple[str | None, str | None], name: str, values: tuple[str, str]) -> bool:
    """Whether the configuration entry `name` shows the `declared` values. One side may be unset (the service's default
    shows then), but not both."""
    if not name.startswith("config."):
        return False
    leaf = name.rsplit(".", 1)[-1]
    stated = [(as_declared(value), shown) for value, shown in zip(declared, values, strict=True) if value is not None]
    return bool(stated) and all(_shows(value, shown, leaf_name=leaf) for value, shown in stated)


def _shows(declared: str, shown: str, *, leaf_name: str) -> bool:
    """Whether a configuration value is the declared one in any spelling, or contains it as a whole word."""
    if shown in (declared, shown_env(leaf_name, declared)):
        return True
    left, right = declared.strip().lower(), shown.strip().lower()
    for spellings in (_TRUE, _FALSE, _NOTHING):
        if left in spellings and right in spellings:
            return True
    first, second = _NUMBER.fullmatch(left), _NUMBER.fullmatch(right)
    if first and second:
        one, other = (float(match[1]) * _SECONDS[match[2]] for match in (first, second))
        return other in (one, one * 1000) or other * 1000 == one
    return bool(left) and re.search(rf"(?<!\w){re.escape(left)}(?!\w)", right) is not None

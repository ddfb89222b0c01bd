"""What is seen of one stack, in words that are the same for every stack: so that two of them can be compared.

What belongs to one stack alone (its port, its working directory, its cache's URL) is written as the placeholder that
stands for it in a case. Secrets are hashed.
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


def hashed(value: str) -> str:
    """A secret as it may be shown: equal for equal secrets, and nothing more."""
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
    """Whether a header or an entry of a configuration tells, by its name, which version answers."""
    return bool(_OF_A_VERSION & set(words(name)))


class Own:
    """What belongs to one stack alone, and the placeholders that stand for it."""

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

    def normalised(self, text: str, *, times: bool = True) -> str:
        """`text` with placeholders. `times`: also for times of day, as in what a service tells of itself."""
        for literal, placeholder in self._texts:
            text = text.replace(literal, placeholder)
        for port, placeholder in ((self._port, "{port}"), (self._cache_port, "{cache_port}")):
            if port is not None:
                # A port stands alone, or behind a colon or an equals sign; elsewhere the digits mean other things.
                text = re.sub(rf"(^|[:=]){port}(?!\d)", rf"\g<1>{placeholder}", text)
        return _TIME_OF_DAY.sub("{time}", text) if times else text

    def given(self, text: str, templates: Iterable[str]) -> str:
        """A text that the stack was given: the first of `templates` that it was filled in from, as declared. So a time
        to live of 60000 is no port, whatever port there is; and a date that was set is a date."""
        for template in templates:
            try:
                if fill_text(fill_variables(template, self._environ), self._values) == text:
                    return as_declared(template)
            except PlaceholderError:
                continue
        return self.normalised(text, times=False)

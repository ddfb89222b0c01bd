"""Secrets written in clear: how they look, and what they are called.

Nothing here repeats a secret's value: a finding names its kind only. Being wrong is cheap on one side (a text has to
be worded differently) and dear on the other (a case file is committed, and copied into each run and report), so
well-known shapes are refused wherever they stand, comments included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# What stands in place of a secret is none: {name}, $NAME, ${NAME}, <name>, ***, ...
_STAND_IN = r"(?:\{[^}\s]{0,60}\}|\$\{?\w{1,60}\}?|<[^>]{0,60}>|\*{1,60}|\.{3,60}|…|x{3,60}|X{3,60}|%\(?\w{0,60}\)?s?)"

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (
            "credentials in a URL",
            rf"://(?!{_STAND_IN}?:{_STAND_IN}@)[^/\s:@'\"?#]{{0,200}}:(?!{_STAND_IN}@)[^/\s'\"]{{1,500}}@",
        ),
        ("an AWS access key", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}"),
        ("a GitHub token", r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,})"),
        ("a GitLab token", r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{16,}"),
        ("an API key", r"(?<![A-Za-z0-9_-])(?:sk|pk|rk)[-_](?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}"),
        ("a Google API key", r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{30,}"),
        ("a Slack token", r"(?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9-]{10,}"),
        ("a package registry token", r"(?<![A-Za-z0-9])(?:npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,})"),
        ("a JSON Web Token", r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{10,}"),
        ("a private key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
        (
            "an authorization header",
            rf"(?i)\bauthorization['\"]?\s*[:=]\s*['\"]?(?:bearer|basic|token)\s+(?!{_STAND_IN})\S",
        ),
        ("a bearer token", rf"(?i)\bbearer\s+(?!{_STAND_IN})(?=[\w~+/.-]*\d)[\w~+/.-]{{12,}}"),
    )
)

_ASSIGNED = re.compile(r"(?<![\w.-])-{0,2}([A-Za-z_][\w.-]*)=([^\s&'\"]+|'[^']*'|\"[^\"]*\")")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_SECRET_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "credential", "credentials")
_SECRET_WORDS = {"pwd", "pw"}
_KEY_OF = {"api", "access", "account", "auth", "client", "encryption", "jwt", "license", "master", "private", "secret"}
_KEY_OF |= {"service", "session", "shared", "signing", "ssh"}
_KEY_WORDS = {"key", "keys"}
_QUALIFIERS = {"value", "b64", "base64", "b", "64", "hex", "plain", "old", "new", "current", "default", "prod", "test"}
_NO_SECRET_BEFORE_TOKEN = {"page", "next", "continuation", "pagination", "sync", "per", "stop"}
_SECRET_HEADERS = {"authorization", "proxyauthorization", "cookie", "setcookie"}
_HARMLESS = {"", "true", "false", "yes", "no", "on", "off", "none", "null", "0", "1"}


def find_secret(text: str) -> str | None:
    """The kind of secret that `text` has in it (never the value), or None."""
    for kind, pattern in _SHAPES:
        if pattern.search(text):
            return kind
    return next(_assigned(text), None)


def _assigned(text: str) -> Iterator[str]:
    """`password=...` inside a text: a query string, a command line, a connection string."""
    for match in _ASSIGNED.finditer(text):
        name, value = match[1], match[2].strip("'\"")
        # A comparison in SQL or code reads like an assignment: `token=?`, `token=:token`, `token=$1`.
        if is_secret_name(name) and is_literal(value) and not re.match(r"[?:%@]", value):
            yield f"a value for {name}" if len(name) <= 40 else "a value for a secret"


def is_literal(value: str) -> bool:
    """Whether a value says something itself, rather than naming a place where it comes from."""
    return value.strip().lower() not in _HARMLESS and not re.fullmatch(rf"\s*{_STAND_IN}\s*", value)


def is_secret_name(name: str) -> bool:
    """Whether a variable, field or argument of that name holds a secret: `DB_PASSWORD`, `api-key`, `authToken`.

    `TOKEN_TTL`, `max_tokens` and `cache_key` don't: what counts is the last word, which says what the thing is.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and words[-1] in _QUALIFIERS:
        words.pop()
    if not words:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "token" and before in _NO_SECRET_BEFORE_TOKEN:
        return False
    return last.endswith(_SECRET_ENDINGS) or last in _SECRET_WORDS or (last in _KEY_WORDS and before in _KEY_OF)


def is_secret_header(name: str) -> bool:
    """Whether a request header of that name carries a secret: `Authorization`, `Cookie`, `X-Api-Key`, ..."""
    return re.sub(r"[^a-z]", "", name.lower()) in _SECRET_HEADERS or is_secret_name(name)

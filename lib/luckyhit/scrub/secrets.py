"""Secrets: their shapes, their names, and known values in any encoding.

Nothing here repeats a secret's value: a finding names its kind only. A false alarm is cheap (a text has to be
reworded), a miss is not (a case file is committed, and copied into each run and report): so well-known shapes are
refused everywhere, comments included.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Iterator
from typing import get_args
from urllib.parse import quote, quote_plus

from luckyhit import records

REDACTED = "[redacted]"
_ALONE = 8
"""Shorter values are replaced as whole words only."""
_KINDS = (records.Arm, records.Phase, records.CacheStatus, records.RequestError, records.Verdict, records.Stage)
_RECORD_WORDS = {word for kind in (*_KINDS, records.MetricName) for word in get_args(kind)}
_RECORD_WORDS |= {"measuring", "measured", "finished", "failed", "change", "start", "apply", "clear"}
"""The vocabulary of the records: a variable with one of these values holds no secret."""
_CUT = re.compile(r"\\*['\"`]?(?:\.\.\.|…)")
_END = re.compile(r"\Z|\\*['\"`]")
_SURELY_CUT = 12
"""Characters that a text has to share with a secret to count as one that was cut without an ellipsis."""
SHORTEST = 4
"""Shorter values are no secrets: replacing each "1" would make a text unreadable."""

# Placeholders are no secrets: {name}, $NAME, ${NAME}, <name>, ***, ...
_STAND_IN = r"(?:\{[^}\s]{0,60}\}|\$\{?\w{1,60}\}?|<[^>]{0,60}>|\*{1,60}|\.{3,60}|…|x{3,60}|X{3,60}|%\(?\w{0,60}\)?s?"
_STAND_IN += r"|\[redacted\])"

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

_FILLED = r"(?:[\w.-]{1,60}=)?[A-Za-z._:-]{0,20}\{(?:number|key|version)\}[A-Za-z._:-]{0,20}"
_GENERATED = re.compile(rf"{_FILLED}(?:;\s*{_FILLED})*")
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
    """The kind of secret in `text` (never the value), or None."""
    for kind, pattern in _SHAPES:
        if pattern.search(text):
            return kind
    return next(_assigned(text), None)


def _assigned(text: str) -> Iterator[str]:
    """`password=...` inside a text: a query string, a command line, a connection string."""
    for match in _ASSIGNED.finditer(text):
        name, value = match[1], match[2].strip("'\"").removesuffix(";")
        # A comparison in SQL or code reads like an assignment: `token=?`, `token=:token`, `token=$1`.
        if is_secret_name(name) and is_literal(value) and not re.match(r"[?:%@]", value):
            yield f"a value for {name}" if len(name) <= 40 else "a value for a secret"


def is_literal(value: str) -> bool:
    """Whether a value is a value itself, not a placeholder for one, nor generated."""
    if value.strip().lower() in _HARMLESS or is_generated(value):
        return False
    return not re.fullmatch(rf"\s*{_STAND_IN}\s*", value)


def is_generated(value: str) -> bool:
    """Whether each part of a header's or a cookie's value is a number or a key of the run with a few letters around it:
    `uid=m{number}`, `uid=m{key}; visit={number}`. Nobody's secret is in such a template."""
    return _GENERATED.fullmatch(value.strip()) is not None


def is_secret_name(name: str) -> bool:
    """Whether a variable, field or argument of that name holds a secret: `DB_PASSWORD`, `api-key`, `authToken`.

    `TOKEN_TTL`, `max_tokens` and `cache_key` don't: the last word says what it is.
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


class SecretValues(Collection[str]):
    """Known values; `hidden` replaces them in a text."""

    def __init__(self, values: Collection[str] = ()) -> None:
        self._values = frozenset(
            value for value in values if len(value) >= SHORTEST and is_literal(value) and value not in _RECORD_WORDS
        )
        forms = {form for value in self._values for form in _forms(value)}
        short = sorted((form for form in forms if len(form) < _ALONE), key=len, reverse=True)
        alone = "|".join(map(re.escape, short))
        self._short = re.compile(rf"(?<![A-Za-z0-9])(?:{alone})(?![A-Za-z0-9])") if short else None
        # Long ones by their beginning: there may be many, and a text seldom has any.
        self._long: dict[str, list[str]] = {}
        for form in sorted((form for form in forms if len(form) >= _ALONE), key=len, reverse=True):
            self._long.setdefault(form[:_ALONE], []).append(form)
        self._beginning = re.compile("|".join(map(re.escape, self._long))) if self._long else None

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def hidden(self, text: str) -> str:
        """The text with `[redacted]` in place of each."""
        if self._beginning is not None and (match := self._beginning.search(text)) is not None:
            text = self._without_long(text, match)
        return self._short.sub(REDACTED, text) if self._short is not None else text

    def _without_long(self, text: str, match: re.Match[str] | None) -> str:
        assert self._beginning is not None
        kept, done = [], 0
        while match is not None:
            start = match.start()
            end = self._end(text, start, self._long[match[0]])
            if end is not None:
                kept += [text[done:start], REDACTED]
                done = end
            match = self._beginning.search(text, end if end is not None else start + 1)
        return "".join((*kept, text[done:]))

    @staticmethod
    def _end(text: str, start: int, forms: list[str]) -> int | None:
        """The end of the secret that begins at `start`; None if there is none."""
        for form in forms:
            if text.startswith(form, start):
                return start + len(form)
        # A message may quote the first characters of a value only.
        longest, form = max((_in_common(text, start, form), form) for form in forms)
        end = start + longest
        in_a_word = form[longest - 1].isalnum() and form[longest].isalnum()
        cut = _CUT.match(text, end) or (longest >= _SURELY_CUT and in_a_word and _END.match(text, end))
        return end if cut else None


def _in_common(text: str, start: int, form: str) -> int:
    count = 0
    for one, other in zip(form, text[start : start + len(form)], strict=False):
        if one != other:
            break
        count += 1
    return count


def _forms(secret: str) -> set[str]:
    """A value as files have it: plain, URL-quoted, in HTML, JSON, Python, base64."""
    forms = {secret, secret.strip(), quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret)}
    forms |= {html.escape(secret, quote=False)}
    forms |= {line.strip() for line in secret.splitlines() if len(line.strip()) >= _ALONE}
    forms |= {html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")}  # as Jinja writes it
    in_json = json.dumps(secret)[1:-1]
    forms |= {in_json, json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(in_json)[1:-1]}
    in_repr = in_json.replace("\\", "\\\\")  # JSON in the repr of a body
    forms |= {in_repr, in_repr.replace("'", "\\'")}
    forms |= {repr(secret)[1:-1], ascii(secret)[1:-1], secret.replace("'", "\\'")}
    forms |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in forms if "%" in form}
    if len(secret) >= _ALONE:
        forms |= set(_in_base64(secret.encode("utf-8", "surrogatepass")))
    return {form for form in forms if len(form) >= SHORTEST}


def _in_base64(raw: bytes) -> Iterator[str]:
    """As a whole, and the part that does not depend on its surroundings."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for before in range(3):
            inside = encode(bytes(before) + raw).decode()
            inside = inside[-(-before * 8 // 6) : len(inside) - 4 * ((before + len(raw)) % 3 > 0)]
            if len(inside) >= 2 * _ALONE:
                yield inside

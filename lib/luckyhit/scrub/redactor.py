"""Scrub what is kept or published: no secret, no credentials, no cookie, no path of this machine.

`Redactor.text` replaces known secret values (also cut short, URL-quoted, in HTML, JSON or base64), credentials in URLs
and `name=value` pairs, the values of authorization and cookie headers, and absolute paths. Scrubbing a text again
changes nothing.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from luckyhit.scrub.characters import ANSI
from luckyhit.scrub.secrets import (
    REDACTED,
    SecretValues,
    find_secret,
    is_generated,
    is_literal,
    is_secret_header,
    is_secret_name,
)

_URL_CREDENTIALS = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/?#'\"<>\\]{1,500}@")
# Also inside a quoted path or query (`1%3Fapi_key%3Dabc`), and with spaces before a quoted value. The value is only
# looked ahead: after a harmless name it may contain another one.
_ASSIGNED = re.compile(
    r"(?:(?<![\w.-])|(?<=%3[FfBb])|(?<=%26))(?P<name>-{0,2}[A-Za-z_][\w.-]{0,100})"
    r"(?:=|%3[Dd]|\s{1,2}=\s{0,2}(?=['\"]))"
    r"(?=(?P<value>(?:(?!%26)[^\s&'\"<>\\])+|'[^']*'|\"[^\"]*\"))"
)
# `Cookie: a=b`, `"authorization": "Bearer x"`, `('cookie', 'a=b')`, `b'cookie', b'a=b'`, each also with \" for ".
_HEADER = re.compile(
    r"(?i)(?P<before>(?<![\w-])(?P<name>(?:proxy-)?authorization|(?:set-)?cookie2?|x-[a-z-]{0,40}|api-?key)"
    r"(?:\\?['\"]\s*[:=,]\s*b?\\?['\"]|\\?['\"]?\s*:\s*(?:b?\\?['\"])?))"
    r"(?P<value>(?:\\(?!['\"])|[^\\'\"\r\n])+)"
)
_TOKEN = re.compile(r"(?i)\b(bearer|basic)(\s+)(?:(?=[\w~+/.=-]*[\d=])[\w~+/.=-]{8,}|[\w~+/.=-]{20,})")
# Paths of other machines: a run may have been made elsewhere. A route such as `GET /home/feed` stays.
_FOREIGN_PATH = re.compile(
    r"(?<![\w./~…-])(?<!GET )(?<!PUT )(?<!HEAD )(?<!POST )(?<!PATCH )(?<!DELETE )"
    r"(?:/home/[^/\s'\"<>]+|/Users/[^/\s'\"<>]+|/root|/private/var/folders|/var/folders|/tmp)"
    r"(?P<rest>(?:/[^/\s'\"<>:,;()\[\]]+)+)"
)
# "api_token": "abc", also in the texts of Python's bytes: \' and \" stand for quotes there.
_FIELD = re.compile(
    r"""(["'])([\w.-]{1,60})(\1\s*:\s*)("(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$)|[^\s,{}\[\]"']+)"""
)
_LONGEST_REMEMBERED, _MOST_REMEMBERED = 400, 20_000


class Redactor:
    """Scrubs texts. `secrets`: values that must not appear. `roots`: replacements of absolute paths; those of this
    process (home, temporary files, interpreter) are included."""

    def __init__(self, secrets: Collection[str] = (), *, roots: Mapping[str | Path, str] | None = None) -> None:
        self._given = dict(roots or {})
        self._secrets = secrets if isinstance(secrets, SecretValues) else SecretValues(secrets)
        known = {**_own_roots(), **{str(path): name for path, name in self._given.items()}}
        both = {**known, **{str(Path(path).resolve()): name for path, name in known.items()}}
        self._roots = {path.rstrip("/"): name for path, name in both.items() if len(path.rstrip("/")) > 1}
        longest_first = sorted(self._roots, key=len, reverse=True)
        self._paths = re.compile("(" + "|".join(map(re.escape, longest_first)) + r")(?![\w.-])")
        self._remembered: dict[str, str] = {}

    def learn(self, secrets: Collection[str]) -> None:
        """Scrub these too from now on: secrets that are made during a run, such as a cache's password."""
        self._secrets = SecretValues({*self._secrets, *secrets})
        self._remembered.clear()

    def with_roots(self, roots: Mapping[str | Path, str]) -> Redactor:
        """The same with more roots."""
        return Redactor(self._secrets, roots={**self._given, **roots})

    def text(self, text: str) -> str:
        """The scrubbed text."""
        known = self._remembered.get(text)
        if known is not None:
            return known
        scrubbed = _FOREIGN_PATH.sub(r"…\g<rest>", self.local_text(text))
        if len(text) <= _LONGEST_REMEMBERED:
            # The same texts come again and again: a manifest grows with each block.
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = scrubbed
        return scrubbed

    def local_text(self, text: str) -> str:
        """The same for a text that this machine alone wrote: paths of other machines stay, since `/home/feed` may be a
        key."""
        return self.paths(self.secrets(text))

    def secrets(self, text: str) -> str:
        """The text without secrets, its paths kept: for readers at this machine."""
        text = self._secrets.hidden(text)
        text = _URL_CREDENTIALS.sub(rf"\g<scheme>{REDACTED}@", text)
        text = _HEADER.sub(_without_header_value, text)
        text = _TOKEN.sub(rf"\1\2{REDACTED}", text)
        return _without_assigned_values(text)

    def paths(self, text: str) -> str:
        """The text without paths of this machine; nothing else is scrubbed."""
        return self._paths.sub(lambda match: self._roots[match[0]], text)

    def quoted(self, text: str) -> str:
        """A response's text to be shown: without known values and fields with a secret name, and not at all where
        something in it still looks like a secret."""
        text = _FIELD.sub(_without_field_value, self._secrets.hidden(text))
        kind = find_secret(text)
        return text if kind is None else f"(not shown: {kind} seems to be in it)"

    def excerpt(self, body: bytes, most: int) -> str:
        """The first `most` characters of a body, as `quoted`, with unprintable characters except line breaks
        escaped."""
        text = self.quoted(body[: 8 * most].decode("utf-8", "replace"))[:most]
        return "".join(
            letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
            for letter in text
        )

    def document(self, value: Any) -> Any:
        """A record (JSON) of our own with every text scrubbed, names included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.document(inner) for name, inner in value.items()}
        return [self.document(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    def anything(self, value: Any) -> Any:
        """JSON of others with every text scrubbed, names included, and every value with a secret name. Lists of texts
        (the lines of a notebook's cell) are scrubbed as one text, so that a secret across lines is found."""
        if isinstance(value, str):
            return self._coloured(value)
        if isinstance(value, list):
            if value and all(isinstance(item, str) for item in value):
                whole = "".join(value)
                scrubbed = self._coloured(whole)
                if scrubbed == whole:
                    return value
                if all(item.endswith("\n") for item in value[:-1]):
                    return scrubbed.splitlines(keepends=True)
                return [self._coloured(item) for item in value]
            return [self.anything(item) for item in value]
        if isinstance(value, dict):
            return {
                self.text(str(name)): item if _is_picture(name, item) else _named(str(name), self.anything(item))
                for name, item in value.items()
            }
        return value

    def _coloured(self, text: str) -> str:
        """Removes colours where they split a secret in two."""
        if "\x1b" in text:
            plain = ANSI.sub("", text)
            if self.text(plain) != plain:
                text = plain
        return self.text(text)


def _own_roots() -> dict[str, str]:
    roots = {tempfile.gettempdir(): "$TMPDIR", sys.base_prefix: "$PYTHON", sys.prefix: "$VENV"}
    roots.setdefault(str(Path(__file__).resolve().parents[3]), "$LUCKYHIT")
    with contextlib.suppress(RuntimeError):
        roots[str(Path.home())] = "~"
    # Replacing system folders would only garble routes and commands.
    return {path: name for path, name in roots.items() if path not in ("/", "/usr", "/usr/local")}


def project_roots(*paths: Path) -> dict[str | Path, str]:
    """Roots for some paths: their project and the working directory become `.`."""
    roots: dict[str | Path, str] = {Path.cwd(): "."}
    for path in paths:
        for folder in path.resolve().parents:
            if (folder / "notebooks").is_dir() and (folder / "data").is_dir():
                roots[folder] = "."
                break
    return roots


def _named(name: str, value: Any) -> Any:
    """The value of a field, redacted if its name says that it is secret."""
    secret = isinstance(value, str) and (is_secret_header(name) or is_secret_name(name))
    return REDACTED if secret and is_literal(value) else value


def _without_field_value(match: re.Match[str]) -> str:
    quote, name, between, value = match.groups()
    if is_secret_header(name) and is_literal(value.strip("\"'")):
        return f'{quote}{name}{between}"{REDACTED}"'
    return match[0]


def _without_header_value(match: re.Match[str]) -> str:
    secret = is_secret_header(match["name"]) or is_secret_name(match["name"])
    if not secret or is_generated(match["value"]):
        return match[0]
    return f"{match['before']}{REDACTED}"


def _without_assigned_values(text: str) -> str:
    kept, done = [], 0
    for match in _ASSIGNED.finditer(text):
        value = match["value"]
        if match.start() < done or not is_secret_name(match["name"].lstrip("-")) or not is_literal(value.strip("'\"")):
            continue
        quote = value[0] if value[0] in "'\"" else ""
        kept += [text[done : match.end()], quote, REDACTED, quote]
        done = match.end("value")
    return "".join((*kept, text[done:]))


def _is_picture(name: object, value: object) -> bool:
    """Base64 of a picture: it has no text, and a replacement would break it."""
    return str(name).startswith("image/") and "svg" not in str(name) and isinstance(value, (str, list))

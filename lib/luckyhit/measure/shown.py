"""What of an answer may be shown to people: no secrets, nothing that a terminal or page would not print."""

from __future__ import annotations

import re
from collections.abc import Collection

from luckyhit.case.secrets import find_secret, is_literal, is_secret_header

HIDDEN = "***"
_SHORTEST = 4
# "api_token": "abc", also in the texts of Python's bytes: \' and \" stand for quotes there.
_FIELD = re.compile(
    r"""(["'])([\w.-]{1,60})(\1\s*:\s*)("(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$)|[^\s,{}\[\]"']+)"""
)


class Shown:
    """Makes texts of answers fit to be shown. `secrets`: values that were sent, and may come back."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """Without secrets: those that are known, fields whose name says so, and all of it where it looks like one."""
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        text = _FIELD.sub(_without_secret, text)
        kind = find_secret(text)
        return text if kind is None else f"(not shown: {kind} seems to be in it)"

    def body(self, body: bytes, most: int) -> str:
        """Its first `most` characters: line breaks stay, whatever else can't be printed is escaped."""
        text = self.text(body[: 8 * most].decode("utf-8", "replace"))[:most]
        return "".join(
            letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
            for letter in text
        )


def _without_secret(match: re.Match[str]) -> str:
    quote, name, between, value = match.groups()
    if is_secret_header(name) and is_literal(value.strip("\"'")):
        return f'{quote}{name}{between}"{HIDDEN}"'
    return match[0]

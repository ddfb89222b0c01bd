"""Known secret values, found in any text however they are written there, and also where they were cut short."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Iterator
from typing import get_args
from urllib.parse import quote, quote_plus

from luckyhit import records
from luckyhit.case.secrets import is_literal
from luckyhit.case.variables import SHORTEST

REDACTED = "[redacted]"
_ALONE = 8
"""Values shorter than this are replaced where they stand alone, not inside a longer word or number."""
_KINDS = (records.Arm, records.Phase, records.CacheStatus, records.RequestError, records.Verdict, records.Stage)
_WORDS = {word for kind in (*_KINDS, records.MetricName) for word in get_args(kind)}
_WORDS |= {"measuring", "measured", "finished", "failed", "change", "start", "apply", "clear"}
"""What records are made of: a variable that holds one of these holds no secret."""
_CUT = re.compile(r"\\*['\"`]?(?:\.\.\.|…)")
_END = re.compile(r"\Z|\\*['\"`]")
_SURELY_CUT = 12
"""Characters that a text has to share with a secret, to be taken for one that was cut without saying so."""


class SecretValues(Collection[str]):
    """The values themselves; `hidden` gives a text without them."""

    def __init__(self, values: Collection[str] = ()) -> None:
        self._values = frozenset(
            value for value in values if len(value) >= SHORTEST and is_literal(value) and value not in _WORDS
        )
        forms = {form for value in self._values for form in _forms(value)}
        short = sorted((form for form in forms if len(form) < _ALONE), key=len, reverse=True)
        alone = "|".join(map(re.escape, short))
        self._short = re.compile(rf"(?<![A-Za-z0-9])(?:{alone})(?![A-Za-z0-9])") if short else None
        # Long ones by how they begin: there may be many, and a text seldom has any.
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
        if self._beginning is not None and (found := self._beginning.search(text)) is not None:
            text = self._without_long(text, found)
        return self._short.sub(REDACTED, text) if self._short is not None else text

    def _without_long(self, text: str, found: re.Match[str] | None) -> str:
        assert self._beginning is not None
        kept, done = [], 0
        while found is not None:
            start = found.start()
            end = self._end(text, start, self._long[found[0]])
            if end is not None:
                kept += [text[done:start], REDACTED]
                done = end
            found = self._beginning.search(text, end if end is not None else start + 1)
        return "".join((*kept, text[done:]))

    @staticmethod
    def _end(text: str, start: int, forms: list[str]) -> int | None:
        """Where the secret ends that begins at `start`; None where none does."""
        for form in forms:
            if text.startswith(form, start):
                return start + len(form)
        # A message that quotes the first characters of something may have cut it anywhere.
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
    """The ways a value is written in files: plain, URL-quoted, HTML, JSON, Python, base64."""
    forms = {secret, secret.strip(), quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret)}
    forms |= {html.escape(secret, quote=False)}
    forms |= {html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")}  # as Jinja writes it
    in_json = json.dumps(secret)[1:-1]
    forms |= {in_json, json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(in_json)[1:-1]}
    forms |= {repr(secret)[1:-1], ascii(secret)[1:-1], secret.replace("'", "\\'")}
    forms |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in forms if "%" in form}
    if len(secret) >= _ALONE:
        forms |= set(_in_base64(secret.encode("utf-8", "surrogatepass")))
    return {form for form in forms if len(form) >= SHORTEST}


def _in_base64(raw: bytes) -> Iterator[str]:
    """As a whole, and what does not depend on what stands around it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for before in range(3):
            inside = encode(bytes(before) + raw).decode()
            inside = inside[-(-before * 8 // 6) : len(inside) - 4 * ((before + len(raw)) % 3 > 0)]
            if len(inside) >= 2 * _ALONE:
                yield inside

"""Before anything is published: no secret, no credentials, no cookie, no path of this machine; and nothing that hides.

`Redactor.text` scrubs: known secret values (also as they look URL-quoted, in HTML, JSON or base64), credentials in
URLs and in `name=value` pairs, the values of authorization and cookie headers, and absolute paths. `visible` makes
control characters visible, so that a text can't colour, overwrite or reverse what is around it.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import re
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from luckyhit.case.secrets import is_literal, is_secret_header, is_secret_name
from luckyhit.run import write_atomically

if TYPE_CHECKING:
    from luckyhit.case import Case

REDACTED = "[redacted]"
SHORTEST = 4
"""Values shorter than this are no secrets: replacing each "1" would only make a text unreadable."""
_ALONE = 8
"""Values shorter than this are replaced where they stand alone, not inside a longer word or number."""

_URL_CREDENTIALS = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/?#'\"<>\\]{1,500}@")
_ASSIGNED = re.compile(
    r"(?<![\w.-])(?P<name>-{0,2}[A-Za-z_][\w.-]{0,100})=(?P<value>[^\s&'\"<>\\]+|'[^']*'|\"[^\"]*\")"
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
    r"(?<![\w.:/~-])(?<!GET )(?<!PUT )(?<!HEAD )(?<!POST )(?<!PATCH )(?<!DELETE )"
    r"(?:/home/[^/\s'\"<>]+|/Users/[^/\s'\"<>]+|/root|/private/var/folders|/var/folders|/tmp)"
    r"(?P<rest>(?:/[^/\s'\"<>:,;()\[\]]+)+)"
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u200b\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def known_secrets(case: Case | None, environ: Mapping[str, str] = os.environ) -> set[str]:
    """The values of every environment variable that the case names: they must not reach anything published."""
    if case is None:
        return set()
    names = [*case.target.headers_env.values(), *(case.target.start.pass_env if case.target.start else [])]
    names += [case.cache.url_env] if case.cache.url_env else []
    return {environ[name] for name in names if environ.get(name)}


def mentioned_secrets(case_file: Path, environ: Mapping[str, str] = os.environ) -> set[str]:
    """The same for a case that can't be loaded, or need not be: the values of all variables whose names stand
    anywhere in its file. Rather too many than one too few."""
    try:
        text = case_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {environ[name] for name in set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text)) if environ.get(name)}


class Redactor:
    """Scrubs texts. `secrets`: values that must not appear. `roots`: what to write in place of an absolute path, by
    that path; those of this process (home, temporary files, interpreter) are known already."""

    def __init__(self, secrets: Collection[str] = (), *, roots: Mapping[str | Path, str] | None = None) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) >= SHORTEST and is_literal(secret):
                forms |= _forms(secret)
                # A URL is known by its password alone as well.
                forms |= {part for part in re.findall(r"://[^/\s@]*:([^@\s]+)@", secret) if len(part) >= SHORTEST}
        ordered = sorted(forms, key=len, reverse=True)
        patterns = [
            re.escape(form) if len(form) >= _ALONE else rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])"
            for form in ordered
        ]
        self._secrets = re.compile("|".join(patterns)) if patterns else None
        known = {**_own_roots(), **{str(path): name for path, name in (roots or {}).items()}}
        both = {**known, **{str(Path(path).resolve()): name for path, name in known.items()}}
        self._roots = {path.rstrip("/"): name for path, name in both.items() if len(path.rstrip("/")) > 1}
        longest_first = sorted(self._roots, key=len, reverse=True)
        self._paths = re.compile("(" + "|".join(map(re.escape, longest_first)) + r")(?![\w.-])")

    def text(self, text: str) -> str:
        """The text without any of it."""
        if self._secrets is not None:
            text = self._secrets.sub(REDACTED, text)
        text = _URL_CREDENTIALS.sub(rf"\g<scheme>{REDACTED}@", text)
        text = _HEADER.sub(_without_header_value, text)
        text = _TOKEN.sub(rf"\1\2{REDACTED}", text)
        text = _ASSIGNED.sub(_without_assigned_value, text)
        text = self._paths.sub(lambda match: self._roots[match[0]], text)
        return _FOREIGN_PATH.sub(r"…\g<rest>", text)

    def anything(self, value: Any) -> Any:
        """A JSON value with every text in it scrubbed, names included. Lists of texts (the lines of a notebook's cell)
        are scrubbed as one text, so that a secret across lines is found."""
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
                self.text(str(name)): item if _is_picture(name, item) else self._named(str(name), self.anything(item))
                for name, item in value.items()
            }
        return value

    def _named(self, name: str, value: Any) -> Any:
        """The value of a field whose name says that it holds a secret is one."""
        secret = isinstance(value, str) and (is_secret_header(name) or is_secret_name(name))
        return REDACTED if secret and is_literal(value) else value

    def _coloured(self, text: str) -> str:
        """Colours inside a text could split a secret in two: where that is so, they go."""
        if "\x1b" in text:
            plain = _ANSI.sub("", text)
            if self.text(plain) != plain:
                text = plain
        return self.text(text)


def _forms(secret: str) -> set[str]:
    """The ways a value is written in files: plain, URL-quoted, HTML, JSON, Python, base64."""
    forms = {secret, secret.strip(), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    forms |= {html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")}  # as Jinja writes it
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    if len(secret) >= _ALONE:
        raw = secret.encode("utf-8", "surrogatepass")
        forms |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    return {form for form in forms if len(form) >= SHORTEST}


def _own_roots() -> dict[str, str]:
    roots = {tempfile.gettempdir(): "$TMPDIR", sys.base_prefix: "$PYTHON", sys.prefix: "$VENV"}
    with contextlib.suppress(RuntimeError):
        roots[str(Path.home())] = "~"
    # Names of the system that say nothing about anybody, and would only garble routes and commands.
    return {path: name for path, name in roots.items() if path not in ("/", "/usr", "/usr/local")}


def _without_header_value(match: re.Match[str]) -> str:
    if not is_secret_header(match["name"]) and not is_secret_name(match["name"]):
        return match[0]
    return f"{match['before']}{REDACTED}"


def _without_assigned_value(match: re.Match[str]) -> str:
    if not is_secret_name(match["name"].lstrip("-")) or not is_literal(match["value"].strip("'\"")):
        return match[0]
    return f"{match['name']}={REDACTED}"


def _is_picture(name: object, value: object) -> bool:
    """Base64 of a picture: nothing to read in it, and a replacement would break it."""
    return str(name).startswith("image/") and "svg" not in str(name) and isinstance(value, (str, list))


def visible(text: str, *, longest: int | None = None) -> str:
    """The text as something that can only be read: colours are gone, control and direction characters show their names.

    `longest`: more characters than that are cut off, and counted.
    """
    # Cut before looking at each character: a text may be a megabyte long.
    cut = len(text) - longest if longest is not None and len(text) > longest else 0
    text = text[:longest] if cut else text
    text = _ANSI.sub("", text)
    text = _CONTROL.sub(lambda match: _picture(ord(match[0])), text)
    text = _BIDI.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
    text = _SURROGATE.sub("\ufffd", text)
    return f"{text}… ({cut:,} more characters)" if cut else text


def _picture(code: int) -> str:
    """Unicode has a picture for each C0 control: U+2400 and on."""
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"


def project_roots(*paths: Path) -> dict[str | Path, str]:
    """Roots around some paths: the project they lie in, and the working directory, are written as `.`."""
    roots: dict[str | Path, str] = {Path.cwd(): "."}
    for path in paths:
        for folder in path.resolve().parents:
            if (folder / "notebooks").is_dir() and (folder / "data").is_dir():
                roots[folder] = "."
                break
    return roots


def redact_notebook(path: Path, secrets: Collection[str]) -> None:
    """Scrub an executed notebook in place: cells, outputs, tracebacks, metadata. It stays a valid notebook.

    A file that is no JSON (papermill may have been ended while writing) is scrubbed as text.
    """
    redactor = Redactor(secrets, roots=project_roots(path))
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        notebook = json.loads(text)
    except ValueError:
        write_atomically(path, redactor.text(text))
        return
    scrubbed = redactor.anything(notebook)
    # A lone surrogate is legal in JSON and can't be encoded: keep it escaped.
    write_atomically(path, _encodable(json.dumps(scrubbed, ensure_ascii=False, indent=1)) + "\n")


def _encodable(text: str) -> str:
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)

"""Routes from an HTTP archive (HAR 1.2), as browsers and proxies write it. Of its secrets, nothing is kept."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from luckyhit.discover.evidence import Body, ServiceEvidence
from luckyhit.discover.sources.traffic import Traffic
from luckyhit.errors import ArgumentError
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.secrets import REDACTED, find_secret, is_secret_header, is_secret_name
from luckyhit.text.json_values import is_list, is_object, leaves

LARGEST_BYTES = 512 << 20
MOST_LISTED_HOSTS = 5
MOST_FIELDS = 100
"""Of one object of a body."""
DEEPEST = 8
_HINT = "Name an HTTP archive: in a browser's network panel, `Save all as HAR`."


def from_file(path: Path, host: str = "") -> ServiceEvidence:
    """Routes of one host: `host` (with its port, where the archive has one), or the one most asked. Raises
    ArgumentError."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ArgumentError(f"{path} is larger than {LARGEST_BYTES >> 20} MiB", hint="Save a part of it.")
        document = json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
    except OSError as error:
        raise ArgumentError(f"{path} can't be read: {error.strerror or error}", hint=_HINT) from None
    except (ValueError, RecursionError):
        raise ArgumentError(f"{path} is no HTTP archive: it is not JSON", hint=_HINT) from None
    return routes_of(document, path.name, host)


def routes_of(document: Any, where: str, host: str = "") -> ServiceEvidence:
    """The same for an archive that is loaded. Raises ArgumentError where it is none, or has no request of the host."""
    log = document.get("log") if is_object(document) else None
    entries = log.get("entries") if is_object(log) else None
    if not is_list(entries):
        raise ArgumentError(f"{where} is no HTTP archive: it has no log.entries", hint=_HINT)
    exchanges = [exchange for entry in entries if (exchange := _exchange(entry)) is not None]
    notes = []
    if len(exchanges) < len(entries):
        notes.append(f"{where}: {len(entries) - len(exchanges):,} of {len(entries):,} entries are no HTTP request.")
    hosts = Counter(url.netloc.rpartition("@")[2] for url, _, _ in exchanges)
    if not hosts or (host and host not in hosts):
        listed = ", ".join(name for name, _ in hosts.most_common(MOST_LISTED_HOSTS))
        raise ArgumentError(
            f"{where} has no request{f' to {host}' if host else ''}",
            hint=f"It has requests to {listed}." if listed else _HINT,
        )
    host = host or hosts.most_common(1)[0][0]
    others = [name for name, _ in hosts.most_common() if name != host]
    if others:
        more = f" and {len(others) - MOST_LISTED_HOSTS} more" if len(others) > MOST_LISTED_HOSTS else ""
        notes.append(f"{where}: only {host} was read, not {', '.join(others[:MOST_LISTED_HOSTS])}{more}.")
    # Those of all hosts: a token of one may stand in a path of another.
    secrets = {secret for url, request, response in exchanges for secret in _secrets(url, request, response)}
    redactor, traffic = Redactor(secrets), Traffic(secrets)
    failed = 0
    for url, request, response in exchanges:
        if url.netloc.rpartition("@")[2] != host:
            continue
        status = response.get("status")
        if isinstance(status, int) and (status >= 400 or status == 0):
            failed += 1
            continue
        method, path = str(request.get("method")).upper(), url.path or "/"
        if traffic.add(method, path + (f"?{url.query}" if url.query else "")):
            traffic.describe(
                method,
                path,
                body=_body(request, redactor),
                response_schema=_schema(_json(_member(response, "content").get("text")), redactor),
                credentials=_has_credentials(request),
            )  # fmt: skip
    if failed:
        notes.append(f"{where}: {failed:,} requests that failed (status 400 and above, or none) are left out.")
    routes, more_notes = traffic.routes(where)
    return ServiceEvidence(routes=routes, notes=tuple(redactor.secrets(note) for note in (*notes, *more_notes)))


def _has_credentials(request: Mapping[str, Any]) -> bool:
    """A cookie alone is none: browsers send it anywhere."""
    return any(is_secret_header(name) and name.lower() != "cookie" for name, _ in _pairs(request, "headers"))


def _exchange(entry: Any) -> tuple[SplitResult, Mapping[str, Any], Mapping[str, Any]] | None:
    """(URL, request, response) of an entry; None for anything else."""
    request = _member(entry, "request")
    try:
        url = urlsplit(str(request.get("url")))
    except ValueError:
        return None
    return (url, request, _member(entry, "response")) if url.scheme in ("http", "https") and url.netloc else None


def _member(value: Any, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if is_object(value) else None
    return inner if is_object(inner) else {}


def _pairs(value: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """A list of objects with `name` and `value`."""
    listed = value.get(name)
    for part in listed if is_list(listed) else ():
        if is_object(part) and isinstance(part.get("name"), str):
            yield part["name"], str(part.get("value") or "")


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def _secrets(url: SplitResult, request: Mapping[str, Any], response: Mapping[str, Any]) -> Iterator[str]:
    """All values that an exchange names as secrets, in parts too."""
    user = url.netloc.rpartition("@")[0]
    yield from (unquote(part) for part in (user, user.partition(":")[2]) if part)
    for message in (request, response):
        yield from (value for _, value in _pairs(message, "cookies"))
        for name, value in _pairs(message, "headers"):
            if is_secret_header(name):
                yield from _header_parts(value)
    posted = _member(request, "postData")
    text = str(posted.get("text") or "")
    forms = [*parse_qsl(url.query), *parse_qsl(text), *_pairs(posted, "params"), *_pairs(request, "queryString")]
    yield from (value for name, value in forms if is_secret_name(name))
    for body in (_json(text), _json(_member(response, "content").get("text"))):
        for path, leaf in leaves(body):
            if isinstance(leaf, str) and any(isinstance(step, str) and is_secret_name(step) for step in path):
                yield leaf


def _header_parts(value: str) -> Iterator[str]:
    """A header's value, the values of its cookies, and what a scheme is followed by; of Basic, the password."""
    yield value
    words = value.split()
    yield from words[1:]
    yield from (part.partition("=")[2].strip() for part in value.split(";") if "=" in part)
    if len(words) == 2 and words[0].lower() == "basic":
        try:
            credentials = base64.b64decode(words[1], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield from (credentials, credentials.partition(":")[2])


def _body(request: Mapping[str, Any], redactor: Redactor) -> Body | None:
    posted = _member(request, "postData")
    if not posted:
        return None
    media = str(posted.get("mimeType") or "").partition(";")[0].strip().lower()[:100]
    value = _json(posted.get("text"))
    if value is None and media == "application/x-www-form-urlencoded":
        value = dict(_pairs(posted, "params")) or dict(parse_qsl(str(posted.get("text") or "")))
    return Body(media or "application/json", _schema(value, redactor), _scrubbed(value, redactor, 0))


def _kept_names(value: Mapping[str, Any], redactor: Redactor) -> list[str]:
    """Names of an object that are no secrets: a mapping may have tokens for names."""
    names = list(value)[:MOST_FIELDS]
    return [name for name in names if redactor.secrets(name) == name and find_secret(name) is None]


def _scrubbed(value: Any, redactor: Redactor, depth: int, secret: bool = False) -> Any:
    """JSON without secrets: by name, by known value, and by shape."""
    if depth > DEEPEST:
        return None
    if is_object(value):
        return {
            name: _scrubbed(value[name], redactor, depth + 1, secret or is_secret_name(name))
            for name in _kept_names(value, redactor)
        }
    if is_list(value):
        return [_scrubbed(part, redactor, depth + 1, secret) for part in value[:MOST_FIELDS]]
    if secret and value is not None and not isinstance(value, bool):
        return REDACTED
    if isinstance(value, str):
        text = redactor.secrets(value)
        return text if find_secret(text) is None else REDACTED
    return value


_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def _schema(value: Any, redactor: Redactor, depth: int = 0) -> dict[str, Any] | None:
    """The JSON Schema of one example: names and types, no values. None for None at the top."""
    if value is None and not depth:
        return None
    if depth > DEEPEST:
        return {}
    if is_object(value):
        names = _kept_names(value, redactor)
        return {"type": "object", "properties": {name: _schema(value[name], redactor, depth + 1) for name in names}}
    if is_list(value):
        return {"type": "array", "items": _schema(value[0], redactor, depth + 1) if value else {}}
    return {"type": _TYPES[type(value)]}

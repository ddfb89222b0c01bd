"""The bytes of an HTTP/1.1 request. No path or header can add a line of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from luckyhit import __version__
from luckyhit.errors import ArgumentError

DEFAULT_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate, br", "user-agent": f"luckyhit/{__version__}"}
"""Sent unless the case says otherwise."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"/[!-~]*")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go: the parts of a base URL. `prefix` comes before each path and never ends with a slash."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, base_url: str) -> Origin:
        """Raises ArgumentError for anything but an http(s) URL without credentials."""
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError as error:
            raise ArgumentError(f"invalid URL {base_url!r}: {error}", hint="Write http://host:port.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ArgumentError(
                f"not the URL of a service: {base_url!r}", hint="Write http://host:port or https://host."
            )
        if parts.username is not None or parts.password is not None:
            raise ArgumentError("the URL has credentials in it", hint="Send them as a header (target.headers_env).")
        prefix = parts.path.rstrip("/")
        if prefix:
            checked_target(prefix)
        default = 443 if parts.scheme == "https" else 80
        return cls(parts.scheme, parts.hostname, default if port is None else port, prefix)

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


def checked_target(path: str) -> str:
    """`path`, if it is valid in a request line. Raises ArgumentError for spaces, controls and non-ASCII."""
    if not _TARGET.fullmatch(path):
        raise ArgumentError(
            f"{path[:120]!r} can't be requested: a path begins with / and has no space or control character",
            hint="%-encode what isn't allowed in a path.",
        )
    return path


def head_lines(origin: Origin, headers: Mapping[str, str]) -> bytes:
    """The header lines of a request without Content-Length: Host, the declared ones, the defaults.

    Raises ArgumentError for a name or value that would break the request (a value is not shown: it may be a secret),
    and for headers that the engine sets.
    """
    declared: dict[str, tuple[str, str]] = {}
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ArgumentError(f"invalid name of a header: {name[:60]!r}", hint="Use letters, digits and hyphens.")
        if not _VALUE.fullmatch(value):
            raise ArgumentError(
                f"the value of header {name!r} has a line break, a control character or a letter beyond Latin-1",
                hint="A header's value is one line.",
            )
        if name.lower() in _OURS:
            raise ArgumentError(f"header {name!r} is set by the engine itself", hint="Leave it out.")
        declared[name.lower()] = (name, value)
    everything = {**{name: (name, value) for name, value in DEFAULT_HEADERS.items()}, **declared}
    lines = [f"host: {origin.authority}", *(f"{name}: {value.strip()}" for name, value in everything.values())]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def request_bytes(method: str, target: str, lines: bytes, body: bytes | None) -> bytes:
    """A whole request. `target` comes from `checked_target`, `lines` from `head_lines`."""
    if body is None and method not in _WITH_BODY:
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target.encode(), lines)
    content = body or b""
    return b"%b %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (
        method.encode(),
        target.encode(),
        lines,
        len(content),
        content,
    )

"""The URL of a cache, whatever its kind: how it is shown, and what must not be shown of it."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urlsplit

UNREADABLE = "a URL that can't be read"
_SECRET_PARTS = ("password=", "username=", "sentinel_password=", "sentinel_username=")


def url_secrets(url: str) -> list[str]:
    """The parts of a URL that must not be shown: its password, a user without a password, and with either the whole
    URL."""
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        return [url]
    query = [pair.partition("=")[2] for pair in parts.query.split("&") if pair.startswith(_SECRET_PARTS)]
    secrets = [value for value in (password or user, *query) if value]
    return [url, *secrets, *map(unquote, secrets)] if secrets else []


def redacted_url(url: str) -> str:
    """`redis://me:secret@cache:6379/0?x=y` as `redis://me:***@cache:6379/0`."""
    try:
        parts = urlsplit(url)
        address = parts.hostname or ""
        address = f"[{address}]" if ":" in address else address
        address += f":{parts.port}" if parts.port else ""
    except ValueError:
        return UNREADABLE
    return redacted_parts(parts, address) if "://" in url else "a URL without a scheme"


def redacted_parts(parts: SplitResult, address: str) -> str:
    """A URL with `address` in place of its host and port, and without its secrets."""
    user = ""
    if parts.password:
        user = f"{parts.username or ''}:***@"
    elif parts.username:
        user = "***@"
    return f"{parts.scheme}://{user}{address}{parts.path}"


def host_and_port(host: str, port: int) -> str:
    return f"[{host.lower()}]:{port}" if ":" in host else f"{host.lower()}:{port}"

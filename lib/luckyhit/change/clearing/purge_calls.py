"""The calls that purge an HTTP cache: made from the case, sent byte for byte; and the errors for refused ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx

from luckyhit.case import Case
from luckyhit.case.cache_spec import Purge
from luckyhit.case.values.placeholders import fill_text
from luckyhit.errors import ArgumentError, TargetError, refusal_of
from luckyhit.load.http1.request_head import Origin
from luckyhit.system.control import client_options

_TIMEOUT_S = 10.0
_VALUE = re.compile(r"[\t -~\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` is sent byte for byte; `headers` may hold secrets."""

    method: str
    origin: Origin
    path: str
    headers: Mapping[str, str] = field(repr=False)
    accepted: frozenset[int]

    @property
    def url(self) -> str:
        return f"{self.origin.scheme}://{self.origin.authority}{self.path}"


def calls_of(entry: Purge, base_url: str, environ: Mapping[str, str], headers: Mapping[str, str]) -> list[Call]:
    """The calls of one entry of `cache.purge`, in the order of its keys. Raises ArgumentError for a variable that is
    not set, or whose value can't be a header's (the value is not shown)."""
    own = Origin.parse(base_url)
    origin = Origin.parse(entry.url) if entry.url is not None else own
    missing = [name for name in entry.headers_env.values() if name not in environ]
    if missing:
        raise ArgumentError(
            f"not set in the environment: {', '.join(missing)} (named in cache.purge.headers_env)",
            hint="Export them, then start again.",
        )
    secret = {header: environ[name] for header, name in entry.headers_env.items()}
    if _address(origin) == _address(own):
        secret = {**headers, **secret}
    for header, value in secret.items():
        if not _VALUE.fullmatch(value):
            raise ArgumentError(
                f"the value of header {header!r} has a line break, a control character or a letter beyond Latin-1",
                hint="A header's value is one line.",
            )
    keys: Sequence[int | None] = [None]
    if entry.keys is not None:
        keys = range(entry.keys.first, entry.keys.last + 1)
    return [
        Call(
            entry.method,
            origin,
            origin.prefix + fill_text(entry.path, {"key": quote(str(key), safe="")}),
            {**{name: fill_text(text, {"key": key}) for name, text in entry.headers.items()}, **secret},
            frozenset(entry.status),
        )
        for key in keys
    ]


def request_of(client: httpx.Client, call: Call, method: str | None = None) -> httpx.Request:
    """`call` as a request, with its path byte for byte (httpx would quote some characters)."""
    url = f"{call.origin.scheme}://{call.origin.authority}/"
    headers = [(name, value.strip().encode("latin-1")) for name, value in call.headers.items()]
    return client.build_request(
        method or call.method,
        url,
        headers=[(name.encode(), value) for name, value in headers],
        extensions={"target": call.path.encode()},
    )


def refusal(call: Call, response: httpx.Response) -> TargetError:
    """The error for a response that the case does not accept. It never shows the body."""
    status, method = response.status_code, call.method
    prefix = f"{method} {call.url} (cache.purge) was answered {status} {response.reason_phrase}".rstrip()
    if status in (405, 501):
        reason = f"{prefix}: {method} is not allowed from here, or something else than the cache answers"
        hint = (
            f"Varnish: vcl_recv has to take {method}, with this machine in its ACL (`acl purge`). nginx: it needs the "
            "module ngx_cache_purge, and this address in its `from`. And cache.purge.url has to name the cache itself."
        )
    elif status in (401, 403):
        reason = f"{prefix}: the cache refuses {method} from here"
        hint = (
            "Add this machine to the addresses that may purge (Varnish: `acl purge`; nginx: `allow`), or name the "
            "variable with the token in cache.purge.headers_env."
        )
    elif response.is_redirect:
        reason = f"{prefix}: a redirect, which a purge does not follow"
        hint = "Name the final address in cache.purge.url."
    else:
        reason = f"{prefix}; {', '.join(map(str, sorted(call.accepted)))} is expected"
        hint = "Look at the cache's log; if that status is a success, name it in cache.purge.status."
    hint = f"{hint} `luckyhit check` tries it beforehand, without purging."
    return TargetError(reason, hint=hint, refusal=refusal_of(status))


def client_for(case: Case, call: Call, base_url: str, project: Path) -> httpx.Client:
    """A client for calls to the address of `call`. `base_url`: the target's; `project` is what `target.ca_file` is
    relative to."""
    options = client_options(case.target, f"{call.origin.scheme}://{call.origin.authority}", project)
    if _address(call.origin) != _address(Origin.parse(base_url)):
        options |= {"http1": True, "http2": False}  # target.http is about the service
    return httpx.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False, **options)


def _address(origin: Origin) -> tuple[str, str, int]:
    return origin.scheme, origin.host.lower(), origin.port

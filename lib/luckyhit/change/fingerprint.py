"""The fingerprint: everything that can be seen of one arm, flat, as text, so that two of them can be compared.

Names: `command`, `env.NAME`, `python`, `package.NAME`, `git.*`, `file.*`, `fact.*`, `change.state`, `config.*`
(the declared configuration endpoint), `header.*` (response headers that name versions), `cache.*`, `workload.*`,
`engine.*`. Names that begin with `observed.` are facts that may differ by themselves (keys outside the scope); they
are shown, not compared.

Two isolated stacks that are the same must compare equal, so what is theirs alone (port, working directory, cache
URL, pid) is written as a placeholder, and what changes by itself (uptime, times of day, whatever differs between
two looks in a row) is left out. Secrets are hashed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import redis

from luckyhit.case import Case
from luckyhit.case.changes import SettingChange
from luckyhit.case.placeholders import fill_text
from luckyhit.change.clear import Scope, scan
from luckyhit.change.refusals import explained
from luckyhit.change.sources import packages_of, run_quietly, source_of
from luckyhit.change.ways import shown_state
from luckyhit.target.cache_url import is_sentinel
from luckyhit.target.control import client_options
from luckyhit.target.topology import open_topology

if TYPE_CHECKING:
    from luckyhit.target import Stack

_TIMEOUT_S = 5.0
_LONGEST_FACT = 200
_SECRET_NAME = re.compile(r"pass|secret|token|api_?key|credential|private|auth|cookie|session|dsn", re.IGNORECASE)
_URL_WITH_SECRET = re.compile(r"(?<=://)[^/@\s]+@")
# Names of values that change by themselves, whole: `uptime_s` is one, `max_connections` is a setting.
_VOLATILE_NAME = re.compile(
    r"uptime\w*|started|started_at|start_time|now|date|time|timestamp|pid|hostname|request_id|trace_id|elapsed\w*"
    r"|(cache_)?(hits|misses)|requests|connections|\w+_total",
    re.IGNORECASE,
)
_TIME_OF_DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_CONFIG_SHOWN = (
    "maxmemory",
    "maxmemory-policy",
    "maxmemory-samples",
    "notify-keyspace-events",
    "hz",
    "active-expire-effort",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-eviction",
    "appendonly",
    "appendfsync",
    "save",
    "io-threads",
    "databases",
    "timeout",
    "maxclients",
    "replica-read-only",
)
_RENAMED = {
    "slowlog-log-slower-than": "commandlog-execution-slower-than",
    "slowlog-max-len": "commandlog-slow-execution-max-len",
}
# What two servers differ in because they are two: addresses, files, names. And secrets.
_CONFIG_OWN = re.compile(r"^(port|bind|dir|.*file.*|.*dir|unixsocket.*|.*pass.*|.*auth.*|.*announce.*|tls-.*|proc-.*)$")


def fingerprint(
    stack: Stack, case: Case, *, environ: Mapping[str, str] = os.environ, keyspace: bool = True
) -> dict[str, str]:
    """Everything observable of `stack`. Sends safe requests only: to the declared configuration endpoint and the
    ready check of the service, INFO, CONFIG GET and SCAN to the cache. What can't be seen is not in it.

    `keyspace`: count the keys outside the scope, which takes a scan of all of them. Raises CacheUnreachable where the
    cache does not answer.
    """
    names = _Names(stack)
    seen: dict[str, str] = {}
    if stack.owned:
        seen["command"] = shlex.join(shown_env("", names.normalised(argument)) for argument in stack.command)
        seen |= _environment(stack, case, names)
        seen |= packages_of(stack.command[0], stack.cwd, stack.env) if stack.command else {}
        seen |= source_of(stack.cwd)
        seen |= _facts(stack, case, names)
    seen |= shown_state(stack, case)
    seen |= _service(stack, case, names, environ)
    if stack.cache is not None:
        with explained("taking its fingerprint"), open_topology(stack.cache) as topology:
            servers = [primary.client for primary in topology.primaries()]
            for number, client in enumerate(servers):
                found = _cache(client, case)
                seen |= {name.replace("cache.", f"cache.{number}.", 1) if number else name: value
                         for name, value in found.items()}  # fmt: skip
            if keyspace:
                outside = sum(_outside(client, Scope(case.cache.clear)) for client in servers)
                seen["observed.keys_outside_scope"] = str(outside)
    seen |= _workload(case)
    return dict(sorted(seen.items()))


def hashed(value: str) -> str:
    """A secret as it may be shown: equal for equal secrets, and nothing more."""
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def shown_env(name: str, value: str, *, secret: bool = False) -> str:
    """The value of an environment variable as the fingerprint shows it."""
    if secret or _SECRET_NAME.search(name) or _URL_WITH_SECRET.search(value):
        return hashed(value)
    return value


class _Names:
    """What belongs to one stack alone, and the placeholder that stands for it."""

    def __init__(self, stack: Stack) -> None:
        self.port = urlsplit(stack.base_url).port
        self._texts: list[tuple[str, str]] = [(sys.executable, "{python}")] if sys.executable else []
        if stack.cache is not None:
            self._texts.append((stack.cache.url, "{cache_url}"))
            address = None if is_sentinel(stack.cache.url) else urlsplit(stack.cache.url)
            if address is not None and address.hostname and address.port:
                self._texts.append((f"{address.hostname}:{address.port}", "{cache_address}"))
        workdir = Path(stack.workdir)
        self._texts += [(str(workdir.resolve()), "{workdir}"), (str(workdir), "{workdir}")]
        alone = stack.cache is not None and not is_sentinel(stack.cache.url)
        self.cache_port = urlsplit(stack.cache.url).port if alone and stack.cache is not None else None

    def normalised(self, text: str) -> str:
        for found, placeholder in self._texts:
            text = text.replace(found, placeholder)
        for port, placeholder in ((self.port, "{port}"), (self.cache_port, "{cache_port}")):
            if port is not None:
                # A port stands alone, or behind a colon or an equals sign; elsewhere the digits mean other things.
                text = re.sub(rf"(^|[:=]){port}(?!\d)", rf"\g<1>{placeholder}", text)
        return _TIME_OF_DAY.sub("{time}", text)


def _environment(stack: Stack, case: Case, names: _Names) -> dict[str, str]:
    secret = set(case.target.start.pass_env if case.target.start else ())
    return {
        f"env.{name}": shown_env(name, names.normalised(value), secret=name in secret)
        for name, value in stack.env.items()
    }


def _facts(stack: Stack, case: Case, names: _Names) -> dict[str, str]:
    """What the declared commands print: versions that both arms must share."""
    values = {**stack.start_values, "python": sys.executable}
    found = {}
    for name, command in case.target.facts.items():
        try:
            printed = run_quietly([fill_text(text, values) for text in command], stack.cwd, stack.env)
        except subprocess.CalledProcessError as error:
            found[f"fact.{name}"] = f"failed with exit status {error.returncode}"
            continue
        except (OSError, subprocess.SubprocessError) as error:
            found[f"fact.{name}"] = f"failed: {type(error).__name__}"
            continue
        text = names.normalised(printed.decode(errors="replace")).strip()
        first = text.splitlines()[0][:_LONGEST_FACT] if text else ""
        found[f"fact.{name}"] = text if text == first else f"{first}..., {hashed(text)}"
    return found


def _service(stack: Stack, case: Case, names: _Names, environ: Mapping[str, str]) -> dict[str, str]:
    """The effective configuration, and the headers that name versions."""
    headers = {
        header: environ[name] for header, name in case.target.headers_env.items() if environ.get(name) is not None
    }
    path = case.target.config or (case.target.start.ready if case.target.start else "/")
    looks: list[dict[str, str]] = []
    options = client_options(case.target, stack.base_url, stack.project)
    with httpx.Client(
        base_url=stack.base_url, timeout=_TIMEOUT_S, trust_env=False, headers=headers, **options
    ) as client:
        for _ in range(2):
            try:
                answer = client.get(path)
            except httpx.HTTPError as error:
                return {"config": f"no answer ({type(error).__name__})"}
            look = _versions(answer, names)
            if case.target.config is not None:
                look |= _configuration(answer, names)
            looks.append(look)
    first, second = looks
    return {name: value for name, value in first.items() if second.get(name) == value}


def _versions(answer: httpx.Response, names: _Names) -> dict[str, str]:
    wanted = {"server", "via", "x-powered-by", "x-runtime-version"}
    return {
        f"header.{name}": names.normalised(value)
        for name, value in answer.headers.items()
        if name in wanted or "version" in name or "revision" in name
    }


def _configuration(answer: httpx.Response, names: _Names) -> dict[str, str]:
    if answer.status_code != 200:
        return {"config": f"status {answer.status_code}"}
    try:
        document = answer.json()
    except ValueError:
        return {"config": hashed(names.normalised(answer.text))}
    found: dict[str, str] = {}
    _flatten("config", document, names, found)
    return found


def _flatten(name: str, value: Any, names: _Names, found: dict[str, str]) -> None:
    """`{"a": {"b": [1]}}` as `config.a.b.0 = 1`; what changes by itself is left out."""
    leaf = name.removeprefix("config.").rsplit(".", 1)[-1]
    if _VOLATILE_NAME.fullmatch(leaf):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f"{name}.{key}", inner, names, found)
        return
    if isinstance(value, list):
        for index, inner in enumerate(value):
            _flatten(f"{name}.{index}", inner, names, found)
        return
    text = value if isinstance(value, str) else json.dumps(value)
    if "port" in leaf.lower() or isinstance(value, str):
        text = names.normalised(text)
    found[name] = shown_env(leaf, text)


def _cache(client: redis.Redis, case: Case) -> dict[str, str]:
    found: dict[str, str] = {}
    changed = {case.change.name} if isinstance(case.change, SettingChange) else set()
    shown_by_name = {*_CONFIG_SHOWN, *changed}
    twins = {other for name in changed for other in _twins(name)}
    try:
        server = client.info("server")
        kind = "valkey" if "valkey_version" in server else "redis"
        found["cache.version"] = f"{kind} {server.get(f'{kind}_version')}"
        found["cache.mode"] = str(server.get(f"{'server' if kind == 'valkey' else 'redis'}_mode", "unknown"))
        found["cache.role"] = str(client.info("replication").get("role", "unknown"))
    except redis.exceptions.NoPermissionError:
        found["cache.version"] = "not visible: INFO is not allowed"
    try:
        config = {_text(name): _text(value) for name, value in client.config_get("*").items()}
    except redis.exceptions.ResponseError:
        found["cache.config"] = "not visible: CONFIG GET is not allowed"
    else:
        found |= {f"cache.config.{name}": config[name] for name in sorted(shown_by_name) if name in config}
        rest = {
            name: value
            for name, value in config.items()
            if name not in shown_by_name | twins and not _CONFIG_OWN.match(name)
        }
        found["cache.config.other"] = f"{len(rest)} settings, {hashed(json.dumps(rest, sort_keys=True))}"
    return found


def _twins(name: str) -> set[str]:
    """Other names of the same setting: the server shows the change under each of them."""
    twins = {name.replace("listpack", "ziplist"), name.replace("ziplist", "listpack"), _RENAMED.get(name, name)}
    return twins - {name}


def _outside(client: redis.Redis, scope: Scope) -> int:
    return len({hash(key) for keys in scan(client) for key in keys if key not in scope})


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _workload(case: Case) -> dict[str, str]:
    requests = case.workload.model_dump_json(exclude={"seed"})
    return {
        "workload": hashed(requests),
        "workload.seed": str(case.workload.seed),
        "engine": f"luckyhit {_own_version()} on Python {platform.python_version()}",
    }


def _own_version() -> str:
    try:
        return importlib.metadata.version("luckyhit")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

"""The fingerprint: everything that can be seen of one arm, flat, as text, so that two of them can be compared.

Names: `command`, `env.NAME`, `python`, `package.NAME`, `git.*`, `path.*` (modules that come from elsewhere), `file.*`
(of `.env` files), `fact.*`, `change.state`, `config.*` (the declared configuration endpoint), `header.*` (response
headers that name versions), `cache.*`, `workload.*`, `engine`. Names that begin with `observed.` are facts that may
differ by themselves (keys outside the scope); they are shown, not compared.

Two isolated stacks that are the same must compare equal, so what is theirs alone (port, working directory, cache
URL, pid) is written as a placeholder, and what changes by itself (uptime, times of day, whatever differs between
two looks in a row) is left out. Secrets are hashed.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from luckyhit.caches import placeholders
from luckyhit.case import Case
from luckyhit.case.values.path_variables import fill_variables
from luckyhit.case.values.placeholders import PlaceholderError, fill_text
from luckyhit.case.values.variables import known_secrets
from luckyhit.change.fingerprints.cache_facts import cache_facts
from luckyhit.change.fingerprints.interpreter import Found, found_by, interpreter_of, run_quietly
from luckyhit.change.fingerprints.normalize import Own, hashed, names_a_version, shown_env
from luckyhit.change.fingerprints.origin import OWN_MODULES, source_elsewhere
from luckyhit.change.fingerprints.sources import repository_of, source_of
from luckyhit.change.kinds import shown_state
from luckyhit.scrub.secrets import is_secret_name
from luckyhit.system.control import client_options
from luckyhit.system.start_settings import INHERITED, source_directory
from luckyhit.text.json_values import leaves

if TYPE_CHECKING:
    from luckyhit.system import Stack

_TIMEOUT_S = 5.0
_LONGEST_FACT = 200
# Names of values that change by themselves, whole: `uptime_s` is one, `max_connections` is a setting.
_VOLATILE_NAME = re.compile(
    r"uptime\w*|started|started_at|start_time|now|date|time|timestamp|pid|hostname|request_id|trace_id|elapsed\w*"
    r"|(cache_)?(hits|misses)|requests|connections|\w+_total",
    re.IGNORECASE,
)
_NO_SOURCE = "not visible: the service runs in a directory that holds none of it, and nothing else tells where it is"


def fingerprint(
    stack: Stack, case: Case, *, environ: Mapping[str, str] = os.environ, keyspace: bool = True
) -> dict[str, str]:
    """Everything observable of `stack`. Sends safe requests only: to the declared configuration endpoint and the
    ready check of the service, INFO, CONFIG GET and SCAN to the cache. What can't be seen is not in it.

    `keyspace`: count the keys outside the scope, which takes a scan of all of them. Raises CacheUnreachable where the
    cache does not answer.
    """
    own = Own(stack)
    values: dict[str, str] = {}
    if stack.owned:
        values["command"] = _command(stack, case, own)
        values |= _environment(stack, case, own)
        values |= _on_disk(stack, own)
    values |= _facts(stack, case, own, environ)
    values |= shown_state(stack)
    values |= _service(stack, case, own, environ)
    if stack.cache is not None:
        values |= cache_facts(stack.cache, case, stack=stack.name, keyspace=keyspace)
    values |= _workload(case)
    return dict(sorted(values.items()))


def _command(stack: Stack, case: Case, own: Own) -> str:
    declared = list(case.target.start.command if case.target.start else ())
    changed = [value for side in ("before", "after") if isinstance(value := getattr(case.change, side, None), str)]
    templates = [[text, *changed] for text in declared]
    templates += [[]] * (len(stack.command) - len(declared))
    return shlex.join(
        shown_env("", own.given(argument, known)) for argument, known in zip(stack.command, templates, strict=False)
    )


def _environment(stack: Stack, case: Case, own: Own) -> dict[str, str]:
    start, change = case.target.start, case.change
    hidden = known_secrets(case, stack.env)
    secret = {
        name for name in (start.pass_env if start else ()) if stack.env.get(name) in hidden or is_secret_name(name)
    }
    values = {}
    for name, value in stack.env.items():
        declared = [start.env.get(name) if start else None]
        if change.variable == name:
            declared += [change.before, change.after]
        text = own.given(value, [template for template in declared if template is not None])
        values[f"env.{name}"] = shown_env(name, text, secret=name in secret)
    return values


def _on_disk(stack: Stack, own: Own) -> dict[str, str]:
    """Interpreter, packages, and the files that the service is made of."""
    values: dict[str, str] = {}
    python: Found | None = None
    interpreter = _interpreter(stack)
    if interpreter is not None:
        try:
            python = found_by(interpreter, stack.cwd, stack.env)
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            values["python"] = f"not visible: {Path(interpreter).name} does not list its packages"
        else:
            values["python"] = python.version
            values |= {f"package.{name}": release for name, release in python.packages.items()}
    start = stack.case.target.start
    loose = [place for place in (python.loose if python else ()) if place.resolve() != OWN_MODULES]
    aside = _runs_around(stack)
    elsewhere = source_elsewhere(stack, loose)
    if elsewhere is not None:
        sources = source_of(elsewhere[0], elsewhere[1:], aside=aside) if elsewhere else {"path": _NO_SOURCE}
    else:
        origin = repository_of(source_directory(start, stack.project, stack.environ))
        # A worktree of the service's repository comes first on the path, before the repository itself.
        behind = origin if origin != repository_of(stack.cwd) else None
        places = [place for place in loose if behind is None or repository_of(place) != behind]
        sources = source_of(stack.cwd, places, aside=aside)
    for name, value in sources.items():
        values[own.normalised(name, times=False)] = value
    return values


def _interpreter(stack: Stack) -> str | None:
    """The Python that runs the service; of a launcher that shows none, the one that the case names."""
    start = stack.case.target.start
    if not stack.command or start is None:
        return None
    if stack.command[0] == stack.python:
        return stack.python
    interpreter = interpreter_of(stack.command[0], stack.cwd, stack.env, stack.pid)
    return stack.python if interpreter is None and start.python is not None else interpreter


def _runs_around(stack: Stack) -> Path | None:
    """The directory of all runs, where a run keeps the files of this stack: it may lie in the service's repository."""
    run = next((folder for folder in stack.workdir.parents if (folder / "manifest.json").is_file()), None)
    around = run.resolve().parents[1] if run is not None else None
    return None if around is None or stack.cwd.resolve().is_relative_to(around) else around


def _facts(stack: Stack, case: Case, own: Own, environ: Mapping[str, str]) -> dict[str, str]:
    """What the declared commands print: versions that both arms must share. For a service that isn't ours they have
    the basics of our environment, and the cache's URL."""
    values: dict[str, object] = {"python": stack.python, **stack.start_values}
    env = dict(stack.env)
    if not stack.owned:
        env = {name: environ[name] for name in (*INHERITED, case.cache.url_env or "") if name in environ}
        values |= placeholders(stack.cache.url) if stack.cache is not None else {}
    facts = {}
    for name, command in case.target.facts.items():
        try:
            printed = run_quietly(
                [fill_text(fill_variables(text, environ), values) for text in command], stack.cwd, env
            )
        except subprocess.CalledProcessError as error:
            facts[f"fact.{name}"] = f"failed with exit status {error.returncode}"
            continue
        except PlaceholderError as error:
            facts[f"fact.{name}"] = f"failed: {error}"
            continue
        except (OSError, subprocess.SubprocessError) as error:
            facts[f"fact.{name}"] = f"failed: {type(error).__name__}"
            continue
        text = own.normalised(printed.decode(errors="replace"), times=False).strip()
        first = text.splitlines()[0][:_LONGEST_FACT] if text else ""
        facts[f"fact.{name}"] = shown_env("", text if text == first else f"{first}..., {hashed(text)}")
    return facts


def _service(stack: Stack, case: Case, own: Own, environ: Mapping[str, str]) -> dict[str, str]:
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
            look = _versions(answer, own)
            if case.target.config is not None:
                look |= _configuration(answer, own)
            looks.append(look)
    return _lasting(*looks)


def _lasting(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    """What two looks in a row share. Of what names a version, both: a release that is half done is no noise."""
    lasting = {}
    for name, value in first.items():
        other = second.get(name)
        if other == value:
            lasting[name] = value
        elif other is not None and (name.startswith("header.") or names_a_version(name.rsplit(".", 1)[-1])):
            lasting[name] = " or ".join(sorted((value, other)))
    return lasting


def _versions(answer: httpx.Response, own: Own) -> dict[str, str]:
    wanted = {"server", "via", "x-powered-by", "x-runtime-version"}
    return {
        f"header.{name}": own.normalised(value, times=not names_a_version(name))
        for name, value in answer.headers.items()
        if name in wanted or "version" in name or "revision" in name
    }


def _configuration(answer: httpx.Response, own: Own) -> dict[str, str]:
    if answer.status_code != 200:
        return {"config": f"status {answer.status_code}"}
    try:
        document = answer.json()
    except ValueError:
        return {"config": hashed(own.normalised(answer.text))}
    return _flattened(document, own)


def _flattened(document: Any, own: Own) -> dict[str, str]:
    """`{"a": {"b": [1]}}` as `config.a.b.0 = 1`; what changes by itself is left out."""
    values = {}
    for path, value in leaves(document, ("config",)):
        names = [str(step).rsplit(".", 1)[-1] for step in path]
        if any(map(_VOLATILE_NAME.fullmatch, names)):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        if "port" in names[-1].lower() or isinstance(value, str):
            text = own.normalised(text, times=not names_a_version(names[-1]))
        values[".".join(map(str, path))] = shown_env(names[-1], text)
    return values


def _workload(case: Case) -> dict[str, str]:
    requests = case.workload.model_dump_json(exclude={"seed"})
    workers = case.workload.workers
    return {
        "workload": hashed(requests),
        "workload.seed": str(case.workload.seed),
        "engine": f"luckyhit {_own_version()} on Python {platform.python_version()}, "
        + ("1 worker" if workers == 1 else f"{workers} workers"),
    }


def _own_version() -> str:
    try:
        return importlib.metadata.version("luckyhit")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

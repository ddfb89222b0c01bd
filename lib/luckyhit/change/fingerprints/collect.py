"""The fingerprint: everything visible of one arm, flat, as text, so that two arms can be compared.

Names: `command`, `env.NAME`, `python`, `package.NAME`, `git.*`, `path.*` (modules from elsewhere), `file.*` (`.env`
files), `fact.*`, `change.state`, `config.*` (the declared configuration endpoint), `header.*` (response headers that
name versions), `cache.*`, `workload.*`, `engine`. `observed.*` are facts that may change by themselves (keys outside
the scope): shown, not compared.

Two isolated stacks that are the same must compare equal: what belongs to one of them alone (port, working directory,
cache URL, pid) becomes a placeholder, and what changes by itself (uptime, times of day, whatever differs between two
readings in a row) is left out. Secrets are hashed.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from luckyhit.caches import AnyCache, Capability, placeholders
from luckyhit.caches.scope import Scope
from luckyhit.case import Case
from luckyhit.case.values.path_variables import fill_variables
from luckyhit.case.values.placeholders import PlaceholderError, fill_text
from luckyhit.case.values.variables import known_secrets
from luckyhit.change.fingerprints.configuration import Configuration
from luckyhit.change.fingerprints.interpreter import PythonEnvironment, interpreter_of, python_environment, run_quietly
from luckyhit.change.fingerprints.normalize import StackNormalizer, hashed, names_a_version, shown_env
from luckyhit.change.fingerprints.origin import OWN_MODULES, source_elsewhere
from luckyhit.change.fingerprints.sources import SourcesOnce, repository_of
from luckyhit.change.kinds import shown_state
from luckyhit.scrub.secrets import is_secret_name
from luckyhit.system.control import client_options
from luckyhit.system.start_settings import INHERITED, source_directory

if TYPE_CHECKING:
    from luckyhit.system import Stack

_TIMEOUT_S = 5.0
_LONGEST_FACT = 200
_NO_SOURCE = "not visible: the service runs in a directory without its source, and nothing else names one"
RUNS = "observed.cache_runs"
"""Name of the stack, and the server processes of its cache: another process has lost its contents."""
OUTSIDE = "observed.keys_outside_scope"
_SETTING = "cache.config."


def fingerprint(
    stack: Stack,
    case: Case,
    *,
    environ: Mapping[str, str] = os.environ,
    keyspace: bool = True,
    sources: SourcesOnce | None = None,
) -> dict[str, str]:
    """Everything visible of `stack`. Sends safe requests only: to the configuration endpoint and the ready check of the
    service, and INFO, CONFIG GET and SCAN to the cache. `keyspace`: count the keys outside the scope, which takes a
    scan of all keys. `sources`: shared with the other arm, which is looked at in the same moment. Raises
    CacheUnreachable where the cache does not answer."""
    normalizer = StackNormalizer(stack)
    values: dict[str, str] = {}
    if stack.owned:
        values["command"] = _command(stack, case, normalizer)
        values |= _environment(stack, case, normalizer)
        values |= _on_disk(stack, normalizer, sources or SourcesOnce())
    values |= _facts(stack, case, normalizer, environ)
    values |= shown_state(stack)
    values |= _service(stack, case, normalizer, environ)
    if stack.cache is not None:
        values |= _cache(stack.cache, case, stack=stack.name, keyspace=keyspace)
    values |= _workload(case)
    return dict(sorted(values.items()))


def _command(stack: Stack, case: Case, normalizer: StackNormalizer) -> str:
    declared = list(case.target.start.command if case.target.start else ())
    changed = [value for side in ("before", "after") if isinstance(value := getattr(case.change, side, None), str)]
    templates = [[text, *changed] for text in declared]
    templates += [[]] * (len(stack.command) - len(declared))
    return shlex.join(
        shown_env("", normalizer.normalize_filled(argument, known))
        for argument, known in zip(stack.command, templates, strict=False)
    )


def _environment(stack: Stack, case: Case, normalizer: StackNormalizer) -> dict[str, str]:
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
        text = normalizer.normalize_filled(value, [template for template in declared if template is not None])
        values[f"env.{name}"] = shown_env(name, text, secret=name in secret)
    return values


def _on_disk(stack: Stack, normalizer: StackNormalizer, once: SourcesOnce) -> dict[str, str]:
    """Interpreter, packages, and the files that the service is made of."""
    values: dict[str, str] = {}
    python: PythonEnvironment | None = None
    interpreter = _interpreter(stack)
    if interpreter is not None:
        try:
            python = python_environment(interpreter, stack.cwd, stack.env)
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            values["python"] = f"not visible: {Path(interpreter).name} can't list its packages"
        else:
            values["python"] = python.version
            values |= {f"package.{name}": release for name, release in python.packages.items()}
    start = stack.case.target.start
    modules = [place for place in (python.module_directories if python else ()) if place.resolve() != OWN_MODULES]
    runs_dir = _runs_around(stack)
    elsewhere = source_elsewhere(stack, modules)
    if elsewhere is not None:
        sources = once.read(elsewhere[0], elsewhere[1:], runs_dir) if elsewhere else {"path": _NO_SOURCE}
    else:
        origin = repository_of(source_directory(start, stack.project, stack.environ))
        # Of a worktree, the repository itself is on the path as well, after it.
        shadowed = origin if origin != repository_of(stack.cwd) else None
        directories = [place for place in modules if shadowed is None or repository_of(place) != shadowed]
        sources = once.read(stack.cwd, directories, runs_dir)
    for name, value in sources.items():
        values[normalizer.normalize(name, times=False)] = value
    return values


def _interpreter(stack: Stack) -> str | None:
    """The Python that runs the service; for a launcher without a visible one, that of the case."""
    start = stack.case.target.start
    if not stack.command or start is None:
        return None
    if stack.command[0] == stack.python:
        return stack.python
    interpreter = interpreter_of(stack.command[0], stack.cwd, stack.env, stack.pid)
    return stack.python if interpreter is None and start.python is not None else interpreter


def _runs_around(stack: Stack) -> Path | None:
    """The directory of all runs, if this stack is a run's: it may lie in the service's repository."""
    run = next((folder for folder in stack.workdir.parents if (folder / "manifest.json").is_file()), None)
    around = run.resolve().parents[1] if run is not None else None
    return None if around is None or stack.cwd.resolve().is_relative_to(around) else around


def _facts(stack: Stack, case: Case, normalizer: StackNormalizer, environ: Mapping[str, str]) -> dict[str, str]:
    """The output of the declared commands: versions that both arms must share. For a service of others they get the
    basics of this process's environment, and the cache's URL."""
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
        text = normalizer.normalize(printed.decode(errors="replace"), times=False).strip()
        first = text.splitlines()[0][:_LONGEST_FACT] if text else ""
        facts[f"fact.{name}"] = shown_env("", text if text == first else f"{first}..., {hashed(text)}")
    return facts


def _service(stack: Stack, case: Case, normalizer: StackNormalizer, environ: Mapping[str, str]) -> dict[str, str]:
    """The effective configuration, and the headers that name versions."""
    headers = {
        header: environ[name] for header, name in case.target.headers_env.items() if environ.get(name) is not None
    }
    path = case.target.config or (case.target.start.ready if case.target.start else "/")
    configuration = Configuration(stack, normalizer, case.target.config_ignore)
    readings: list[dict[str, str]] = []
    options = client_options(case.target, stack.base_url, stack.project)
    with httpx.Client(
        base_url=stack.base_url, timeout=_TIMEOUT_S, trust_env=False, headers=headers, **options
    ) as client:
        for _ in range(2):
            try:
                response = client.get(path)
            except httpx.HTTPError as error:
                return {"config": f"no answer ({type(error).__name__})"}
            reading = _versions(response, normalizer)
            if case.target.config is not None:
                reading |= configuration.entries(response)
            readings.append(reading)
    constant = _constant(*readings)
    return constant | configuration.observed(readings[0], constant)


def _constant(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    """What two readings in a row share. Of versions, both: a release that is half done is not noise."""
    constant = {}
    for name, value in first.items():
        other = second.get(name)
        if other == value:
            constant[name] = value
        elif other is not None and (name.startswith("header.") or names_a_version(name.rsplit(".", 1)[-1])):
            constant[name] = " or ".join(sorted((value, other)))
    return constant


def _versions(response: httpx.Response, normalizer: StackNormalizer) -> dict[str, str]:
    wanted = {"server", "via", "x-powered-by", "x-runtime-version"}
    return {
        f"header.{name}": normalizer.normalize(value, times=not names_a_version(name))
        for name, value in response.headers.items()
        if name in wanted or "version" in name or "revision" in name
    }


def _cache(cache: AnyCache, case: Case, *, stack: str, keyspace: bool) -> dict[str, str]:
    """Version, mode, role, replicas, settings and process of each server that holds keys (`cache.1.*`: the second one);
    with `keyspace`, the number of keys outside the declared scope, where keys can be listed."""
    facts: dict[str, str] = {}
    servers = cache.facts(case.change.cache_setting)
    for number, server in enumerate(servers):
        for name, value in server.entries.items():
            shown = shown_env(name.removeprefix(_SETTING), value) if name.startswith(_SETTING) else value
            facts[name.replace("cache.", f"cache.{number}.", 1) if number else name] = shown
    if all(server.run_id for server in servers):
        facts[RUNS] = f"{stack}: {' '.join(server.run_id for server in servers)}"
    if keyspace and Capability.LIST_KEYS in cache.can:
        scope = Scope.of(case.cache)
        with cache.explained("taking its fingerprint"), cache.keys() as keys:
            outside = {hash(key) for batch in keys.batches() for key in batch if key not in scope}
        facts[OUTSIDE] = str(len(outside))
    return facts


def _workload(case: Case) -> dict[str, str]:
    requests = case.workload.model_dump_json(exclude={"seed", "hosts"})
    workers, hosts = case.workload.workers, case.workload.hosts
    return {
        "workload": hashed(requests),
        "workload.seed": str(case.workload.seed),
        "engine": f"luckyhit {_own_version()} on Python {platform.python_version()}, "
        + ("1 worker" if workers == 1 else f"{workers} workers")
        + (f" on each of {hosts} hosts" if hosts > 1 else ""),
    }


def _own_version() -> str:
    try:
        return importlib.metadata.version("luckyhit")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

"""From what the user names to a Discovery: read the sources, start the service, ask it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil

from luckyhit.case.target import Target
from luckyhit.discover.asking import NO_SUCH_PATH, Asker
from luckyhit.discover.evidence import Discovery, ReadRoute, ServiceEvidence
from luckyhit.discover.explore import explore
from luckyhit.discover.exploring.attempts import path_for
from luckyhit.discover.launch import Launched, StartRequest
from luckyhit.discover.merge import merged, with_paths
from luckyhit.discover.sources import access_log, framework_routes, har, openapi, path_texts
from luckyhit.discover.sources.framework_routes import FrameworkRoutes
from luckyhit.discover.sources.traffic import Traffic
from luckyhit.errors import ServiceNotReady, TargetError
from luckyhit.system.running_command import program_of
from luckyhit.text.json_values import leaves

_WITHIN_S = 10.0
_PROCESSES = 2


@dataclass(frozen=True)
class SourceFiles:
    """Files with evidence. `openapi`: a file, or a path that the service answers; `host`: whose requests count;
    `paths`: some that a GET of the service answers, with their queries."""

    openapi: str = ""
    har: Path | None = None
    log: Path | None = None
    host: str = ""
    paths: Sequence[str] = ()

    @property
    def document(self) -> Path | None:
        """The OpenAPI document, where it is a file."""
        path = Path(self.openapi).expanduser()
        return path if self.openapi and path.is_file() else None

    def evidence(self) -> list[ServiceEvidence]:
        """Of the files alone. Raises ArgumentError."""
        sources = [openapi.from_file(self.document)] if self.document is not None else []
        if self.har is not None:
            sources.append(har.from_file(self.har, self.host))
        if self.log is not None:
            sources.append(access_log.from_file(self.log))
        return sources

    def with_paths(self, known: ServiceEvidence) -> ServiceEvidence:
        """With `paths` as examples of what is known."""
        traffic = Traffic()
        for path in self.paths:
            traffic.add("GET", path)
        return with_paths(known, traffic.routes("--path")[0])

    @property
    def place(self) -> str:
        return "" if self.document is not None else self.openapi


def discover(
    files: SourceFiles,
    start: StartRequest | None,
    url: str,
    *,
    project: Path,
    headers_env: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
    progress: Callable[[str], None] = lambda _: None,
) -> Discovery:
    """All that can be found out. Writes go only to a service that `start` starts here. Raises ArgumentError and
    TargetError. An interruption gives a partial Discovery once the service answered."""
    sources = files.evidence()
    headers = {name: environ[variable] for name, variable in headers_env.items()}
    if start is not None:
        return _started(files, sources, start, project, headers, headers_env, environ, progress)
    if url:
        target = Target(url=url)
        with _client(str(target.url), headers) as client:
            progress(f"reading {target.url}; nothing is written")
            asker = Asker(client, may_write=False)
            if not asker.get(NO_SUCH_PATH).status:
                raise ServiceNotReady(
                    f"nothing answers at {target.url} (--url)",
                    hint="Check that the service runs, and that the URL is right as seen from this machine.",
                )
            document = openapi.from_service(client, files.place)
            known = files.with_paths(merged([*sources, *([document] if document is not None else [])]))
            explored = explore(known, asker, cache=None, fields={}, may_write=False, progress=progress)
        return replace(explored.discovery(known), url=url, headers_env=dict(headers_env))
    return _from_files(merged(sources))


def _from_files(known: ServiceEvidence) -> Discovery:
    """Nobody was asked: what a log or an archive shows, as guesses."""
    reads = []
    for route in known.routes:
        varying = [parameter for parameter in route.parameters if parameter.place == "path"]
        if route.method == "GET" and len(varying) <= 1 and not route.risk:
            ids = varying[0].examples if varying else ()
            reads.append(ReadRoute(route, route.path, ids, where=", ".join(route.where)))
    unknown = ("No service was asked: with --start or --url, answers, keys and writes are found out.",)
    return Discovery(known, reads=tuple(reads), unknown=unknown)


def _started(
    files: SourceFiles,
    sources: Sequence[ServiceEvidence],
    start: StartRequest,
    project: Path,
    headers: Mapping[str, str],
    headers_env: Mapping[str, str],
    environ: Mapping[str, str],
    progress: Callable[[str], None],
) -> Discovery:
    with Launched(start, environ=environ, progress=progress) as launched, ExitStack() as stack:
        progress(f"it answers on port {launched.port}; reading its routes")
        table = _route_table(launched)
        if launched.learn(table.evidence.settings):
            table = _route_table(launched)
        client = stack.enter_context(_client(launched.base_url, headers))
        document = openapi.from_service(client, files.place)
        known = merged(
            [
                *sources,
                *([document] if document is not None else []),
                table.evidence,
                ServiceEvidence(settings=tuple(launched.settings)),
            ]
        )
        known = files.with_paths(known)
        explored = explore(
            known,
            Asker(client, may_write=True),
            cache=launched.cache,
            fields=table.fields,
            may_write=True,
            alive=lambda: launched.alive,
            id_texts=path_texts.id_texts(table.files),
            progress=progress,
        )
        launch, unknown = launched.found(project, _answering_path(explored.reads))
        unknown += _ended(launched)
        discovery = explored.discovery(known)
        kind = discovery.cache_kind if launched.cache_in_use() else "none"
        ignore = _of_a_process(launched, discovery.config_path, headers) if not discovery.partial else ()
    return replace(
        discovery,
        launch=launch,
        cache_kind=kind,
        config_ignore=ignore,
        headers_env=dict(headers_env),
        unknown=(*discovery.unknown, *unknown),
    )


def _of_a_process(launched: Launched, path: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """The entries of the configuration that another process of the service shows with another value."""
    answers: list[dict[str, object]] = []
    with suppress(TargetError):
        while path is not None and launched.alive:
            with _client(launched.base_url, headers) as client:
                document = Asker(client, may_write=False).get(path).document
            answers.append({".".join(map(str, steps)): value for steps, value in leaves(document)})
            if len(answers) == _PROCESSES:
                one, other = answers
                return tuple(name for name, value in one.items() if name in other and other[name] != value)
            launched.restart()
    return ()


def _answering_path(reads: Sequence[ReadRoute]) -> str:
    """A path that answered 200, one without a parameter before others; empty without one."""
    paths = [path_for(read, read.ids[0]) if read.ids else read.path for read in reads]
    return min(paths, key=lambda path: (path not in {read.path for read in reads}, paths.index(path)), default="")


def _ended(launched: Launched) -> list[str]:
    if launched.alive:
        return []
    last = " · ".join(line.strip() for line in launched.log_tail(2))
    return [f"What the service does further: it ended while it was asked. Its last log lines: {last[:300]}"]


def _route_table(launched: Launched) -> FrameworkRoutes:
    """From its processes; else from its interpreter; else from texts in its source code."""
    written = framework_routes.from_processes(launched.routes_folder)
    if written.evidence.routes:
        return written
    asked = _asked(launched)
    if asked.evidence.routes:
        return asked
    # A script that sets PYTHONPATH anew keeps its processes from writing: what its command names is left.
    written = written if written.files else replace(written, files=tuple(launched.files))
    guessed = path_texts.from_files(written.files)
    notes = (*asked.evidence.notes, "Routes are guessed from texts in the source code that look like paths.")
    notes = notes if guessed.evidence.routes else asked.evidence.notes
    known = merged([guessed.evidence, written.evidence, replace(asked.evidence, notes=notes)])
    return replace(written, evidence=known, fields=guessed.fields)


def _asked(launched: Launched) -> FrameworkRoutes:
    """From the interpreter of the process that listens, whose arguments, directory and environment work."""
    with suppress(psutil.Error, OSError):
        for process in (launched.listener, *launched.listener.parents()):
            command = process.cmdline()
            folder, env = Path(process.cwd()), process.environ()
            named = framework_routes.application_of(command) or framework_routes.usual_application(command, folder)
            if named or {"DJANGO_SETTINGS_MODULE", "FLASK_APP"} & env.keys():
                python = launched.request.python or program_of(process)
                return framework_routes.ask(python, command, folder, env)
    return FrameworkRoutes(ServiceEvidence(notes=("The route table was not read: the command names no application.",)))


def _client(base_url: str, headers: Mapping[str, str]) -> httpx.Client:
    return httpx.Client(base_url=base_url, headers=dict(headers), timeout=_WITHIN_S, trust_env=False)

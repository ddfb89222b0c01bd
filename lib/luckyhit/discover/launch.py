"""Start a service from its command alone, and find out its port, the variable of its cache, and when it is ready."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import psutil

from luckyhit.caches import AnyCache, placeholders
from luckyhit.discover.cache_variables import PORT_NAMES, CacheVariable, cache_variables
from luckyhit.discover.evidence import Launch, Setting
from luckyhit.discover.risk import words_of
from luckyhit.discover.sources.framework_routes import FOLDER_NAME, IN_SERVICE
from luckyhit.discover.sources.settings import settings_of, source_files
from luckyhit.errors import ArgumentError, ServiceNotReady, ServiceStopped
from luckyhit.system import ports
from luckyhit.system.embedded import start_embedded
from luckyhit.system.process import SupervisedProcess, tail
from luckyhit.system.relay import Relay
from luckyhit.system.start_settings import INHERITED, filled

READY_PATHS = (
    "/health", "/healthz", "/health/", "/healthz/", "/ready", "/readyz", "/livez", "/live", "/status", "/ping",
    "/api/health", "/_health", "/up", "/", "/openapi.json", "/schema/openapi.json",
)  # fmt: skip
_LISTENS_WITHIN_S = 40.0
_POLL_S = 0.05
_SHELL = re.compile(r"[;&|<>`]|\$\(|\$\w|^\s*\w+=")
_OURS = ("port", "cache_url", "cache_host", "cache_port", "cache_password", "workdir", "python")
_MISSING = re.compile(
    r"KeyError: ['\"]([A-Z][A-Z0-9_]+)|environment variables? ['\"]?([A-Z][A-Z0-9_]+)|Set the ([A-Z][A-Z0-9_]+)"
    r"|\b([A-Z][A-Z0-9_]+) (?:is not set|is required|must be set|is missing)"
)
"""How services say which variable they lack."""
_ADDRESSES = (["url"], ["uri"], ["dsn"], ["location"], ["address"], ["endpoint"])
_MOST_NEEDED = 3


@dataclass(frozen=True)
class StartRequest:
    """What the user says about a start. `cwd` may be `{workdir}`, an empty directory."""

    command: str
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "."
    python: str | None = None

    @property
    def arguments(self) -> list[str]:
        """The command as a case has it; by way of a shell where it needs one. Raises ArgumentError."""
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ArgumentError(
                f"the command can't be split into arguments: {error} (--start)", hint="Close each quote."
            ) from None
        if not words:
            raise ArgumentError("--start is empty", hint="Name the command that starts the service.")
        return ["bash", "-c", self.command] if _SHELL.search(self.command) else words


class Launched:
    """The service, running with a cache of its own and a relay for each variable that may name it. A context manager;
    everything ends with it. `settings`: what its source code reads from the environment, as far as that is known before
    it runs; `environ`: ours."""

    def __init__(
        self, request: StartRequest, *, environ: Mapping[str, str], progress: Callable[[str], None] = lambda _: None
    ) -> None:
        self.request = request
        self.settings: list[Setting] = []
        self._environ, self._progress = environ, progress
        self._open = ExitStack()
        self._running = self._open.enter_context(ExitStack())
        self._relays: list[tuple[CacheVariable, Relay]] = []
        self._ports: dict[str, int] = {}
        self._files_before: frozenset[str] = frozenset()
        self._needed: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _start(self) -> None:
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="luckyhit-new-"))
        self.workdir = Path(folder)
        self.routes_folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="luckyhit-routes-")))
        arguments = self.request.arguments
        in_workdir = "{workdir}" in self.request.cwd
        self.cwd = Path(self.request.cwd.replace("{workdir}", folder)).expanduser().absolute()
        self.cwd.mkdir(parents=True, exist_ok=True)
        self.files = self._sources(arguments)
        self.settings = settings_of(self.files)
        self._progress("starting a cache of its own")
        self.cache: AnyCache = start_embedded(self.workdir, self._environ, with_password=False)
        self._open.callback(self.cache.stop)
        self._files_before = frozenset() if in_workdir else frozenset(_names_in(self.cwd))
        self.log = self.workdir / "service.log"
        self._run_with_what_it_needs()

    def _run_with_what_it_needs(self) -> None:
        """A variable without which it ends may be that of its cache."""
        needed = self._needed
        first: ServiceStopped | None = None
        while True:
            try:
                self.restart()
                return
            except ServiceStopped as error:
                first = first or error
                name = self._missing_name()
                if name in needed or words_of(name)[-1:] not in _ADDRESSES or len(needed) == _MOST_NEEDED:
                    raise first from None
                needed.append(name)

    def learn(self, settings: Iterable[Setting]) -> bool:
        """Start the service again where these settings (the source code of what it loaded) name a variable that may be
        its cache's and was not tried, and none of those tried was used. Returns whether it was."""
        known = {setting.name for setting in self.settings}
        more = [setting for setting in settings if setting.name not in known]
        tried = {variable.names for variable, _ in self._relays}
        new = [
            found for found in cache_variables([*self.settings, *more], self.request.env) if found.names not in tried
        ]
        self.settings += more
        if self.cache_in_use() or not new:
            return False
        self.restart()
        return True

    def restart(self) -> None:
        """Start the process, in place of the one before. Raises TargetError."""
        arguments = self.request.arguments
        self._running.close()
        for file in self.routes_folder.iterdir():
            file.unlink()
        env, values = self._environment(arguments)
        command = [self._filled(argument, values) for argument in arguments]
        self._progress(f"starting the service: {self.request.command[:100]}")
        self._process = SupervisedProcess(command, cwd=self.cwd, env=env, log=self.log)
        self._running.callback(self._process.stop)
        self.port = self._listening_port()
        self.base_url = f"http://{ports.HOST}:{self.port}"
        self.ready = self._await_ready()

    def _sources(self, arguments: list[str]) -> list[Path]:
        """The service's files, as far as its command and its directory tell."""
        folders = [] if "{workdir}" in self.request.cwd else [self.cwd]
        for argument in arguments:
            for word in argument.split():
                path = self.cwd / Path(word.strip("'\"")).expanduser()
                with suppress(OSError):
                    if os.sep in word and path.is_file() and path.suffix in (".py", ".sh"):
                        folders.append(path.parent)
        return [file for folder in dict.fromkeys(folders) for file in source_files(folder)]

    def _environment(self, arguments: list[str]) -> tuple[dict[str, str], dict[str, object]]:
        host, port = ports.HOST, ports.free_port()
        address = placeholders(self.cache.url)
        self._relays, self._ports = [], {}
        self._running.callback(ports.release, port)
        self._direct = any("{cache_" in text for text in (*arguments, *self.request.env.values()))
        values: dict[str, object] = {
            "port": port,
            **address,
            "workdir": str(self.workdir),
            "python": self.request.python or sys.executable,
        }
        env = {name: self._environ[name] for name in INHERITED if name in self._environ}
        env.setdefault("PATH", os.defpath)
        env |= {"PYTHONUNBUFFERED": "1"}
        for name in PORT_NAMES:
            if name not in self.request.env:
                self._ports[name] = ports.free_port()
                self._running.callback(ports.release, self._ports[name])
                env[name] = str(self._ports[name])
        for variable in cache_variables(self.settings, self.request.env, self._needed):
            relay = self._running.enter_context(Relay((host, int(address["cache_port"]))))
            self._relays.append((variable, relay))
            env |= variable.values(host, relay.port)
        self.pass_env = tuple(
            setting.name
            for setting in self.settings
            if setting.name in self._environ and setting.name not in env and setting.name not in self.request.env
        )
        env |= {name: self._environ[name] for name in self.pass_env}
        env |= {name: self._filled(value, values) for name, value in self.request.env.items()}
        # Its processes write their routes when they are asked.
        env |= {FOLDER_NAME: str(self.routes_folder), "PYTHONDONTWRITEBYTECODE": "1"}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(IN_SERVICE), env.get("PYTHONPATH", ""))))
        self._given_port = port
        return env, values

    def _filled(self, text: str, values: Mapping[str, object]) -> str:
        return filled(escaped(text), values, self._environ)

    def _members(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        return []

    def _listening(self) -> dict[int, psutil.Process]:
        """Each port that the process tree listens on."""
        by_port: dict[int, psutil.Process] = {}
        for member in self._members():
            with suppress(psutil.Error):
                for connection in member.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr:
                        by_port.setdefault(connection.laddr.port, member)
        return by_port

    def _listening_port(self) -> int:
        deadline = time.monotonic() + _LISTENS_WITHIN_S
        wanted = {self._given_port, *self._ports.values()}
        while time.monotonic() < deadline:
            if not self._process.alive:
                raise ServiceStopped(
                    f"the service {self._process.ending} before it listened on a port",
                    log=tail(self.log, 20),
                    hint=self._what_to_do(),
                )
            listening = self._listening()
            for port in sorted(listening, key=lambda port: port not in wanted):
                if self._speaks_http(port):
                    self.listener = listening[port]
                    return port
            time.sleep(_POLL_S)
        raise ServiceNotReady(
            f"the service did not listen for HTTP on any port within {_LISTENS_WITHIN_S:g} s",
            log=tail(self.log, 20),
            hint="Let its command have {port} in it, or take its port from a variable such as PORT.",
        )

    def _what_to_do(self) -> str:
        name = self._missing_name()
        if name:
            return f"It needs the variable {name}: add --env {name}=VALUE."
        return "Run the command by hand in that directory, and add the variables that it needs with --env NAME=VALUE."

    def _missing_name(self) -> str:
        """The variable that its log says it lacks; empty where it says none."""
        missing = _MISSING.findall("\n".join(tail(self.log, 40)))
        return "".join(missing[-1]).upper() if missing else ""

    def _speaks_http(self, port: int) -> bool:
        try:
            httpx.get(f"http://{ports.HOST}:{port}/", timeout=2.0, trust_env=False, follow_redirects=False)
        except httpx.RemoteProtocolError:
            return False
        except httpx.HTTPError as error:
            return isinstance(error, httpx.ReadTimeout)
        return True

    def _await_ready(self) -> str:
        """A path that answers 200; empty where none of the usual ones does."""
        with httpx.Client(base_url=self.base_url, trust_env=False, verify=False, timeout=5.0) as client:
            for path in READY_PATHS:
                with suppress(httpx.HTTPError):
                    if client.get(path).status_code == 200:
                        return path
        return ""

    @property
    def alive(self) -> bool:
        """Whether its command runs, and the process that listened. The supervisor reports an end a little later."""
        with suppress(psutil.Error):
            return self._process.alive and self.listener.status() != psutil.STATUS_ZOMBIE
        return False

    def log_tail(self, count: int = 20) -> list[str]:
        return tail(self.log, count)

    def cache_in_use(self) -> bool:
        """Whether the service has connected to its cache."""
        return self._direct or any(relay.connections for _, relay in self._relays)

    def found(self, project: Path, ready: str = "") -> tuple[Launch, list[str]]:
        """What the case's `target.start` is, after the routes were asked; and what is not known. `ready`: a path that
        answers 200, where no usual one does."""
        unknown: list[str] = []
        where: dict[str, str] = {}
        env = dict(self.request.env)
        command, fixed = self._with_port(env, where, unknown)
        used = [variable for variable, relay in self._relays if relay.connections]
        for variable in used:
            env |= variable.placeholders
            where["cache"] = f"seen: the service connected to the address in {' and '.join(variable.names)}"
        names = tuple(name for variable in used for name in variable.names)
        if not used and self._direct:
            names = tuple(name for name, value in env.items() if "{cache_" in value) or ("the command",)
            where["cache"] = "as given"
        if not names and (guessed := self._named_by_its_code()) is not None:
            env |= guessed.placeholders
            names = guessed.names
            where["cache"] = f"guess: the service reads {' and '.join(names)}; no request that was sent asked the cache"
        if not names:
            unknown.append(
                "Which variable takes the cache's address: the service connected to none of those tried "
                f"({', '.join(URL for URL, *_ in (variable.names for variable, _ in self._relays[:6]))}, ...). "
                "Add it with --env NAME={cache_url}."
            )
        written = [] if not self._files_before else sorted(frozenset(_names_in(self.cwd)) - self._files_before)
        written = [name for name in written if name != "__pycache__"]
        if written:
            unknown.append(
                f"Whether both arms may share {', '.join(written[:3])}, which the service wrote into its working "
                "directory; with --cwd '{workdir}' each arm has a directory of its own."
            )
        path = self.ready or ready
        where["ready"] = f"seen: GET {path} answers 200" if path else "guess: no path that answers 200 is known"
        if not path:
            unknown.append(
                "When the service is ready: no path answered 200. Write one that does into target.start.ready."
            )
        passed = tuple(name for name, value in env.items() if value == f"${{{name}}}")
        launch = Launch(
            command=tuple(command),
            python=self.request.python,
            env={name: value for name, value in env.items() if name not in passed},
            pass_env=(*self.pass_env, *passed),
            cwd=self._cwd_for(project),
            ready=path or "/",
            port=fixed,
            cache_env=names,
            where=where,
        )
        return launch, unknown

    def _named_by_its_code(self) -> CacheVariable | None:
        """The one way to give it its cache that its code or its error names; None where there are several or none."""
        read = {*(setting.name for setting in self.settings), *self._needed} - self.request.env.keys()
        named = [variable for variable, _ in self._relays if set(variable.names) <= read]
        return named[0] if len(named) == 1 else None

    def _with_port(
        self, env: dict[str, str], where: dict[str, str], unknown: list[str]
    ) -> tuple[list[str], int | None]:
        command = [escaped(argument) for argument in self.request.arguments]
        if self.port == self._given_port:
            where["port"] = "as given: {port}"
            return command, None
        for name, port in self._ports.items():
            if port == self.port:
                env[name] = "{port}"
                where["port"] = f"seen: the service listens on the port in {name}"
                return command, None
        literal = re.compile(rf"(?<!\d){self.port}(?!\d)")
        if sum(len(literal.findall(argument)) for argument in command) == 1:
            where["port"] = f"seen: the service listens on {self.port}, which is in its command"
            return [literal.sub("{port}", argument) for argument in command], None
        for name, value in env.items():
            if value == str(self.port):
                env[name] = "{port}"
                where["port"] = f"seen: the service listens on the port in {name}"
                return command, None
        where["port"] = f"seen: the service always listens on {self.port}"
        unknown.append(
            f"How to give the service another port than {self.port}: only one arm can run at a time. Put {{port}} into "
            "its command."
        )
        return command, self.port

    def _cwd_for(self, project: Path) -> str:
        if "{workdir}" in self.request.cwd:
            return self.request.cwd
        if self.cwd.is_relative_to(project):
            return str(self.cwd.relative_to(project)) or "."
        return os.path.relpath(self.cwd, project) if self.cwd.is_relative_to(project.parent) else str(self.cwd)


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def escaped(text: str) -> str:
    """A command's text in a case: braces doubled, but for `{port}` and the like and for `${NAME}`."""
    kept = "|".join(_OURS)
    return re.sub(
        rf"\$\{{\w+\}}|\{{(?:{kept})\}}|[{{}}]", lambda match: match[0] if len(match[0]) > 1 else match[0] * 2, text
    )

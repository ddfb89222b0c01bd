"""A stack: one service and its cache, isolated from all others; or an observed service that runs elsewhere."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Self

import httpx

from luckyhit.caches import AnyCache, from_environment, own_kind
from luckyhit.caches.cache_urls import url_secrets
from luckyhit.case import Case
from luckyhit.errors import GuardError, ServiceNotReady, ServiceStopped, TargetError
from luckyhit.records import Arm
from luckyhit.scrub.redactor import Redactor
from luckyhit.system.cache_refusal import refusal_hint
from luckyhit.system.control import client_options
from luckyhit.system.embedded import start_embedded
from luckyhit.system.ports import HOST
from luckyhit.system.service import Service
from luckyhit.system.start_settings import Settings, filled, own_python

_ANSWER_WITHIN_S = 10.0


class Stack:
    """One isolated service with its cache, as the case declares them, with the settings of one arm.

    As a context manager it starts on entry and stops on exit. `stop()` may be repeated, and called from another thread
    while `start()` waits. All processes end with this one, however it ends.

    A target with a `url` is observed: `owned` is False, `start()` only checks that it answers, nothing is stopped.
    """

    def __init__(
        self,
        case: Case,
        name: str,
        workdir: Path,
        *,
        project: Path,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        environ: Mapping[str, str] = os.environ,
        grace_s: float = 5.0,
        allow_change: bool = False,
        only_observe: bool = False,
    ) -> None:
        """`workdir`: for its files and logs (created if missing). `project`: what `target.start.cwd` is relative to.
        `environ`: where variables named in the case are looked up. `grace_s`: seconds from SIGTERM to SIGKILL.
        `allow_change`: whether a running service may be changed. `only_observe`: nothing that outlives the run is
        changed or cleared, whatever the case allows."""
        self.case = case
        self.name = name
        self.workdir = Path(workdir).absolute()
        self.project = Path(project).absolute()
        self.settings = settings
        self.sources: Mapping[Arm, Settings] = {}
        """The settings of each arm, where the arms are two revisions (see `luckyhit.change.worktrees`)."""
        self.cache: AnyCache | None = None
        self.cache_front: Callable[[str], str] = lambda url: url
        """From the URL of the cache to the one that the service gets: a relay in front of it, for example."""
        self.environ = environ
        self._allow_change = allow_change and not only_observe
        # A cache that the run does not start belongs to somebody else, whoever starts the service in front of it.
        self._own = not (only_observe and case.cache.url_env is not None)
        self._stopped = False
        self._lock = threading.Lock()
        start = case.target.start
        self.python = own_python(start, self.project, environ)
        """What `{python}` stands for."""
        self._redactor = Redactor(self._secret_values())
        self._service: Service | None = None
        if start is not None:
            self._service = Service(
                start,
                project=self.project,
                workdir=self.workdir,
                python=self.python,
                environ=environ,
                redactor=self._redactor,
                grace_s=grace_s,
            )

    @property
    def owned(self) -> bool:
        """Whether the service is the run's own."""
        return self._service is not None

    @property
    def changeable(self) -> bool:
        """Whether it may be changed and its cache cleared: it is the run's own, or case and command line allow it."""
        return (self.owned and self._own) or self._allow_change

    @property
    def cwd(self) -> Path:
        """The service's working directory; the project's for an observed service."""
        return self._service.cwd if self._service is not None else self.project

    @property
    def base_url(self) -> str:
        """The service's URL without a slash at the end. Raises TargetError before the first start."""
        if self._service is None:
            return str(self.case.target.url).rstrip("/")
        if self._service.port is None:
            raise TargetError(f"the stack {self.name!r} has no address yet: it was not started")
        return f"http://{HOST}:{self._service.port}"

    @property
    def command(self) -> list[str]:
        """The service's command, filled in; empty for an observed one."""
        return self._service.command if self._service is not None else []

    @property
    def env(self) -> dict[str, str]:
        """The service's environment, without `luckyhit.system.process.MARKER`; empty for an observed one."""
        return self._service.env if self._service is not None else {}

    @property
    def start_values(self) -> dict[str, object]:
        """The placeholders of `target.start.command`; the cache's URL may hold a secret. Empty for an observed service,
        and before the first start."""
        if self._service is None or self._service.port is None:
            return {}
        return self._service.values(self._cache_url, self._service.port)

    @property
    def log_of_signals(self) -> Path | None:
        """The file of `target.log`; None where the case names none."""
        declared = self.case.target.log
        if declared is None:
            return None
        return self.project / filled(declared.file, {"workdir": str(self.workdir)}, self.environ)

    @property
    def pid(self) -> int | None:
        """Pid of the supervisor, the root of the service's process tree; None where it doesn't run or isn't ours."""
        process = self._service.process if self._service is not None else None
        return process.pid if process is not None and process.alive else None

    @property
    def service_pid(self) -> int | None:
        """Pid of the service's own command; None where it doesn't run or isn't ours."""
        process = self._service.process if self._service is not None else None
        return process.command_pid if process is not None and process.alive else None

    @property
    def alive(self) -> bool:
        """Whether the service runs; for an observed one, whether it answers."""
        if self._service is not None:
            return self._service.alive
        try:
            self._check_answers()
        except TargetError:
            return False
        return True

    def start(self) -> None:
        """Start the cache, then the service, and wait until it is ready. A running stack is left alone. Raises
        TargetError (PortTaken, ServiceStopped, ServiceNotReady, CacheUnreachable) or ArgumentError; nothing is left
        running then."""
        if self._service is None:
            self._check_answers()
            if self.cache is None and self.case.cache.url_env is not None:
                self.cache = from_environment(self.case.cache.url_env, self.environ)
            return
        if self._service.alive:
            return
        with self._lock:
            self._stopped = False
            self._service.allow_start()
        self.workdir.mkdir(parents=True, exist_ok=True)
        try:
            self._service.check_settings(self.settings, "")
            self._start_cache()
            self._service.start(self.settings, self._cache_url)
        except (ServiceNotReady, ServiceStopped) as error:
            self.stop()
            hint = refusal_hint(self.case, error.log)
            raise error.with_hint(hint) if hint else error from None
        except BaseException:
            self.stop()
            raise

    def restart(self, settings: Settings) -> None:
        """Restart the service with other settings; cache, working directory and port stay.

        Raises as `start` does, before anything is stopped where the settings can't be used. Where the service fails to
        start it stays stopped, and the cache keeps running. An observed service raises GuardError.
        """
        if self._service is None:
            raise GuardError(
                f"the service at {self.base_url} is observed, never restarted",
                hint="Let the case start the service itself (target.start).",
            )
        self._service.restart(settings, self._cache_url)
        self.settings = settings

    def stop(self) -> None:
        """End the service, then the cache, with all their descendants. May be repeated. Raises TargetError where
        processes can't be ended."""
        if self._service is None:
            return
        with self._lock:
            self._stopped = True
        try:
            self._service.stop()
        finally:
            with self._lock:
                cache = self.cache
            if cache is not None:
                cache.stop()

    def check(self) -> None:
        """Raise ServiceStopped where the service ended, TargetError where an observed one doesn't answer."""
        if self._service is not None:
            self._service.check()
        else:
            self._check_answers()

    def log_tail(self, n: int = 20) -> list[str]:
        """The last `n` log lines since the last start, scrubbed. None for an observed service."""
        return self._service.log_tail(n) if self._service is not None else []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _cache_url(self) -> str:
        return self.cache_front(self.cache.url) if self.cache is not None else ""

    def _start_cache(self) -> None:
        url_env = self.case.cache.url_env
        if url_env is not None:
            self.cache = from_environment(url_env, self.environ)
            return
        if self.case.caches_inside:
            return
        cache = start_embedded(
            self.workdir, self.environ, kind=own_kind(self.case.cache), with_password=self.case.passes_password
        )
        self._redactor.learn(cache.secrets)
        with self._lock:
            self.cache = cache
            stopped = self._stopped
        if stopped:
            cache.stop()

    def _check_answers(self) -> None:
        """Raise TargetError unless the service answers, with whatever status."""
        url = self.base_url + (self.case.target.config or "/")
        try:
            options = client_options(self.case.target, url, self.project)
            with (
                httpx.Client(timeout=_ANSWER_WITHIN_S, trust_env=False, **options) as client,
                client.stream("GET", url),
            ):
                return
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TargetError(
                f"nothing answers at {url}: {type(error).__name__}: {error}",
                hint="Check that the service runs, and that target.url is right as seen from this machine.",
            ) from None

    def _secret_values(self) -> list[str]:
        target, url_env = self.case.target, self.case.cache.url_env
        names = [*target.headers_env.values(), *(target.start.pass_env if target.start else [])]
        values = [self.environ[name] for name in names if name in self.environ]
        return values + url_secrets(self.environ.get(url_env, "") if url_env else "")


def start_together(stacks: Iterable[Stack], start: Callable[[Stack], None] = Stack.start) -> None:
    """Start all `stacks` at the same time. Where one fails, or on Ctrl-C, all are stopped, also those that are still
    starting; the first error is raised."""
    made = list(stacks)
    if not made:
        return
    with ThreadPoolExecutor(len(made), thread_name_prefix="stack") as pool:
        starting = [pool.submit(start, stack) for stack in made]
        try:
            done, _ = wait(starting, return_when=FIRST_EXCEPTION)
            failed = [future for future in starting if future in done and future.exception() is not None]
            for future in failed:
                future.result()
        except BaseException:
            _stop_all(made)
            wait(starting)  # they give up now; those that had not begun yet are stopped below
            _stop_all(made)
            raise


def stop_together(stacks: Iterable[Stack]) -> None:
    """Stop all `stacks` at the same time. Raises the first error once all are stopped, as far as they can be."""
    made = list(stacks)
    if made:
        with ThreadPoolExecutor(len(made), thread_name_prefix="stop") as pool:
            ends = [pool.submit(stack.stop) for stack in made]
        for end in ends:
            end.result()


def _stop_all(stacks: Iterable[Stack]) -> None:
    for stack in stacks:
        with contextlib.suppress(TargetError):  # the first error tells more
            stack.stop()

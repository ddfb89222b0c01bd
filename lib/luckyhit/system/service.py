"""The service that a case starts: its supervised command, port, ready check and log."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from luckyhit.caches import placeholders
from luckyhit.case.target import Start
from luckyhit.case.values.units import format_duration
from luckyhit.errors import PortTaken, ServiceNotReady, ServiceStopped, TargetError
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.sweep import scrub_log
from luckyhit.system import ports
from luckyhit.system.process import SupervisedProcess, tail
from luckyhit.system.start_settings import SOURCE, Settings, check_python, filled, filled_command, filled_env, hooked

_PORT_ATTEMPTS = 5
_PORT_FREE_WITHIN_S = 5.0
_FIRST_ANSWER_WITHIN_S = 0.25
_LARGEST_READY_ANSWER = 1_000_000


class Service:
    """The service of a case's `target.start`, with `workdir` for its files and its log (`service.log`)."""

    def __init__(
        self,
        start: Start,
        *,
        project: Path,
        workdir: Path,
        python: str,
        environ: Mapping[str, str],
        redactor: Redactor,
        grace_s: float,
    ) -> None:
        self.command: list[str] = []
        self.env: dict[str, str] = {}
        self.port: int | None = None
        self.log = workdir / "service.log"
        self._start = start
        self._project = project
        self._workdir = workdir
        self._cwd = self.cwd = self._declared_cwd(environ)
        self._python = python
        self._environ = environ
        self._redactor = redactor
        self._grace_s = grace_s
        self._process: SupervisedProcess | None = None
        self._log_offset = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def process(self) -> SupervisedProcess | None:
        return self._process

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    def allow_start(self) -> None:
        """Cancel an earlier `stop()`. Separate from `start`, so that any later stop counts."""
        self._stopping.clear()

    def check_settings(self, settings: Settings, cache_url: str) -> None:
        """Raise what `start` would raise for these settings, without starting anything."""
        cwd = self._cwd if settings.source is None else Path(settings.source, settings.cwd)
        if settings.in_place is not None:
            cwd = Path(settings.in_place.cwd)
        elif self._start.in_workdir:
            cwd.mkdir(parents=True, exist_ok=True)
        if not cwd.is_dir():
            raise TargetError(
                f"the working directory {cwd} does not exist (target.start.cwd is {self._start.cwd!r})",
                hint="Name an existing directory, relative to the project (and in both revisions).",
            )
        command, env = self._filled(settings, cache_url, self.port or self._start.port or 1)
        check_python(self._start, self._python, self._project, env)
        _find_program(command[0], cwd, env)

    def start(self, settings: Settings, cache_url: str) -> None:
        """Start on a free port (or the case's fixed one) and wait until it is ready. Needs `allow_start` before.

        Raises PortTaken, ServiceStopped, ServiceNotReady, TargetError, or ArgumentError for what the case gives it.
        """
        self.check_settings(settings, cache_url)
        fixed = self._start.port
        for attempt in range(_PORT_ATTEMPTS):
            if fixed is not None:
                self._await_port_free(fixed, 0)
            self.port = fixed or ports.free_port()
            try:
                self._launch(settings, cache_url, self.port)
                return
            except ports.PortLost:
                if fixed is not None:
                    raise self._port_taken(fixed) from None
                if attempt == _PORT_ATTEMPTS - 1:
                    raise self._stopped(f"lost {_PORT_ATTEMPTS} free ports in a row to other processes") from None
                self._end(release=True)
            except BaseException:
                self._end(release=True)
                raise

    def restart(self, settings: Settings, cache_url: str) -> None:
        """Stop, and start with other settings on the same port. Settings that can't be used raise before anything is
        stopped. Raises as `start` does; the service is stopped then."""
        if self.port is None:
            raise TargetError("the service can't be restarted: it was never started")
        self.check_settings(settings, cache_url)
        self._end(release=False)
        try:
            self._await_port_free(self.port, _PORT_FREE_WITHIN_S)
            self._launch(settings, cache_url, self.port)
        except BaseException as error:
            self._end(release=False)
            if isinstance(error, ports.PortLost):
                raise self._port_taken(self.port) from None
            raise

    def stop(self) -> None:
        """End the service with all its descendants, also while another thread is starting it."""
        self._stopping.set()
        try:
            self._end(release=True)
        finally:
            scrub_log(self.log, self._redactor)

    def check(self) -> None:
        """Raise ServiceStopped, with the last log lines, unless the service runs."""
        if not self.alive:
            raise self._stopped(self._process.ending if self._process is not None else "was not started")

    def log_tail(self, count: int = 20) -> list[str]:
        """The last log lines since the last start, secrets scrubbed."""
        return tail(self.log, count, offset=self._log_offset, redactor=self._redactor)

    def values(self, cache_url: str, port: int) -> dict[str, object]:
        """The placeholders of its command and environment."""
        return {"port": port, **placeholders(cache_url), "workdir": str(self._workdir), "python": self._python}

    def _declared_cwd(self, environ: Mapping[str, str]) -> Path:
        return self._project / filled(self._start.cwd, {"workdir": str(self._workdir)}, environ)

    def _filled(self, settings: Settings, cache_url: str, port: int) -> tuple[list[str], dict[str, str]]:
        if settings.in_place is not None:
            env = dict(settings.in_place.env)
            return list(settings.in_place.command), env | hooked(settings, env)
        values = self.values(cache_url, port)
        command = filled_command(self._start, settings, values, self._environ)
        if settings.source is not None and os.sep in command[0]:
            # A virtual environment is not under Git: it is in the directory that the worktree replaces.
            exists = Path(settings.source, settings.cwd, command[0]).is_file()
            if not exists and (self._cwd / command[0]).is_file():
                command[0] = str(self._cwd / command[0])
        return command, filled_env(self._start, settings, values, self._environ)

    def _place(self, settings: Settings) -> Path:
        """The working directory. Makes the link to `settings.source`, if any."""
        if settings.in_place is not None:
            return Path(settings.in_place.cwd)
        if settings.source is None:
            return self._cwd
        link = self._workdir / SOURCE
        link.unlink(missing_ok=True)
        link.symlink_to(Path(settings.source).absolute(), target_is_directory=True)
        return link / settings.cwd

    def _launch(self, settings: Settings, cache_url: str, port: int) -> None:
        self.command, self.env = self._filled(settings, cache_url, port)
        self.cwd = self._place(settings)
        with self._lock:  # so that stop() either finds the process or prevents its start
            if self._stopping.is_set():
                raise ServiceStopped("the service was stopped while it was starting")
            self._log_offset = self.log.stat().st_size if self.log.exists() else 0
            try:
                self._process = SupervisedProcess(
                    self.command, cwd=self.cwd, env=self.env, log=self.log, grace_s=self._grace_s
                )
            except (OSError, ValueError) as error:
                raise TargetError(
                    f"the service could not be started: {error}", hint="Check target.start in the case."
                ) from None
        self._await_ready(self._process, port)

    def _await_ready(self, process: SupervisedProcess, port: int) -> None:
        deadline = time.monotonic() + self._start.ready_within
        last, pause_s, patience_s = "not asked yet", 0.01, _FIRST_ANSWER_WITHIN_S
        # verify=False: it is plain HTTP, and loading the certificates takes longer than all the rest.
        with httpx.Client(base_url=f"http://{ports.HOST}:{port}", trust_env=False, verify=False) as client:
            while (left_s := deadline - time.monotonic()) > 0:
                if not process.alive:
                    break
                # Short timeouts at first: while a request hangs, nobody notices that the service ended.
                status, last = _ask(client, self._start.ready, min(left_s, patience_s))
                if status == 200:
                    if _answered_by_another(process, port):
                        raise ports.PortLost
                    if process.alive:
                        return
                if self._stopping.wait(min(pause_s, max(left_s, 0))):
                    break
                pause_s = min(pause_s * 1.5, 0.04)
                patience_s *= 1 if status else 2
        if self._stopping.is_set():
            raise ServiceStopped("the service was stopped while it was starting")
        if process.alive:
            raise ServiceNotReady(
                f"the service did not answer 200 on {self._start.ready} within "
                f"{format_duration(self._start.ready_within)} (last: {last})",
                hint="Check that it listens on {port} of 127.0.0.1 and that target.start.ready is right, "
                "or allow more time with target.start.ready_within.",
                log=self.log_tail(),
            )
        if ports.reported_taken(self.log_tail()) and (self._start.port is None or not ports.is_free(port)):
            raise ports.PortLost
        raise self._stopped(f"{process.ending} before it was ready")

    def _end(self, *, release: bool) -> None:
        with self._lock:
            process = self._process
        if process is not None:
            process.stop()
        if release and self.port is not None:
            ports.release(self.port)

    def _await_port_free(self, port: int, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while not ports.is_free(port):
            if time.monotonic() >= deadline or self._stopping.wait(0.02):
                raise self._port_taken(port)

    def _port_taken(self, port: int) -> PortTaken:
        hint = "Stop that process, or let a free port be chosen: leave out target.start.port and use {port}."
        if self._start.port is None:
            hint = "Start the run again: it will choose another port."
        return PortTaken(f"port {port} is in use by {ports.holder(port)}", hint=hint, log=self.log_tail())

    def _stopped(self, how: str) -> ServiceStopped:
        hint = "Its last log lines say why. `target.start` says how it starts: command, python, env, cwd."
        if self._process is not None and self._process.returncode == 0:
            hint = "It has to stay in the foreground: daemons are ended together with the command."
        return ServiceStopped(f"the service {how}", hint=hint, log=self.log_tail())


def _ask(client: httpx.Client, path: str, timeout_s: float) -> tuple[int | None, str]:
    """One request of the ready check: its status, and that in words."""
    deadline = time.monotonic() + timeout_s
    try:
        with client.stream("GET", path, timeout=timeout_s) as answer:
            size = 0
            for chunk in answer.iter_raw():
                size += len(chunk)
                if size > _LARGEST_READY_ANSWER or time.monotonic() > deadline:
                    break
            return answer.status_code, f"status {answer.status_code}"
    except httpx.ConnectError:
        return None, "connection refused"
    except httpx.TimeoutException:
        return None, "no answer in time"
    except httpx.HTTPError as error:
        return None, f"{type(error).__name__}: {error}"


def _answered_by_another(process: SupervisedProcess, port: int) -> bool:
    """Whether the listener on `port` is older than the service, so that it would be measured instead. A younger one may
    belong to the service, even outside of its tree (a container's proxy)."""
    with contextlib.suppress(psutil.Error):
        listener, ours = ports.listener(port), psutil.Process(process.pid)
        if listener is not None and listener.create_time() < ours.create_time():
            return listener.pid not in {child.pid for child in ours.children(recursive=True)}
    return False


def _find_program(program: str, cwd: Path, env: Mapping[str, str]) -> None:
    """Raise TargetError where `program` would not be found from `cwd` on the service's PATH."""
    if os.sep in program:
        if (cwd / program).is_file():
            return
        where = f"in {cwd}" if not Path(program).is_absolute() else "there"
    else:
        with contextlib.suppress(OSError):
            if shutil.which(program, path=env.get("PATH", os.defpath)):
                return
        where = "on PATH"
    raise TargetError(
        f"the command {program!r} (target.start.command) was not found {where}",
        hint="Install it, or give its path; for a Python module use {python} -m.",
    )

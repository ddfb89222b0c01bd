"""A cache server of the run's own: empty, on a free port, ended with its stack."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from luckyhit.caches import CACHES
from luckyhit.caches.base import AnyCache, CacheKind
from luckyhit.errors import CacheUnreachable, TargetError
from luckyhit.system import ports
from luckyhit.system.process import SupervisedProcess, tail
from luckyhit.system.start_settings import INHERITED

_READY_WITHIN_S = 15.0
_GRACE_S = 0.0
"""It keeps nothing on disk, so nothing is lost with it; and it looks only ten times a second whether it is to end."""
_PORT_ATTEMPTS = 5


class _OwnProcess:
    """The server's process, and its port."""

    def __init__(self, process: SupervisedProcess, port: int) -> None:
        self.process, self._port = process, port

    @property
    def alive(self) -> bool:
        return self.process.alive

    @property
    def pid(self) -> int | None:
        return self.process.pid

    def stop(self) -> None:
        self.process.stop()
        ports.release(self._port)


def start_embedded(
    workdir: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    kind: CacheKind = CACHES["redis"],
    with_password: bool = True,
) -> AnyCache:
    """Start an empty server on a free port of the loopback interface; it keeps nothing on disk. `with_password`: it
    asks for a random password, where its kind has passwords; its URL has it. Its log is `workdir/cache.log`. Raises
    CacheUnreachable where there is no server program, or it fails."""
    folder = workdir / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    log = workdir / "cache.log"
    env = {name: environ[name] for name in INHERITED if name in environ}
    server = kind.own_server(folder, environ, with_password=with_password)
    try:
        for _ in range(_PORT_ATTEMPTS):
            port = ports.free_port()
            try:
                process = SupervisedProcess(
                    [server.program, *server.arguments(port)], cwd=folder, env=env, log=log, grace_s=_GRACE_S
                )
            except TargetError as error:
                ports.release(port)
                raise CacheUnreachable(error.message, hint=error.hint) from None
            cache = kind.at(server.url(port), server=_OwnProcess(process, port))
            try:
                _await_ready(cache, process, server.try_by_hand)
                return cache
            except ports.PortLost:
                cache.stop()
            except BaseException:
                cache.stop()
                raise
    finally:
        if server.secret_file is not None:
            server.secret_file.unlink(missing_ok=True)
    raise CacheUnreachable(
        f"the cache server lost {_PORT_ATTEMPTS} free ports in a row to other processes",
        hint="Stop whatever opens many ports on this machine, then try again.",
    )


def _await_ready(cache: AnyCache, process: SupervisedProcess, by_hand: str) -> None:
    """Raises ports.PortLost, or CacheUnreachable where it ends or takes too long."""
    deadline = time.monotonic() + _READY_WITHIN_S
    pause = threading.Event()
    last = "not asked yet"
    while process.alive and time.monotonic() < deadline:
        try:
            cache.check(within_s=1.0)
            if cache.answering_pid() != process.command_pid:
                raise ports.PortLost
            return
        except TargetError as error:
            last = str(error)
        pause.wait(0.01)
    log = tail(process.log, 20)
    name = Path(process.command[0]).name
    if process.alive:
        raise CacheUnreachable(
            f"the cache server {name} did not answer within {_READY_WITHIN_S:g}s (last: {last})",
            hint="Start the run again when this machine is less busy.",
            log=log,
        )
    if ports.reported_taken(log):
        raise ports.PortLost
    raise CacheUnreachable(
        f"the cache server {name} {process.ending} before it answered", hint=f"Try it by hand: {by_hand}", log=log
    )

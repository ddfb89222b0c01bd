"""Several processes that serve on one port."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import wait

Serve = Callable[[socket.socket], None]


def run_workers(count: int, serve: Serve, *, host: str, port: int) -> None:
    """Fork `count` processes that each `serve` on a socket of their own, and stay until they have ended.

    SIGTERM and SIGINT end them all; so does the end of one of them (SystemExit tells of that one), and, by
    `multiprocessing.parent_process().sentinel`, that of this process. Raises OSError where the port is taken.
    """
    sockets = _listen(count, host, port)
    fork = multiprocessing.get_context("fork")  # nothing runs here yet that a fork could cut in two
    workers = [fork.Process(target=_serve_on, args=(serve, sockets, number)) for number in range(count)]
    for worker in workers:
        worker.start()
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        for worker in workers:
            worker.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for worker_socket in sockets:
        worker_socket.close()
    ended = wait([worker.sentinel for worker in workers])
    first = next(worker for worker in workers if worker.sentinel in ended)
    unexpected = not stopped
    stop()
    for worker in workers:
        worker.join()
    if unexpected:
        sys.exit(f"catalogue: a worker ended, and the others with it: {first.pid} ({first.exitcode})")


def _serve_on(serve: Serve, sockets: list[socket.socket], number: int) -> None:
    for other, inherited in enumerate(sockets):
        if other != number:
            inherited.close()
    serve(sockets[number])


def _listen(count: int, host: str, port: int) -> list[socket.socket]:
    """`count` listening sockets on one port. On Linux each has a queue of its own, and the kernel spreads the
    connections evenly over them. Elsewhere (SO_REUSEPORT gives all connections to one of them there) the workers
    share one queue. They listen before the first worker is up, so nobody meets only some of the workers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Sockets with SO_REUSEPORT would also join those of another catalogue that is already there.
    with closing(_bound(family, host, port)) as alone:
        port = alone.getsockname()[1]
    spread = sys.platform.startswith("linux")
    sockets = [_bound(family, host, port, shared=spread) for _ in range(count if spread else 1)]
    for one in sockets:
        one.listen(2048)
    return sockets if spread else [*sockets, *(sockets[0].dup() for _ in range(count - 1))]


def _bound(family: socket.AddressFamily, host: str, port: int, *, shared: bool = False) -> socket.socket:
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound

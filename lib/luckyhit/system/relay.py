"""TCP relays in front of one server: which of several addresses is used shows which variable it came from; and what
passes can be delayed or cut from outside, without a line in the service's code."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import threading
from collections.abc import Callable
from typing import Self

from luckyhit.system.ports import HOST

_CHUNK = 65_536
Hook = Callable[[int, bool, bytes], None]
"""Called with the number of a connection, whether the client sent it, and the data, before these are passed on. The
connection waits until it returns."""


class Relay:
    """Listens on a free port and passes each connection on to `target` (host, port). `connections` counts those whose
    client sent something."""

    def __init__(self, target: tuple[str, int], hook: Hook = lambda number, from_client, data: None) -> None:
        self.connections = 0
        self.refusing = False
        """Whether new connections are closed at once."""
        self._target, self._hook = target, hook
        self._stopped = threading.Event()
        self._sockets: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name=f"relay-{self.port}", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the listener and all connections. May be repeated."""
        self._stopped.set()
        _close(self._listener)
        self.cut()

    def cut(self, which: Callable[[int], bool] = lambda number: True) -> int:
        """Close the connections whose number `which` accepts; how many there were."""
        with self._lock:
            chosen = [number for number in self._sockets if which(number)]
            pairs = [self._sockets.pop(number) for number in chosen]
        for pair in pairs:
            for one in pair:
                _close(one)
        return len(pairs)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            threading.Thread(target=self._pass, args=(client, next(self._numbers)), daemon=True).start()

    def _pass(self, client: socket.socket, number: int) -> None:
        with client:
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                return
            with server:
                with self._lock:
                    self._sockets[number] = (client, server)
                try:
                    self._pump(number, client, server)
                finally:
                    with self._lock:
                        self._sockets.pop(number, None)

    def _pump(self, number: int, client: socket.socket, server: socket.socket) -> None:
        """Until either end closes."""
        other, silent = {client: server, server: client}, True
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed while it was waited for
            while not self._stopped.is_set():
                for ready in select.select(list(other), [], [])[0]:
                    data = ready.recv(_CHUNK)
                    if not data:
                        return
                    if silent and ready is client:
                        silent = False
                        # A stranger that looks for a web server at this port is no client of this one.
                        self.connections += b" HTTP/1." not in data
                    self._hook(number, ready is client, data)
                    other[ready].sendall(data)


def _close(open_socket: socket.socket) -> None:
    # shutdown wakes a thread that waits in accept or select; close alone does not.
    with contextlib.suppress(OSError):
        open_socket.shutdown(socket.SHUT_RDWR)
    open_socket.close()

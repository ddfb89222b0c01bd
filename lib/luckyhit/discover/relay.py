"""TCP relays in front of one server: which of several addresses is used shows which variable it came from."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Self

from luckyhit.system.ports import HOST

_CHUNK = 65_536


class Relay:
    """Listens on a free port and passes each connection on to `target` (host, port). `connections` counts them."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.connections = 0
        self._target = target
        self._stopped = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
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
        with self._lock:
            sockets, self._sockets = [self._listener, *self._sockets], set()
        for open_socket in sockets:
            # shutdown wakes a thread that waits in accept or select; close alone does not.
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                return
            with server:
                with self._lock:
                    self._sockets |= {client, server}
                try:
                    self._pump(client, server)
                finally:
                    with self._lock:
                        self._sockets -= {client, server}

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        """Until either end closes."""
        other = {client: server, server: client}
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed while it was waited for
            while not self._stopped.is_set():
                for ready in select.select(list(other), [], [])[0]:
                    data = ready.recv(_CHUNK)
                    if not data:
                        return
                    other[ready].sendall(data)

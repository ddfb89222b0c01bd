"""Reads many plain sockets in one go, each with a single system call.

An event loop's transport costs each response more than the response's parsing: a buffer, a callback in its own context,
a turn of the loop. Here one `epoll` has all sockets of a client; the loop watches that one. Linux only; elsewhere, and
under TLS, transports read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from time import monotonic_ns as now
from typing import Protocol

AT_ONCE = 64 << 10
"""Bytes of one read."""
_TURN_NS = 1_000_000
"""How long the loop may wait for its next turn."""
_WAIT_S = 0.001
_READY = 64
_DATA = getattr(select, "EPOLLIN", 0)


class Readable(Protocol):
    """A connection that is read here."""

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""

    def read_ended(self, failed: bool) -> None:
        """No more will come: the peer has closed it, or it `failed`. It is read no more."""


class SocketReader:
    """Hands over what arrives on the sockets that were added, inside an event loop. It waits for the next answers
    itself for a moment, which saves turns of the loop: only for closed loops, in which nothing is due meanwhile."""

    available = hasattr(select, "epoll")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._epoll = loop, select.epoll()
        self._connections: dict[int, Readable] = {}
        loop.add_reader(self._epoll.fileno(), self._read_ready)

    def add(self, fd: int, connection: Readable) -> None:
        """Read this socket from now on; nobody else may."""
        self._connections[fd] = connection
        # Told once: to be told again and again until it is read costs a look at each socket in each turn.
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def remove(self, fd: int, connection: Readable) -> None:
        """Read it no more. Before it is closed: another may get its number."""
        if self._connections.get(fd) is connection:
            del self._connections[fd]
            with contextlib.suppress(OSError):  # closed already
                self._epoll.unregister(fd)

    def close(self) -> None:
        """Read nothing more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._connections.clear()

    def _read_ready(self) -> None:
        connections, poll, read = self._connections, self._epoll.poll, os.read
        until_ns = now() + _TURN_NS
        while events := poll(_WAIT_S, _READY):
            for fd, flags in events:
                connection = connections.get(fd)
                if connection is None:  # removed a moment ago
                    continue
                try:
                    data = read(fd, AT_ONCE)
                    if data and flags == _DATA and len(data) < AT_ONCE:  # nothing is left
                        connection.data_received(data)
                    else:
                        self._read_on(fd, connection, data)
                except BlockingIOError:
                    continue
                except OSError:
                    self._end(fd, connection, failed=True)
            if now() > until_ns or self._epoll.closed:
                break

    def _read_on(self, fd: int, connection: Readable, data: bytes) -> None:
        """Hand over all that is there, and the end, which may have come with it. Raises what reading raises."""
        while data:
            connection.data_received(data)
            if self._connections.get(fd) is not connection:
                return
            data = os.read(fd, AT_ONCE)
        self._end(fd, connection, failed=False)

    def _end(self, fd: int, connection: Readable, *, failed: bool) -> None:
        self.remove(fd, connection)
        connection.read_ended(failed)

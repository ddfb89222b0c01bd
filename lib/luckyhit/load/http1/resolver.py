"""Resolve each host once per client, in a daemon thread.

The loop's own lookups share four threads and can't be cancelled: if a name server doesn't answer, the requests of all
slots would queue up behind it, far beyond every timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading


class Resolver:
    """Addresses of one host, the one that worked last first."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._under_way: asyncio.Future[list[str]] | None = None
        self._worked = self._literal = _literal(host)

    async def addresses(self) -> list[str]:
        """What to try, in order. Raises OSError for an unknown name, ValueError for an invalid one."""
        if self._worked is not None:
            return [self._worked]
        if self._under_way is None:
            loop = asyncio.get_running_loop()
            self._under_way = loop.create_future()
            self._under_way.add_done_callback(self._over)
            threading.Thread(target=self._look_up, args=(loop, self._under_way), daemon=True).start()
        return await asyncio.shield(self._under_way)

    def worked(self, address: str) -> None:
        self._worked = address

    def failed(self) -> None:
        """Resolve again the next time: a service may have moved."""
        self._worked = self._literal

    def _over(self, future: asyncio.Future[list[str]]) -> None:
        self._under_way = None
        if not future.cancelled():
            future.exception()  # perhaps nobody waits any more

    def _look_up(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[list[str]]) -> None:
        addresses: list[str] = []
        failure: Exception | None = None
        try:
            entries = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(address[0]) for *_, address in entries))
        except (OSError, ValueError) as error:  # UnicodeError is a ValueError
            failure = error

        def report() -> None:
            if future.done():
                return
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(addresses)

        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(report)


def _literal(host: str) -> str | None:
    """The host, if it is an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return host

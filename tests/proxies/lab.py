"""Real proxies on free ports, each started when a chain first needs it, with a count of requests between them."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from origin import Origin
from products import PRODUCTS
from relay import Relay

from luckyhit.system.ports import free_port

READY_WITHIN_S = 30.0
T = TypeVar("T")


def layers_of(chain: str) -> list[str]:
    """The names of a chain's proxies, nearest to the user first; the second of the same product has a number."""
    names = chain.split("--")
    return [name if names.index(name) == place else f"{name}~{place}" for place, name in enumerate(names)]


def asked_headers(chain: str) -> dict[str, str]:
    """Headers that requests need for the chain's proxies to report their status."""
    return {name: value for product in chain.split("--") for name, value in PRODUCTS[product].asks.items()}


def missing(chain: str) -> list[str]:
    """Programs of the chain that are not installed."""
    return sorted({PRODUCTS[name].binary for name in chain.split("--") if PRODUCTS[name].program is None})


@dataclass
class Proxy:
    """A running proxy."""

    port: int
    relay: Relay
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Counted:
    """The true counts of a chain and a service.

    `passed`: requests that each of its proxies sent on, nearest first. Of those that reached the service, `misses` ran
    its handler and `confirmed` got a 304; together they made `calls` database calls.
    """

    passed: tuple[int, ...]
    misses: int
    confirmed: int
    calls: int

    def __sub__(self, before: Counted) -> Counted:
        passed = tuple(now - then for now, then in zip(self.passed, before.passed, strict=True))
        misses, confirmed = self.misses - before.misses, self.confirmed - before.confirmed
        return Counted(passed, misses, confirmed, self.calls - before.calls)


class Lab:
    """The service, and the proxies that were needed so far. Leaving the context ends them all."""

    def __init__(self) -> None:
        self.origin = Origin()
        self._proxies: dict[str, Proxy] = {}
        self._stack = ExitStack()
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Lab:
        # Readable by other users: a proxy may stop being root.
        self._folder = Path(tempfile.mkdtemp(prefix="luckyhit-proxies-"))
        self._folder.chmod(0o755)
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
        listening = socket.create_server(("127.0.0.1", 0))
        self._origin_port = listening.getsockname()[1]
        config = uvicorn.Config(self.origin, lifespan="off", log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.run_coroutine_threadsafe(server.serve(sockets=[listening]), self._loop)
        self._stack.callback(serving.result)
        self._stack.callback(setattr, server, "should_exit", True)
        self._stack.callback(setattr, server, "force_exit", True)
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies.values():
            proxy.process.terminate()
        self._stack.close()

    def url(self, chain: str, service: str) -> str:
        """The URL of the chain's first proxy. Proxies that aren't running are started."""
        for layer in reversed(layers_of(chain)):
            if layer not in self._proxies:
                self._proxies[layer] = self._start(layer)
        return f"http://127.0.0.1:{self._proxies[layers_of(chain)[0]].port}/{chain}/{service}"

    def warm(self, chain: str, service: str, keys: Iterable[int]) -> None:
        """Put these keys into the cache behind the nearest one."""
        self.url(chain, service)
        port = self._next_port(chain, layers_of(chain)[0])
        asks = asked_headers(chain)
        for key in keys:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", f"/{chain}/{service}/{key}", headers={**asks, "Host": "service.test"})
            connection.getresponse().read()
            connection.close()

    def counted(self, chain: str, service: str) -> Counted:
        """The true counts so far."""
        handled = self.origin.handled(chain, service)
        return Counted(
            passed=tuple(self._proxies[layer].relay.passed[chain, service] for layer in layers_of(chain)),
            misses=sum(entry.calls > 0 for entry in handled),
            confirmed=sum(entry.confirmed for entry in handled),
            calls=sum(entry.calls for entry in handled),
        )

    def _start(self, layer: str) -> Proxy:
        product, folder = PRODUCTS[layer.partition("~")[0]], self._folder / layer
        folder.mkdir()
        relay = Relay(lambda chain: self._next_port(chain, layer))
        server = self._run(relay.start())
        self._stack.callback(self._loop.call_soon_threadsafe, server.close)
        port = free_port()
        command = product.write(folder, port, relay.port)
        environment = {name: text.replace("@dir@", str(folder)) for name, text in product.environment.items()}
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )  # fmt: skip
        self._stack.callback(_end, process)
        _await_ready(layer, process, port, folder / "output")
        return Proxy(port, relay, process)

    def _next_port(self, chain: str, layer: str) -> int:
        layers = layers_of(chain)
        behind = layers[layers.index(layer) + 1 :]
        return self._proxies[behind[0]].port if behind else self._origin_port

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def _await_ready(layer: str, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            pass
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"{layer} did not start: {output.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

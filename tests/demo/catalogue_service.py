"""The real catalogue, as a process of its own or on a thread of this one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from luckyhit.demo.app import create_app
from luckyhit.demo.settings import DemoSettings

LIB = Path(__file__).parents[2] / "lib"


def poll(condition: Callable[[], Any], *, within_s: float = 20.0, condition_name: str = "") -> Any:
    """The first true value of `condition()`; fails with `what` when none comes."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    pytest.fail(f"not within {within_s:g} s: {condition_name or condition}")


def service_env(redis_url: str, database: Path, **settings: str) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CATALOGUE_")}
    return {**environ, "PYTHONPATH": str(LIB), "REDIS_URL": redis_url, "DATABASE": str(database), **settings}


class Prices:
    """What a test asks a running catalogue for, whatever runs it: `http` talks to it."""

    http: httpx.Client
    database: Path

    def price(self, product_id: int) -> int:
        return self.http.get(f"/products/{product_id}").json()["price_cents"]

    def set_price(self, product_id: int, price_cents: int) -> httpx.Response:
        return self.http.put(f"/products/{product_id}/price", json={"price_cents": price_cents})


class Service(Prices):
    """One running catalogue in a process of its own."""

    def __init__(self, workdir: Path, redis_url: str, **settings: str) -> None:
        self.workdir = workdir
        self.redis_url = redis_url
        self.database = workdir / "catalogue.sqlite"
        self.log_file = workdir / "service.log"
        self.start(**settings)

    def start(self, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "luckyhit.demo", "--port", str(port)],
                env=service_env(self.redis_url, self.database, **settings),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        poll(self._ready, condition_name="the service is ready")

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log_file.read_text()
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]


class ThreadedService(Prices):
    """A catalogue with one worker, on a thread of this process; `base_url` is where it listens."""

    def __init__(self, redis_url: str, database: Path, **settings: str) -> None:
        environ = {"REDIS_URL": redis_url, "DATABASE": str(database), **settings}
        self.database = database
        self._log = StringIO()
        with redirect_stdout(self._log):  # it is told its stream when it is made
            app = create_app(DemoSettings.from_env(environ))
        config = uvicorn.Config(app, lifespan="on", ws="none", log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.http = httpx.Client(base_url=self.base_url, timeout=10)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        poll(lambda: self._server.started, condition_name="the service is ready")

    def stop(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def log_lines(self) -> list[dict[str, Any]]:
        """Those of all requests, once it is stopped."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

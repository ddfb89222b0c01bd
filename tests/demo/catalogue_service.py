"""The real catalogue, as a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

LIB = Path(__file__).parents[2] / "lib"


def poll(condition: Callable[[], Any], *, within_s: float = 20.0, what: str = "") -> Any:
    """The first true value of `condition()`; fails with `what` when none comes."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    pytest.fail(f"not within {within_s:g} s: {what or condition}")


def service_env(redis_url: str, database: Path, **settings: str) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CATALOGUE_")}
    return {**environ, "PYTHONPATH": str(LIB), "REDIS_URL": redis_url, "DATABASE": str(database), **settings}


class Service:
    """One running catalogue: `http` talks to it, `redis` to its cache."""

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
        poll(self._ready, what="the service is ready")

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

    def price(self, product_id: int) -> int:
        return self.http.get(f"/products/{product_id}").json()["price_cents"]

    def set_price(self, product_id: int, price_cents: int) -> httpx.Response:
        return self.http.put(f"/products/{product_id}/price", json={"price_cents": price_cents})

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

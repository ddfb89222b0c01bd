"""The command line of the service, and its server."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from luckyhit.demo.app import create_app
from luckyhit.demo.database import ensure_database
from luckyhit.demo.settings import DemoSettings, SettingError, described
from luckyhit.demo.workers import run_workers

_TICK_S = 0.1
_NOT_STARTED = 3
_OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    "http": "httptools",
    "ws": "none",
    "lifespan": "on",
    "access_log": False,
    "log_level": "warning",
    # Longer than the load balancers in front keep an idle connection: else requests meet a closing one.
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 2,
}


class PromptServer(uvicorn.Server):
    """Ends as soon as it is told to, if nothing is under way. uvicorn itself looks ten times a second whether it was
    told, and then waits a tenth of a second for connections, also where there are none."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        tick = 0
        while not await self.on_tick(tick):
            tick += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), _TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.server_state.connections or self.server_state.tasks or self.force_exit:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for own in sockets or []:
            own.close()
        await self.lifespan.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m luckyhit.demo",
        description="A product catalogue.",
        epilog=described(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    try:
        settings = DemoSettings.from_env(os.environ)
    except SettingError as error:
        sys.exit(f"catalogue: {error}")
    host, port = arguments.host, arguments.port
    if settings.workers == 1:
        server = PromptServer(uvicorn.Config(create_app(settings), host=host, port=port, **_OPTIONS))
        with suppress(KeyboardInterrupt):
            server.run()
        if not server.started:
            sys.exit(_NOT_STARTED)
        return
    ensure_database(settings.database)  # once, and not by the first worker while the second one looks for it

    def serve(own: socket.socket) -> None:
        with suppress(KeyboardInterrupt):
            PromptServer(uvicorn.Config(create_app(settings), **_OPTIONS)).run(sockets=[own])

    try:
        run_workers(settings.workers, serve, host=host, port=port)
    except OSError as error:
        sys.exit(f"catalogue: {host}:{port}: {error}")

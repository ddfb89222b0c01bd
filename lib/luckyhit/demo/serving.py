"""The command line of the service, and its server."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn

from luckyhit.demo.app import create_app
from luckyhit.demo.database import ensure_database
from luckyhit.demo.settings import DemoSettings, SettingError, described
from luckyhit.demo.workers import run_workers

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
        uvicorn.run(create_app(settings), host=host, port=port, **_OPTIONS)
        return
    ensure_database(settings.database)  # once, and not by the first worker while the second one looks for it

    def serve(own: socket.socket) -> None:
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(create_app(settings), **_OPTIONS)).run(sockets=[own])

    try:
        run_workers(settings.workers, serve, host=host, port=port)
    except OSError as error:
        sys.exit(f"catalogue: {host}:{port}: {error}")

"""The smallest ASGI application under uvicorn, as investigated services are: one process, no access log.

python -P asgi_service.py     prints its port; ends with its standard input
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any

import uvicorn

_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b"ok"})


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    print(listening.getsockname()[1], flush=True)

    def until_end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=until_end, daemon=True).start()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()

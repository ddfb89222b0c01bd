"""`python -m luckyhit.demo --port 8000`"""

from __future__ import annotations

import argparse
import os
import sys

import uvicorn

from luckyhit.demo.app import create_app
from luckyhit.demo.settings import SettingError, Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m luckyhit.demo", description="A product catalogue.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    try:
        settings = Settings.from_env(os.environ)
    except SettingError as error:
        sys.exit(f"catalogue: {error}")
    uvicorn.run(
        create_app(settings),
        host=arguments.host,
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        # Longer than the load balancers in front keep an idle connection: else requests meet a closing one.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()

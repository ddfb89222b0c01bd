"""The services that are measured, each in a process of its own, on a free port."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import luckyhit.load

_HERE = Path(__file__).parent
ECHO = Path(luckyhit.load.__file__).with_name("echo.py")
TIMED_ECHO = _HERE / "timed_echo.py"
TELLING_ECHO = _HERE / "telling_echo.py"
SHOP_ECHO = _HERE / "shop_echo.py"
VERSIONED = _HERE / "versioned.py"
ASGI = _HERE / "asgi_service.py"


class Target(NamedTuple):
    url: str
    pid: int


@contextmanager
def running(script: Path, *arguments: str) -> Iterator[Target]:
    """A script that prints its port, and ends with its standard input."""
    service = subprocess.Popen(
        [sys.executable, "-P", str(script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert service.stdin is not None and service.stdout is not None
    try:
        yield Target(f"http://127.0.0.1:{int(service.stdout.readline())}", service.pid)
    finally:
        service.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            service.wait(1)
        service.kill()
        service.wait()
        service.stdout.close()

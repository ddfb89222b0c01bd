"""Ports of the loopback interface: free ones, and the processes that hold others."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import sys
import threading
from pathlib import Path

import psutil

HOST = "127.0.0.1"
_LOWEST = 15_000
_ATTEMPTS = 200
_held: set[int] = set()
_lock = threading.Lock()
_REPORTED = re.compile(
    r"address (is )?already in use|address in use|EADDRINUSE|errno (98|48)\b|port \d+ is (already )?(in use|taken)"
    r"|port .{0,40}already (in use|allocated)|only one usage of each socket address",
    re.IGNORECASE,
)


class PortLost(Exception):
    """Another process took a port that was free when it was chosen."""


def free_port(rng: random.Random | None = None) -> int:
    """A port that nobody listens on and that no other stack of this process holds (see `release`). Where there is room
    it is below the ephemeral range, so that no outgoing connection can take it while a service restarts."""
    choose = (rng or random.SystemRandom()).randrange
    highest = _first_ephemeral()
    with _lock:
        for _ in range(_ATTEMPTS if highest > _LOWEST + 1000 else 0):
            port = choose(_LOWEST, highest)
            if port not in _held and is_free(port):
                _held.add(port)
                return port
        while True:
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                port = int(probe.getsockname()[1])
            if port not in _held:
                _held.add(port)
                return port


def release(port: int) -> None:
    """Let `free_port` choose this port again."""
    with _lock:
        _held.discard(port)


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now. A privileged port counts as free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: lingering connections don't count
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return True
        except OSError:
            return False
    if sys.platform.startswith("linux"):
        return True
    with socket.socket() as probe:  # elsewhere a wildcard listener doesn't prevent binding
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) != 0


def listener(port: int) -> psutil.Process | None:
    """The process that listens on `port`; None where there is none or it is not visible."""
    with contextlib.suppress(psutil.Error, OSError, RuntimeError):
        for connection in psutil.net_connections("tcp"):
            listening = connection.status == psutil.CONN_LISTEN
            if listening and connection.laddr and connection.laddr.port == port and connection.pid:
                return psutil.Process(connection.pid)
    return None


def holder(port: int) -> str:
    """The process that listens on `port`, in words: `process 71 (nginx)`, or `another process`."""
    with contextlib.suppress(psutil.Error):
        process = listener(port)
        if process is not None:
            return f"process {process.pid} ({process.name()})"
    return "another process"


def reported_taken(lines: list[str]) -> bool:
    """Whether a service reports in its log that its port was taken."""
    return any(_REPORTED.search(line) for line in lines)


def _first_ephemeral() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 49_152  # IANA's, which macOS uses
